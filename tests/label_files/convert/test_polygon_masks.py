"""Masks to YOLO's polygons and back: the same pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import DrawnImages, give_masks
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from projects.data_distillation.label_files.coco.tables import read_file
from projects.data_distillation.label_files.mending.mask_checks import (
    check_segmentations,
    read_for_masks,
)


@pytest.fixture
def convert(call_tool):
    """Run the tool: what it prints, and the error if it ends with one."""

    def run(*arguments: object) -> tuple[str, str]:
        done = call_tool('convert_dataset', *arguments)
        return done.stdout, done.stderr if done.returncode else ''

    return run


@pytest.fixture
def to_yolo(convert, drawn):
    """Write the drawn images: their lines by name, what it says, the error."""

    def run(*options: object) -> tuple[dict, str, str]:
        folder = drawn.folder / 'yolo'
        text, error = convert(
            'to-yolo', drawn.write('masks.json', drawn.truth), folder,
            '--images', drawn.folder / 'unlabeled', *options,
        )  # fmt: skip
        files = sorted((folder / 'labels').glob('*.txt'))
        lines = {f.stem: f.read_text().splitlines() for f in files}
        return lines, text, error

    return run


@pytest.fixture
def from_yolo(convert, drawn):
    """Read what `to_yolo` has written."""

    def run(*options: object) -> tuple[Path, str, str]:
        out = drawn.folder / 'back.json'
        source = drawn.folder / 'yolo' / 'data.yaml'
        given = source, out, '--split', 'train', *options
        return out, *convert('from-yolo', *given)

    return run


def masks_of(content: dict | Path) -> dict[tuple, list[np.ndarray]]:
    """All masks, by image and class."""
    coco = COCO()
    if isinstance(content, Path):
        content = json.loads(content.read_text())
    coco.dataset = content
    coco.createIndex()
    found: dict = {}
    for one in coco.dataset['annotations']:
        names = coco.imgs[one['image_id']], coco.cats[one['category_id']]
        key = names[0]['file_name'], names[1]['name']
        found.setdefault(key, []).append(coco.annToMask(one))
    return found


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for key, masks in one.items():
        assert len(masks) == len(other[key])
        assert all(map(np.array_equal, masks, other[key]))


def give_shapes(drawn: DrawnImages, kind: str) -> None:
    """Give the objects masks with holes and parts, and their boxes."""
    sizes = {i['id']: (i['height'], i['width']) for i in drawn.truth['images']}
    for one in drawn.truth['annotations']:
        mask = np.zeros(sizes[one['image_id']], np.uint8, order='F')
        x, y, w, h = one['bbox']
        mask[y : y + h, x : x + w] = 1
        mask[y + 2 : y + h - 2, x + 2 : x + w - 2] = 0  # a hole
        mask[:, x + w // 2] = 0  # two parts
        rle = coco_mask.encode(mask)
        one['bbox'] = coco_mask.toBbox(rle).tolist()
        one['segmentation'] = dict(rle, counts=rle['counts'].decode())
        if kind == 'runs':
            flat = np.concatenate([[0], mask.ravel('F'), [-1]])
            runs = np.diff(np.flatnonzero(np.diff(flat)), prepend=0).tolist()
            one['segmentation'] = dict(rle, counts=runs)
        if kind == 'polygons':
            size = 0.37 * w, 0.43 * h
            one['segmentation'] = [
                square(x, y, *size),
                square(x + 0.6 * w, y, *size),
                square(x + 0.2 * w, y + 0.3 * h, *size),  # over the first
            ]
            rles = coco_mask.frPyObjects(one['segmentation'], *mask.shape)
            one['bbox'] = coco_mask.toBbox(coco_mask.merge(rles)).tolist()


def square(x: float, y: float, w: float, h: float) -> list[float]:
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    return [round(number, 3) for number in corners]


@pytest.mark.parametrize('kind', ['rle', 'runs', 'polygons'])
def test_masks_come_back_pixel_by_pixel(drawn, to_yolo, from_yolo, kind):
    give_shapes(drawn, kind)

    lines, said, error = to_yolo()
    out, said_back, error_back = from_yolo()

    assert not error + error_back
    for text in (said, said_back):
        assert 'all instances have masks, as one polygon each' in text
    for line in (line for of_image in lines.values() for line in of_image):
        label, *numbers = line.split()
        assert label in '01'
        assert len(numbers) >= 6
        assert len(numbers) % 2 == 0
        assert all(0 <= float(number) <= 1 for number in numbers)
    assert_equal(masks_of(drawn.truth), masks_of(out))
    for one in json.loads(out.read_text())['annotations']:
        (polygon,) = one['segmentation']
        assert np.array_equal(polygon, np.round(polygon, 3))


def test_lines_of_pixels_keep_their_box(drawn, to_yolo, from_yolo):
    for one in give_masks(drawn.truth, 'rle')['annotations']:
        size = one['segmentation']['size']
        mask = np.zeros(size, np.uint8, order='F')
        x, y, w, _ = one['bbox'] = [*one['bbox'][:3], 1]
        mask[y, x : x + w] = 1
        rle = coco_mask.encode(mask)
        one['segmentation'] = dict(rle, counts=rle['counts'].decode())

    to_yolo()
    out, *_ = from_yolo()

    assert_equal(masks_of(drawn.truth), masks_of(out))
    found = json.loads(out.read_text())['annotations']
    boxes = [one['bbox'] for one in drawn.truth['annotations']]
    assert [one['bbox'] for one in found] == boxes


@pytest.mark.parametrize('kind', ['rle', 'polygons'])
def test_what_comes_back_has_nothing_wrong(drawn, to_yolo, from_yolo, kind):
    give_shapes(drawn, kind)

    to_yolo()
    out, *_ = from_yolo()

    assert list(check_segmentations(read_for_masks(out))) == []
    found = read_file(out).content['annotations']
    assert found
    masks = [m for masks in masks_of(out).values() for m in masks]
    areas = sorted(int(mask.sum()) for mask in masks)
    assert sorted(one['area'] for one in found) == areas


def test_scores_of_masks_come_back(drawn, to_yolo, from_yolo):
    give_masks(drawn.truth)
    scores = [
        0.25 + 0.05 * n for n, _ in enumerate(drawn.truth['annotations'])
    ]
    for one, score in zip(drawn.truth['annotations'], scores):
        one['score'] = score

    _, _, error = to_yolo('--scores')
    out, said, _ = from_yolo()

    assert not error
    found = json.loads(out.read_text())['annotations']
    assert [one['score'] for one in found] == pytest.approx(scores)
    assert f'{len(scores)} polygons with a score: an even number of' in said


def test_boxes_are_written_instead_of_masks_if_told(drawn, to_yolo, from_yolo):
    give_masks(drawn.truth)

    lines, said, _ = to_yolo('--boxes-only')
    out, said_back, _ = from_yolo()

    assert {len(line.split()) for of in lines.values() for line in of} == {5}
    num = len(drawn.truth['annotations'])
    assert f'{num} masks left out: only their boxes are written' in said
    assert 'have masks' not in said + said_back
    found = json.loads(out.read_text())['annotations']
    assert all('segmentation' not in one for one in found)


def test_polygons_are_read_as_boxes_if_told(drawn, to_yolo, from_yolo):
    give_masks(drawn.truth)

    to_yolo()
    out, said, _ = from_yolo('--boxes-only')

    found = json.loads(out.read_text())['annotations']
    boxes = [one['bbox'] for one in drawn.truth['annotations']]
    assert [one['bbox'] for one in found] == boxes
    assert all('segmentation' not in one for one in found)
    assert f'{len(boxes)} polygons: only their boxes were kept' in said


def test_voc_has_no_masks_and_says_so(drawn, convert):
    give_masks(drawn.truth)

    said, error = convert(
        'to-voc', drawn.write('masks.json', drawn.truth), drawn.folder / 'voc',
        '--images', drawn.folder / 'unlabeled',
    )  # fmt: skip

    assert not error
    assert 'masks left out: only their boxes are written' in said


@pytest.mark.parametrize('nothing', [None, [], 'empty mask', 'outside'])
def test_file_with_masks_of_some_objects_is_refused(drawn, to_yolo, nothing):
    give_masks(drawn.truth)
    first = drawn.truth['images'][0]
    size_hw = first['height'], first['width']
    if nothing == 'empty mask':
        rle = coco_mask.encode(np.zeros(size_hw, np.uint8, order='F'))
        nothing = dict(rle, counts=rle['counts'].decode())
    if nothing == 'outside':
        nothing = [square(-20, 3, 9, 9)]
    drawn.truth['annotations'][0]['segmentation'] = nothing

    _, _, error = to_yolo()

    assert '1 of 10 in' in error
    assert 'only boxes (first: 0.png): outline them, or convert all' in error
    assert not (drawn.folder / 'yolo').exists()


@pytest.mark.parametrize('nothing', [None, [[1, 2, 3]]])
def test_crowds_need_no_mask(drawn, to_yolo, nothing):
    give_masks(drawn.truth)
    crowd = dict(iscrowd=1, segmentation=nothing)
    drawn.truth['annotations'][0].update(crowd)

    lines, said, error = to_yolo()

    assert not error
    assert sum(map(len, lines.values())) == 9
    assert '1 box left out: iscrowd 1' in said


@pytest.mark.parametrize(
    ('broken', 'fault'),
    [
        ([[1, 2, 3, 4, 5, 6, 7]], 'odd'),
        ([[1, 2, 3, 4]], 'short'),
        ([1, 2, 30, 4, 5, 60], 'not nested'),
        ('text', 'wrong'),
        (dict(size=[3, 4], counts=[6, 6]), r'size \(3, 4\) of'),
        (dict(size=[3, 4], counts=[6, 7]), 'counts'),
    ],
)
def test_broken_segmentations_are_refused(drawn, to_yolo, broken, fault):
    give_masks(drawn.truth)
    drawn.truth['annotations'][3]['segmentation'] = broken

    _, _, error = to_yolo()

    assert 'masks.json: annotations[3]: `segmentation` cannot be' in error
    assert f'({fault}' in error.replace('(3, 4)', r'\(3, 4\)')
    _, _, error = to_yolo('--boxes-only')
    assert not error


def test_boxes_that_are_not_those_of_the_mask_are_counted(
    drawn, to_yolo, from_yolo
):
    give_masks(drawn.truth)
    for one, shift in zip(drawn.truth['annotations'], (0.9, 1.1)):
        one['bbox'] = [one['bbox'][0] + shift, *one['bbox'][1:]]

    _, said, _ = to_yolo()

    assert '1 box replaced by those around their polygons (first: 0' in said


def test_polygons_outside_the_image_are_clipped(drawn, to_yolo, from_yolo):
    give_masks(drawn.truth)
    one = drawn.truth['annotations'][0]
    one['segmentation'] = [square(-10, -10, 30, 30)]
    one['bbox'] = [0, 0, 20, 20]

    lines, _, _ = to_yolo()
    out, *_ = from_yolo()

    assert all(float(word) >= 0 for word in lines['0'][0].split())
    found = json.loads(out.read_text())['annotations'][0]
    assert (found['bbox'], found['area']) == ([0, 0, 20, 20], 400)


@pytest.fixture
def lines(drawn, to_yolo, from_yolo):
    """Read a YOLO folder in which the first image has these lines."""

    def run(*lines: str, options=()) -> tuple[dict | None, str]:
        give_masks(drawn.truth)
        to_yolo()
        file = drawn.folder / 'yolo/labels/0.txt'
        file.write_text('\n'.join(lines))
        out, text, error = from_yolo(*options)
        return (None, error) if error else (json.loads(out.read_text()), text)

    return run


TRIANGLE = '0 0.1 0.1 0.9 0.1 0.9 0.9'


def test_polygon_is_read_as_it_is(lines, drawn):
    found, _ = lines(TRIANGLE)

    image = drawn.truth['images'][0]
    width, height = image['width'], image['height']
    (one,) = (a for a in found['annotations'] if a['image_id'] == 1)
    (polygon,) = one['segmentation']
    scaled = [[0.1 * width, 0.1 * height], [0.9 * width, 0.1 * height]]
    assert np.reshape(polygon, (-1, 2))[:2] == pytest.approx(np.array(scaled))
    sides = one['bbox'][2:]
    assert sides == pytest.approx([0.8 * width, 0.8 * height], abs=0.01)
    assert one['area'] == pytest.approx(sides[0] * sides[1] / 2, rel=0.05)


def test_folder_with_some_boxes_is_refused(lines):
    _, error = lines(TRIANGLE, '1 0.5 0.5 0.2 0.2')

    assert '1 of 10 in' in error
    assert 'are only boxes (first: 0.png): outline them, or convert' in error


def test_boxes_of_classes_that_are_not_wanted_need_no_mask(lines):
    given = TRIANGLE, '1 0.5 0.5 0.2 0.2'
    found, text = lines(*given, options=['--classes', 'red'])

    assert all('segmentation' in one for one in found['annotations'])
    assert "5 boxes left out: 'green' is not one of the classes" in text


def test_polygon_without_a_pixel_is_left_out_and_counted(lines):
    thin = '0 0.1 0.1 0.5 0.10001 0.9 0.10002'

    found, text = lines(thin, TRIANGLE)

    assert len(found['annotations']) == 9
    assert '1 polygon left out: no pixel of the image is inside' in text


def test_polygon_that_lacks_a_number_has_no_score(lines):
    found, text = lines(TRIANGLE, f'{TRIANGLE} 0.2')

    assert len(found['annotations']) == 8
    assert '1 image left out: broken labels' in text
    assert 'a polygon an odd number from 7, got 8 columns' in text
