"""Whatever a COCO file holds: it is used, or refused with its name.

`FUZZ_EXAMPLES=20000 pytest tests/label_files/coco/test_fuzz.py` tries other
files in each run, that many in each test. tests/shared_fixtures.py says how
many are tried otherwise.
"""

import copy
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import CATEGORIES, load_tool
from hypothesis import assume, event, given
from hypothesis import strategies as st
from mmdet.evaluation import CocoMetric

from projects.data_distillation import CheckedCocoDataset, UnlabeledDataset
from projects.data_distillation.label_files.coco.box_checks import (
    ANOTHER_FORMAT,
)
from projects.data_distillation.label_files.coco.checks import check_file
from projects.data_distillation.label_files.coco.class_checks import (
    NO_OBJECT_AT_ALL,
)
from projects.data_distillation.label_files.coco.contents import (
    check_classes,
    check_disjoint,
    resolve_paths,
)
from projects.data_distillation.label_files.coco.joint_checks import (
    check_together,
)
from projects.data_distillation.label_files.coco.reading import (
    CocoError,
    find_origin,
    read_coco,
    read_splittable,
)
from projects.data_distillation.label_files.coco.tables import (
    CocoFile,
    read_file,
)
from projects.data_distillation.label_files.mending.annotations import (
    mend_annotations,
)
from projects.data_distillation.label_files.mending.choices import MendingError
from projects.data_distillation.label_files.mending.mend import mend_file
from projects.data_distillation.label_files.splits.splits import split_coco
from projects.data_distillation.pseudo_labels.selection.coco_writer import (
    read_origin,
)
from projects.data_distillation.pseudo_labels.selection.selectors import (
    LabeledCounts,
)
from projects.data_distillation.training.checked_dataset import CheckedCOCO

# As many seconds as it takes if many examples are asked for.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200 if 'FUZZ_EXAMPLES' in os.environ else 300),
]

# Stands for lists in lists, which are written as text: see `with_depth`.
DEEP = '<deep>'
ODD_VALUES = st.sampled_from([
    None, True, False, 0, 1, 3, 7, -1, -0.0, 0.5, 3.0, 1e-320, 1e308,
    math.nan, math.inf, -math.inf, 2**53, 2**63 - 1, 2**63, -(2**64), 10**400,
    '', '3', 'a.jpg', '../a', '/a', 'a\0', '\ud800', '\udcff', 'red', DEEP,
    [], [[]], {}, {'id': 3}, [1, 2, 3, 4], [math.nan] * 4, [10**400] * 4,
    [0, 0, 1e308, 1e308], [3], {'data_distillation': [1]},
    {'data_distillation': {'num_ignored': 'x'}},
])  # fmt: skip
KEYS = st.sampled_from([
    'images', 'annotations', 'categories', 'info', 'id', 'file_name', 'width',
    'height', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'name',
    'data_distillation', 'ignore', 'segmentation',
])  # fmt: skip
ANY_JSON = st.recursive(
    ODD_VALUES | st.floats() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(KEYS, children, max_size=5)
    ),
    max_leaves=25,
)
NUMBERS = st.integers(-3, 130) | st.floats(-3, 130, width=16)
SIDES = st.integers(1, 130) | st.floats(1, 130, width=16)


def is_container(value: object) -> bool:
    return isinstance(value, (dict, list))


@st.composite
def right_files(draw) -> dict:
    """Files as they should be, but that boxes may reach outside."""
    num_images = draw(st.integers(1, 3))
    images = [
        dict(id=3 * i + 1, file_name=f'{i}.jpg', width=120, height=90 + i)
        for i in range(num_images)
    ]
    annotations = [
        dict(
            id=2 * i + 5,
            image_id=draw(st.sampled_from(images))['id'],
            category_id=draw(st.sampled_from(CATEGORIES))['id'],
            bbox=[draw(NUMBERS), draw(NUMBERS), draw(SIDES), draw(SIDES)],
            area=draw(SIDES),
            iscrowd=draw(st.integers(0, 1)),
        )
        for i in range(draw(st.integers(0, 6)))
    ]
    return dict(
        images=images,
        annotations=annotations,
        categories=copy.deepcopy(CATEGORIES),
        info=dict(data_distillation=dict(num_ignored=2)),
    )


def mutate(draw, content: dict) -> None:
    """Break something, at any depth."""
    parent = content
    while True:
        places = list(parent) if isinstance(parent, dict) else range(
            len(parent)
        )  # fmt: skip
        place = draw(st.sampled_from(places))
        child = parent[place]
        if not is_container(child) or not child or draw(st.integers(0, 4)) < 1:
            break
        parent = child
    kind = draw(st.sampled_from(('replace', 'drop', 'double', 'wrap')))
    if kind == 'replace':
        # A copy: what is one object in two places would be broken in both.
        parent[place] = copy.deepcopy(draw(ODD_VALUES | ANY_JSON))
    elif kind == 'drop':
        del parent[place]
    elif kind == 'wrap':
        parent[place] = draw(st.sampled_from(([child], {'0': child})))
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(child))
    else:
        parent[draw(KEYS)] = copy.deepcopy(child)


@st.composite
def nearly_right_files(draw) -> dict:
    """Files in which a few things are broken, or nothing."""
    content = draw(right_files())
    for _ in range(draw(st.integers(0, 4))):
        if content:
            mutate(draw, content)
    return content


def with_depth(text: str, depth: int) -> str:
    return text.replace(f'"{DEEP}"', '[' * depth + ']' * depth)


DEPTHS = st.sampled_from([1, 2, 50, 200, 330, 700, 930, 960, 990, 10_000])


@st.composite
def texts(draw, contents) -> bytes:
    """Files as they are on disk: of any encoding, and cut off."""
    content = draw(contents)
    text = json.dumps(content, ensure_ascii=draw(st.booleans()))
    text = with_depth(text, draw(DEPTHS))
    if text.startswith('{"') and draw(st.integers(0, 9)) == 0:
        key = json.dumps(draw(KEYS))
        text = text[:-1] + f', {key}: {json.dumps(draw(ODD_VALUES))}}}'
    encoding = draw(
        st.sampled_from(
            ['utf-8'] * 9 + ['utf-8-sig', 'utf-16', 'utf-32-be', 'cp1252']
        )
    )
    errors = 'replace' if encoding == 'cp1252' else 'surrogatepass'
    written = text.encode(encoding, errors)
    if draw(st.integers(0, 9)) == 0:
        written = written[: draw(st.integers(0, len(written)))]
    return written


ANY_FILES = (
    st.binary(max_size=30)
    | st.sampled_from([b'[' * 200_000, b'{"a":' * 200_000, b'9' * 5000])
    | texts(ANY_JSON)
    | texts(nearly_right_files())
)


@pytest.fixture(scope='module')
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('fuzz') / 'tried.json'


def dataset_of(file: Path, classes: list) -> CheckedCocoDataset:
    return CheckedCocoDataset(
        ann_file=str(file),
        data_prefix=dict(img=str(file.parent)),
        metainfo=dict(classes=classes),
    )


def names_of(file: Path) -> list:
    """The classes, if they can be read."""
    categories = read_coco(file, 'categories')['categories']
    return [category['name'] for category in categories]


def count(file: Path) -> None:
    coco = read_coco(file, 'images', 'annotations', 'categories')
    counts = LabeledCounts.of(coco)
    assert counts.num_instances.sum() <= len(coco['annotations'])
    check_classes(('red', 'green'), coco['categories'], file)


def split(file: Path) -> None:
    coco = read_splittable(file)
    if len(coco['images']) > 1:
        (parts,) = split_coco(coco, 1, 0, keep_classes=True).folds
        assert len(parts['labeled']['images']) >= 1


def load(file: Path) -> None:
    dataset = dataset_of(file, names_of(file))
    for index in range(len(dataset)):
        dataset.get_data_info(index)
    assert isinstance(dataset.num_ignored, int)


def list_images(file: Path) -> None:
    dataset = UnlabeledDataset(
        ann_file=str(file),
        data_prefix=dict(img=str(file.parent)),
        metainfo=dict(classes=('red', 'green')),
        pipeline=[],
    )
    names = dataset.map_image_ids()
    assert len(set(names)) == len(names) > 0
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    np.array([info['image_id'] for info in infos], np.int64)


def compare(file: Path) -> None:
    images = read_coco(file, 'images')['images']
    names = [image['file_name'] for image in images]
    known = dict(ann_file=file, img_prefix=file.parent)
    check_disjoint(resolve_paths(['new.jpg'], file.parent), names, known)


def refusal(use: Callable, file: Path) -> str | None:
    try:
        use(file)
    except (CocoError, FileNotFoundError) as error:
        return str(error)
    return None


READERS = (
    read_coco,
    lambda file: find_origin(read_coco(file)).get('a'),
    lambda file: read_origin(file).get('a'),
    count,
    split,
    CheckedCOCO,
    load,
    list_images,
    compare,
)


@given(content=ANY_FILES)
def test_any_file_is_used_or_refused_with_its_name(file, content):
    file.write_bytes(content)

    for use in READERS:
        message = refusal(use, file)
        # The last is about the choice, not about the file.
        assert not message or file.name in message or 'seed' in message


@pytest.fixture(scope='module')
def tool():
    return load_tool('check_coco')


@pytest.fixture
def call(tool, file, monkeypatch, capsys):
    """Check a file with the tool: the exit code and what it prints."""

    def run(*arguments: object) -> tuple[int, str]:
        arguments = ['check_coco.py', *map(str, arguments)]
        monkeypatch.setattr('sys.argv', arguments)
        with pytest.raises(SystemExit, match='^(True|False)$') as caught:
            tool.main()
        return caught.value.code, capsys.readouterr().out

    return run


@given(content=ANY_FILES)
def test_check_lists_whatever_it_is_and_mends_what_it_promises(
    file, call, content
):
    file.write_bytes(content)
    fixed = file.with_name('fixed.json')
    again = file.with_name('again.json')
    for old in (fixed, again):
        old.unlink(missing_ok=True)

    code, lines = call(file, '--max-shown', 1000)
    assert (code == 0) == ('nothing wrong' in lines)
    assert code == 0 or lines.startswith(str(file))
    code_fixed, lines = call(file, '--fix', fixed, '--max-shown', 1000)

    if not fixed.exists():
        assert code_fixed == 1
        return
    assert code_fixed <= code
    # All that it promises is done, but areas need a box.
    assert not [
        line for line in lines.splitlines()
        if '(--fix does)' in line and 'w * h of the bbox' not in line
    ]  # fmt: skip
    call(fixed, '--fix', again)
    assert fixed.read_bytes() == again.read_bytes()


def identity(entry: object) -> str:
    return json.dumps(entry, sort_keys=True)


@given(contents=st.tuples(nearly_right_files(), nearly_right_files()))
def test_what_is_right_stays_as_it_is(contents):
    files = [CocoFile.of(f'{i}.json', c) for i, c in enumerate(contents)]
    before = identity(contents)
    wrong = {
        problem.index for problem in check_file(files[0])
        if 'annotation' in problem.where
    }  # fmt: skip

    list(check_together(files, has_images=False))
    mended, _ = mend_annotations(files[0])

    assert identity(contents) == before
    assert mended.keys() == contents[0].keys()
    rest = [k for k in mended if k not in ('images', 'annotations')]
    assert all(mended[k] is contents[0][k] for k in rest)
    if isinstance(contents[0].get('annotations'), list):
        left = [*map(identity, mended['annotations'])]
        assert [
            entry
            for index, entry in enumerate(contents[0]['annotations'])
            if index not in wrong and identity(entry) not in left
        ] == []


def mended_or_not(content: dict) -> dict:
    """What all mendings make of a file; itself if a user has to decide."""
    try:
        return mend_file(CocoFile.of('any.json', content))[0]
    except MendingError:
        return content


@given(content=nearly_right_files() | ANY_JSON)
def test_mending_never_makes_a_file_worse(content):
    assume(isinstance(content, dict))
    before = identity(content)

    mended = mended_or_not(content)

    assert identity(content) == before
    assert identity(mended_or_not(mended)) == identity(mended)
    old, new = (
        list(check_file(CocoFile.of('a', c))) for c in (content, mended)
    )
    new = [p for p in new if p.kind not in REVEALED]
    assert {p.kind for p in new} <= {p.kind for p in old} | READABLE
    assert len(new) <= len(old)
    if not old:
        assert identity(mended) == before


# What is seen of the boxes that are left when others are dropped.
REVEALED = {ANOTHER_FORMAT, NO_OBJECT_AT_ALL}
# What is seen when an id can be read.
READABLE = {'unknown image'}


@given(content=nearly_right_files(), depth=DEPTHS)
def test_what_is_not_complained_of_loads_whole(file, content, depth):
    # Mended, since few files would be left.
    content = mended_or_not(content)
    file.write_text(with_depth(json.dumps(content), depth))
    read = read_file(file)
    is_right = isinstance(read, CocoFile) and not list(check_file(read))
    event(f'nothing complained of: {is_right}')
    if not is_right:
        return
    assume(type(find_origin(read.content).get('num_ignored', 0)) is int)
    expected = read.content['annotations']
    names = names_of(file)

    dataset = dataset_of(file, names)

    assert len(dataset) == len(read.content['images'])
    found = [
        (info['img_id'], [*instance['bbox'], instance['bbox_label']])
        for info in map(dataset.get_data_info, range(len(dataset)))
        for instance in info['instances']
    ]
    label_of = {c['id']: i for i, c in enumerate(read.content['categories'])}
    assert sorted(found) == sorted(
        (a['image_id'], [x, y, x + w, y + h, label_of[a['category_id']]])
        for a in expected
        for x, y, w, h in [a['bbox']]
    )
    evaluate(file, names, read.content)


def evaluate(file: Path, names: list, content: dict) -> None:
    """What finds every object, and nothing else, is right."""
    metric = CocoMetric(ann_file=str(file), metric='bbox')
    metric.dataset_meta = dict(classes=names)
    label_of = {c['id']: i for i, c in enumerate(content['categories'])}
    for image in content['images']:
        own = [
            a for a in content['annotations'] if a['image_id'] == image['id']
        ]
        xywh = np.array([a['bbox'] for a in own], float).reshape(-1, 4)
        xywh[:, 2:] += xywh[:, :2]
        found = dict(
            img_id=image['id'],
            bboxes=xywh,
            scores=np.ones(len(own)),
            labels=np.array([label_of[a['category_id']] for a in own], int),
        )
        metric.results.append((dict(), found))
    result = metric.compute_metrics(metric.results)
    if any(not a['iscrowd'] for a in content['annotations']):
        assert result['bbox_mAP'] == 1
