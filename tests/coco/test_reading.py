"""COCO files: reading, checks, writing."""

import json

import numpy as np
import pytest
from builders import CATEGORIES

from projects.data_distillation.coco.boxes import xyxy_to_xywh
from projects.data_distillation.coco.reading import (
    CocoError,
    check_classes,
    check_disjoint,
    check_file_names,
    count_instances,
    image_paths,
    name_error,
    origin_of,
    read_coco,
)
from projects.data_distillation.files.atomic import write_json


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('{"images": [', 'bad.json is not valid JSON'),
        ('[]', 'bad.json must hold a COCO object, got a list'),
        ('{}', 'bad.json: `images` is missing'),
        ('{"images": []}', 'bad.json: `images` is empty'),
        ('{"images": {}}', 'bad.json: `images` is empty'),
        ('\xff', 'not valid JSON'),
        ('[' * 100_000, 'bad.json is nested too deeply'),
    ],
)
def test_bad_file_is_refused(tmp_path, text, match):
    file = tmp_path / 'bad.json'
    file.write_text(text, encoding='latin-1')

    with pytest.raises(CocoError, match=match):
        read_coco(file, 'images')


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='not found: .*absent.json'):
        read_coco(tmp_path / 'absent.json')


@pytest.mark.parametrize(
    ('classes', 'match'),
    [
        (['red'], r"in the file only: \['green'\]"),
        (['red', 'green', 'blue'], r"classes not in the file: \['blue'\]"),
        (['green', 'red'], r"order differs, the file has \['red', 'green'\]"),
    ],
)
def test_classes_that_are_not_the_categories_are_refused(classes, match):
    with pytest.raises(CocoError, match=match):
        check_classes(classes, CATEGORIES, 'some.json')


def test_classes_in_the_order_of_the_file_pass():
    check_classes(('red', 'green'), CATEGORIES, 'some.json')


def test_instances_are_counted_by_category_without_crowds():
    annotations = [
        dict(category_id=3),
        dict(category_id=3, iscrowd=0),
        dict(category_id=7, iscrowd=1),
    ]

    assert count_instances(annotations, CATEGORIES).tolist() == [0, 2]


def test_two_categories_of_one_id_are_refused(tmp_path):
    ids = (7, 3, 7, 9, 9)
    file = tmp_path / 'a.json'
    file.write_text(
        json.dumps(dict(categories=[dict(id=i, name=f'{i}') for i in ids]))
    )

    read_coco(file)
    with pytest.raises(CocoError, match=r'a.json: `id` .* does \[7, 9\]'):
        read_coco(file, 'categories')


def test_annotation_of_an_unknown_category_is_refused(tmp_path):
    file = tmp_path / 'a.json'
    coco = coco_of(2)
    for entry in coco['annotations'][:3]:
        entry['category_id'] = 9
    write_json(file, coco)

    read_coco(file, 'annotations')
    read_coco(file, 'categories')
    with pytest.raises(CocoError, match=r'a.json: 3 annotations .*: \[9\]'):
        read_coco(file, 'annotations', 'categories')


@pytest.mark.parametrize(
    ('name', 'entry', 'match'),
    [
        ('images', 5, r'images\[2\] must be an object, got 5'),
        ('images', dict(file_name='a'), r'`id` of images\[2\] .* got None'),
        ('images', dict(id=True, file_name='a'), 'integer .* got True'),
        ('images', dict(id=1, file_name='a\0'), 'of images.* a null byte'),
        ('annotations', None, r'annotations\[4\] must be an object'),
        ('annotations', dict(category_id=3), '`image_id` of annotations'),
        (
            'annotations',
            dict(image_id=0, category_id=[3]),
            '`category_id` of annotations',
        ),
        ('categories', dict(id=1), '`name` of categories'),
        ('categories', dict(id={}, name='a'), '`id` of categories'),
    ],
)
def test_broken_entry_is_refused(tmp_path, name, entry, match):
    file = tmp_path / 'a.json'
    coco = coco_of(2)
    coco[name] = [*coco[name], entry]
    write_json(file, coco)

    assert read_coco(file) == coco
    with pytest.raises(CocoError, match=f'a.json: .*{match}'):
        read_coco(file, 'images', 'annotations', 'categories')


@pytest.mark.parametrize(
    'content',
    [
        dict(),
        dict(info=None),
        dict(info=[1]),
        dict(info=dict(data_distillation='x')),
        dict(info=dict(data_distillation=[1])),
    ],
)
def test_file_of_another_writer_has_no_origin(content):
    assert origin_of(content) == {}


def test_boxes_are_clipped_to_their_own_image():
    bboxes_xyxy = np.array([[-5, 2.004, 50, 90], [1, 2, 3.336, 4]])
    sizes_wh = np.array([[40, 80], [100, 100]])

    found = xyxy_to_xywh(bboxes_xyxy.astype(np.float32), sizes_wh)

    assert found.tolist() == [[0, 2, 40, 78], [1, 2, 2.34, 2]]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    file = tmp_path / 'a' / 'b.json'
    write_json(file, dict(a=1))
    with pytest.raises(TypeError):
        write_json(file, dict(a=object()))

    assert json.loads(file.read_text()) == dict(a=1)


def coco_of(num_images: int) -> dict:
    return dict(
        images=[
            dict(id=5 * i, file_name=f'{i}.jpg') for i in range(num_images)
        ],
        annotations=[
            dict(id=n, image_id=5 * (n // 2), category_id=(7, 3)[n % 2])
            for n in range(2 * num_images)
        ],
        categories=CATEGORIES,
        info=dict(a=1),
    )


# Absolute ones, those that lead up, and the same on another system.
NAMES_OUTSIDE = [
    '/data/1.jpg', '//1.jpg', '..', '../1.jpg', 'a/../../1.jpg', './../1.jpg',
    'C:\\data\\1.jpg', 'c:1.jpg', 'C:/1.jpg', '\\1.jpg', '\\\\host\\1.jpg',
    '..\\1.jpg', 'a\\..\\..\\1.jpg', 'a/..\\../1.jpg',
]  # fmt: skip


@pytest.mark.parametrize('name', NAMES_OUTSIDE)
def test_name_that_leads_out_of_the_folder_is_found(name):
    assert name_error(name) == 'leads outside the folder of the images'


def test_name_that_no_file_may_have_is_found():
    assert name_error('a\0.jpg') == 'holds a null byte'
    for surrogate in ('\ud800', '\udcff', '\udfff'):
        assert name_error(f'{surrogate}.jpg') == 'is not valid Unicode'


@pytest.mark.parametrize(
    'name',
    ['1.jpg', 'a/1.jpg', 'a/../1.jpg', './1.jpg', '..1.jpg', '.../1.jpg',
     'a..', 'a\\1.jpg', '12:30.jpg', 'ab:1.jpg', ' /1.jpg', 'ü\n🐱.jpg'],
)  # fmt: skip
def test_name_inside_of_the_folder_is_fine(name):
    assert name_error(name) == ''


@pytest.mark.parametrize(
    ('image', 'match'),
    [
        (dict(file_name='../1.jpg'), "'../1.jpg' of images.1. leads outside"),
        (dict(file_name='\ud800'), r"'\\ud800' of images.1. is not valid"),
    ],
)
def test_bad_name_is_refused_with_its_entry(image, match):
    with pytest.raises(CocoError, match=f'a.json: `file_name` {match}'):
        check_file_names([dict(file_name='1.jpg'), image], 'a.json')


def test_other_set_with_a_name_outside_is_refused(tmp_path):
    file = tmp_path / 'known.json'
    image = dict(id=1, file_name='../a.jpg')
    file.write_text(json.dumps(dict(images=[image])))

    with pytest.raises(CocoError, match='known.json.*leads outside'):
        read_coco(file, 'images')


def test_same_names_in_different_folders_are_different_images(tmp_path):
    file = tmp_path / 'known.json'
    file.write_text(json.dumps(dict(images=[dict(id=1, file_name='a.jpg')])))
    known = dict(ann_file=file, img_prefix=tmp_path / 'one')

    names = ['a.jpg']
    check_disjoint(image_paths(names, tmp_path / 'two'), names, known)
    same = image_paths(['../one/a.jpg'], tmp_path / 'two')
    with pytest.raises(CocoError, match='1 of 1 unlabeled'):
        check_disjoint(same, names, known)
