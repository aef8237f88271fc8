"""Categories and classes as tools write them, and what --fix makes of them."""

import copy
import json

import pytest

from projects.data_distillation.label_files.coco.checks import check_file
from projects.data_distillation.label_files.coco.reading import (
    CocoError,
    read_coco,
    read_splittable,
    read_trainable,
)
from projects.data_distillation.label_files.coco.tables import (
    CocoFile,
    read_file,
)
from projects.data_distillation.label_files.mending.mend import mend_file

CLASSES = ['cell', 'cat', 'car']


def make(categories: object, refer, key: str = 'category_id') -> dict:
    """Make a file with an object of each class, but for the first one."""
    content: dict = dict(images=[], annotations=[], categories=categories)
    for number, name in enumerate(CLASSES[1:], 1):
        content['images'].append(
            dict(id=number, file_name=f'{number}.png', width=90, height=80)
        )
        content['annotations'].append(
            dict(
                id=number,
                image_id=number,
                bbox=[1.0, 2.0, 30.0, 40.0],
                area=1200.0,
                iscrowd=0,
                **{key: refer(name)},
            )
        )
    return content


def from_0(name: str) -> int:
    return CLASSES.index(name)


def from_1(name: str) -> int:
    return CLASSES.index(name) + 1


def problems(content: dict) -> list:
    return list(check_file(CocoFile.of('a.json', content)))


def mended(content: dict) -> dict:
    before = copy.deepcopy(content)
    result, counts = mend_file(CocoFile.of('a.json', content))
    assert content == before
    assert counts.total()
    return result


def names_of(content: dict) -> list[str]:
    names = {c['id']: c['name'] for c in content['categories']}
    return [names[a['category_id']] for a in content['annotations']]


OTHER_CATEGORIES = dict(
    texts=CLASSES,
    without_ids=[dict(name=n, supercategory='x') for n in CLASSES],
    names_by_id={str(i): n for i, n in enumerate(CLASSES, 1)},
    ids_by_name={n: i for i, n in enumerate(CLASSES, 1)},
    objects_by_id={
        str(i): dict(id=i, name=n) for i, n in enumerate(CLASSES, 1)
    },
    objects_by_name={n: dict(supercategory='x') for n in CLASSES},
    named_objects_by_name={n: dict(name=n) for n in CLASSES},
)


@pytest.mark.parametrize('kind', OTHER_CATEGORIES)
@pytest.mark.parametrize(
    ('refer', 'key'),
    [
        (from_1, 'category_id'),
        (lambda name: str(from_1(name)), 'category_id'),
        (str, 'category_id'),
        (str.upper, 'category_id'),
        (str, 'category_name'),
        (str, 'label'),
    ],
)
def test_categories_become_objects_with_ids(kind, refer, key):
    content = make(OTHER_CATEGORIES[kind], refer, key)

    found = problems(content)
    result = mended(content)

    assert found[0].kind == 'categories'
    assert all(problem.is_fixable for problem in found)
    assert [c['name'] for c in result['categories']] == CLASSES
    assert [c['id'] for c in result['categories']] == [1, 2, 3]
    if isinstance(content['categories'], list) and kind != 'texts':
        assert result['categories'][0]['supercategory'] == 'x'
    assert names_of(result) == CLASSES[1:]
    assert problems(result) == []


def test_ids_count_from_where_the_annotations_do():
    """Only 0 and 1 are used of three: then the first id is 0."""
    content = make(CLASSES, from_0)
    content['annotations'][0]['category_id'] = 0

    result = mended(content)

    assert [c['id'] for c in result['categories']] == [0, 1, 2]
    assert names_of(result) == ['cell', 'car']


@pytest.mark.parametrize('ids', [[1, 2], [0, 3], [1, 9]])
def test_ids_that_may_count_from_0_or_from_1_are_asked_about(ids):
    content = make(CLASSES, str)
    for annotation, number in zip(content['annotations'], ids, strict=True):
        annotation['category_id'] = number

    (problem, *_) = problems(content)
    result, _ = mend_file(CocoFile.of('a.json', content))

    assert not problem.is_fixable
    assert 'may count from 0 or from 1' in problem.advice
    assert result['categories'] == CLASSES


@pytest.mark.parametrize(
    'categories',
    [
        ['cat', 'cat'],
        ['cat', 3],
        [dict(name='cat'), dict(id=2, name='car')],
        [dict(title='cat')],
        {'cat': dict(name='car')},
        {'1': dict(id=2, name='cat'), '2': dict(id=1, name='car')},
        {'1': 'cat', '01': 'car'},
        {'cat': 1, 'car': 1},
        {'cat': 1, '2': 'car', 'x': []},
        {'1': 'cat', 'car': {}},
    ],
)
def test_categories_that_are_not_clear_stay(categories):
    content = make(categories, str)

    result, _ = mend_file(CocoFile.of('a.json', content))

    assert result['categories'] == categories
    assert problems(content)


@pytest.mark.parametrize('categories', [None, []])
def test_classes_that_only_annotations_name_become_categories(categories):
    content = make(categories, str, 'category_name')

    result = mended(content)

    # In an order that does not depend on that of the objects.
    assert [c['name'] for c in result['categories']] == ['car', 'cat']
    assert names_of(result) == CLASSES[1:]
    assert problems(result) == []
    content['annotations'][0].pop('category_name')
    assert problems(content)[0].kind == 'list categories'


def test_name_of_a_class_becomes_its_id():
    content = make([dict(id='c1', name='cat')], str, 'category_name')

    first, second = problems(content)[:2]
    result = mended(content)

    _, counts = mend_file(CocoFile.of('a.json', content))
    assert counts['ids written for the names of classes'] == 1
    assert "write 'c1', the id of its class 'cat'" in str(first)
    assert first.is_fixable and not second.is_fixable
    assert "0 categories have the name of its class, 'car'" in str(second)
    cat, car = result['annotations']
    assert cat['category_id'] == result['categories'][0]['id']
    assert 'category_id' not in car


def test_name_of_two_classes_stays():
    twins = [dict(id=i, name='cat', color=i) for i in (1, 2)]
    content = make(twins, str, 'category_name')

    first, *_ = problems(content)
    result, _ = mend_file(CocoFile.of('a.json', content))

    assert '2 categories have the name' in first.advice
    assert 'category_id' not in result['annotations'][0]


def test_id_says_more_than_a_name():
    content = make([dict(id=i, name=n) for i, n in enumerate(CLASSES)], from_0)
    for annotation in content['annotations']:
        annotation['category_name'] = 'cell'

    result, _ = mend_file(CocoFile.of('a.json', content))

    assert names_of(result) == CLASSES[1:]


@pytest.mark.parametrize(
    'read',
    [read_trainable, read_splittable, lambda f: read_coco(f, 'categories')],
)
def test_what_reads_the_file_says_what_mends_it(tmp_path, read):
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(make(CLASSES, from_1)))

    with pytest.raises(CocoError, match=r'check_coco.py .* --fix solves this'):
        read(file)


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        (dict(data_row={}, projects={}), 'this looks like Labelbox: export'),
        ({'source-ref': 's3://a.jpg', 'boxes': {}}, 'SageMaker Ground Truth'),
        (dict(image='a.jpg'), 'object in each line; is it a COCO file?'),
        ([1], 'write it again, without a byte order mark'),
    ],
)
def test_objects_in_lines_are_named(tmp_path, line, words):
    file = tmp_path / 'export.ndjson'
    file.write_text(f'{json.dumps(line)}\n' * 3)

    assert words in read_file(file).advice


def test_tool_writes_categories(tmp_path, call_tool):
    file, out = tmp_path / 'a.json', tmp_path / 'b.json'
    file.write_text(json.dumps(make(CLASSES, from_1)))

    checked = call_tool('check_coco', file)
    fixed = call_tool('check_coco', file, '--fix', out)

    empty = "1 of 3 classes have no object: ['cell']"
    assert (checked.returncode, fixed.returncode) == (1, 0)
    assert empty in checked.stdout and empty in fixed.stdout
    assert '3 categories written with ids' in fixed.stdout
