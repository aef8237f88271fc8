"""Pascal VOC and YOLO folders to COCO, and back."""

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import CATEGORIES, ROOT, DrawnImages
from PIL import Image

from projects.data_distillation.files.decoding import (
    ImageError,
    decode_image,
    read_image_file,
)
from projects.data_distillation.label_files.coco.checks import check_file
from projects.data_distillation.label_files.coco.tables import (
    CocoFile,
    read_file,
)
from projects.data_distillation.label_files.convert.folder_reading import (
    read_size,
)
from projects.data_distillation.label_files.convert.labels import IssueCounter
from projects.data_distillation.label_files.convert.voc_writer import to_pixels
from projects.data_distillation.label_files.convert.yolo_reader import (
    find_label_path,
)


@pytest.fixture
def convert(call_tool):
    """Run the tool: what it prints, and the error if it ends with one."""

    def run(*arguments: object) -> tuple[str, str]:
        done = call_tool('convert_dataset', *arguments)
        error = done.stderr.removesuffix('\n') if done.returncode else ''
        return done.stdout, error

    return run


def read(file: Path) -> dict:
    return json.loads(file.read_text())


def facts(coco: dict) -> tuple:
    """What any format keeps: names, sizes, classes in order, boxes."""
    images = {i['id']: i['file_name'] for i in coco['images']}
    names = {c['id']: c['name'] for c in coco['categories']}
    boxes = [
        (
            images[a['image_id']],
            names[a['category_id']],
            a['bbox'],
            a['iscrowd'],
            a.get('score'),
        )
        for a in coco['annotations']
    ]
    sizes = [(i['file_name'], i['width'], i['height']) for i in coco['images']]
    return (
        sorted(sizes),
        list(names.values()),
        sorted(boxes, key=lambda box: (*box[:4], box[4] or 0)),
    )


def draw(path: Path, width: int = 100, height: int = 80, **kwargs) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (width, height)).save(path, **kwargs)
    return path


@pytest.fixture
def labeled(drawn) -> DrawnImages:
    """Drawn images: one is a JPEG in a folder, one has no labels."""
    (drawn.folder / 'unlabeled' / 'sub dir').mkdir()
    infos = drawn.truth['images']
    draw(drawn.folder / 'unlabeled' / 'sub dir' / '0.jpg', 90, 70)
    infos.append(dict(id=99, file_name='sub dir/0.jpg', width=90, height=70))
    drawn.truth['annotations'] = [
        a for a in drawn.truth['annotations']
        if a['image_id'] != infos[1]['id']
    ]  # fmt: skip
    add_box(drawn, [5, 6, 7, 8], image_id=99)
    drawn.write('truth.json', drawn.truth)
    return drawn


def add_box(drawn: DrawnImages, bbox: list, **changes) -> None:
    annotation = dict(
        id=100 + len(drawn.truth['annotations']),
        image_id=drawn.truth['images'][0]['id'],
        category_id=3,
        bbox=bbox,
        area=bbox[2] * bbox[3],
        iscrowd=0,
    )
    drawn.truth['annotations'].append(annotation | changes)
    drawn.write('truth.json', drawn.truth)


def there_and_back(convert, drawn: DrawnImages, kind: str, *options) -> dict:
    """Write a folder and read it again."""
    folder, out = drawn.folder / kind, drawn.folder / f'{kind}.json'
    _, error = convert(
        f'to-{kind}', drawn.folder / 'truth.json', folder,
        '--images', drawn.folder / 'unlabeled', *options,
    )  # fmt: skip
    assert not error
    source = folder if kind == 'voc' else folder / 'data.yaml'
    _, error = convert(f'from-{kind}', source, out, '--split', 'train')
    assert not error
    return read(out)


@pytest.mark.parametrize('kind', ['voc', 'yolo'])
def test_whole_pixels_come_back_exactly(labeled, convert, kind):
    found = there_and_back(convert, labeled, kind)

    assert facts(found) == facts(labeled.truth)
    names = [c['name'] for c in found['categories']]
    assert names == ['red', 'green']  # Not sorted.
    assert len(found['images']) == 6
    assert {a['area'] for a in found['annotations']} >= {56}
    assert not any('score' in a for a in found['annotations'])


@pytest.mark.parametrize('kind', ['voc', 'yolo'])
def test_what_is_written_by_a_conversion_has_nothing_wrong(
    labeled, convert, kind
):
    there_and_back(convert, labeled, kind)

    file = read_file(labeled.folder / f'{kind}.json')
    assert isinstance(file, CocoFile)
    assert list(check_file(file)) == []


def test_yolo_keeps_hundredths_of_pixels_and_scores(labeled, convert):
    labeled.truth['images'][0]['width'] = 120.0
    for score in (0.123457, 0.99):
        add_box(labeled, [3.17, 60.04, 100.29, 15.55], score=score)
    add_box(labeled, [119, 79, 1, 1])

    found = there_and_back(convert, labeled, 'yolo', '--scores')

    assert facts(found) == facts(labeled.truth)


def test_voc_rounds_to_pixels_and_keeps_scores_and_crowds(labeled, convert):
    labeled.truth['annotations'] = []
    add_box(labeled, [3.49, 4.5, 10.01, 7.9], score=0.75, iscrowd=1)
    add_box(labeled, [118.9, 78.7, 1.1, 1.3], category_id=7)

    found = there_and_back(convert, labeled, 'voc')

    assert [box[1:] for box in facts(found)[2]] == [
        ('green', [3, 5, 11, 7], 1, 0.75),
        ('red', [119, 79, 1, 1], 0, None),
    ]


@pytest.mark.parametrize(
    ('start', 'length', 'pixels'),
    [
        (0, 100, (1, 100)),
        (0, 1, (1, 1)),
        (99, 1, (100, 100)),
        (98.6, 1.4, (100, 100)),
        (99.4, 0.6, (100, 100)),
        (10.5, 1, (12, 12)),
        (10.4, 0.2, (11, 11)),
        (99.6, 0.4, (100, 100)),
    ],
)
def test_pixels_are_counted_from_1_and_the_last_is_inside(
    start, length, pixels
):
    assert to_pixels(start, length, 100) == pixels


@pytest.mark.parametrize('kind', ['voc', 'yolo'])
def test_ids_come_back_with_the_file_that_has_them(
    convert, labeled, tmp_path, kind
):
    folder, out = tmp_path / kind, tmp_path / 'out.json'
    truth = labeled.folder / 'truth.json'
    images = labeled.folder / 'unlabeled'
    convert(f'to-{kind}', truth, folder, '--images', images)
    first = labeled.truth['images'].pop(0)
    annotations = labeled.truth['annotations']
    labeled.truth['annotations'] = [
        one for one in annotations if one['image_id'] != first['id']
    ]
    labeled.write('truth.json', labeled.truth)

    text, error = convert(
        f'from-{kind}', folder, out, '--split', 'train', '--like', truth
    )

    assert not error
    found = read(out)
    assert found['categories'] == labeled.truth['categories']
    ids = {i['file_name']: i['id'] for i in found['images']}
    # A new image gets a new id.
    assert ids.pop(first['file_name']) == 100
    assert ids == {i['file_name']: i['id'] for i in labeled.truth['images']}
    assert '1 image with new ids: not in' in text
    given = [(a['image_id'], a['category_id']) for a in found['annotations']]
    assert sorted(one for one in given if one[0] != 100) == sorted(
        (a['image_id'], a['category_id']) for a in labeled.truth['annotations']
    )
    assert len([one for one in given if one[0] == 100]) == 2


def test_ids_of_images_without_labels_come_back_too(
    voc, from_voc, tmp_path, labeled
):
    draw(voc / 'JPEGImages' / 'new.jpg', 30, 20)
    unlabeled, like = tmp_path / 'unlabeled.json', tmp_path / 'like.json'
    names = 'zebra', 'ant', 'mole'
    like.write_text(
        json.dumps(
            dict(
                images=[dict(id=70, file_name='new.jpg', width=9, height=9)],
                annotations=[],
                categories=[
                    dict(id=10 - n, name=name) for n, name in enumerate(names)
                ],
            )
        )
    )

    found, _ = from_voc('--unlabeled', unlabeled, '--like', like)

    assert [i['id'] for i in read(unlabeled)['images']] == [70]
    assert [i['id'] for i in found['images']] == [71, 72]
    assert [c['id'] for c in found['categories']] == [10, 9, 8]
    assert list(bboxes(found)) == [*names]


def test_new_ids_are_free_and_names_are_compared_in_their_shortest_form(
    voc, from_voc, tmp_path
):
    like = tmp_path / 'like.json'
    images = [
        dict(id=id_, file_name=name, width=9, height=9)
        for id_, name in [(9, 'a.jpg'), (8, './a.jpg')]
    ]
    categories = [dict(id=1, name='mole'), dict(id=2, name='ant')]
    like.write_text(
        json.dumps(dict(images=images, annotations=[], categories=categories))
    )

    found, text = from_voc('--like', like)

    ids = {i['file_name']: i['id'] for i in found['images']}
    assert ids == {'a.jpg': 8, 'b.PNG': 10}
    assert '1 image with new ids' in text


def test_ids_of_classes_with_one_name_are_refused(voc, from_voc, tmp_path):
    like = tmp_path / 'like.json'
    images = [dict(id=70, file_name='new.jpg', width=9, height=9)]
    categories = [dict(id=i, name='ant') for i in (1, 2)]
    like.write_text(
        json.dumps(dict(images=images, annotations=[], categories=categories))
    )

    found, error = from_voc('--like', like)

    assert found is None
    assert (
        f"two categories of {like} have the same name: 'ant'. Labels name "
        'their class, so rename one of them' in error
    )


@pytest.mark.parametrize('kind', ['voc', 'yolo'])
def test_what_is_deleted_ignored_or_rotated_is_not_written(
    labeled, convert, kind
):
    before = facts(labeled.truth)
    add_box(labeled, [1, 2, 30, 40], deleted=True, attributes={'rotation': 9})
    add_box(labeled, [1, 2, 30, 40], ignore=1)
    arguments = (
        f'to-{kind}', labeled.folder / 'truth.json', labeled.folder / 'out',
        '--images', labeled.folder / 'unlabeled',
    )  # fmt: skip

    out, _ = convert(*arguments)

    assert '1 box left out: marked as deleted (first: annotations[' in out
    assert '1 box left out: they have `ignore` (first: annotations[' in out
    assert f'{len(before[2])} instances' in out
    add_box(labeled, [1, 2, 30, 40], attributes={'rotation': 30.0})
    _, error = convert(
        *arguments[:2], labeled.folder / 'other', *arguments[3:]
    )
    assert 'rotated by 30.0 degrees: tools/check_coco.py --fix' in error


@pytest.fixture
def written_yolo(labeled, convert) -> tuple[Path, str]:
    """A YOLO folder of more than YOLO can hold, and what the tool says."""
    add_box(labeled, [1, 2, 30, 40], iscrowd=1)
    add_box(labeled, [1, 2, 30, 40], score=0.5)
    labeled.truth['annotations'].append(
        dict(labeled.truth['annotations'][0], image_id=5)
    )
    labeled.write('truth.json', labeled.truth)
    out, _ = convert(
        'to-yolo', labeled.folder / 'truth.json', labeled.folder / 'yolo',
        '--images', labeled.folder / 'unlabeled',
    )  # fmt: skip
    return labeled.folder / 'yolo', out


def test_yolo_says_what_is_written(written_yolo):
    folder, out = written_yolo

    assert (
        '6 images, 1 of them without instances; 11 instances of 2 classes '
        '(red: 4, green: 7)' in out
    )
    assert f'written: {folder}; its images are links' in out


def test_yolo_says_what_it_does_not_hold(written_yolo):
    _, out = written_yolo

    assert (
        '1 box left out: their image is not in the file (first: annot' in out
    )
    assert '1 box left out: iscrowd 1, which YOLO does not have' in out
    assert '1 score left out (--scores writes them) (first: 0.png)' in out
    assert 'not written: ids, areas, `views` and `info`' in out


def test_yolo_line_has_a_class_and_a_box(written_yolo):
    folder, _ = written_yolo

    lines = (folder / 'labels/0.txt').read_text().splitlines()
    assert len(lines) == 3
    assert {len(line.split()) for line in lines} == {5}


def test_image_without_labels_gets_a_file_without_boxes(labeled, convert):
    for kind in ('voc', 'yolo'):
        there_and_back(convert, labeled, kind)

    assert (labeled.folder / 'yolo/labels/1.txt').read_text() == ''
    text = (labeled.folder / 'voc/Annotations/1.xml').read_text()
    assert '<filename>1.png</filename>' in text
    assert '<object>' not in text


@pytest.mark.parametrize(
    ('kind', 'images'), [('voc', 'JPEGImages'), ('yolo', 'images')]
)
def test_images_are_links_to_the_originals(
    labeled, convert, monkeypatch, kind, images
):
    monkeypatch.chdir(labeled.folder)
    convert(f'to-{kind}', 'truth.json', kind, '--images', 'unlabeled')

    for name in ('0.png', 'sub dir/0.jpg'):
        link = labeled.folder / kind / images / name
        assert link.is_symlink()
        original = labeled.folder / 'unlabeled' / name
        assert link.read_bytes() == original.read_bytes()
    # Sees through the link, as label paths must not.
    assert find_label_path(link).name == '0.txt'


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(file_name='1.jpg'), "1 image names .* the first is '1'"),
        (dict(file_name='./0.png'), "1 image names .* the first is '0'"),
        (dict(file_name='a\n.png'), 'control characters'),
        (dict(file_name=' a.png'), 'spaces around'),
        (dict(file_name='9' * 300), 'File name too long'),
        (dict(file_name='none.png'), '1 of 6 images .* first is none.png'),
        (dict(file_name='../a.png'), 'leads outside'),
        (dict(width=None), '`width` is missing'),
        (dict(id=10), 'have the same id'),
    ],
)
def test_images_that_cannot_be_written_are_refused(
    labeled, convert, change, match
):
    draw(labeled.folder / 'unlabeled' / '1.jpg')
    labeled.truth['images'][2].update(change)
    file = labeled.write('truth.json', labeled.truth)

    _, error = convert(
        'to-yolo', file, labeled.folder / 'yolo',
        '--images', labeled.folder / 'unlabeled',
    )  # fmt: skip

    assert error.startswith('error: ')
    assert re.search(match, error)
    assert not list(labeled.folder.glob('*yolo*'))


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(bbox=[1, 2, 3]), '`bbox` must be a list of four numbers'),
        (dict(category_id=9), 'category_id 9 is not in `categories`'),
    ],
)
def test_broken_annotations_are_refused(labeled, convert, change, match):
    labeled.truth['annotations'][0].update(change)
    file = labeled.write('truth.json', labeled.truth)

    _, error = convert(
        'to-yolo', file, labeled.folder / 'yolo',
        '--images', labeled.folder / 'unlabeled',
    )  # fmt: skip

    assert error.startswith(f'error: {file}: ')
    assert match in error


@pytest.mark.parametrize('name', ['a\nb', 'red', ' a', '\ud800'])
def test_classes_that_cannot_be_written_are_refused(labeled, convert, name):
    categories = [*CATEGORIES, dict(id=1, name=name)]
    file = labeled.write(
        'truth.json', dict(labeled.truth, categories=categories)
    )

    _, error = convert(
        'to-voc', file, labeled.folder / 'voc',
        '--images', labeled.folder / 'unlabeled',
    )  # fmt: skip

    assert repr(name) in error
    assert not list(labeled.folder.glob('*voc*'))


@pytest.fixture
def written_voc(labeled, convert) -> tuple[Path, str]:
    """A VOC folder of boxes that are none, and what the tool says."""
    annotations = labeled.truth['annotations']
    annotations[0]['bbox'] = [float('nan'), 1, 2, 3]
    annotations[1]['bbox'] = [5, 5, 0.5, 9]
    add_box(labeled, [110, 70, 30, 30], score='high')
    out, _ = convert(
        'to-voc', labeled.folder / 'truth.json', labeled.folder / 'voc',
        '--images', labeled.folder / 'unlabeled',
    )  # fmt: skip
    return labeled.folder / 'voc', out


def test_boxes_that_are_no_boxes_are_left_out_and_counted(
    written_voc, labeled
):
    _, out = written_voc

    assert '1 box left out: not finite (first: annotations[0])' in out
    assert (
        '1 box left out: thinner than 1 pixel inside the image (first: '
        '0.png: [5, 5, 0.5, 9])' in out
    )
    assert f'; {len(labeled.truth["annotations"]) - 2} instances' in out


def test_boxes_that_reach_outside_are_clipped_and_counted(written_voc):
    folder, out = written_voc

    text = (folder / 'Annotations/0.xml').read_text()
    assert (
        '1 box clipped: they reached outside the image (first: 0.png: '
        '[110, 70, 30, 30])' in out
    )
    assert '\n      <xmax>120</xmax>' in text
    assert '\n    <width>120</width>\n    <height>80</height>' in text


def test_scores_that_are_no_numbers_are_left_out_and_counted(written_voc):
    folder, out = written_voc

    assert '1 score left out: not a number (first: annotations[9])' in out
    assert '<score>' not in (folder / 'Annotations/0.xml').read_text()


def test_file_without_annotations_is_written_as_images(drawn, convert):
    _, error = convert(
        'to-yolo', drawn.folder / 'labeled.json', drawn.folder / 'one',
        '--images', drawn.folder / 'labeled',
    )  # fmt: skip
    drawn.labeled.pop('annotations')
    drawn.write('labeled.json', drawn.labeled)
    out, again = convert(
        'to-yolo', drawn.folder / 'labeled.json', drawn.folder / 'two',
        '--images', drawn.folder / 'labeled',
    )  # fmt: skip

    assert not error and not again
    assert '2 images, 2 of them without instances; 0 instances' in out


def test_folder_with_something_in_it_is_not_written_to(drawn, convert):
    (drawn.folder / 'empty').mkdir()
    taken = drawn.folder / 'taken'
    taken.mkdir()
    (taken / 'mine.txt').touch()

    for out, is_written in (
        (taken, False),
        (drawn.folder / 'truth.json', False),
        (drawn.folder / 'empty', True),
        (drawn.folder / 'new' / 'one', True),
    ):
        _, error = convert(
            'to-voc', drawn.folder / 'truth.json', out,
            '--images', drawn.folder / 'unlabeled',
        )  # fmt: skip
        assert ('exists already' in error) != is_written
        assert (out / 'Annotations').exists() == is_written


def test_nothing_is_left_of_a_folder_that_could_not_be_written(
    drawn, convert, monkeypatch
):
    def fail(*_):
        raise KeyboardInterrupt('while linking')

    monkeypatch.setattr('os.symlink', fail)
    before = sorted(drawn.folder.iterdir())

    with pytest.raises(KeyboardInterrupt, match='while linking'):
        convert(
            'to-voc', drawn.folder / 'truth.json', drawn.folder / 'voc',
            '--images', drawn.folder / 'unlabeled',
        )  # fmt: skip

    assert sorted(drawn.folder.iterdir()) == before


@pytest.mark.parametrize('suffix', ['pgm', 'pnm', 'ppm', 'jp2'])
def test_formats_of_which_annotation_decodes_images_have_a_size(
    tmp_path, suffix
):
    file = tmp_path / f'a.{suffix}'
    shape = (40, 60) if suffix == 'pgm' else (40, 60, 3)
    cv2.imwrite(str(file), np.full(shape, 90, np.uint8))

    assert read_size(file) == (60, 40)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif', 'bmp'])
@pytest.mark.parametrize('orientation', [None, 3, 6])
def test_size_is_that_of_the_decoded_image(tmp_path, suffix, orientation):
    exif = Image.Exif()
    if orientation:
        exif[274] = orientation
    file = draw(tmp_path / f'a.{suffix}', 60, 40, exif=exif)

    pixels = decode_image(read_image_file(str(file)))

    assert read_size(file) == pixels.shape[1::-1]


@pytest.mark.parametrize(
    ('content', 'match'),
    [(b'', 'empty'), (b'abc', 'OpenCV cannot'), (None, 'No such file')],
)
def test_read_size_what_is_no_image_is_refused(tmp_path, content, match):
    file = tmp_path / 'a.jpg'
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ImageError, match=match):
        read_size(file)
    os.mkfifo(tmp_path / 'pipe.jpg')
    with pytest.raises(ImageError, match='not a file'):
        read_size(tmp_path / 'pipe.jpg')


def write_xml(file: Path, objects: list[tuple], head: str = '') -> None:
    """Objects are (name, xmin, ymin, xmax, ymax[, more XML])."""
    parts = [
        f'<object><name>{name}</name>{"".join(more)}<bndbox><xmax>{x2}</xmax>'
        f'<xmin>{x1}</xmin><ymin>{y1}</ymin><ymax>{y2}</ymax></bndbox>'
        '</object>'
        for name, x1, y1, x2, y2, *more in objects
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    text = f'<annotation>{head}{"".join(parts)}</annotation>'
    file.write_text(text, 'utf-8')


@pytest.fixture
def voc(tmp_path) -> Path:
    """Two images of 100x80; three classes."""
    folder = tmp_path / 'voc'
    for name in ('a.jpg', 'b.PNG'):
        draw(folder / 'JPEGImages' / name, format=None)
    write_xml(
        folder / 'Annotations' / 'a.xml',
        [('zebra', 1, 1, 100, 80), ('ant', 11, 21, 11, 22)],
    )
    write_xml(folder / 'Annotations' / 'b.xml', [('mole', 5, 6, 7, 9)])
    return folder


@pytest.fixture
def from_voc(voc, convert, tmp_path):
    """Convert it: the COCO object (None if there is an error), the text."""

    def run(*options: object) -> tuple[dict | None, str]:
        out = tmp_path / 'out.json'
        out.unlink(missing_ok=True)
        text, error = convert('from-voc', voc, out, *options)
        assert bool(error) != out.exists()
        return (None, error) if error else (read(out), text)

    return run


def bboxes(coco: dict) -> dict[str, list]:
    names = {c['id']: c['name'] for c in coco['categories']}
    found: dict[str, list] = {name: [] for name in names.values()}
    for annotation in coco['annotations']:
        found[names[annotation['category_id']]].append(annotation['bbox'])
    return found


def test_voc_pixels_are_counted_from_1_and_inclusive(voc, from_voc):
    found, text = from_voc()

    assert bboxes(found) == dict(
        ant=[[10, 20, 1, 2]], mole=[[4, 5, 3, 4]], zebra=[[0, 0, 100, 80]]
    )
    assert [i['file_name'] for i in found['images']] == ['a.jpg', 'b.PNG']
    assert text == (
        f'{voc}: 2 images, 0 of them without instances; 3 instances of 3 '
        'classes (ant: 1, mole: 1, zebra: 1)\n'
        f'the file names are relative to {voc}/JPEGImages\n'
        f'written: {voc.parent}/out.json\n'
    )


def test_voc_corners_may_be_counted_from_0(voc, from_voc):
    write_xml(
        voc / 'Annotations/a.xml',
        [('ant', 0, 10.5, 100, 80), ('bee', 3, 0, 5, 1)],
    )

    found, text = from_voc('--zero-based')
    assert bboxes(found)['ant'] == [[0, 10.5, 100, 69.5]]
    assert 'begin before' not in text

    found, text = from_voc()
    assert bboxes(found)['ant'] == [[0, 9.5, 100, 70.5]]
    assert (
        '2 boxes begin before pixel 1: is the set --zero-based? (first: '
        f'{voc}/Annotations/a.xml: object 1)' in text
    )
    assert 'clipped' not in text


@pytest.mark.parametrize(
    ('options', 'is_crowd', 'line'),
    [
        ([], [0, 0, 1], '1 difficult box: now iscrowd 1 (first: '),
        (['--difficult', 'ignore'], [0, 0, 1], '1 difficult box: now'),
        (['--difficult', 'keep'], [0, 0, 0], None),
        (['--difficult', 'drop'], [0, 0], '1 box left out: difficult'),
    ],
)
def test_voc_difficult_objects(voc, from_voc, options, is_crowd, line):
    write_xml(
        voc / 'Annotations/b.xml',
        [('ant', 1, 2, 3, 4, '<difficult>1</difficult>')],
    )

    found, text = from_voc(*options)

    assert [a['iscrowd'] for a in found['annotations']] == is_crowd
    assert line in text if line else len(text.splitlines()) == 3


def test_voc_classes_are_in_the_order_asked_for(voc, from_voc):
    found, text = from_voc('--classes', 'zebra', 'ant', 'cow')
    assert bboxes(found) == dict(
        zebra=[[0, 0, 100, 80]], ant=[[10, 20, 1, 2]], cow=[]
    )
    assert list(bboxes(found)) == ['zebra', 'ant', 'cow']
    assert (
        "1 box left out: 'mole' is not one of the classes (first: b.PNG)"
        in text
    )
    assert '2 images, 1 of them without instances' in text

    (voc / 'classes.txt').write_text('\ufeffzebra\r\nmole \n\nant\n', 'utf-8')
    found, _ = from_voc()
    assert list(bboxes(found)) == ['zebra', 'mole', 'ant']


def test_list_that_is_no_text_is_refused(voc, from_voc):
    (voc / 'classes.txt').write_bytes(b'\xe9')

    _, error = from_voc()

    assert error.startswith(f'error: {voc}/classes.txt is not in UTF-8: ')


def test_class_that_is_there_twice_is_refused(from_voc):
    _, error = from_voc('--classes', 'ant', 'ant')

    assert error.startswith(
        "error: each class must occur once, got ['ant', 'ant']"
    )


def test_voc_class_that_the_list_lacks_is_counted(voc, from_voc):
    (voc / 'classes.txt').write_text('zebra')

    _, text = from_voc()

    assert "1 box left out: 'ant' is not one of the classes" in text


@pytest.fixture
def train_list(voc) -> Path:
    """The list `train`, beside the list `val`."""
    file = voc / 'ImageSets/Main/train.txt'
    file.parent.mkdir(parents=True)
    file.write_text('b\na\nb\nnone\n\n')
    (file.parent / 'val.txt').write_text('a\n')
    return file


def test_voc_split_takes_a_list_in_its_order(train_list, from_voc):
    found, text = from_voc('--split', 'train')

    assert [i['file_name'] for i in found['images']] == ['b.PNG', 'a.jpg']
    assert (
        '1 name left out: another name has the same image (first: b)' in text
    )
    assert (
        '1 name left out: no image of that name, or several (first: none)'
        in text
    )
    assert '--split' not in text


def test_voc_without_a_split_takes_all_and_names_the_lists(
    train_list, from_voc
):
    found, text = from_voc()

    assert [i['file_name'] for i in found['images']] == ['a.jpg', 'b.PNG']
    assert f'2 lists not used: --split takes one (first: {train_list})' in text


def test_voc_split_that_is_not_there_is_refused(train_list, from_voc):
    _, text = from_voc('--split', 'test')

    assert text.endswith("test.txt; there are ['train', 'val']")


def test_voc_image_without_annotations_is_not_background(voc, from_voc):
    draw(voc / 'JPEGImages' / 'new.jpg', 30, 20)

    found, text = from_voc()

    assert len(found['images']) == 2
    assert '1 image left out: no annotation file (first: new.jpg)' in text


def test_voc_image_without_annotations_is_unlabeled(voc, from_voc, tmp_path):
    draw(voc / 'JPEGImages' / 'new.jpg', 30, 20)
    unlabeled = tmp_path / 'unlabeled.json'

    found, text = from_voc('--unlabeled', unlabeled)

    assert len(found['images']) == 2
    assert read(unlabeled) == dict(
        images=[dict(id=1, file_name='new.jpg', width=30, height=20)]
    )
    assert f'written: {unlabeled}: 1 images' in text
    assert 'left out' not in text


def test_file_of_the_unlabeled_is_not_overwritten(voc, from_voc, tmp_path):
    draw(voc / 'JPEGImages' / 'new.jpg', 30, 20)
    unlabeled = tmp_path / 'unlabeled.json'
    unlabeled.touch()

    _, error = from_voc('--unlabeled', unlabeled)

    assert error.endswith('unlabeled.json exists already: delete it first')


def test_two_files_are_not_written_to_one(voc, call_tool, tmp_path):
    draw(voc / 'JPEGImages' / 'new.jpg', 30, 20)
    out = tmp_path / 'out.json'

    done = call_tool(
        'convert_dataset', 'from-voc', voc, out, '--unlabeled', out
    )

    assert f'error: {out} would be overwritten' in done.stderr
    assert not out.exists()


def test_voc_image_without_a_file_is_not_that_of_another(voc, from_voc):
    draw(voc / 'JPEGImages' / 'new.jpg')
    write_xml(voc / 'Annotations' / 'None.xml', [('ant', 1, 1, 9, 9)])

    found, text = from_voc()

    assert len(found['images']) == 2
    assert '1 image left out: no annotation file (first: new.jpg)' in text
    assert 'or several (first: None)' in text


def test_voc_list_may_name_images_without_a_file(voc, from_voc):
    draw(voc / 'JPEGImages' / 'new.jpg')
    (voc / 'ImageSets/Main').mkdir(parents=True)
    (voc / 'ImageSets/Main/all.txt').write_text('new\na\n')

    found, text = from_voc('--split', 'all')

    assert [i['file_name'] for i in found['images']] == ['a.jpg']
    assert '1 image left out: no annotation file (first: new.jpg)' in text


def test_voc_image_is_found_by_the_name_of_the_file(voc, from_voc):
    (voc / 'Annotations/b.xml').rename(voc / 'Annotations/other.xml')

    _, text = from_voc()

    assert (
        '1 name left out: no image of that name, or several (first: other)'
        in text
    )


def test_voc_image_is_found_by_what_the_file_says(voc, from_voc):
    (voc / 'Annotations/b.xml').unlink()
    write_xml(
        voc / 'Annotations/other.xml',
        [('mole', 5, 6, 7, 9)],
        '<filename> b.PNG </filename>',
    )

    found, _ = from_voc()

    assert [i['file_name'] for i in found['images']] == ['a.jpg', 'b.PNG']


def test_voc_image_must_be_one(voc, from_voc):
    draw(voc / 'JPEGImages' / 'a.png', 50, 50)

    found, text = from_voc()

    assert [i['file_name'] for i in found['images']] == ['b.PNG']
    assert 'no image of that name, or several (first: a)' in text


def test_voc_file_says_which_of_two_images_is_its_own(voc, from_voc):
    draw(voc / 'JPEGImages' / 'a.png', 50, 50)
    write_xml(
        voc / 'Annotations/a.xml',
        [('mole', 5, 6, 7, 9)],
        '<filename>a.png</filename>',
    )

    found, text = from_voc()

    assert [i['file_name'] for i in found['images']] == ['a.png', 'b.PNG']
    assert '1 image left out: no annotation file (first: a.jpg)' in text


def test_voc_folders_may_have_other_names_and_depth(tmp_path, convert):
    for number, (images, labels) in enumerate(
        (('images', 'annotations'), ('.', '.'))
    ):
        folder = tmp_path / str(number)
        draw(folder / images / 'x' / 'a.b.jpg')
        write_xml(folder / labels / 'x' / 'a.b.xml', [('ant', 1, 1, 9, 9)])
        out = tmp_path / f'{number}.json'

        _, error = convert('from-voc', folder, out)

        assert not error
        (image,) = read(out)['images']
        assert image['file_name'] == 'x/a.b.jpg'


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('<annotation>', 'b.xml: no element found'),
        ('', 'b.xml: no element found'),
        ('<annotations/>', 'b.xml: is <annotations>, not <annotation>'),
        ('<annotation>\udcff</annotation>', 'b.xml: not well-formed'),
        (
            '<annotation><object><bndbox/></object></annotation>',
            'b.xml: object 1 has no <name>',
        ),
        (
            '<annotation><object><name>a</name></object></annotation>',
            'b.xml: object 1 has neither <bndbox> nor <polygon>',
        ),
        (
            '<annotation><object><name>a</name><polygon/></object>'
            '</annotation>',
            'b.xml: object 1 has neither <bndbox> nor <polygon>',
        ),
        (
            '<annotation><object><name>a</name><bndbox/></object>'
            '</annotation>',
            "b.xml: object 1: <bndbox/xmin> is '', not a number",
        ),
        (
            '<annotation><size><width>80</width><height>100</height></size>'
            '</annotation>',
            'b.xml: is for an image of 80x100, but it is decoded as 100x80',
        ),
        (
            '<annotation><size><width>x</width></size></annotation>',
            "b.xml: <size/width> is 'x', not a number",
        ),
    ],
)
def test_voc_image_with_broken_labels_is_left_out(voc, from_voc, text, match):
    file = voc / 'Annotations/b.xml'
    file.write_text(text, 'utf-8', errors='surrogateescape')

    found, said = from_voc()

    assert [i['file_name'] for i in found['images']] == ['a.jpg']
    assert '1 image left out: broken labels (first: ' in said
    assert match in said


@pytest.mark.parametrize('corner', ['nan', 'inf', '1e999', 'x', ''])
def test_voc_corner_that_is_no_number_is_broken(voc, from_voc, corner):
    write_xml(
        voc / 'Annotations/b.xml',
        [('ant', 1, 1, 5, 5), ('ant', 1, 1, corner, 5)],
    )

    _, said = from_voc()

    assert f"object 2: <bndbox/xmax> is '{corner}', not a number" in said


def test_voc_size_that_is_not_known_is_no_error(voc, from_voc):
    head = '<size><width>0</width><height>0</height></size>'
    write_xml(voc / 'Annotations/b.xml', [('ant', 1, 1, 5, 5)], head)
    head = '<size><width> 100</width><height>80 </height></size>'
    write_xml(voc / 'Annotations/a.xml', [('ant', 1, 1, 5, 5)], head)

    found, _ = from_voc()

    assert len(found['images']) == 2


def test_voc_score_is_kept_or_broken(voc, from_voc):
    file = voc / 'Annotations/b.xml'
    write_xml(file, [('ant', 1, 1, 5, 5, '<score>0.25</score>')])
    found, _ = from_voc()
    assert [a.get('score') for a in found['annotations']] == [None, None, 0.25]

    write_xml(file, [('ant', 1, 1, 5, 5, '<score/>')])
    _, text = from_voc()
    assert "object 1: <score> is '', not a number" in text


def test_image_that_cannot_be_read_is_left_out(voc, from_voc):
    (voc / 'JPEGImages/b.PNG').write_text('no image')

    found, text = from_voc()

    assert len(found['images']) == 1
    assert '1 image left out: not usable (first: b.PNG: OpenCV' in text


def test_image_with_a_name_that_json_cannot_hold_is_left_out(voc, from_voc):
    draw(voc / 'JPEGImages' / 'c.jpg').rename(
        voc / 'JPEGImages' / '\udce9.jpg'
    )

    _, text = from_voc()

    assert (
        '1 image left out: the name is not valid Unicode (first: '
        "'\\udce9.jpg')" in text
    )
    assert 'no annotation file' not in text


def test_folder_that_is_not_there_is_an_error(convert, tmp_path):
    _, error = convert('from-voc', tmp_path / 'none', tmp_path / 'none.json')

    assert error == f'error: folder not found: {tmp_path}/none'


def test_folder_without_annotations_is_an_error(voc, from_voc):
    for file in (voc / 'Annotations').iterdir():
        file.rename(file.with_suffix('.txt'))

    _, error = from_voc()

    assert error.startswith('error: none of 2 images in ')


def test_folder_without_a_box_is_an_error(voc, from_voc):
    (voc / 'Annotations/a.xml').unlink()
    write_xml(voc / 'Annotations/b.xml', [('ant', 1, 1, 1, 0)])

    _, error = from_voc()

    assert error == 'error: no instance is left: nothing is written'


def test_a_file_is_not_overwritten(voc, convert, tmp_path):
    out = tmp_path / 'mine.json'
    out.touch()

    _, error = convert('from-voc', voc, out)

    assert error == f'error: {out} exists already: delete it first'
    assert out.read_text() == ''


@pytest.fixture
def yolo(tmp_path) -> Path:
    """Three images of 100x80, one without label file; the root."""
    folder = tmp_path / 'yolo'
    for name in ('a.jpg', 'b.png', 'c.jpg'):
        draw(folder / 'images' / 'train' / name)
    labels = folder / 'labels' / 'train'
    labels.mkdir(parents=True)
    (labels / 'a.txt').write_text('1 0.5 0.5 1 1\n0 .25 0.125 0.1 0.2\n')
    (labels / 'b.txt').write_text('')
    write_yaml(folder, 'train: images/train', 'names: [zebra, ant]')
    return folder


def write_yaml(folder: Path, *lines: str) -> None:
    (folder / 'data.yaml').write_text('\n'.join(lines), 'utf-8')


@pytest.fixture
def from_yolo(yolo, convert, tmp_path):
    """Convert it: the COCO object (None if there is an error), the text."""

    def run(*options: object) -> tuple[dict | None, str]:
        out = tmp_path / 'out.json'
        out.unlink(missing_ok=True)
        options = options or ('--split', 'train')
        text, error = convert('from-yolo', yolo / 'data.yaml', out, *options)
        assert bool(error) != out.exists()
        return (None, error) if error else (read(out), text)

    return run


def test_yolo_boxes_are_center_and_size_in_parts(yolo, from_yolo):
    found, text = from_yolo()

    assert bboxes(found) == dict(
        zebra=[[20, 2, 10, 16]], ant=[[0, 0, 100, 80]]
    )
    assert list(bboxes(found)) == ['zebra', 'ant']
    assert [i['file_name'] for i in found['images']] == [
        'a.jpg', 'b.png', 'c.jpg'
    ]  # fmt: skip
    assert text == (
        f'{yolo}/data.yaml: 3 images, 2 of them without instances; 2 '
        'instances of 2 classes (zebra: 1, ant: 1)\n'
        f'the file names are relative to {yolo}/images/train\n'
        f'written: {yolo.parent}/out.json\n'
        '1 image without label file: background, as for Ultralytics (first: '
        'c.jpg)\n'
    )


def test_yolo_images_without_label_file_can_be_told_apart(
    yolo, from_yolo, tmp_path
):
    unlabeled = tmp_path / 'unlabeled.json'

    found, text = from_yolo('--split', 'train', '--unlabeled', unlabeled)

    assert [i['file_name'] for i in found['images']] == ['a.jpg', 'b.png']
    assert [i['file_name'] for i in read(unlabeled)['images']] == ['c.jpg']
    assert 'background' not in text


def test_yolo_classes_can_be_chosen(from_yolo):
    found, text = from_yolo('--split', 'train', '--classes', 'ant')

    assert bboxes(found) == dict(ant=[[0, 0, 100, 80]])
    assert "1 box left out: 'zebra' is not one of the classes" in text


@pytest.mark.parametrize(
    ('lines', 'images'),
    [
        (['train: images/train'], ['a.jpg', 'b.png', 'c.jpg']),
        (['path: .', 'train: ./images/train/'], ['a.jpg', 'b.png', 'c.jpg']),
        (['path: images', 'train: train'], ['a.jpg', 'b.png', 'c.jpg']),
        # As Roboflow writes it, and with the path of another machine.
        (['train: ../images/train'], ['a.jpg', 'b.png', 'c.jpg']),
        (['path: 5', 'train: images/train'], ['a.jpg', 'b.png', 'c.jpg']),
        (['path: /x/y', 'train: images/train'], ['a.jpg', 'b.png', 'c.jpg']),
        (['train: [images/train]'], ['a.jpg', 'b.png', 'c.jpg']),
        (
            ['train: [images/val, images/train, images/val]'],
            ['val/z.jpg', 'train/a.jpg', 'train/b.png', 'train/c.jpg'],
        ),
        (['train: list.txt'], ['b.png', 'a.jpg']),
        (['train: images/list.txt'], ['a.jpg']),
        (
            ['train: [images/list.txt, images/val]'],
            ['train/a.jpg', 'val/z.jpg'],
        ),
    ],
)
def test_yolo_images_of_a_split(yolo, from_yolo, lines, images):
    draw(yolo / 'images/val/z.jpg')
    (yolo / 'list.txt').write_text(
        './images/train/b.png\nimages/train/a.jpg\n./images/train/b.png\n'
    )
    (yolo / 'images/list.txt').write_text(
        f'train/a.jpg\nnone.jpg\n{"9" * 300}\n'
    )
    write_yaml(yolo, *lines, 'names: [zebra, ant]')

    found, text = from_yolo()

    assert [i['file_name'] for i in found['images']] == images
    assert len(found['annotations']) == 2
    if 'images/list.txt' in lines[0]:
        assert (
            f'2 lines left out: image not found in {yolo} (first: '
            f'{yolo}/images/list.txt: none.jpg)' in text
        )


@pytest.mark.parametrize(
    ('lines', 'names'),
    [
        (['names: {0: b, 1: a}'], ['b', 'a']),
        (["names: {'1': a, '0': b}"], ['b', 'a']),
        (['nc: 2', 'names:', '  - 7', "  - 'no'"], ['7', 'no']),
        (['names: [ä, 猫]'], ['ä', '猫']),
    ],
)
def test_yolo_names(yolo, from_yolo, lines, names):
    write_yaml(yolo, 'train: images/train', *lines)

    assert list(bboxes(from_yolo()[0])) == names


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('', 'has no keys: is it data.yaml?'),
        ('[1]', 'has no keys'),
        ('a: [', 'while parsing'),
        ('a: \udcff', "can't decode byte"),
        ('names: [a]', '`train` is missing, there are []'),
        ('val: x\ntrain:\nnames: [a]', "is missing, there are ['val']"),
        ('train: no/such', "`train` 'no/such' not found in"),
        pytest.param(f'train: {"9" * 300}x', 'not found in', id='long'),
        ('train: [1]', '`train` must be a path or a list of paths, got 1'),
        pytest.param('train: ' + '[' * 500, 'recursion', id='too deep'),
        ('train: images/train', '`names` must be a list of the classes'),
        ('train: images/train\nnames: []', 'got []'),
        ('train: images/train\nnames: {1: a, 2: b}', "got {1: 'a', 2: 'b'}"),
        ('train: images/train\nnames: {0: a, x: b}', 'with 0, got'),
        ('train: images/train\nnames: [a, no]', 'got False: write it in quo'),
        ('train: images/train\nnames: [a, a]', "got 'a': write it in quotes"),
        ("train: images/train\nnames: [1, '1']", 'got 1: write it in quotes'),
        ('train: images/train\nnames: [a]\nkpt_shape: [17, 3]', 'of poses'),
    ],
)
def test_broken_data_yaml_is_refused(yolo, from_yolo, text, match):
    file = yolo / 'data.yaml'
    file.write_text(text, 'utf-8', errors='surrogateescape')

    _, error = from_yolo()

    assert error.startswith(f'error: {file}')
    assert match in error


@pytest.mark.parametrize('key', ['names', 'train'])
def test_lists_that_hold_each_other_have_a_short_message(yolo, from_yolo, key):
    """Ten lines, which stand for a billion texts."""
    lists = ['a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]']
    for number in range(1, 10):
        aliases = ', '.join([f'*a{number - 1}'] * 9)
        lists.append(f'a{number}: &a{number} [{aliases}]')
    others = dict(names='names: [a]', train='train: images/train')
    del others[key]
    write_yaml(yolo, *lists, *others.values(), f'{key}: *a9')

    _, error = from_yolo()

    assert error.startswith(f'error: {yolo}/data.yaml: `{key}` must be')
    assert len(error) < 1000


def test_missing_data_yaml_is_named(yolo, from_yolo):
    (yolo / 'data.yaml').unlink()

    assert from_yolo()[1] == (
        f'error: {yolo}/data.yaml: No such file or directory'
    )


def test_yolo_polygons_and_scores(yolo, from_yolo):
    (yolo / 'labels/train/a.txt').write_text(
        '\ufeff0 0.1 0.5 0.3 0.25 0.2 0.75\r\n\r\n'
        '1 0.5 0.5 1 1 0.25\n1.0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2\n',
        'utf-8',
    )

    found, text = from_yolo('--split', 'train', '--boxes-only')

    assert bboxes(found) == dict(
        zebra=[[10, 20, 20, 40]], ant=[[0, 0, 100, 80], [10, 8, 20, 8]]
    )
    assert [a.get('score') for a in found['annotations']] == [None, 0.25, None]
    assert (
        '2 polygons: only their boxes were kept (first: '
        f'{yolo}/labels/train/a.txt:1)' in text
    )


@pytest.mark.parametrize(
    ('line', 'match'),
    [
        ('2 .5 .5 .1 .1', 'the class must be from 0 to 1, got 2'),
        ('-1 .5 .5 .1 .1', 'the class must be from 0 to 1, got -1'),
        ('0.5 .5 .5 .1 .1', 'the class must be from 0 to 1, got 0.5'),
        ('0 .5 .5 .1', 'a polygon an odd number from 7, got 4 columns'),
        ('0 .5 .5 .1 .1 .1 .1 .1', 'from 7, got 8 columns'),
        ('0 .5 .5 .1 x', "'x' is not a number"),
        ('0 .5 .5 .1 nan', "'nan' is not a number"),
        ('ant .5 .5 .1 .1', "'ant' is not a number"),
        ('0 50 40 10 10', 'coordinates must be from 0 to 1, got 50'),
        ('0 .5 .5 1.02 1', 'must be from 0 to 1, got 1.02'),
        ('0 -0.02 .5 1 1', 'must be from 0 to 1, got -0.02'),
        ('\udcff', "can't decode byte"),
    ],
)
def test_yolo_image_with_broken_labels_is_left_out(
    yolo, from_yolo, line, match
):
    (yolo / 'labels/train/b.txt').write_text(
        f'0 .5 .5 .1 .1\n{line}\n', 'utf-8', errors='surrogateescape'
    )

    found, text = from_yolo()

    assert [i['file_name'] for i in found['images']] == ['a.jpg', 'c.jpg']
    place = '' if 'byte' in match else ':2'
    start = f'(first: {yolo}/labels/train/b.txt{place}: '
    assert f'1 image left out: broken labels {start}' in text
    assert match in text


def test_yolo_boxes_may_reach_outside_a_little(yolo, from_yolo):
    (yolo / 'labels/train/a.txt').write_text(
        '0 0.5 0.5 1.005 1\n0 0.99 0.5 0.1 0.1\n1 0.5 0.5 0.005 1\n'
    )

    found, text = from_yolo()

    assert bboxes(found)['zebra'] == [[0, 0, 100, 80], [94, 36, 6, 8]]
    assert '1 box clipped: they reached outside the image' in text
    assert '1 box left out: thinner than 1 pixel inside' in text
    assert bboxes(found)['ant'] == []


def test_yolo_label_files_without_an_image_are_counted(yolo, from_yolo):
    for name in ('lone.txt', 'classes.txt'):
        (yolo / 'labels/train' / name).write_text('0 .5 .5 .1 .1')

    _, text = from_yolo()

    assert (
        '1 label file without an image (first: '
        f'{yolo}/labels/train/lone.txt)' in text
    )


def test_yolo_without_any_label_file_is_an_error(yolo, from_yolo):
    (yolo / 'labels').rename(yolo / 'other')

    _, error = from_yolo()

    assert error == (
        f'error: none of 3 images in {yolo}/images/train has a label file '
        'that can be used'
    )


def test_yolo_file_names_begin_in_the_folder_of_the_split(yolo, from_yolo):
    draw(yolo / 'images/deep/x/a.jpg')
    (yolo / 'labels/deep/x').mkdir(parents=True)
    (yolo / 'labels/deep/x/a.txt').write_text('0 .5 .5 1 1')
    write_yaml(yolo, 'train: images/deep', 'names: [zebra, ant]')

    found, text = from_yolo()

    assert [i['file_name'] for i in found['images']] == ['x/a.jpg']
    assert f'the file names are relative to {yolo}/images/deep\n' in text


def test_yolo_list_of_images_that_are_gone_is_an_error(yolo, from_yolo):
    write_yaml(yolo, 'train: list.txt', 'names: [zebra, ant]')
    (yolo / 'list.txt').write_text('gone.jpg\n')

    _, error = from_yolo()

    assert error.startswith(f'error: none of 0 images in {yolo} has a label')


@pytest.mark.parametrize(
    ('image', 'labels'),
    [
        ('/x/images/a.jpg', '/x/labels/a.txt'),
        ('/x/images/train/a.b.jpg', '/x/labels/train/a.b.txt'),
        ('/images/x/images/a.jpg', '/images/x/labels/a.txt'),
        ('/x/my_images/a.jpg', '/x/my_images/a.txt'),
        ('/x/a.jpg', '/x/a.txt'),
    ],
)
def test_label_file_is_where_ultralytics_looks(image, labels):
    assert find_label_path(Path(image)) == Path(labels)


def test_files_and_classes_have_names_in_any_language(
    yolo, tmp_path, call_tool
):
    draw(yolo / 'images/train/ü.jpg')

    done = call_tool(
        'convert_dataset', 'from-yolo',
        yolo / 'data.yaml', tmp_path / 'out.json', '--split', 'train',
        '--unlabeled', tmp_path / 'unlabeled.json', '--classes', 'zebra', 'ä',
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'{yolo}/data.yaml: 2 images, 1 of them')
    assert '2 classes (zebra: 1, ä: 0)' in done.stdout
    assert [i['file_name'] for i in read(tmp_path / 'unlabeled.json')[
        'images'
    ]] == ['c.jpg', 'ü.jpg']  # fmt: skip


def test_all_options_are_documented():
    text = (ROOT / 'docs/formats.md').read_text()
    for name in ('convert_dataset', 'split_coco'):
        tool = (ROOT / f'tools/{name}.py').read_text()
        options = set(re.findall(r"'(--[a-z-]+)'", tool))
        assert len(options) >= 6
        assert options - {'--out'} <= set(re.findall(r'--[a-z-]+', text))


@pytest.mark.parametrize(
    ('kind', 'line'),
    [
        ('lists not used: --split takes one', '1 list not used: --split'),
        ('boxes clipped: outside', '1 box clipped: outside'),
        ('label files without an image', '1 label file without an image'),
        ('repeated lines left out', '1 repeated line left out'),
    ],
)
def test_one_issue_is_said_in_the_singular(kind, line):
    issues = IssueCounter()
    issues.add(kind, 'a')

    assert issues.format_lines()[0].startswith(line)
    issues.add(kind, 'b')
    assert issues.format_lines() == [f'2 {kind} (first: a)']
