"""Checks of the images of COCO files."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from projects.data_distillation.label_files.coco.image_checks import (
    check_images,
    find_problems,
)
from projects.data_distillation.label_files.coco.image_files import (
    HASH_SIDE,
    MAX_DISTANCE,
    hash_pixels,
    locate_images,
    read_facts,
)
from projects.data_distillation.label_files.coco.joint_checks import (
    find_nearest,
)
from projects.data_distillation.label_files.coco.tables import CocoFile

# A temple and a flower, 640x427, RGB.
TEMPLE, FLOWER = (photo.copy() for photo in load_sample_images().images)
LATER = np.ascontiguousarray(TEMPLE[:, ::-1])
ORIENTATION = 0x0112


def save(file: Path, pixels: np.ndarray, **options) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)
    return file


def coco_file(path: str, **sizes_wh: tuple[int, int]) -> CocoFile:
    """A file of the images `NAME.jpg`, with ids from 5."""
    images = [
        dict(id=i, file_name=f'{name}.jpg', width=w, height=h)
        for i, (name, (w, h)) in enumerate(sizes_wh.items(), 5)
    ]
    return CocoFile.of(path, dict(images=images))


def lines_of(files: list[CocoFile], *folders: Path) -> list[str]:
    places = map(locate_images, files, folders)
    return [str(p) for p in check_images(list(places))]


def test_folders_are_one_for_all_files_or_one_for_each(tmp_path):
    files = [CocoFile.of(f'{n}.json', dict(images=[])) for n in range(3)]

    with pytest.raises(ValueError, match='each of the 3 files, got 2'):
        list(find_problems(files, [tmp_path, tmp_path]))


def test_readable_images_of_the_right_size_are_no_problem(tmp_path):
    save(tmp_path / 'sub' / 'a.jpg', TEMPLE)
    save(tmp_path / 'b.jpg', FLOWER)
    content = dict(
        images=[
            dict(id=1, file_name='sub/a.jpg', width=640, height=427),
            # What another check reports is no reason to fail.
            dict(id=2, file_name='b.jpg'),
            dict(id=3),
            7,
        ]
    )

    assert lines_of([CocoFile.of('a.json', content)], tmp_path) == []


def test_images_that_cannot_be_read_are_found(tmp_path):
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'empty.jpg').touch()
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    names = ['text', 'empty', 'pipe', 'folder', 'absent']
    file = coco_file('a.json', **dict.fromkeys(names, (9, 9)))

    lines = lines_of([file], tmp_path)

    reasons = [
        'OpenCV cannot decode it',
        'empty: 0 bytes',
        'not a file but a pipe, socket or device',
        'not a file but a folder',
        'cannot be opened: No such file or directory',
    ]
    end = (
        f'put it into {tmp_path}, or remove the entry and its annotations '
        '(--fix does, with --drop-unreadable)'
    )
    assert lines == [
        f"a.json: image {i}: '{name}.jpg' cannot be read ({reason}): {end}"
        for i, (name, reason) in enumerate(zip(names, reasons), 5)
    ]


def test_image_of_another_name_that_cannot_be_read_is_found(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'sub' / 'a.jpg').write_text('no image')

    lines = lines_of([coco_file('a.json', a=(9, 9))], tmp_path)

    assert "'a.jpg' is not in" in lines[0]
    assert "'a.jpg' cannot be read (OpenCV cannot decode it)" in lines[1]


@pytest.mark.parametrize('name', ['../out', 'nul\0', '\ud800'])
def test_name_that_must_not_be_opened_is_not_opened(tmp_path, name):
    save(tmp_path / 'out.jpg', TEMPLE)
    file = coco_file('a.json', **{name: (9, 9)})

    # What is wrong with the name is said by another check.
    assert lines_of([file], tmp_path / 'images') == []


def test_size_must_be_that_of_the_decoded_image(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    save(tmp_path / 'turned.jpg', TEMPLE, exif=exif)
    save(tmp_path / 'as_decoded.jpg', TEMPLE, exif=exif)
    save(tmp_path / 'small.jpg', TEMPLE[:200])
    file = coco_file(
        'a.json', turned=(640, 427), as_decoded=(427, 640), small=(640, 427)
    )

    assert lines_of([file], tmp_path) == [
        'a.json: image 5: 640x427 in the file, but the image is decoded as '
        '427x640, transposed by EXIF (or width and height are confused): its '
        'boxes fit the image: write the size of the image (--fix does)',
        'a.json: image 7: 640x427 in the file, but the image is decoded as '
        '640x200: its boxes fit the image: write the size of the image (--fix '
        'does)',
    ]


def test_copy_is_found_under_another_name_and_through_a_link(tmp_path):
    save(tmp_path / 'one' / 'a.jpg', TEMPLE)
    save(tmp_path / 'one' / 'b.jpg', FLOWER)
    (tmp_path / 'two').mkdir()
    (tmp_path / 'two' / 'x.jpg').symlink_to('../one/b.jpg')
    save(tmp_path / 'two' / 'a.jpg', LATER)
    first = coco_file('a.json', a=(640, 427), b=(640, 427))
    second = coco_file('b.json', x=(640, 427), a=(640, 427))

    lines = lines_of([first, second], tmp_path / 'one', tmp_path / 'two')

    assert lines == [
        "b.json: image 5: 'x.jpg' is image 6 ('b.jpg') of a.json, byte for "
        'byte: take it out of one of the files'
    ]


def test_every_two_files_are_compared(tmp_path):
    save(tmp_path / 'a.jpg', TEMPLE)
    save(tmp_path / 'b.jpg', FLOWER)
    files = [
        coco_file('a.json', a=(640, 427)),
        coco_file('b.json', b=(640, 427)),
        coco_file('c.json', b=(640, 427), a=(640, 427)),
    ]

    lines = lines_of(files, *[tmp_path] * 3)

    assert [line.split(', byte')[0] for line in lines] == [
        "c.json: image 6: 'a.jpg' is image 5 ('a.jpg') of a.json",
        "c.json: image 5: 'b.jpg' is image 5 ('b.jpg') of b.json",
    ]


COPIES = [
    pytest.param(dict(), dict(quality=20), id='quality 20'),
    pytest.param(dict(fx=0.3, fy=0.3), dict(), id='small'),
    pytest.param(dict(fx=1.5, fy=1.5), dict(quality=50), id='large'),
]


@pytest.mark.parametrize(('scale', 'options'), COPIES)
def test_copy_that_was_saved_anew_is_found(tmp_path, scale, options):
    copy = cv2.resize(TEMPLE, None, **scale) if scale else TEMPLE
    save(tmp_path / 'a.jpg', FLOWER, quality=95)
    save(tmp_path / 'b.jpg', TEMPLE, quality=95)
    save(tmp_path / 'c.jpg', copy, **options)
    height, width = copy.shape[:2]
    first = coco_file('a.json', a=(640, 427), b=(640, 427))
    second = coco_file('b.json', c=(width, height))

    (line,) = lines_of([first, second], tmp_path, tmp_path)

    start, rest = line.split(' of 256 bits of their perceptual hashes differ')
    start, distance = start.rsplit('(', 1)
    assert start == (
        "b.json: image 5: 'c.jpg' looks like image 6 ('b.jpg') of a.json "
    )
    assert 0 <= int(distance) <= 20
    assert rest == '): look at both; if they show the same, take one out'


def test_blank_images_do_not_look_alike_but_copies_of_them_are_found(
    tmp_path,
):
    names = ('black', 'gray', 'noisy', 'copy')
    for name, level in zip(names, (0, 127, 127, 0)):
        pixels = np.full((60, 80, 3), level, np.uint8)
        if name == 'noisy':
            noise = np.random.default_rng(0).integers(-5, 6, (60, 80, 1))
            pixels = (pixels + noise).astype(np.uint8)
        save(tmp_path / f'{name}.jpg', pixels)
    sizes = dict.fromkeys(names, (80, 60))
    first = coco_file('a.json', black=sizes.pop('black'))
    second = coco_file('b.json', **sizes)

    assert lines_of([first, second], tmp_path, tmp_path) == [
        "b.json: image 7: 'copy.jpg' is image 5 ('black.jpg') of a.json, byte "
        'for byte: take it out of one of the files'
    ]
    assert read_facts(str(tmp_path / 'noisy.jpg')).bits is None


def test_hash_is_of_brightness_and_has_two_values():
    bits = hash_pixels(TEMPLE[..., ::-1])

    assert bits.dtype == np.float32
    assert sorted(set(bits)) == [-1, 1]
    assert len(bits) == HASH_SIDE**2 == 256
    # With the channels confused, green would not weigh the most.
    gray = cv2.cvtColor(TEMPLE, cv2.COLOR_RGB2GRAY)
    of_gray = hash_pixels(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    assert (bits == of_gray).all()


def test_nearest_is_that_of_slow_counting():
    random = np.random.default_rng(0)
    known = random.choice([-1, 1], (300, 256)).astype(np.float32)
    asked = random.choice([-1, 1], (700, 256)).astype(np.float32)
    # Copies with so many bits changed, some in later parts of the matrix.
    for row, source, changed in [
        (3, 7, 0), (255, 9, MAX_DISTANCE), (256, 11, MAX_DISTANCE + 1),
        (699, 299, 1),
    ]:  # fmt: skip
        asked[row] = known[source]
        asked[row, :changed] *= -1
    indices = [10 * i for i in range(700)]

    found = list(find_nearest((indices[:300], known), (indices, asked)))

    assert found == [
        (70, 30, 0),
        (90, 2550, MAX_DISTANCE),
        (2990, 6990, 1),
    ]
    assert list(find_nearest(([], known[:0]), (indices, asked))) == []
    assert list(find_nearest((indices[:300], known), ([], asked[:0]))) == []


def test_tool_reads_the_images_of_all_files(tmp_path, call_tool):
    save(tmp_path / 'images' / 'a.jpg', TEMPLE)
    save(tmp_path / 'images' / 'b.jpg', FLOWER)
    categories = [dict(id=1, name='red')]
    for name, image in (('a', 'a'), ('b', 'b'), ('c', 'a')):
        content = dict(
            coco_file('', **{image: (640, 427)}).content,
            annotations=[],
            categories=categories,
        )
        (tmp_path / f'{name}.json').write_text(json.dumps(content))

    right, leaking = (
        call_tool('check_coco', 'a.json', *arguments, cwd=tmp_path)
        for arguments in (
            ('b.json', '--images', 'images'),
            ('c.json', '--images', 'images', 'images'),
        )
    )

    assert right.returncode == 0, right.stderr
    assert right.stdout == (
        'a.json, b.json: 2 images, 0 annotations, 1 categories: nothing '
        'wrong\n'
    )
    assert 'reading images' not in right.stderr
    assert leaking.returncode == 1
    assert leaking.stdout.splitlines() == [
        "c.json: image 5: 'a.jpg' is image 5 ('a.jpg') of a.json, byte for "
        'byte: take it out of one of the files',
        'problems: 1',
    ]
