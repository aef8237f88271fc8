"""Files as tools write them, and what --fix makes of them."""

import copy
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import CATEGORIES
from pycocotools import mask as masks

from projects.data_distillation.label_files.coco.box_formats import BoxFormat
from projects.data_distillation.label_files.coco.checks import check_file
from projects.data_distillation.label_files.coco.class_checks import (
    find_equal_categories,
)
from projects.data_distillation.label_files.coco.image_checks import (
    find_problems,
)
from projects.data_distillation.label_files.coco.image_files import (
    FileImages,
    locate_images,
)
from projects.data_distillation.label_files.coco.reading import UNCHECKED
from projects.data_distillation.label_files.coco.schema import as_id
from projects.data_distillation.label_files.coco.tables import CocoFile
from projects.data_distillation.label_files.mending.annotations import (
    MENDINGS,
    Mending,
    clip_side,
    mend_annotations,
)
from projects.data_distillation.label_files.mending.choices import (
    Choices,
    MendingError,
)
from projects.data_distillation.label_files.mending.images import write_sizes
from projects.data_distillation.label_files.mending.mask_checks import (
    read_for_masks,
)
from projects.data_distillation.label_files.mending.mend import (
    convert_boxes,
    mend_file,
)
from projects.data_distillation.label_files.mending.missing_boxes import (
    bound_segmentation,
)

SIZE = WIDTH, HEIGHT = 160, 120


def right(num_images: int = 4, num_boxes: int = 8) -> dict:
    """A file as it should be; its boxes lie anywhere in the images."""
    random = np.random.default_rng(0)
    sides = random.integers(10, (70, 60), (num_images * num_boxes, 2))
    bboxes = np.hstack([random.integers(0, SIZE - sides), sides])
    # Objects are cut off at the borders of the images.
    bboxes[0], bboxes[1] = (0, 0, 40, 120), (100, 90, 60, 30)
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.png', width=WIDTH, height=HEIGHT)
            for i in range(1, num_images + 1)
        ],
        annotations=[
            dict(
                id=number,
                image_id=1 + (number - 1) // num_boxes,
                category_id=CATEGORIES[number % 2]['id'],
                bbox=list(map(float, bbox)),
                area=float(bbox[2] * bbox[3]),
                iscrowd=0,
            )
            for number, bbox in enumerate(bboxes, 1)
        ],
        categories=copy.deepcopy(CATEGORIES),
    )


def write_images(folder: Path, content: dict, size=SIZE) -> Path:
    """Write the images of a file; each is another."""
    for number, image in enumerate(content['images']):
        pixels = np.full((size[1], size[0], 3), number, np.uint8)
        pixels[: size[1] // 2, number::7] = 200
        file = folder / image['file_name']
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), pixels)
    return folder


def mended(content: dict, **choices) -> dict:
    before = json.dumps(content)
    result, _ = mend_file(CocoFile.of('a.json', content), Choices(**choices))
    assert json.dumps(content) == before
    return result


def changed(change) -> dict:
    content = right()
    for name in ('images', 'annotations', 'categories'):
        content[name] = [change(name, dict(e)) for e in content[name]]
    return content


def with_ids(convert) -> dict:
    keys = ('id', 'image_id', 'category_id')
    return changed(
        lambda _, e: {k: convert(v) if k in keys else v for k, v in e.items()}
    )


@pytest.mark.parametrize('convert', [str, float, ' {} '.format, '{}.0'.format])
def test_ids_become_integers(convert):
    assert json.dumps(mended(with_ids(convert))) == json.dumps(right())


def test_text_ids_become_numbers_wherever_they_occur():
    content = mended(with_ids('img_{}'.format))

    assert [i['id'] for i in content['images']] == [1, 2, 3, 4]
    assert [c['name'] for c in content['categories']] == ['red', 'green']
    names = {c['id']: c['name'] for c in content['categories']}
    expected = {c['id']: c['name'] for c in CATEGORIES}
    for one, other in zip(content['annotations'], right()['annotations']):
        assert one['image_id'] == other['image_id']
        assert names[one['category_id']] == expected[other['category_id']]
    assert list(check_file(CocoFile.of('a.json', content))) == []


def test_texts_are_not_mixed_up_with_numbers_nor_with_what_is_dropped():
    content = right()
    content['images'][1]['id'] = '1'  # Beside 1.
    content['images'][2]['id'] = 'third'
    for annotation, image_id in zip(
        content['annotations'], [1, '1', 'third', 'fourth', 5, '4', 1.0]
    ):
        annotation['image_id'] = image_id
    del content['annotations'][7:]

    result = mended(content)

    ids = [image['id'] for image in result['images']]
    assert ids[0] == 1 and ids[3] == 4 and len({*ids, 5}) == 5
    found = [a['image_id'] for a in result['annotations']]
    # 5 is no image and is dropped, 'fourth' stands for nothing.
    assert found == [1, ids[1], ids[2], 'fourth', 4, 1]


@pytest.mark.parametrize('convert', [str, str.upper, ' {} '.format])
@pytest.mark.parametrize('as_written', [int, float, 'c{}'.format])
def test_names_become_the_ids_of_what_they_name(convert, as_written):
    content = right()
    names = {c['id']: c['name'] for c in content['categories']}
    files = {i['id']: i['file_name'] for i in content['images']}
    for one in content['annotations']:
        one['category_id'] = convert(names[one['category_id']])
        one['image_id'] = files[one['image_id']]
    for category in content['categories']:
        category['id'] = as_written(category['id'])

    result = mended(content)

    if as_written in (int, float):
        assert result == right()
    named = {c['id']: c['name'] for c in result['categories']}
    assert [named[a['category_id']] for a in result['annotations']] == [
        names[a['category_id']] for a in right()['annotations']
    ]


def digits(*texts: str) -> dict:
    """Categories whose names are numbers, each that of the next id."""
    content = right()
    content['categories'] = [dict(id=i + 1, name=str(i)) for i in range(4)]
    for one, text in zip(content['annotations'], texts):
        one['category_id'] = text
    del content['annotations'][len(texts) :]
    return content


@pytest.mark.parametrize(
    ('texts', 'ids'),
    [
        # One of them is no id, so that all are names.
        (('0', '1', '3'), [1, 2, 4]),
        # One of them is no name, so that all are ids.
        (('1', '4', '4'), [1, 4, 4]),
        # Nobody knows.
        (('1', '3', '3'), ['1', '3', '3']),
        (('0', '4', '1', '2'), [1, 4, '1', '2']),
        # One is neither.
        (('0', '1', 'x'), [1, 2, 'x']),
    ],
)
def test_numbers_as_names_are_told_from_ids_by_all_of_them(texts, ids):
    result = mended(digits(*texts))

    assert [a['category_id'] for a in result['annotations']] == ids


def test_number_that_may_be_an_id_or_a_name_is_asked_about():
    lines = list(map(str, check_file(CocoFile.of('a.json', digits('1', '3')))))

    assert lines[0] == (
        'a.json: annotation 1: `category_id` must be an integer (64 bits), '
        "got '1': write what it means: 1 if it is the id, or 2 if it is the "
        'name'
    )


def test_names_of_two_entries_stay():
    content = right()
    content['categories'][1]['name'] = 'Red'
    content['annotations'][0]['category_id'] = 'red'

    assert mended(content) == content


def test_numbers_in_quotes_become_numbers():
    keys = ('width', 'height', 'area', 'iscrowd')

    def quote(name, entry):
        entry |= {k: str(v) for k, v in entry.items() if k in keys}
        if name == 'annotations':
            entry['bbox'] = [*map(str, entry['bbox'][:3]), entry['bbox'][3]]
        return entry

    assert mended(changed(quote)) == right()


def as_polygon(x, y, w, h) -> list:
    return [[x, y, x + w, y], [x + w, y + h, x, y + h]]


def as_mask(x, y, w, h, compressed: bool) -> dict:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8, order='F')
    x, y, w, h = map(int, (x, y, w, h))
    pixels[y : y + h, x : x + w] = 1
    mask = masks.encode(pixels)
    if compressed:
        return dict(mask, counts=mask['counts'].decode())
    runs, value = [0], 0
    for pixel in pixels.ravel('F'):
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return dict(size=[HEIGHT, WIDTH], counts=runs)


@pytest.mark.parametrize('missing', [None, [], [0, 0, 0, 0]])
@pytest.mark.parametrize(
    'outline',
    [
        as_polygon,
        lambda *box: as_mask(*box, compressed=True),
        lambda *box: as_mask(*box, compressed=False),
    ],
    ids=['polygon', 'compressed mask', 'mask'],
)
def test_missing_boxes_are_those_around_the_outline(outline, missing):
    content = right(num_images=1)
    expected = copy.deepcopy(content)
    for one, other in zip(content['annotations'], expected['annotations']):
        one['segmentation'] = outline(*one['bbox'])
        other['segmentation'] = copy.deepcopy(one['segmentation'])
        one['bbox'] = missing

    assert mended(content) == expected


@pytest.mark.parametrize(
    'outline',
    [
        None, 'x', 3, [], [[]], [[1, 2, 'x', 4]], [[1, 2, 3]], [None],
        [[1, 2, 1, 2]], {}, dict(size=[2, 2], counts=[4]),
        dict(size=[2, 2], counts=[1, 2]), dict(size=[2, 2], counts='\n'),
        dict(size=[2, 2], counts='o' * 50), dict(size=[0, 0], counts=[0]),
        dict(size=['2', 2], counts=[1, 3]), dict(size=[2, 2], counts=None),
        dict(size=[2, 2], counts=[1, 0, 3]), [[], [1, 2, 3]],
        [[1, 2, 3, 4, 5]],
    ],
)  # fmt: skip
def test_outline_of_nothing_has_no_box(outline):
    assert bound_segmentation(outline) is None


@pytest.mark.parametrize(
    'outline',
    [
        [1, 2, 5, 2, 3, 8],
        [[1, 2], [5, 2], [3, 8]],
        [[[1, 2], [5, 2], [3, 8]], []],
        [[1, 2, 5, 2, 3, 3], [3, 7, 3, 8, 4, 7]],
    ],
)
def test_polygons_of_any_nesting_have_a_box(outline):
    assert bound_segmentation(outline) == [1, 2, 4, 6]


def test_mask_that_goes_on_in_the_next_column_is_as_high_as_the_image():
    assert bound_segmentation(dict(size=[4, 3], counts=[3, 2, 7])) == [
        0, 0, 2, 4,
    ]  # fmt: skip


@pytest.mark.parametrize('twin', [dict(id=7), dict(id=12)])
def test_equal_categories_become_one(twin):
    content = right()
    content['categories'].append(dict(CATEGORIES[0], **twin))
    for annotation in content['annotations'][:6]:
        if annotation['category_id'] == 7:
            annotation['category_id'] = twin['id']

    assert mended(content) == right()


@pytest.mark.parametrize('ids', [(12, 13), (13, 12), (12, 12)])
def test_equal_categories_beside_another_of_the_name_become_one(ids):
    content = right()
    wanted = copy.deepcopy(content)
    first, second = (dict(id=i, name='red', parent='x') for i in ids)
    content['categories'] += [first, dict(parent='x', **CATEGORIES[1]), second]
    wanted['categories'] += [first, dict(parent='x', **CATEGORIES[1])]
    for number in (2, 5):
        content['annotations'][number]['category_id'] = second['id']
        wanted['annotations'][number]['category_id'] = first['id']
    content['categories'][3]['id'] = wanted['categories'][3]['id'] = 20

    assert mended(content) == wanted


@pytest.mark.parametrize(
    'others',
    [
        [dict(id=12, name='red', supercategory='x')],
        [dict(id=12, name='red'), dict(id=12, name='blue')],
    ],
)
def test_categories_that_are_not_clearly_equal_stay(others):
    content = right()
    content['categories'] += others

    assert mended(content) == content


def test_categories_that_are_nested_too_deeply_to_compare_stay():
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    content = right()
    content['categories'] += [
        dict(id=20, name='blue', parts=nested),
        dict(id=21, name='yellow', parts=nested),
        dict(id=22, name='blue', parts=nested),
    ]

    assert find_equal_categories(CocoFile.of('a.json', content)) == {}


def test_repeated_object_is_dropped_but_not_one_of_another_kind():
    content = right()
    again = [
        dict(content['annotations'][0], id=90),
        dict(content['annotations'][0], id=91, category_id=7),
        dict(content['annotations'][0], id=92, iscrowd=1),
    ]
    expected = dict(content, annotations=content['annotations'] + again[1:])

    assert mended(
        dict(content, annotations=content['annotations'] + again)
    ) == (expected)


@pytest.mark.parametrize(
    ('segmentation', 'other', 'is_dropped'),
    [
        ([[1, 1, 9, 1, 9, 9]], [[1, 1, 9, 1, 9, 9]], True),
        ([[1, 1, 9, 1, 9, 9]], [[1, 1, 9, 9, 1, 9]], False),
        ([[1, 1, 9, 1, 9, 9]], [], False),
        ([], None, True),
    ],
)
def test_objects_of_one_box_and_other_masks_stay(
    tmp_path, segmentation, other, is_dropped
):
    content = right()
    first = content['annotations'][0]
    content['annotations'] += [dict(first, id=90, segmentation=other)]
    first['segmentation'] = segmentation
    file = CocoFile.of('a.json', content)

    result, counts = mend_file(file)

    assert counts['repeated objects dropped'] == is_dropped
    assert len(result['annotations']) == 33 - is_dropped
    # What reads only the facts of masks does not promise more.
    (tmp_path / 'a.json').write_text(json.dumps(content))
    (problem,) = (
        p
        for p in check_file(read_for_masks(tmp_path / 'a.json'))
        if p.kind == 'repeated object'
    )
    assert problem.is_fixable == (is_dropped and not segmentation)
    assert ('if both have the same mask' in problem.advice) != (
        problem.is_fixable
    )


def numbers_of(box_format: BoxFormat) -> dict:
    """The right file, but with boxes in another format."""
    content = right()
    whole = dict(pixel=0, fraction=1, percent=100, thousandth=1000)
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        if box_format.layout == 'xyxy':
            w, h = x + w, y + h
        if box_format.layout == 'cxcywh':
            x, y = x + w / 2, y + h / 2
        unit = whole[box_format.unit]
        sizes = [s / unit if unit else 1 for s in (*SIZE, *SIZE)]
        annotation['bbox'] = [v / s for v, s in zip((x, y, w, h), sizes)]
    return content


FORMATS = [
    BoxFormat(layout, unit)
    for layout in ('xywh', 'xyxy', 'cxcywh')
    for unit in ('pixel', 'fraction', 'percent', 'thousandth')
][1:]


@pytest.mark.parametrize('box_format', FORMATS, ids=str)
def test_format_of_all_boxes_is_recognized_and_converted_on_demand(box_format):
    content = numbers_of(box_format)

    with pytest.raises(MendingError, match='--boxes') as error:
        mended(content)
    assert str(box_format) in str(error.value)
    result = mended(content, box_format=box_format)

    for one, other in zip(result['annotations'], right()['annotations']):
        assert one['bbox'] == pytest.approx(other['bbox'], abs=0.02)
        assert one['area'] == pytest.approx(other['area'], rel=0.01)


def test_boxes_of_images_without_a_size_stay():
    box_format = BoxFormat('xywh', 'fraction')
    content = numbers_of(box_format)
    image = content['images'][0]
    del image['width'], image['height']
    file = CocoFile.of('a.json', content)

    result, counts = convert_boxes(file, Choices(box_format=box_format))

    boxes = zip(content['annotations'], result['annotations'], strict=True)
    stayed = [new['bbox'] == old['bbox'] for old, new in boxes]
    of_image = [
        one['image_id'] == image['id'] for one in content['annotations']
    ]
    assert stayed == of_image
    assert list(counts.values()) == [of_image.count(False)]


@pytest.mark.parametrize('layout', ['xyxy', 'cxcywh'])
def test_boxes_in_pixels_are_converted_without_a_size(layout):
    box_format = BoxFormat(layout)
    content, wanted = numbers_of(box_format), right()
    for image in (content['images'][0], wanted['images'][0]):
        del image['width'], image['height']

    assert mended(content, box_format=box_format) == wanted


def test_boxes_are_what_the_user_says():
    content = numbers_of(BoxFormat('xyxy'))

    result = mended(content, box_format=BoxFormat(), drop_many=True)

    assert result['annotations'][1]['bbox'] == [100, 90, 60, 30]
    assert (
        0
        < sum(
            one['bbox'] == other['bbox']
            for one, other in zip(
                result['annotations'], content['annotations']
            )
        )
        < 25
    )


def test_right_boxes_are_of_no_other_format():
    assert mended(right()) == right()


def test_boxes_up_to_the_border_of_images_of_100_pixels_are_no_percent():
    content = right()
    for image in content['images']:
        image |= dict(width=100, height=100)
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        annotation['bbox'] = [x / 1.6, y / 1.2, w / 1.6, h / 1.2]

    assert mended(content) == content


@pytest.mark.parametrize(
    ('written', 'number'),
    [
        ('3', 3), (' -3 ', -3), (3.0, 3), ('3.0', 3), ('9' * 19, None),
        ('9223372036854775807', 2**63 - 1), ('3.5', None), (3.5, None),
        ('1_0', None), ('²', None), ('', None), (True, None), (None, None),
        (float('nan'), None), (1e300, None),
    ],
)  # fmt: skip
def test_integer_that_an_id_stands_for(written, number):
    assert as_id(written) == number


def test_much_is_not_dropped_unless_the_user_wants_it():
    content = right()
    for annotation in content['annotations'][:5]:
        annotation['image_id'] = 99

    with pytest.raises(MendingError, match='5 annotations of unknown images'):
        mended(content)
    assert len(mended(content, drop_many=True)['annotations']) == 27
    content['annotations'][0]['image_id'] = 1
    assert len(mended(content)['annotations']) == 28
    large = right(num_boxes=13)
    for annotation in large['annotations'][:5]:
        annotation['image_id'] = 99
    assert len(mended(large)['annotations']) == 4 * 13 - 5


@pytest.mark.parametrize('size', [dict(width=120, height=160), {}])
def test_sizes_are_mended_before_the_boxes(tmp_path, size):
    folder = write_images(tmp_path, right())
    content = right()
    for image in content['images']:
        del image['width'], image['height']
        image |= size

    assert mended(content, folder=folder) == right()


def before_resizing() -> dict:
    """The right file, but images were twice as large when it was written."""
    content = right()
    for image in content['images']:
        image |= dict(width=2 * WIDTH, height=2 * HEIGHT)
    return content


@pytest.mark.slow
def test_boxes_of_resized_images_are_scaled_if_the_user_says_so(tmp_path):
    folder = write_images(tmp_path, right())
    content = before_resizing()
    for annotation in content['annotations']:
        annotation['bbox'] = [2 * v for v in annotation['bbox']]
        annotation['area'] *= 4
        annotation['segmentation'] = [[2, 2, 8, 2, 8, 8]]

    (line, *_) = map(str, find_problems([CocoFile.of('a', content)], [folder]))
    assert 'its boxes fit the size in the file: if the image was' in line
    assert mended(content, folder=folder) == content
    result = mended(content, folder=folder, are_resized=True)

    for annotation in result['annotations']:
        assert annotation.pop('segmentation') == [[1, 1, 4, 1, 4, 4]]
    assert result == right()


@pytest.mark.parametrize('layout', ['xyxy', 'cxcywh'])
def test_boxes_made_of_polygons_are_not_converted(layout):
    content = right()
    first, *_ = content['annotations']
    first['segmentation'] = [[1.0, 1, 4, 1, 4, 4]]
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        other = dict(
            xyxy=[x, y, x + w, y + h], cxcywh=[x + w / 2, y + h / 2, w, h]
        )
        annotation['bbox'] = other[layout]
    first['bbox'] = None

    result = mended(content, box_format=BoxFormat(layout))

    assert result['annotations'][0]['bbox'] == [1, 1, 3, 3]
    assert result['annotations'][1:] == right()['annotations'][1:]


def test_missing_box_of_a_resized_image_is_that_of_its_new_polygon(tmp_path):
    folder = write_images(tmp_path, right())
    content = before_resizing()
    for annotation in content['annotations']:
        annotation['bbox'] = [2 * v for v in annotation['bbox']]
    content['annotations'][0].update(
        bbox=None, segmentation=[[2.0, 2, 8, 2, 8, 8]]
    )

    result = mended(content, folder=folder, are_resized=True)

    assert result['annotations'][0]['bbox'] == [1, 1, 3, 3]
    assert result['annotations'][0]['segmentation'] == [[1, 1, 4, 1, 4, 4]]


def test_polygons_without_boxes_do_not_say_what_they_were_drawn_on(
    tmp_path, call_tool
):
    write_images(tmp_path / 'images', right())
    content = before_resizing()
    for annotation in content['annotations']:
        outline = [[2.0, 2, 8, 2, 8, 8]]
        annotation |= dict(bbox=[], area=18, segmentation=outline)
    (tmp_path / 'a.json').write_text(json.dumps(content))

    results = {}
    for unit in (None, 'resized', 'pixel'):
        options = ['--unit', unit] if unit else []
        done = call_tool(
            'check_coco', 'a.json', '--fix', f'{unit}.json', *options,
            '--images', 'images', cwd=tmp_path,
        )  # fmt: skip
        result = json.loads((tmp_path / f'{unit}.json').read_text())
        results[unit] = result['images'][0], result['annotations'][0]['bbox']
        if not unit:
            assert '--unit pixel writes the size of the image' in done.stdout

    image = right()['images'][0]
    assert results == {
        None: (content['images'][0], [2, 2, 6, 6]),
        'resized': (image, [1, 1, 3, 3]),
        'pixel': (image, [2, 2, 6, 6]),
    }


@pytest.mark.parametrize('outline', [[], [[]], None])
def test_objects_without_an_outline_say_nothing_of_the_size(tmp_path, outline):
    folder = write_images(tmp_path, right())
    content = before_resizing()
    for annotation in content['annotations']:
        annotation |= dict(bbox=[], segmentation=outline)

    result = mended(content, folder=folder)

    assert result['images'] == right()['images']


@pytest.mark.parametrize('layout', ['xywh', 'cxcywh'])
def test_tool_scales_boxes_of_resized_images(tmp_path, call_tool, layout):
    write_images(tmp_path / 'images', right())
    content = before_resizing()
    for annotation in content['annotations']:
        x, y, w, h = (2 * value for value in annotation['bbox'])
        centered = [x + w / 2, y + h / 2, w, h]
        annotation['bbox'] = centered if layout == 'cxcywh' else [x, y, w, h]
        annotation['area'] *= 4
    (tmp_path / 'a.json').write_text(json.dumps(content))

    # As the message about other boxes says.
    call_tool(
        'check_coco', 'a.json', '--fix', 'b.json', '--boxes', layout,
        cwd=tmp_path,
    )  # fmt: skip
    done = call_tool(
        'check_coco', 'b.json', '--fix', 'c.json', '--boxes', 'xywh',
        '--unit', 'resized', '--images', 'images', cwd=tmp_path,
    )  # fmt: skip

    assert '32 boxes scaled to their resized image' in done.stdout
    assert json.loads((tmp_path / 'c.json').read_text()) == right()


def test_masks_that_cannot_be_scaled_are_counted(tmp_path):
    folder = write_images(tmp_path, right())
    content = before_resizing()
    for annotation in content['annotations']:
        annotation['bbox'] = [2 * v for v in annotation['bbox']]
    polygon, broken = [2, 2, 8, 2, 8, 8], [2, 2, float('nan'), 2, 8, 8]
    rle = dict(size=[2 * HEIGHT, 2 * WIDTH], counts=[9, 4])
    outlines = [rle, rle, [polygon, broken], [polygon], [], None]
    for annotation, outline in zip(content['annotations'], outlines):
        annotation['segmentation'] = outline

    _, counts = mend_file(
        CocoFile.of('a.json', content),
        Choices(folder=folder, are_resized=True),
    )

    assert counts['masks dropped that have the size before the resizing'] == 2
    assert counts['polygons dropped that are no finite numbers'] == 1


@pytest.mark.parametrize(
    'outline',
    [
        [2, 2, 8, 2, 8, 8],
        [[2, 2], [8, 2], [8, 8]],
        [[[2, 2], [8, 2], [8, 8]]],
    ],
)
def test_polygons_of_any_nesting_are_scaled(tmp_path, outline):
    folder = write_images(tmp_path, right())
    content = before_resizing()
    for annotation in content['annotations']:
        annotation['bbox'] = [2 * v for v in annotation['bbox']]
    content['annotations'][0]['segmentation'] = outline

    result, counts = mend_file(
        CocoFile.of('a.json', content),
        Choices(folder=folder, are_resized=True),
    )

    first, *_ = result['annotations']
    assert first['segmentation'] == [[1, 1, 4, 1, 4, 4]]
    assert counts['polygons written as lists of numbers'] == 1
    assert counts['polygons dropped that are no finite numbers'] == 0


@pytest.mark.parametrize('missing', [None, [1]])
def test_image_without_an_id_scales_no_boxes(tmp_path, missing):
    """Annotations without an image are not its own."""
    folder = write_images(tmp_path, right())
    file = CocoFile.of('a.json', before_resizing())
    (places,) = FileImages.read([locate_images(file, folder)], {})
    content = before_resizing()
    content['images'][0]['id'] = missing
    content['annotations'][0]['image_id'] = None
    counts: Counter = Counter()

    result = write_sizes(
        CocoFile.of('a.json', content), places, {0: True}, counts
    )

    assert result['annotations'] == content['annotations']
    assert counts == {'sizes of images corrected': 1}


def test_boxes_of_turned_images_are_not_scaled(tmp_path):
    """Which way an image was turned is not known."""
    folder = write_images(tmp_path, right(), SIZE[::-1])
    content = right()

    assert mended(content, folder=folder, are_resized=True) == content


def test_sizes_are_those_of_the_images_if_the_boxes_are_in_their_pixels(
    tmp_path,
):
    folder = write_images(tmp_path, right())
    content = right()
    for image in content['images']:
        image |= dict(width=3 * WIDTH, height=3 * HEIGHT)

    # All boxes fit either size.
    assert mended(content, folder=folder) == content
    assert mended(content, folder=folder, box_format=BoxFormat()) == right()


def test_names_of_tools_become_those_of_the_folder(tmp_path):
    folder = write_images(tmp_path / 'images', right())
    content = right()
    names = [
        'images\\1.png',
        '/data/?d=x/2.png',
        str(folder / '3.png'),
        '4.PNG',
    ]
    for image, name in zip(content['images'], names):
        image['file_name'] = name
    places = CocoFile.of('a.json', content)

    lines = list(map(str, find_problems([places], [folder])))

    assert len(lines) == 4
    assert lines[0] == (
        "a.json: image 1: `file_name` 'images\\\\1.png' is not in "
        f"{folder}, but '1.png' is: write that name (--fix does)"
    )
    assert mended(content, folder=folder) == right()


def test_name_that_may_be_of_two_images_stays(tmp_path):
    write_images(tmp_path / 'a', right())
    write_images(tmp_path / 'b', right(num_images=2))
    content = right()
    for image in content['images'][:3]:
        image['file_name'] = f'x/{image["file_name"]}'
    content['images'][3]['file_name'] = 'y/3.png'

    lines = list(
        map(str, find_problems([CocoFile.of('a.json', content)], [tmp_path]))
    )

    assert lines == [
        f"a.json: image {i}: `file_name` 'x/{i}.png' is not in {tmp_path}, "
        f"and it may mean ['a/{i}.png', 'b/{i}.png']: write the one that it is"
        for i in (1, 2)
    ] + [
        f"a.json: image {i}: `file_name` '{x}/3.png' is not in {tmp_path}, "
        f"but 'a/3.png' is, which image {j} is too: put both images there, "
        'under names of their own'
        for i, j, x in ((3, 4, 'x'), (4, 3, 'y'))
    ]
    assert mended(content, folder=tmp_path) == content


def test_names_of_exports_become_those_of_the_folder(tmp_path):
    folder = write_images(tmp_path / 'images', right())
    content = right()
    names = ['1', 'x/2.jpg', '3_png.rf.0123456789abcdef.jpg', '4.png']
    for image, name in zip(content['images'], names, strict=True):
        image['file_name'] = name

    assert mended(content, folder=folder) == right()


def test_name_of_another_version_stays(tmp_path):
    """Its labels may be those of a flipped image."""
    content = right()
    folder = write_images(tmp_path, content)
    (folder / '1.png').rename(folder / '1_png.rf.aaaaaaaaaa.png')
    content['images'][0]['file_name'] = '1_png.rf.bbbbbbbbbb.png'

    (line,) = map(str, find_problems([CocoFile.of('a', content)], [folder]))

    assert line == (
        "a: image 1: `file_name` '1_png.rf.bbbbbbbbbb.png' is not in "
        f"{folder}, but '1_png.rf.aaaaaaaaaa.png' is, another version of this "
        'image from Roboflow: take the images of the same export: versions '
        'may be scaled, turned or cut'
    )
    assert mended(content, folder=folder) == content


@pytest.mark.parametrize('mark', [True, 1])
def test_what_is_marked_as_deleted_is_left_out(mark):
    content = right()
    for entry in (content['images'][1], content['annotations'][0]):
        entry['deleted'] = mark
    for entry in (content['images'][0], content['annotations'][-1]):
        entry['deleted'] = False
    expected = [
        a['id']
        for a in content['annotations'][1:]
        if a['image_id'] != content['images'][1]['id']
    ]

    problems = list(check_file(CocoFile.of('a.json', content)))
    result = mended(content)

    assert [p.where for p in problems] == ['image 2', 'annotation 1']
    assert all(p.is_fixable for p in problems)
    assert [i['id'] for i in result['images']] == [1, 3, 4]
    assert [a['id'] for a in result['annotations']] == expected


@pytest.mark.parametrize(
    ('degrees', 'box'),
    [
        (90, [15.0, 5.0, 10.0, 20.0]),
        (-450.0, [15.0, 5.0, 10.0, 20.0]),
        (45, [20 - 10.61, 15 - 10.61, 21.21, 21.21]),
        (180, None),
        (0.0, None),
    ],
)
def test_rotated_box_becomes_the_upright_one_around_it(degrees, box):
    content = right()
    one = content['annotations'][0]
    one |= dict(bbox=[10, 10, 20, 10], area=200)
    one['attributes'] = dict(occluded=False, rotation=degrees)
    content['annotations'][1]['attributes'] = dict(rotation='x')
    content['annotations'][2]['attributes'] = 'none'

    problems = list(check_file(CocoFile.of('a.json', content)))
    result = mended(content)

    if box is None:
        assert not problems and result == content
        return
    (problem,) = problems
    assert f'turned by {degrees:g} degrees' in str(problem)
    new = result['annotations'][0]
    assert new['bbox'] == pytest.approx(box, abs=0.01)
    assert (new['area'], new['attributes']['rotation']) == (200, 0)
    assert list(check_file(CocoFile.of('a.json', result))) == []


def test_unreadable_images_are_dropped_on_demand(tmp_path):
    content = right(num_images=11, num_boxes=2)
    folder = write_images(tmp_path, content)
    (folder / '3.png').unlink()
    (folder / '4.png').write_bytes(b'x')

    assert mended(content, folder=folder) == content
    result = mended(content, folder=folder, drop_unreadable=True)

    assert {i['id'] for i in result['images']} == {*range(1, 12)} - {3, 4}
    assert {a['image_id'] for a in result['annotations']} == {
        i['id'] for i in result['images']
    }
    for number in range(5, 8):
        (folder / f'{number}.png').unlink()
    with pytest.raises(MendingError, match='5 of 11 images: is .* their fold'):
        mended(content, folder=folder, drop_unreadable=True)


def test_images_of_another_file_are_dropped_on_demand(tmp_path):
    content = right()
    folder = write_images(tmp_path / 'images', content)
    other = dict(images=[dict(id=1, file_name='copy.png')])
    (tmp_path / 'val').mkdir()
    (tmp_path / 'val/copy.png').write_bytes((folder / '2.png').read_bytes())
    places = locate_images(CocoFile.of('val.json', other), tmp_path / 'val')

    result = mended(content, folder=folder, apart_from=[places])

    assert [i['id'] for i in result['images']] == [1, 3, 4]
    assert {a['image_id'] for a in result['annotations']} == {1, 3, 4}


def like(categories: list) -> CocoFile:
    return CocoFile.of('train.json', dict(categories=categories))


def test_categories_are_taken_from_another_file():
    categories = [
        dict(id=0, name='green'), dict(id=7, name='blue'),
        dict(id=3, name='red'),
    ]  # fmt: skip
    names = {c['id']: c['name'] for c in categories}
    expected = {c['id']: c['name'] for c in CATEGORIES}

    result = mended(right(), like=like(categories))

    assert result['categories'] == categories
    for one, other in zip(result['annotations'], right()['annotations']):
        assert names[one['category_id']] == expected[other['category_id']]


def test_object_of_no_category_does_not_become_one_of_the_other_file():
    content, categories = right(), [*CATEGORIES, dict(id=99, name='dog')]
    content['annotations'][0]['category_id'] = 99

    result, counts = mend_file(
        CocoFile.of('a.json', content), Choices(like=like(categories))
    )

    assert result['annotations'] == right()['annotations'][1:]
    assert result['categories'] == categories
    assert counts['annotations of unknown categories dropped'] == 1


def test_objects_of_categories_that_the_other_file_lacks_are_not_lost():
    wanted = like(CATEGORIES[:1])

    with pytest.raises(MendingError, match="16 objects .*'green': 16.*--drop"):
        mended(right(), like=wanted)
    result = mended(right(), like=wanted, drop_others=True)

    assert result['categories'] == CATEGORIES[:1]
    assert len(result['annotations']) == 16


@pytest.mark.parametrize(
    'categories', [[], [dict(id=1)], [dict(id=1, name='a')] * 2]
)
def test_broken_categories_are_not_taken(categories):
    with pytest.raises(MendingError, match='train.json must each have an id'):
        mended(right(), like=like(categories))


def test_crowds_become_objects_on_demand():
    content = changed(
        lambda name, e: dict(e, iscrowd=1) if name == 'annotations' else e
    )

    (line,) = map(str, check_file(CocoFile.of('a.json', content)))
    assert 'none of 32 annotations is an object: 32 have iscrowd 1' in line
    assert mended(content) == content
    assert mended(content, no_crowds=True) == right()


def test_rest_of_a_partly_checked_image_is_never_an_object():
    content = right()
    content['annotations'][0]['iscrowd'] = 1
    content['annotations'].append(
        dict(
            id=99, image_id=1, category_id=CATEGORIES[0]['id'],
            bbox=[0.0, 0.0, WIDTH, HEIGHT], area=WIDTH * HEIGHT, iscrowd=1,
        )
        | {UNCHECKED: 1}
    )  # fmt: skip

    result, counts = mend_file(
        CocoFile.of('a.json', content), Choices(no_crowds=True)
    )

    assert counts == {'regions made objects': 1}
    assert result['annotations'] == [
        *right()['annotations'], content['annotations'][-1],
    ]  # fmt: skip


TOOL_CASES = [
    (['--fix', 'out.json'], 0, ['4 file names corrected']),
    ([], 1, ['(--fix does)']),
    (['--drop-others'], 2, ['--drop-others needs --fix OUT']),
    (['--fix', 'o.json', '--drop-others'], 2, ['needs --like FILE']),
    (['--boxes', 'xyxy'], 2, ['--boxes needs --fix OUT']),
    (['--unit', 'percent'], 2, ['--unit needs --fix OUT']),
    (
        ['--fix', 'out.json', '--unit', 'resized', '--boxes', 'xyxy'],
        2,
        ['--unit resized scales boxes [x, y, w, h], got --boxes xyxy: '],
    ),
    (
        ['--fix', 'out.json', '--like', 'none.json'],
        1,
        ['a.json: not mended: none.json: No such file'],
    ),
    (
        ['--fix', 'out.json', '--boxes', 'cxcywh', '--like', 'b.json'],
        0,
        ['2 categories taken from b.json', '32 boxes converted from [center'],
    ),
    (['--fix', 'out.json', '--apart-from', 'b.json'], 1, ['4 images dropped']),
]


@pytest.mark.parametrize(('arguments', 'code', 'texts'), TOOL_CASES)
def test_tool_takes_the_decisions_of_the_user(
    tmp_path, call_tool, arguments, code, texts
):
    write_images(tmp_path / 'images', right())
    content = (
        numbers_of(BoxFormat('cxcywh')) if 'cxcywh' in arguments else right()
    )
    for image in content['images']:
        image['file_name'] = 'images/' + image['file_name']
    (tmp_path / 'a.json').write_text(json.dumps(content), 'utf-16')
    other = dict(right(), categories=CATEGORIES[::-1])
    (tmp_path / 'b.json').write_text(json.dumps(other))
    if '--fix' not in arguments:
        (tmp_path / 'a.json').write_text(json.dumps(content))

    done = call_tool(
        'check_coco', 'a.json', '--images', 'images', *arguments, cwd=tmp_path
    )

    assert done.returncode == code, done.stdout
    for text in texts:
        assert text in done.stdout + done.stderr
    assert (tmp_path / 'out.json').exists() == (
        '--fix' in arguments and 'none.json' not in arguments and code != 2
    )


def test_file_that_was_not_mended_is_no_success(tmp_path, call_tool):
    """The wish is not fulfilled, though nothing is wrong with the file."""
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(right()))

    done = call_tool(
        'check_coco', 'a.json', '--fix', 'out.json', '--like', 'none.json',
        cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stdout.startswith('a.json: ')
    assert 'nothing wrong' in done.stdout
    assert done.stderr.startswith('error: a.json: not mended: none.json: No')
    assert not (tmp_path / 'out.json').exists()


@pytest.mark.parametrize('size', [100, 100.5])
@pytest.mark.parametrize(
    ('start', 'length', 'expected'),
    [
        (5, 20, (5, 20)),
        (0, 100, (0, 100)),
        (-5, 20, (0, 15)),
        (-0.25, 20, (0, 19.75)),
        (90, 30, (90, None)),
        (-5, 200, (0, None)),
    ],
)
def test_side_is_clipped_at_both_ends(start, length, size, expected):
    left, kept = clip_side(start, length, size)

    assert left == expected[0]
    assert kept == (expected[1] or size - left)


def test_mending_that_changes_nothing_is_not_repeated(monkeypatch):
    mending = Mending('boxes copied', lambda annotation, _: dict(annotation))
    monkeypatch.setitem(MENDINGS, 'bbox outside', mending)
    content = right()
    content['annotations'][3]['bbox'] = [-5, 10, 40, 40]

    result, counts = mend_annotations(CocoFile.of('a.json', content))

    assert result == content
    assert counts == {'boxes copied': 1}
