"""Reading COCO files for a purpose."""

import json
import os

import numpy as np
import pytest
from builders import CATEGORIES
from pycocotools.coco import COCO

from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.label_files.coco.box_formats import (
    xyxy_to_xywh,
)
from projects.data_distillation.label_files.coco.contents import (
    check_classes,
    check_disjoint,
    count_instances,
    resolve_paths,
)
from projects.data_distillation.label_files.coco.problems import Problem
from projects.data_distillation.label_files.coco.reading import (
    CocoError,
    find_origin,
    read_boxes,
    read_coco,
    read_convertible,
    read_labeled,
    read_splittable,
    read_trainable,
    read_truth,
    read_unlabeled,
)
from projects.data_distillation.label_files.coco.schema import find_name_error
from projects.data_distillation.label_files.coco.tables import (
    read_file,
    read_file_to_mend,
)


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('{"images": [', 'bad.json: is not valid JSON in UTF-8'),
        ('[]', 'bad.json: must hold a COCO object, got a list'),
        ('{}', 'bad.json: `images` is missing'),
        ('{"images": []}', 'bad.json: `images` is empty'),
        ('{"images": {}}', 'bad.json: `images` is not a list'),
        ('{"images": null}', 'bad.json: `images` is missing'),
        pytest.param(
            '[' * 100_000, 'bad.json: is nested too deeply', id='too deep'
        ),
    ],
)
def test_bad_file_is_refused(tmp_path, text, match):
    file = tmp_path / 'bad.json'
    file.write_text(text, encoding='latin-1')

    with pytest.raises(CocoError, match=match):
        read_coco(file, 'images')


@pytest.mark.parametrize('read', [read_boxes, read_truth])
@pytest.mark.parametrize('key', ['bbox', 'image_id', 'category_id'])
def test_objects_to_compare_are_whole(tmp_path, drawn, read, key):
    del drawn.labeled['annotations'][1][key]
    file = drawn.write('truth.json', drawn.labeled)

    with pytest.raises(CocoError, match=f'truth.json.*`{key}` is missing'):
        read(file)


@pytest.mark.parametrize('read', [read_boxes, read_truth, read_unlabeled])
@pytest.mark.parametrize('value', [None, {}, 'x'])
def test_objects_are_a_list(drawn, read, value):
    file = drawn.write('a.json', dict(drawn.truth, annotations=value))

    with pytest.raises(CocoError, match='`annotations` is (missing|not)'):
        read(file)


def test_unlabeled_images_need_no_annotations_but_no_broken_ones(drawn):
    images = dict(images=drawn.truth['images'])
    assert read_unlabeled(drawn.write('a.json', images)) == images

    broken = dict(images, annotations=[dict(category_id=3)])
    with pytest.raises(CocoError, match='`image_id` is missing'):
        read_unlabeled(drawn.write('b.json', broken))


def test_truth_has_finite_boxes(drawn):
    drawn.labeled['annotations'][1]['bbox'][2] = float('nan')
    file = drawn.write('truth.json', drawn.labeled)

    with pytest.raises(CocoError, match='truth.json.*nan'):
        read_truth(file)


def test_truth_has_an_object(drawn):
    file = drawn.write('t.json', dict(drawn.labeled, annotations=[]))

    assert read_boxes(file)['annotations'] == []
    with pytest.raises(CocoError, match='`annotations` is empty'):
        read_truth(file)


IMAGES = dict(images=[dict(id=1, file_name='ü.jpg')])


@pytest.mark.parametrize(
    'encoding', ['utf-8-sig', 'utf-16', 'utf-32-be', 'latin-1']
)
def test_only_utf8_is_read_as_by_pycocotools(tmp_path, encoding):
    file = tmp_path / 'a.json'
    text = json.dumps(IMAGES, ensure_ascii=False)

    file.write_text(text, 'utf-8')
    assert read_coco(file, 'images') == COCO(file).dataset == IMAGES
    file.write_text(text, encoding)
    with pytest.raises(ValueError, match='codec|BOM'):
        COCO(file)
    with pytest.raises(CocoError, match='is not valid JSON in UTF-8') as error:
        read_coco(file, 'images')
    assert read_file(file).explain() == str(error.value)
    assert '--fix solves this one' in str(error.value)
    mended = read_file_to_mend(file, '')
    assert mended.content == IMAGES


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
    classes = ('red', 'green')

    assert check_classes(classes, CATEGORIES, 'some.json') is None


def test_instances_are_counted_by_category_without_crowds():
    annotations = [
        dict(category_id=3),
        dict(category_id=3, iscrowd=0),
        dict(category_id=7, iscrowd=1),
        # CocoDataset drops it.
        dict(category_id=7, iscrowd=0, ignore=1),
        dict(category_id=3, ignore=0),
    ]

    assert count_instances(annotations, CATEGORIES).tolist() == [0, 3]


def test_two_categories_of_one_id_are_refused(tmp_path):
    ids = (7, 3, 7, 9, 9)
    file = tmp_path / 'a.json'
    file.write_text(
        json.dumps(dict(categories=[dict(id=i, name=f'{i}') for i in ids]))
    )

    read_coco(file)
    match = r'category 7: categories\[0\] and .*\[2\] are the same'
    with pytest.raises(CocoError, match=f'a.json: {match}'):
        read_coco(file, 'categories')


def test_two_images_of_one_id_are_refused(tmp_path):
    file = tmp_path / 'a.json'
    coco = coco_of(3)
    coco['images'][2]['id'] = 0
    write_json(file, coco)

    read_coco(file, 'annotations')
    match = r'image 0: images\[0\] and .*\[2\] have the same id'
    with pytest.raises(CocoError, match=f'a.json: {match}'):
        read_coco(file, 'images')


def test_annotation_of_an_unknown_category_is_refused(tmp_path):
    file = tmp_path / 'a.json'
    coco = coco_of(2)
    coco['annotations'][1]['category_id'] = 9
    write_json(file, coco)

    read_coco(file, 'annotations')
    read_coco(file, 'categories')
    with pytest.raises(CocoError, match='annotation 1: category_id 9 is not'):
        read_coco(file, 'annotations', 'categories')


@pytest.mark.parametrize(
    ('name', 'entry', 'match'),
    [
        ('images', 5, r'images\[2\]: must be an object, got 5'),
        (
            'images',
            dict(file_name='a'),
            r'images\[2\]: `id` is missing',
        ),
        ('images', dict(id=True, file_name='a'), 'integer .* got True'),
        ('images', dict(id=1, file_name='a\0'), 'image 1: .* a null byte'),
        ('annotations', None, r'annotations\[4\]: must be an object'),
        (
            'annotations',
            dict(category_id=3),
            r'\[4\]: `image_id` is missing',
        ),
        (
            'annotations',
            dict(image_id=0, category_id=[3]),
            r'`category_id` must be an integer .*, got \[3\]',
        ),
        ('categories', dict(id=1), 'category 1: `name` is missing'),
        ('categories', dict(id={}, name='a'), '`id` must be an integer'),
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
    assert find_origin(content) == {}


def test_boxes_are_clipped_to_their_own_image():
    bboxes_xyxy = np.array([[-5, 2.004, 50, 90], [1, 2, 3.336, 4]])
    sizes_wh = np.array([[40, 80], [100, 100]])

    found = xyxy_to_xywh(bboxes_xyxy.astype(np.float32), sizes_wh)

    assert found.tolist() == [[0, 2, 40, 78], [1, 2, 2.34, 2]]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    file = tmp_path / 'a' / 'b.json'
    write_json(file, dict(a=1))
    with pytest.raises(TypeError, match='not JSON serializable'):
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
    assert find_name_error(name) == 'leads outside the folder of the images'


def test_name_that_no_file_may_have_is_found():
    assert find_name_error('a\0.jpg') == 'holds a null byte'
    for surrogate in ('\ud800', '\udcff', '\udfff'):
        assert find_name_error(f'{surrogate}.jpg') == 'is not valid Unicode'


@pytest.mark.parametrize(
    'name',
    ['1.jpg', 'a/1.jpg', 'a/../1.jpg', './1.jpg', '..1.jpg', '.../1.jpg',
     'a..', 'a\\1.jpg', '12:30.jpg', 'ab:1.jpg', ' /1.jpg', 'ü\n🐱.jpg'],
)  # fmt: skip
def test_name_inside_of_the_folder_is_fine(name):
    assert find_name_error(name) == ''


def test_refusal_names_the_tool_that_lists_more(tmp_path):
    file = tmp_path / 'a.json'
    image = dict(id=3, file_name='../1.jpg')
    write_json(file, dict(images=[image, image], annotations=[]))

    with pytest.raises(CocoError, match='leads outside') as error:
        read_coco(file, 'images')
    assert str(error.value) == (
        f"{file}: image 3: `file_name` '../1.jpg' leads outside the folder of "
        'the images: make it a valid name, relative to the image folder. '
        'tools/check_coco.py lists all problems'
    )
    with pytest.raises(CocoError, match='is empty') as error:
        read_coco(file, 'annotations')
    assert str(error.value) == (
        f'{file}: `annotations` is empty: images without labels are for '
        'UnlabeledDataset'
    )


def test_refusal_names_the_option_that_solves_the_problem(tmp_path):
    file = tmp_path / 'a.json'
    coco = coco_of(2)
    coco['annotations'][2]['category_id'] = 9
    write_json(file, coco)

    with pytest.raises(CocoError, match='is not in `categories`') as error:
        read_coco(file, 'annotations', 'categories')
    assert str(error.value) == (
        f'{file}: annotation 2: category_id 9 is not in `categories`: add the '
        'category, or remove the annotation. tools/check_coco.py lists all '
        'problems, and its option --fix solves this one'
    )


def trainable() -> dict:
    coco = coco_of(2)
    for image in coco['images']:
        image.update(width=9, height=9)
    for annotation in coco['annotations']:
        annotation.update(bbox=[1, 1, 5, 5], area=25)
    return coco


# What is wrong, and the purposes that a file is useless for.
FATAL = [
    (dict(), ''),
    (dict(annotations=None), 'coco train split'),
    (dict(annotations=dict(id={})), 'train'),
    (dict(annotations=dict(id=1)), 'train'),
    (dict(annotations=dict(image_id='0')), 'coco train convert'),
    (dict(annotations=dict(image_id=77)), ''),
    (dict(annotations=dict(category_id=9)), 'coco convert split'),
    (dict(annotations=dict(bbox=[1, 2, 3])), 'train convert'),
    (dict(annotations=dict(bbox=[1, 2, float('nan'), 4])), 'train'),
    (dict(annotations=dict(bbox=[1, 1, 500, 500])), ''),
    (dict(annotations=dict(bbox=[1, 1, 0, 5])), ''),
    (dict(annotations=dict(area='9')), 'train'),
    (dict(annotations=dict(area=None)), 'train'),
    (dict(annotations=dict(iscrowd=2)), ''),
    (dict(images=None), 'coco train convert split'),
    (dict(images=dict(width=0)), 'train convert'),
    (dict(images=dict(id='0')), 'coco train convert'),
    (dict(images=dict(id=5)), 'coco train convert split'),
    (dict(images=dict(file_name='1.jpg')), ''),
    (dict(images=dict(file_name='../1.jpg')), 'coco train convert split'),
    (dict(categories=dict(id=3)), 'coco train convert'),
    (dict(categories=dict(name=None)), 'coco train convert split'),
    (dict(categories=dict(name='green')), ''),
]
READERS = dict(
    coco=lambda file: read_coco(file, 'images', 'annotations', 'categories'),
    train=read_trainable,
    convert=read_convertible,
    split=read_splittable,
)


@pytest.mark.parametrize(('changes', 'purposes'), FATAL)
def test_purpose_decides_what_is_fatal(tmp_path, changes, purposes):
    file = tmp_path / 'a.json'
    coco = trainable()
    for name, change in changes.items():
        if change is None:
            del coco[name]
        else:
            coco[name] = [dict(coco[name][0], **change), *coco[name][1:]]
    if changes == dict(categories=dict(id=3)):
        coco['annotations'] = coco['annotations'][1::2]
    write_json(file, coco)

    refused = []
    for purpose, read in READERS.items():
        try:
            assert repr(read(file)) == repr(coco)
        except CocoError:
            refused.append(purpose)
    assert ' '.join(refused) == purposes


@pytest.mark.parametrize('read', [read_trainable, read_convertible])
def test_lists_without_an_entry_are_enough(tmp_path, read):
    file = tmp_path / 'a.json'
    write_json(file, dict(trainable(), annotations=[]))
    assert read(file)['annotations'] == []

    write_json(file, dict(trainable(), annotations={}))
    with pytest.raises(CocoError, match='`annotations` is not a list'):
        read(file)


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
    check_disjoint(resolve_paths(names, tmp_path / 'two'), names, known)
    same = resolve_paths(['../one/a.jpg'], tmp_path / 'two')
    with pytest.raises(CocoError, match='1 of 1 unlabeled'):
        check_disjoint(same, names, known)


def test_paths_are_real_whatever_is_a_link(tmp_path):
    real = tmp_path / 'real'
    (real / 'sub').mkdir(parents=True)
    (real / 'a.jpg').touch()
    (tmp_path / 'pile').symlink_to(real)
    (real / 'to_sub').symlink_to('sub')
    (real / 'b.jpg').symlink_to('a.jpg')
    names = ['a.jpg', 'b.jpg', 'to_sub/c.jpg', 'to_sub/../d.jpg', 'sub/..']
    names += ['missing/e.jpg', './sub/f.jpg', 'to_sub/.']

    paths = resolve_paths(names, tmp_path / 'pile')

    expected = [os.path.realpath(tmp_path / 'pile' / name) for name in names]
    assert list(paths) == list(dict.fromkeys(expected))
    assert paths[str(real / 'a.jpg')] == 'b.jpg'


def test_labeled_image_under_another_name_is_found(tmp_path):
    (tmp_path / 'labeled').mkdir()
    (tmp_path / 'pile').mkdir()
    (tmp_path / 'labeled/a.jpg').write_bytes(b'pixels')
    (tmp_path / 'pile/renamed.jpg').write_bytes(b'pixels')
    (tmp_path / 'pile/a.jpg').write_bytes(b'others')
    unlabeled = resolve_paths(['a.jpg', 'renamed.jpg'], tmp_path / 'pile')
    known = dict(ann_file='labeled.json', img_prefix=tmp_path / 'labeled')

    with pytest.raises(CocoError, match='1 of 2 .*labeled.json too: renamed'):
        check_disjoint(unlabeled, ['a.jpg'], known)


def test_labeled_file_has_images_or_categories_alone(tmp_path):
    file = tmp_path / 'labeled.json'
    file.write_text(json.dumps(dict(categories=CATEGORIES)))
    assert read_labeled(file) == dict(
        images=[], annotations=[], categories=CATEGORIES
    )
    image = dict(id=1, file_name='a.png', width=9, height=9)
    for content in (
        dict(images=[image]),
        dict(images=[], annotations=[]),
        dict(images=[image], annotations=[]),
        dict(annotations=[]),
    ):
        file.write_text(json.dumps(dict(content, categories=CATEGORIES)))
        with pytest.raises(CocoError, match='labeled.json'):
            read_labeled(file)


def test_path_with_a_nul_character_is_a_problem():
    problem = read_file('a\0b.json')

    assert isinstance(problem, Problem)
    assert (problem.what, problem.advice) == (
        'embedded null byte',
        'correct the path',
    )
