"""Folders of VOC and YOLO as tools write them, and what is read from them."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from projects.data_distillation.label_files.convert.labels import IssueCounter
from projects.data_distillation.label_files.convert.voc_reader import VocReader
from projects.data_distillation.label_files.convert.yolo_reader import (
    YoloReader,
)

XML = """{head}<annotation><filename>{name}.jpg</filename>
<object><name>{label}</name>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>
</object></annotation>"""
XYWH = [10, 20, 40, 40]
LINE = '1 0.3 0.5 0.4 0.5\n'
NAMES = ('a', 'b', 'c')


@pytest.fixture
def convert(tmp_path, call_tool):
    """Convert the folder `set`: the COCO object (or None), and the text."""

    def run(command: str, *options: object, source: str = 'set') -> tuple:
        (tmp_path / 'out.json').unlink(missing_ok=True)
        done = call_tool(
            'convert_dataset', command, source, 'out.json', *options,
            cwd=tmp_path,
        )  # fmt: skip
        text = done.stdout + done.stderr
        if done.returncode:
            return None, text
        return json.loads((tmp_path / 'out.json').read_text()), text

    return run


def draw(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((80, 100, 3), 90, np.uint8))


def put(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    file.write_bytes(content)
    return file


def put_xml(file: Path, label: str = 'cell', head: str = '') -> Path:
    return put(file, XML.format(name=file.stem, label=label, head=head))


def names_of(coco: dict) -> list[str]:
    return sorted(Path(i['file_name']).stem for i in coco['images'])


@pytest.mark.parametrize(
    ('labels', 'images'),
    [
        ('Annotations', 'JPEGImages'), ('annotations/xmls', 'images'),
        ('Annotations', 'Images'), ('labels', 'images'), ('xml', 'img'),
        ('.', '.'), ('xmls', '.'), ('.', 'images'),
        ('Annotations/train', 'JPEGImages'), ('annotations', 'images/train'),
    ],
)  # fmt: skip
def test_voc_layouts(tmp_path, convert, labels, images):
    for name in NAMES:
        draw(tmp_path / 'set' / images / f'{name}.jpg')
        put_xml(tmp_path / 'set' / labels / f'{name}.xml')
    put(tmp_path / 'set' / labels / '._a.xml', b'\0')

    coco, text = convert('from-voc')

    assert names_of(coco) == [*NAMES]
    assert [a['bbox'] for a in coco['annotations']] == [XYWH] * 3
    assert 'left out' not in text


def test_voc_image_of_two_folders_is_none(tmp_path, convert):
    for folder in ('x', 'y'):
        draw(tmp_path / f'set/images/{folder}/a.jpg')
    draw(tmp_path / 'set/images/b.jpg')
    for name in 'ab':
        put_xml(tmp_path / f'set/annotations/xmls/{name}.xml')

    coco, text = convert('from-voc')

    assert names_of(coco) == ['b']
    assert '1 name left out: no image of that name, or several' in text


def test_voc_image_with_an_xml_file_is_that_of_no_other(tmp_path, convert):
    for name in ('val/1', 'train/2'):
        draw(tmp_path / f'set/images/{name}.jpg')
    for name in ('train/1', 'train/2', 'val/1'):
        put_xml(tmp_path / f'set/Annotations/{name}.xml')

    coco, text = convert('from-voc')

    assert names_of(coco) == ['1', '2']
    assert 'no image of that name, or several (first: train/1)' in text
    assert 'another name has the same image' not in text


@pytest.mark.parametrize(
    'line',
    ['{}', '{}.jpg', '{}  1', '{} -1', 'JPEGImages/{}.jpg', 'x\\{}.jpg'],
)
def test_voc_lists_of_tools(tmp_path, convert, line):
    for name in NAMES:
        draw(tmp_path / 'set/JPEGImages' / f'{name}.jpg')
        put_xml(tmp_path / 'set/Annotations' / f'{name}.xml')
    lines = '\n'.join(line.format(name) for name in 'ca')
    put(tmp_path / 'set/ImageSets/Main/some.txt', lines)

    coco, _ = convert('from-voc', '--split', 'some')

    assert [i['file_name'] for i in coco['images']] == ['c.jpg', 'a.jpg']


def box(xmin, ymin, xmax, ymax) -> str:
    return (
        f'<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax>'
        f'<ymax>{ymax}</ymax></bndbox>'
    )


OBJECTS = [
    (box(11, 21, 50, 60) + box(1, 1, 10, 10), [XYWH, [0, 0, 10, 10]],
     'object of several boxes: now one each'),
    (box(50, 60, 11, 21), [XYWH], 'box of swapped corners: now in order'),
    (box(11, 60, 50, 21), [XYWH], 'box of swapped corners: now in order'),
    ('<polygon><pt><x>11</x><y>21</y></pt><pt><x>50</x><y>60</y></pt>'
     '</polygon>', [XYWH], 'polygon: only their boxes were kept'),
    ('<polygon><x1>11</x1><y1>60</y1><x2>50</x2><y2>21</y2></polygon>',
     [XYWH], 'polygon: only their boxes were kept'),
    (box(11, 21, 50, 60) + '<polygon><x1>1</x1><y1>1</y1></polygon>', [XYWH],
     'written: out.json'),
]  # fmt: skip


@pytest.mark.parametrize(('inner', 'bboxes', 'said'), OBJECTS)
def test_voc_objects(tmp_path, convert, inner, bboxes, said):
    draw(tmp_path / 'set/a.jpg')
    put(
        tmp_path / 'set/a.xml',
        f'<annotation><object><name>x</name>{inner}</object></annotation>',
    )

    coco, text = convert('from-voc')

    assert [a['bbox'] for a in coco['annotations']] == bboxes
    assert said in text


@pytest.mark.parametrize('mark', ['1', 'true', ' True '])
def test_voc_marks_of_objects(tmp_path, convert, mark):
    objects = ''.join(
        f'<object><name>x</name>{box(11, 21, 50, 60)}{marks}</object>'
        for marks in (
            f'<deleted>{mark}</deleted>',
            f'<deleted>0</deleted><difficult>{mark}</difficult>',
            '<deleted/><difficult>False</difficult>',
        )
    )
    draw(tmp_path / 'set/a.jpg')
    put(tmp_path / 'set/a.xml', f'<annotation>{objects}</annotation>')

    coco, text = convert('from-voc')

    assert [a['iscrowd'] for a in coco['annotations']] == [1, 0]
    assert '1 box left out: marked as deleted (first: ' in text


@pytest.mark.parametrize(
    ('label', 'declared', 'encoding'),
    [
        ('cellule é', 'ISO-8859-1', 'latin-1'),
        ('细胞', 'GB2312', 'gb2312'),
        ('细胞', 'gbk', 'gbk'),
        ('細胞', 'Shift_JIS', 'shift_jis'),
        ('zelle ü', 'utf-8', 'cp1252'),  # Not as declared, but clear.
        ('细胞', 'utf-16', 'utf-16'),
        ('细胞', 'UTF-8', 'utf-8-sig'),
    ],
)
def test_voc_encodings(tmp_path, convert, label, declared, encoding):
    draw(tmp_path / 'set/a.jpg')
    head = f'<?xml version="1.0" encoding="{declared}"?>\n'
    text = XML.format(name='a', label=label, head=head)
    put(tmp_path / 'set/a.xml', text.encode(encoding))

    coco, _ = convert('from-voc')

    assert [c['name'] for c in coco['categories']] == [label]


def test_voc_list_may_have_names_that_end_like_a_flag(tmp_path, convert):
    names = ['photo', 'photo 1', 'photo -1', 'photo 0']
    for name in names:
        draw(tmp_path / 'set/JPEGImages' / f'{name}.jpg')
    for name in names[:3]:
        put_xml(tmp_path / 'set/Annotations' / f'{name}.xml')
    put(tmp_path / 'set/ImageSets/Main/train.txt', '\n'.join(names))

    out = tmp_path / 'unlabeled.json'
    coco, text = convert('from-voc', '--split', 'train', '--unlabeled', out)

    assert [i['file_name'] for i in coco['images']] == [
        f'{name}.jpg' for name in names[:3]
    ]
    assert names_of(json.loads(out.read_text())) == ['photo 0']
    assert 'left out' not in text


@pytest.mark.parametrize('is_there', [True, False])
@pytest.mark.parametrize('line', ['{}/other/a.jpg', '../../other/a'])
def test_voc_list_does_not_lead_out_of_the_folder(
    tmp_path, convert, line, is_there
):
    put_xml(tmp_path / 'other/a.xml', 'wrong')
    for name in 'ab':
        draw(tmp_path / f'set/JPEGImages/{name}.jpg')
    for name in 'ab' if is_there else 'b':
        put_xml(tmp_path / f'set/Annotations/{name}.xml', 'right')
    line = line.format(tmp_path)
    put(tmp_path / 'set/ImageSets/Main/train.txt', f'{line}\nb\n')

    coco, _ = convert('from-voc', '--split', 'train')

    assert [c['name'] for c in coco['categories']] == ['right']
    assert names_of(coco) == (['a', 'b'] if is_there else ['b'])


def test_reader_of_unknown_settings_is_refused(tmp_path):
    with pytest.raises(ValueError, match="difficult must be .*got 'Drop'"):
        VocReader(tmp_path, IssueCounter(), difficult='Drop')
    with pytest.raises(ValueError, match="split must be .*, got 'valid'"):
        YoloReader(tmp_path, IssueCounter(), 'valid')


def write_yolo(folder: Path, labels: str, images: str, names=NAMES) -> None:
    for name in names:
        draw(folder / images / f'{name}.jpg')
        put(folder / labels / f'{name}.txt', LINE)


CLASSES = [
    ('classes.txt', 'x\ny\n'),
    ('obj.names', 'x\ny\n'),
    ('data/coco.names', 'x\ny\n'),
    ('labels/classes.txt', 'x\ny\n'),
    ('notes.json', '{"categories": [{"id": 1, "name": "y"},'
     ' {"id": 0, "name": "x"}]}'),
]  # fmt: skip


@pytest.mark.parametrize(('file', 'text'), CLASSES)
@pytest.mark.parametrize(
    ('labels', 'images'),
    [
        ('labels', 'images'), ('.', '.'), ('images', 'images'),
        ('train/labels', 'train/images'), ('labels/train', 'images/train'),
        ('obj_train_data', 'obj_train_data'), ('train', 'train'),
    ],
)  # fmt: skip
def test_yolo_without_data_yaml(tmp_path, convert, labels, images, file, text):
    write_yolo(tmp_path / 'set', labels, images)
    put(tmp_path / 'set' / file, text)

    coco, said = convert('from-yolo', '--split', 'train')

    assert names_of(coco) == [*NAMES]
    assert [a['bbox'] for a in coco['annotations']] == [XYWH] * 3
    assert {a['category_id'] for a in coco['annotations']} == {2}
    assert [c['name'] for c in coco['categories']] == ['x', 'y']
    assert 'left out' not in said


@pytest.mark.parametrize('name', ['classes.txt', 'obj.names'])
def test_yolo_empty_line_is_no_class(tmp_path, convert, name):
    write_yolo(tmp_path / 'set', 'labels', 'images')
    put(tmp_path / 'set' / name, 'x\n\ny\n')

    coco, text = convert('from-yolo', '--split', 'train')

    assert coco is None
    assert f'{name}: line 2 is empty' in text
    put(tmp_path / 'set' / name, 'x\n y\n \n\n')
    coco, _ = convert('from-yolo', '--split', 'train')
    assert [c['name'] for c in coco['categories']] == ['x', 'y']
    assert {a['category_id'] for a in coco['annotations']} == {2}


def test_yolo_folder_without_names_or_split_says_where_it_looked(
    tmp_path, convert
):
    write_yolo(tmp_path / 'set', 'labels', 'images')

    assert (
        'classes.txt, obj.names' in convert('from-yolo', '--split', 'val')[1]
    )
    put(
        tmp_path / 'set/notes.json', '{"categories": [{"id": 1, "name": "y"}]}'
    )
    assert 'numbered from 0' in convert('from-yolo', '--split', 'val')[1]
    mixed = '{"categories": [{"id": 0, "name": "y"}, {"id": "1", "name": ""}]}'
    put(tmp_path / 'set/notes.json', mixed)
    assert 'numbered from 0' in convert('from-yolo', '--split', 'val')[1]
    for broken in ('{}', '[' * 100_000):
        put(tmp_path / 'set/notes.json', broken)
        text = convert('from-yolo', '--split', 'val')[1]
        assert 'notes.json cannot be read' in text
    put(tmp_path / 'set/classes.txt', 'x\ny\n')
    text = convert('from-yolo', '--split', 'val')[1]
    assert 'no images of the split val: looked for val.txt, val/images' in text


@pytest.mark.parametrize(
    'entry',
    [
        'set/train/images', '/content/set-1/train/images',
        'C:\\data\\set\\train\\images', '../train/images',
        '/kaggle/input/x/train/images', 'train/images',
    ],
)  # fmt: skip
def test_yolo_paths_of_other_machines(tmp_path, convert, entry):
    write_yolo(tmp_path / 'set', 'train/labels', 'train/images')
    write_yolo(tmp_path / 'set', 'valid/labels', 'valid/images', 'de')
    val = entry.replace('train', 'val')
    put(
        tmp_path / 'set/data.yaml',
        f"train: '{entry}'\nval: '{val}'\nnames: [x, y]\n",
    )

    for source in ('set', 'set/data.yaml'):
        for split, names in (('train', NAMES), ('val', 'de')):
            coco, _ = convert('from-yolo', '--split', split, source=source)
            assert names_of(coco) == [*names]
            assert len(coco['annotations']) == len(names)


def test_yolo_images_of_another_split_are_not_taken(tmp_path, convert):
    write_yolo(tmp_path / 'set', 'train/labels', 'train/images')
    write_yolo(tmp_path / 'set', 'labels', 'images')
    put(tmp_path / 'set/data.yaml', 'val: /x/valid/images\nnames: [x, y]\n')

    coco, text = convert('from-yolo', '--split', 'val')

    assert coco is None
    assert "'/x/valid/images' not found in " in text
    assert 'looked for x/valid/images, valid/images' in text


def test_yolo_split_may_be_called_valid(tmp_path, convert):
    write_yolo(tmp_path / 'set', 'valid/labels', 'valid/images')
    put(tmp_path / 'set/data.yaml', 'valid: valid/images\nnames: [x, y]\n')

    assert names_of(convert('from-yolo', '--split', 'val')[0]) == [*NAMES]


def test_yolo_lists_of_darknet(tmp_path, convert):
    write_yolo(tmp_path / 'set', 'obj_train_data', 'obj_train_data')
    put(tmp_path / 'set/obj.names', 'x\ny\n')
    put(
        tmp_path / 'set/train.txt',
        'data/obj_train_data/c.jpg\nC:\\x\\obj_train_data\\a.jpg\ndata/d.jpg',
    )

    coco, text = convert('from-yolo', '--split', 'train')

    assert [i['file_name'] for i in coco['images']] == ['c.jpg', 'a.jpg']
    assert len(coco['annotations']) == 2
    assert '1 line left out: image not found in ' in text


@pytest.mark.parametrize('line', ['images/{}.jpg', '/x/set/images/{}.jpg'])
def test_yolo_lists_have_paths_from_the_folder_above(tmp_path, convert, line):
    """As `data/train.txt` of Darknet has them, beside `data/obj.names`."""
    write_yolo(tmp_path / 'set', 'labels', 'images')
    put(tmp_path / 'set/data/obj.names', 'x\ny\n')
    put(tmp_path / 'set/data/train.txt', '\n'.join(map(line.format, 'ca')))

    coco, text = convert('from-yolo', '--split', 'train', source='set/data')

    assert [i['file_name'] for i in coco['images']] == ['c.jpg', 'a.jpg']
    assert len(coco['annotations']) == 2
    assert 'left out' not in text


def test_yolo_repeated_lines_are_one_object(tmp_path, convert):
    write_yolo(tmp_path / 'set', 'labels', 'images')
    put(tmp_path / 'set/labels/a.txt', LINE * 2 + '0' + LINE[1:] + LINE)
    put(tmp_path / 'set/classes.txt', 'x\ny\n')

    coco, text = convert('from-yolo', '--split', 'train')

    assert len(coco['annotations']) == 4
    assert '2 repeated lines left out (first: ' in text


def add_macos_copies(folder: Path) -> None:
    """Put beside each file what a zip file of macOS holds of it."""
    for file in [one for one in folder.rglob('*') if one.is_file()]:
        put(file.with_name(f'._{file.name}'), b'\0\5\x16\7')
        below = file.relative_to(folder)
        put(folder / '__MACOSX' / below.with_name(f'._{file.name}'), b'\0')


@pytest.mark.parametrize('kind', ['voc', 'yaml', 'classes.txt', 'notes.json'])
def test_copies_of_macos_change_nothing(tmp_path, convert, kind):
    folder = tmp_path / 'set'
    for name in NAMES:
        draw(folder / 'images' / f'{name}.jpg')
        if kind == 'voc':
            put_xml(folder / 'Annotations' / f'{name}.xml')
        else:
            put(folder / 'labels' / f'{name}.txt', LINE)
    if kind == 'voc':
        put(folder / 'ImageSets/Main/train.txt', 'a\n')
    elif kind == 'yaml':
        put(folder / 'data.yaml', 'train: images\nnames: [x, y]')
    elif kind == 'classes.txt':
        put(folder / 'x.names', 'x\ny\n')
    else:
        notes = dict(categories=[dict(id=n, name=f'{n}') for n in range(2)])
        put(folder / kind, json.dumps(notes))
    command = ['from-voc'] if kind == 'voc' else ['from-yolo', '--split=train']
    before = convert(*command)
    assert names_of(before[0]) == [*NAMES]

    add_macos_copies(folder)

    assert convert(*command) == before
    if kind == 'voc':
        _, text = convert('from-voc', '--split', 'none')
        assert "there are ['train']" in text


def count_calls(function) -> int:
    """How many functions of Python a function calls, itself included."""
    num_calls = 0

    def count(frame, event, argument) -> None:
        nonlocal num_calls
        num_calls += event == 'call'

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return num_calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ('labels', 'images', 'reads_voc'),
    [
        ('Annotations/{}.xml', 'JPEGImages/{}.jpg', True),
        ('Annotations/train/{}.xml', 'JPEGImages/{}.jpg', True),
        ('labels/{}.txt', 'images/{}.jpg', False),
    ],
)
def test_work_grows_as_the_images_do(tmp_path, labels, images, reads_voc):
    """Reading each of more images must take no longer than it did."""

    def count_work(num_images: int) -> int:
        folder = tmp_path / f'{num_images}'
        put(folder / 'classes.txt', 'x\ny\n')
        draw(tmp_path / 'one.jpg')
        for number in range(num_images):
            image = folder / images.format(number)
            image.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / 'one.jpg', image)
            if reads_voc:
                put_xml(folder / labels.format(number))
            else:
                put(folder / labels.format(number), LINE)
        reader = (
            VocReader(folder, IssueCounter())
            if reads_voc
            else YoloReader(folder, IssueCounter(), 'train')
        )
        return count_calls(lambda: list(reader.read_images()))

    count_work(1)  # What is imported or cached once does not count.
    few, more, most = map(count_work, (10, 20, 40))

    # A search of the folders for each image would make it four times as much.
    assert (most - more) / (more - few) < 2.2
