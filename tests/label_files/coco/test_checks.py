"""Every kind of problem of COCO files, and what is not a problem."""

import copy
import functools
import json
import random
from pathlib import Path

import pytest
from builders import CATEGORIES, CLASSES

from projects.data_distillation import CheckedCocoDataset
from projects.data_distillation.label_files.coco.box_checks import (
    FEWEST_OUTSIDE,
)
from projects.data_distillation.label_files.coco.checks import check_file
from projects.data_distillation.label_files.coco.class_checks import (
    describe_classes,
)
from projects.data_distillation.label_files.coco.joint_checks import (
    check_together,
)
from projects.data_distillation.label_files.coco.problems import (
    Problem,
    format_problems,
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

TOOL = Path(__file__).parents[3] / 'tools' / 'check_coco.py'
NAN, INF = float('nan'), float('inf')


def clean() -> dict:
    """A file with nothing wrong; ids are neither consecutive nor sorted."""
    sizes = {3: (640, 480), 9: (100, 200), 5: (640, 480)}
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=w, height=h)
            for i, (w, h) in sizes.items()
        ],
        annotations=[
            annotation(17),
            annotation(18, category_id=3),
            annotation(4, image_id=9, bbox=[0, 0, 100, 200]),
        ],
        categories=copy.deepcopy(CATEGORIES),
        info=dict(year=2024),
    )


def annotation(number: int, **changes) -> dict:
    return dict(
        dict(
            id=number,
            image_id=3,
            category_id=7,
            bbox=[10, 5, 70, 20],
            area=1000,
            iscrowd=0,
        ),
        **changes,
    )


def changed(**changes) -> dict:
    """The clean file whose first annotation has these values."""
    content = clean()
    content['annotations'][0].update(changes)
    return content


def without(name: str, key: str) -> dict:
    """The clean file whose first image (say) lacks a key."""
    content = clean()
    del content[name][0][key]
    return content


def with_image(**changes) -> dict:
    content = clean()
    content['images'][0].update(changes)
    return content


def more(name: str, *entries: object) -> dict:
    content = clean()
    content[name] += entries
    return content


def lines_of(content: dict) -> list[str]:
    return [str(p) for p in check_file(CocoFile.of('labeled.json', content))]


def renamed(**tops: object) -> dict:
    return dict(clean(), **tops)


A17 = 'annotation 17: '
SIDE = 'must be a positive whole number'
ID = 'must be an integer (64 bits)'
REMOVE = ': remove the annotation (--fix does)'
CORRECT = ': correct it'
UNQUOTE = ': write it without quotes (--fix does)'
BROKEN = [
    (renamed(images=[], annotations=[]),
     ['`images` is empty: write a list with at least one entry']),
    (renamed(categories={}),
     ['`categories` is not a list: write a list of objects such as '
      '{"id": 1, "name": "cat"}']),
    (
        {k: v for k, v in clean().items() if k != 'annotations'},
        ['`annotations` is missing: images without labels are for '
         'UnlabeledDataset'],
    ),
    (more('images', 5), ['images[3]: must be an object, got 5: remove it']),
    (more('annotations', None),
     ['annotations[3]: must be an object, got None: remove it']),
    (without('images', 'width'),
     ['image 3: `width` is missing: add it (--fix does, with --images)']),
    (without('categories', 'name'),
     ['category 7: `name` is missing: add it']),
    (changed(bbox=None),
     [A17 + '`bbox` is missing: add it (--fix does, from a polygon or a '
      'mask)']),
    (without('annotations', 'id'),
     ['annotations[0]: `id` is missing: add one (--fix does)']),
    (with_image(height=0), [f'image 3: `height` {SIDE}, got 0{CORRECT}']),
    (with_image(height=1.5), [f'image 3: `height` {SIDE}, got 1.5{CORRECT}']),
    (with_image(width=True), [f'image 3: `width` {SIDE}, got True{CORRECT}']),
    (with_image(file_name=''),
     ['image 3: `file_name` must be a string that is not empty, got '
      "''" + CORRECT]),
    (changed(category_id=2**63),
     [f'{A17}`category_id` {ID}, got 9223372036854775808{CORRECT}']),
    (changed(image_id='3'),
     [f"{A17}`image_id` {ID}, got '3': write the integer 3 (--fix does)"]),
    (changed(category_id=7.0),
     [f'{A17}`category_id` {ID}, got 7.0: write the integer 7 (--fix does)']),
    (changed(category_id='reddish'),
     [f"{A17}`category_id` {ID}, got 'reddish'{CORRECT}"]),
    (changed(category_id='red'),
     [f"{A17}`category_id` {ID}, got 'red': write the id of this name, 7 "
      '(--fix does)']),
    (changed(iscrowd=2), [A17 + '`iscrowd` must be 0 or 1, got 2' + CORRECT]),
    (changed(area='9'),
     [A17 + "`area` must be a finite number, got '9'" + UNQUOTE]),
    (with_image(width='640'),
     [f"image 3: `width` {SIDE}, got '640'{UNQUOTE}"]),
    (with_image(width='wide'),
     [f"image 3: `width` {SIDE}, got 'wide'{CORRECT}"]),
    (changed(area=NAN),
     [A17 + '`area` must be a finite number, got nan' + CORRECT]),
    *(
        (changed(bbox=bbox),
         [f'{A17}`bbox` must be a list of four numbers, got {bbox}{CORRECT}'])
        for bbox in (
            [1, 2, 3], [1, 2, 3, 'x'], [1, 2, 3, True], dict(x=1)
        )
    ),
    (changed(bbox=[1, 2, 3, '4']),
     [f"{A17}`bbox` must be a list of four numbers, got [1, 2, 3, '4']"
      + UNQUOTE]),
    (more('images', dict(clean()['images'][1])),
     ['image 9: images[1] and images[3] are the same: remove one (--fix '
      'does)']),
    (more('images', dict(clean()['images'][1], file_name='b.jpg')),
     ['image 9: images[1] and images[3] have the same id: give one another '
      'id']),
    (more('annotations', annotation(17)),
     [A17 + 'annotations[0] and annotations[3] are the same: remove one '
      '(--fix does)']),
    (changed(category_name='green', class_name='green'),
     [A17 + f"category_id 7 is 'red', but {key} is 'green': training reads "
      f'only the id: correct it, or remove {key}'
      for key in ('category_name', 'class_name')]),
    (more('annotations', annotation(17, iscrowd=1)),
     [A17 + 'annotations[0] and annotations[3] have the same id: give one '
      'another id (--fix does)']),
    (more('categories', dict(id=7, name='blue')),
     ['category 7: categories[0] and categories[2] have the same id: give '
      'one another id']),
    (more('categories', CATEGORIES[0]),
     ['category 7: categories[0] and categories[2] are the same: remove one '
      '(--fix does)']),
    (more('categories', dict(id=8, name='red')),
     ["category 8: name 'red' is that of category 7 too: make one entry of "
      'the two, and move the annotations to it (--fix does)']),
    (more('images', dict(clean()['images'][1], id=8, file_name='x/../9.jpg')),
     ["image 8: file_name '9.jpg' is that of image 9 too: make one entry of "
      'the two, and move the annotations to it']),
    (changed(id=0),
     ['annotation 0: COCOeval takes id 0 for "no match" and counts a miss: '
      'give it another id (--fix does)']),
    *(
        (with_image(file_name=name),
         [f'image 3: `file_name` {name!r} {error}: make it a valid name, '
          'relative to the image folder'])
        for name, error in (
            ('../1.jpg', 'leads outside the folder of the images'),
            ('nul\0.jpg', 'holds a null byte'),
            ('\ud800.jpg', 'is not valid Unicode'),
        )
    ),
    (changed(image_id=4),
     [A17 + 'image_id 4 is not in `images`: add the image, or remove the '
      'annotation (--fix does)']),
    (changed(category_id=1),
     [A17 + 'category_id 1 is not in `categories`: add the category, or '
      'remove the annotation (--fix does)']),
    (with_image(id='3'),
     [f"images[0]: `id` {ID}, got '3': write the integer 3 (--fix does)",
      *(f'annotation {i}: image_id 3 is a number, but in `images` that id is '
        "the string '3': write it without quotes in `images` (--fix does)"
        for i in (17, 18))]),
    (without('annotations', 'area'),
     [A17 + '`area` is missing: CocoDataset needs it, add w * h of the bbox '
      '(--fix does)']),
    (without('annotations', 'iscrowd'),
     [A17 + '`iscrowd` is missing: COCOeval needs it, add 0 (--fix does)']),
    (changed(area=0),
     [A17 + 'area 0 is not positive, so CocoDataset drops the box: write '
      'w * h (--fix does)']),
    (changed(ignore=1),
     [A17 + '`ignore` is 1, so CocoDataset drops the box: remove `ignore`; if '
      'the box is a region to leave out, write iscrowd 1']),
    (changed(bbox=[1, NAN, 3, 4]),
     [A17 + '`bbox` must be finite, got [1, nan, 3, 4]' + REMOVE]),
    (changed(bbox=[1, 2, INF, 4]),
     [A17 + '`bbox` must be finite, got [1, 2, inf, 4]' + REMOVE]),
    (changed(bbox=[-(10**400), 2, 3, 4]),
     [f'{A17}`bbox` must be finite, got [-{"1" + 16 * "0"}...{19 * "0"}, 2, '
      '3, 4]' + REMOVE]),
    (changed(bbox=[10, 5, 0, 20], area=0),
     [A17 + 'bbox [10, 5, 0, 20] is empty' + REMOVE]),
    (changed(bbox=[10, 5, 20, -1]),
     [A17 + 'bbox [10, 5, 20, -1] is empty' + REMOVE]),
    (changed(bbox=[10, 5, 20, 0.99]),
     [A17 + 'bbox [10, 5, 20, 0.99] is thinner than 1 pixel, so CocoDataset '
      'drops it' + REMOVE]),
    (changed(bbox=[640, 5, 1, 20]),
     [A17 + 'bbox [640, 5, 1, 20] lies outside image 3 (640x480)' + REMOVE]),
    (changed(bbox=[-30, -30, 20, 90]),
     [A17 + 'bbox [-30, -30, 20, 90] lies outside image 3 (640x480)'
      + REMOVE]),
    (changed(bbox=[5, 479.5, 10, 20]),
     [A17 + 'bbox [5, 479.5, 10, 20] has less than 1 pixel inside image 3 '
      '(640x480)' + REMOVE]),
    (changed(bbox=[10, 5, 700, 20]),
     [A17 + 'bbox [10, 5, 700, 20] reaches outside image 3 (640x480): clip '
      'it (--fix does)']),
    (changed(bbox=[10, -1.5, 70, 20]),
     [A17 + 'bbox [10, -1.5, 70, 20] reaches outside image 3 (640x480): clip '
      'it (--fix does)']),
]  # fmt: skip


@pytest.mark.parametrize(('content', 'expected'), BROKEN)
def test_problem_is_found_and_nothing_else(content, expected):
    before = repr(content)

    assert lines_of(content) == [f'labeled.json: {line}' for line in expected]
    assert repr(content) == before


RIGHT = [
    pytest.param(clean(), id='clean'),
    pytest.param(renamed(annotations=[]), id='no annotations'),
    pytest.param(changed(bbox=[-1, -1, 642, 482]), id='one pixel outside'),
    pytest.param(changed(bbox=[639, 479, 1, 1]), id='one pixel'),
    pytest.param(changed(bbox=[639.5, 0, 1.2, 5]), id='rounded up'),
    pytest.param(changed(iscrowd=True, area=0.1), id='crowd, tiny area'),
    pytest.param(changed(ignore=0), id='not ignored'),
    pytest.param(changed(category_name='red'), id='name of its class'),
    pytest.param(changed(class_name='lorry'), id='name of no class'),
    pytest.param(changed(label='green'), id='label of something else'),
    pytest.param(with_image(width=640.0), id='whole number as float'),
    pytest.param(with_image(file_name='a/../b:c.jpg'), id='odd name'),
    pytest.param(with_image(file_name='a..b/..c.jpg'), id='dots'),
    pytest.param(
        more('images', dict(id=8, file_name='dot.jpg', width=1, height=1)),
        id='image of one pixel',
    ),
    pytest.param(changed(id=-5, segmentation=[[1, 2, 3]]), id='odd id'),
]


@pytest.mark.parametrize('content', RIGHT)
def test_what_is_right_is_not_a_problem(content):
    assert lines_of(content) == []


def boxes_file(bboxes: list) -> dict:
    annotations = [
        # Each a little elsewhere, so that no object occurs twice.
        annotation(number, bbox=[bbox[0] + number / 1e6, *bbox[1:]], area=9)
        for number, bbox in enumerate(bboxes, 1)
    ]
    return renamed(annotations=annotations)


def corners(count: int, rng: random.Random) -> list:
    """Boxes of image 3 as x1, y1, x2, y2."""
    starts = [(rng.uniform(0, 600), rng.uniform(0, 440)) for _ in range(count)]
    return [
        [x, y, x + rng.uniform(10, 40), y + rng.uniform(10, 40)]
        for x, y in starts
    ]


def test_corners_are_found_as_such_once():
    bboxes = corners(199, random.Random(0))
    bboxes.append([30, 30, 20, 500])  # one may be broken

    (line,) = lines_of(boxes_file(bboxes))

    outside = sum(x + w > 641 or y + h > 481 for x, y, w, h in bboxes)
    assert 100 < outside < 180
    assert line == (
        'labeled.json: bboxes seem to be [x1, y1, x2, y2] in pixels: of 200, '
        f'{outside} reach outside their image as [x, y, w, h] in pixels, and '
        'nearly all fit as what they seem to be: --fix with --boxes xyxy '
        '--unit pixel converts them; if they are in pixels, give --boxes xywh '
        '--unit pixel'
    )


def test_annotations_of_no_image_do_not_hide_corners():
    content = boxes_file(corners(50, random.Random(0)))
    for entry in content['annotations'][:20]:
        entry['image_id'] = 77

    lines = lines_of(content)

    assert len(lines) == 21
    assert 'image_id 77' in lines[0]
    assert 'seem to be [x1, y1, x2, y2]' in lines[-1]


NOT_CORNERS = [
    pytest.param(
        [[x, y, 4, 4] for x in range(0, 600, 50) for y in (0, 90, 300)],
        0,
        id='tiny right boxes',
    ),
    pytest.param([[1, 1, 638, 478]] * 40, 0, id='as large as the image'),
    # As corners right, but too few that reach outside as xywh...
    pytest.param([[10, 10, 635, 20]] * 4, 4, id='four boxes'),
    pytest.param(
        [[10, 10, 635, 20]] * 9 + [[1, 1, 600, 400]] * 91,
        9,
        id='one in eleven',
    ),
    # ... and the other way round.
    pytest.param(
        [[10, 10, 635, 20]] * 97 + [[50, 50, 20, 20]] * 3,
        97,
        id='three of a hundred are empty as corners',
    ),
    pytest.param([[10, 10, 645, 20]] * 20, 20, id='outside as corners too'),
    pytest.param([[-9, 10, 635, 485]] * 20, 20, id='outside on both sides'),
]


@pytest.mark.parametrize(('bboxes', 'num_outside'), NOT_CORNERS)
def test_right_boxes_are_not_taken_for_corners(bboxes, num_outside):
    lines = lines_of(boxes_file(bboxes))

    assert len(lines) == num_outside
    assert all('reaches outside image 3' in line for line in lines)


@pytest.mark.parametrize(
    'bboxes',
    [
        pytest.param([[10, 10, 635, 20]] * 5, id='five boxes'),
        pytest.param(
            [[10, 10, 635, 20]] * 10 + [[1, 1, 600, 400]] * 90,
            id='one in ten outside',
        ),
        pytest.param(
            [[10, 10, 635, 20]] * 99 + [[50, 50, 20, 20]],
            id='one of a hundred is empty as corners',
        ),
        pytest.param([[10, -1, 641, 481]] * 5, id='corners one pixel out'),
    ],
)
def test_just_enough_makes_corners(bboxes):
    (line,) = lines_of(boxes_file(bboxes))

    assert 'seem to be [x1, y1, x2, y2]' in line


RED, GREEN = CATEGORIES
OTHER_CATEGORIES = [
    ([GREEN, RED], "number 1 is 'green' instead of 'red'"),
    ([RED, dict(id=4, name='green')], "'green' has id 4 instead of 3"),
    ([RED, dict(id=3, name='blue')],
     "missing: ['green'], only here: ['blue']"),
    ([RED], "missing: ['green'], only here: []"),
    ([RED, GREEN, dict(id=4, name='green')], "number 3 is 'green' instead of "
     "'nothing'"),
]  # fmt: skip


@pytest.mark.parametrize(('categories', 'what'), OTHER_CATEGORIES)
def test_categories_of_another_file_must_be_the_same(categories, what):
    files = [
        CocoFile.of('a.json', clean()),
        CocoFile.of('b.json', clean()),
        CocoFile.of('c.json', renamed(categories=categories)),
    ]

    lines = [str(p) for p in check_together(files, has_images=True)]

    assert lines == [
        f'c.json: the categories are not those of a.json: {what}: write the '
        'same ids and names in the same order, or take them with --fix and '
        '--like a.json'
    ]


def test_missing_categories_are_not_said_twice():
    files = [
        CocoFile.of('a.json', clean()),
        CocoFile.of('b.json', dict(images=[])),
        CocoFile.of('c.json', clean()),
    ]

    assert list(check_together(files[:2], has_images=True)) == []
    assert list(check_together(files[1:], has_images=True)) == []


def test_missing_names_are_not_those_of_each_other():
    files = [CocoFile.of(name, dict(images=[dict(id=1)])) for name in 'ab']

    assert list(check_together(files, has_images=False)) == []


def test_same_names_are_possible_leaks_only_without_images():
    other = renamed(
        images=[
            dict(id=1, file_name='./9.jpg', width=9, height=9),
            dict(id=2, file_name='new.jpg', width=9, height=9),
            dict(id=4, width=9, height=9),
        ]
    )
    files = [CocoFile.of('a.json', clean()), CocoFile.of('b.json', other)]

    lines = [str(p) for p in check_together(files, has_images=False)]

    assert lines == [
        "b.json: image 1: same file_name '9.jpg' in a.json: is it the same "
        'image? give --images to be sure'
    ]
    assert list(check_together(files, has_images=True)) == []


UNREADABLE = [
    ('{"images": [', 'is not valid JSON in UTF-8 (Expecting value: line 1'),
    ('[]', 'must hold a COCO object, got a list: is it a COCO file'),
    ('\xff', 'is not valid JSON in UTF-8 ('),
    # pycocotools reads neither.
    ('\xef\xbb\xbf{}', 'is not valid JSON in UTF-8 (Unexpected UTF-8 BOM'),
    ('\xff\xfe{\0}\0', "is not valid JSON in UTF-8 ('utf-8' codec can't"),
    ('[' * 100_000, 'is nested too deeply: is it a COCO file?'),
    ('{"a": ' + '9' * 5000 + '}', 'is not valid JSON in UTF-8 (Exceeds the'),
]


@pytest.mark.parametrize(
    ('text', 'what'),
    UNREADABLE,
    ids=[
        'cut off',
        'list',
        'no UTF-8',
        'mark',
        'UTF-16',
        'deep',
        'large number',
    ],
)
def test_what_is_no_coco_object_is_a_problem(tmp_path, text, what):
    file = tmp_path / 'bad.json'
    file.write_text(text, encoding='latin-1')

    problem = read_file(file)

    assert isinstance(problem, Problem)
    assert str(problem).startswith(f'{file}: {what}')


def test_missing_file_and_folder_are_problems(tmp_path):
    absent, folder = tmp_path / 'absent.json', tmp_path

    assert str(read_file(absent)) == (
        f'{absent}: No such file or directory: correct the path'
    )
    assert str(read_file(folder)) == (
        f'{folder}: Is a directory: correct the path'
    )


def test_polygons_are_read_only_to_be_written_again(tmp_path):
    file = tmp_path / 'a.json'
    content = changed(segmentation=[[1, 2, 3, 4, 5, 6]])
    file.write_text(json.dumps(content))

    assert read_file(file).content == clean()
    assert read_file(file, polygons=True).content == content


def problem(file: str, kind: str, number: int) -> Problem:
    return Problem(file, kind, f'image {number}', kind, 'mend it')


def test_report_is_by_file_and_kind_and_counts_what_it_hides():
    problems = [
        problem('a', 'x', 1),
        problem('b', 'x', 1),
        *(problem('a', 'y', number) for number in range(5)),
        problem('a', 'x', 2),
        problem('a', 'x', 3),
    ]

    assert format_problems(problems, max_shown=2) == [
        'a: image 1: x: mend it',
        'a: image 2: x: mend it',
        '... and 1 more of this kind',
        'a: image 0: y: mend it',
        'a: image 1: y: mend it',
        '... and 3 more of this kind',
        'b: image 1: x: mend it',
        'problems: 9',
    ]
    assert format_problems([], max_shown=2) == []


VALUES = [
    None, True, 0, 1, 3, -1, 7, 0.5, NAN, INF, 10**400, '', '3', '../a', 'a\0',
    '\ud800', '²', [], [1, 2, 3, 4], [[]], [NAN] * 4, [10**400] * 4, {},
    {'id': 3}, [1, 2, 1e9, 1e300],
]  # fmt: skip


def broken_at_random(rng: random.Random) -> dict:
    """A clean file in which values anywhere are replaced or removed."""
    content = clean()
    for _ in range(rng.randint(1, 6)):
        parent = content
        while True:
            keys = list(parent) if isinstance(parent, dict) else [
                *range(len(parent))
            ]  # fmt: skip
            if not keys:
                break
            key = rng.choice(keys)
            child = parent[key]
            if isinstance(child, (dict, list)) and rng.random() < 0.8:
                parent = child
                continue
            if rng.random() < 0.2:
                del parent[key]
            else:
                parent[key] = copy.deepcopy(rng.choice(VALUES))
            break
    return content


@pytest.mark.parametrize(
    'num_files', [50, pytest.param(400, marks=pytest.mark.slow)]
)
def test_whatever_a_file_holds_is_checked_and_mended_without_an_error(
    num_files,
):
    rng = random.Random(0)
    for _ in range(num_files):
        content = broken_at_random(rng)
        files = [
            CocoFile.of('a.json', clean()),
            CocoFile.of('b.json', content),
            CocoFile.of('c.json', broken_at_random(rng)),
        ]
        problems = [str(p) for f in files for p in check_file(f)]
        problems += map(str, check_together(files, has_images=False))

        try:
            mended, counts = mend_file(files[1])
        except MendingError:
            continue

        left = lines_of(json.loads(json.dumps(mended)))
        if counts:
            assert mended != content
        # All that it promises is done, but areas need a box.
        assert not [
            line for line in left if '(--fix does)' in line
            and 'w * h of the bbox' not in line
        ]  # fmt: skip
        if not lines_of(content):
            assert mended == content


def test_nested_nearly_too_deeply_is_not_an_error(tmp_path):
    file = tmp_path / 'deep.json'
    for depth in range(900, 1001, 4):
        image = (
            '{"id": 1, "file_name": "a", "width": 5, "height": 5, "x": '
            + '[' * depth + ']' * depth + '}'
        )  # fmt: skip
        file.write_text(f'{{"images": [{image}, {image}]}}')
        read = read_file(file)
        if isinstance(read, CocoFile):
            assert list(check_file(read))


BROKEN_AND_MENDED = [
    (changed(bbox=[10, 5, 700, 20]), dict(bbox=[10, 5, 630, 20])),
    (changed(bbox=[-4, -2, 14, 22]), dict(bbox=[0, 0, 10, 20])),
    (changed(bbox=[-4, 470, 14, 22]), dict(bbox=[0, 470, 10, 10])),
    # Without the noise of 640 - 600.1, and the other side as it was.
    (
        changed(bbox=[600.1, 0, 90, 20.12345]),
        dict(bbox=[600.1, 0, 39.9, 20.12345]),
    ),
    (
        changed(bbox=[-4, 459.87655, 14, 20.12345]),
        dict(bbox=[0, 459.87655, 10, 20.12345]),
    ),
    # An area that was the box's stays the box's; another one stays.
    (
        changed(bbox=[10, 5, 700, 20], area=14000.000001),
        dict(bbox=[10, 5, 630, 20], area=12600),
    ),
    (changed(area=-1), dict(area=1400)),
    (changed(area=None), dict(area=1400)),
    (changed(iscrowd=None), dict(iscrowd=0)),
    (
        changed(bbox=[10, 5, 700, 20], area=None),
        dict(bbox=[10, 5, 630, 20], area=12600),
    ),
    (changed(id=0), dict(id=19)),
    # Not in one way only.
    (changed(bbox=[1, 2, '3', 4]), dict()),
    (changed(image_id='3'), dict()),
    (changed(area='9'), dict()),
    (changed(iscrowd=2), dict()),
]


@pytest.mark.parametrize(('content', 'expected'), BROKEN_AND_MENDED)
def test_annotation_is_mended_and_all_else_stays(content, expected):
    before = repr(content)
    wanted = copy.deepcopy(content)
    wanted['annotations'][0].update(expected)

    mended, counts = mend_annotations(CocoFile.of('a.json', content))

    assert mended == wanted
    assert bool(counts.total()) == bool(expected)
    assert repr(content) == before


DROPPED = [
    (dict(bbox=[1, NAN, 3, 4]), 'boxes that are not finite dropped'),
    (dict(bbox=[10, 5, 0, 20]), 'empty boxes dropped'),
    (dict(bbox=[10, 5, 0.5, 20]), 'boxes thinner than 1 pixel dropped'),
    (dict(bbox=[700, 5, 9, 20]), 'boxes outside their image dropped'),
    (
        dict(bbox=[639.5, 5, 9, 20]),
        'boxes with less than 1 pixel inside their image dropped',
    ),
    (dict(image_id=4), 'annotations of unknown images dropped'),
    (dict(category_id=4), 'annotations of unknown categories dropped'),
    # What is dropped is not mended as well.
    (dict(bbox=[10, 5, 0, 20], area=None, id=0), 'empty boxes dropped'),
]


@pytest.mark.parametrize(('values', 'done'), DROPPED)
def test_annotation_that_is_useless_is_dropped(values, done):
    mended, counts = mend_annotations(CocoFile.of('a.json', changed(**values)))

    assert mended == renamed(annotations=clean()['annotations'][1:])
    assert counts == {done: 1}


def test_repetitions_are_dropped_or_renumbered():
    content = more('images', dict(clean()['images'][1]))
    content['annotations'] += [
        annotation(17),
        annotation(17, bbox=[1, 1, 9, 9]),
        annotation(17, bbox=[2, 2, 9, 9], segmentation=[[1, 2]]),
    ]

    mended, counts = mend_annotations(CocoFile.of('a.json', content))

    assert mended['images'] == clean()['images']
    ids = [a['id'] for a in mended['annotations']]
    assert ids == [17, 18, 4, 19, 20]
    assert mended['annotations'][4]['segmentation'] == [[1, 2]]
    assert counts == {
        'repeated images dropped': 1,
        'repeated annotations dropped': 1,
        'repeated ids renumbered': 2,
    }


def test_boxes_that_are_no_corners_without_the_dropped_ones_are_clipped():
    content = boxes_file([[10, 10, 635, 20]] * FEWEST_OUTSIDE)
    content['annotations'][0]['category_id'] = 99

    mended, counts = mend_annotations(CocoFile.of('a.json', content))

    assert lines_of(mended) == []
    assert counts == {
        'annotations of unknown categories dropped': 1,
        'boxes clipped': 4,
    }


def test_ids_that_are_given_are_small_if_there_are_no_larger_ones():
    top = 2**63 - 2
    other = [annotation(17, bbox=[1, 1, i, 9]) for i in (6, 7, 8)]
    first = [annotation(i, bbox=[3, 3, 9, i % 90]) for i in (top, 1)]
    content = more('annotations', *first, *other)

    mended, _ = mend_annotations(CocoFile.of('a.json', content))

    ids = [a['id'] for a in mended['annotations']]
    assert ids == [17, 18, 4, top, 1, top + 1, 2, 3]


def test_box_with_an_area_above_all_numbers_is_clipped():
    area = 10**400  # More than a float can be.
    content = changed(bbox=[10, 5, 700, 20], area=area)

    mended, counts = mend_annotations(CocoFile.of('a.json', content))

    assert counts == {'boxes clipped': 1}
    assert mended['annotations'][0]['bbox'] == [10, 5, 630, 20]
    assert mended['annotations'][0]['area'] == area


def test_box_in_an_absurdly_large_image_is_mended_as_far_as_possible():
    content = with_image(width=2**53, height=2**53)
    content['annotations'][0]['bbox'] = [1.5, 1.25, 2**53, 2**53]

    mended, _ = mend_annotations(CocoFile.of('a.json', content))

    assert mend_annotations(CocoFile.of('a.json', mended)) == (mended, {})


def test_areas_are_not_filled_in_from_corners():
    content = boxes_file(corners(50, random.Random(0)))
    for entry in content['annotations']:
        del entry['area'], entry['iscrowd']

    mended, counts = mend_annotations(CocoFile.of('a.json', content))

    assert counts == {'missing iscrowd filled in': 50}
    assert mended['annotations'] == [
        dict(entry, iscrowd=0) for entry in content['annotations']
    ]


@pytest.fixture
def check_here(tmp_path, call_tool):
    """Run the tool there in this process, which need not import it all."""
    return functools.partial(call_tool, 'check_coco', cwd=tmp_path)


def write(file: Path, content: object) -> Path:
    file.write_text(json.dumps(content))
    return file


def test_tool_is_content_with_clean_files(tmp_path, check_here):
    write(tmp_path / 'a.json', clean())
    images = [dict(id=1, file_name='new.jpg', width=640, height=480)]
    write(tmp_path / 'b.json', renamed(images=images, annotations=[]))
    full = clean()
    del full['images'][2]
    write(tmp_path / 'a.json', full)

    done = check_here('a.json', 'b.json')

    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        'a.json, b.json: 3 images, 3 annotations, 2 categories: nothing wrong '
        '(image files not checked: no --images)\n'
    )


def test_tool_finds_everything_at_once(tmp_path, call_tool):
    content = more('categories', dict(id=8, name='Körper\ud800'))
    content['annotations'] = [
        annotation(i, bbox=[10, 5, 700 + i, 20], category_id=8 + (i == 1))
        for i in range(1, 5)
    ] + [annotation(9, bbox=[100, 5, 60, 20])]
    write(tmp_path / 'a.json', content)
    write(tmp_path / 'b.json', clean())
    (tmp_path / 'c.json').write_text('{')

    names = 'a.json', 'b.json', 'c.json'
    done = call_tool('check_coco', *names, '--max-shown', 2, cwd=tmp_path)

    assert done.returncode == 1, done.stderr
    *lines, last, note, _, _ = done.stdout.splitlines()
    assert note == ("note: a.json: 1 of 3 classes have no object: ['green']")
    assert lines[0].startswith('c.json: is not valid JSON in UTF-8 (')
    assert lines[1:] == [
        'a.json: annotation 1: category_id 9 is not in `categories`: add the '
        'category, or remove the annotation (--fix does)',
        'a.json: annotation 1: bbox [10, 5, 701, 20] reaches outside image 3 '
        '(640x480): clip it (--fix does)',
        'a.json: annotation 2: bbox [10, 5, 702, 20] reaches outside image 3 '
        '(640x480): clip it (--fix does)',
        '... and 2 more of this kind',
        'b.json: the categories are not those of a.json: missing: '
        r"['Körper\ud800'], only here: []: write the same ids and names "
        'in the same order, or take them with --fix and --like a.json',
        *(
            f"b.json: image {i}: same file_name '{i}.jpg' in a.json: is it "
            'the same image? give --images to be sure'
            for i in (3, 9)
        ),
        '... and 1 more of this kind',
    ]
    assert last == 'problems: 10'


BOX = [1, 5, 70, 20]


@pytest.fixture
def mendable(tmp_path) -> Path:
    """A file with seven mistakes, each of which can be mended."""
    content = clean()
    content['images'].append(content['images'][2])
    content['annotations'] += [
        annotation(17, bbox=[10, 5, 700, 20], segmentation=[[1, 2.5]]),
        annotation(30, image_id=12),
        annotation(31, bbox=[1, 2, 0.5, 9]),
        annotation(32, bbox=[1, NAN, 5, 9]),
        {
            k: v
            for k, v in annotation(33, odd='ö', bbox=BOX).items()
            if k != 'area'
        },
    ]
    return write(tmp_path / 'a.json', content)


def test_tool_says_what_it_mends(mendable, check_here):
    done = check_here('a.json', '--fix', 'out.json')

    assert done.returncode == 0, done.stderr
    fixing, result, note = done.stdout.splitlines()
    assert fixing == (
        'a.json -> out.json: 1 repeated images dropped, 1 repeated ids '
        'renumbered, 1 boxes clipped, 1 annotations of unknown images '
        'dropped, 1 boxes thinner than 1 pixel dropped, 1 boxes that are not '
        'finite dropped, 1 missing areas filled in'
    )
    assert result.startswith('out.json: 3 images, 5 annotations, 2 cat')
    assert note.startswith('note: out.json: 1 of 3 images have no annotation')


def test_mended_file_is_another_file(mendable, check_here):
    before = mendable.read_bytes()

    check_here('a.json', '--fix', 'out.json')

    assert mendable.read_bytes() == before
    mended = json.loads(mendable.with_name('out.json').read_text())
    assert mended == renamed(
        annotations=[
            *clean()['annotations'],
            annotation(34, bbox=[10, 5, 630, 20], segmentation=[[1, 2.5]]),
            annotation(33, area=1400, odd='ö', bbox=BOX),
        ]
    )


def test_mended_file_loads(mendable, check_here):
    check_here('a.json', '--fix', 'out.json')

    dataset = CheckedCocoDataset(
        ann_file=str(mendable.with_name('out.json')),
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img=str(mendable.parent)),
        pipeline=[],
    )
    assert sum(len(i['instances']) for i in dataset.load_data_list()) == 5


def test_what_cannot_be_mended_is_written_as_it_is_and_reported(
    tmp_path, check_here
):
    content = more('categories', dict(id=8, name='red', supercategory='x'))
    write(tmp_path / 'a.json', content)

    done = check_here('a.json', '--fix', 'out.json')

    assert done.returncode == 1
    assert done.stdout.splitlines()[:3] == [
        'a.json -> out.json: nothing to mend',
        "out.json: category 8: name 'red' is that of category 7 too: make one "
        'entry of the two, and move the annotations to it',
        'problems: 1',
    ]
    assert json.loads((tmp_path / 'out.json').read_text()) == content


def test_file_that_cannot_be_read_is_not_mended(tmp_path, check_here):
    (tmp_path / 'a.json').write_text('{')

    done = check_here('a.json', '--fix', 'out.json')

    assert done.returncode == 1
    assert done.stdout.startswith('a.json: is not valid JSON in UTF-8 (')
    assert not (tmp_path / 'out.json').exists()


REFUSED = [
    (['a.json', '--fix', 'b.json'], '--fix: b.json exists already, delete it'),
    (['a.json', 'b.json', '--fix', 'c.json'], '--fix takes one FILE, got 2'),
    (['a.json', '--images', 'none'], '--images: there is no folder none'),
    (
        ['a.json', 'a.json', 'a.json', '--images', '.', '.'],
        '--images takes one folder for all files or one for each of the 3, '
        'got 2',
    ),
]


@pytest.mark.parametrize(('arguments', 'error'), REFUSED)
def test_arguments_that_do_not_fit_are_refused(
    tmp_path, check_here, arguments, error
):
    write(tmp_path / 'a.json', clean())
    write(tmp_path / 'b.json', clean())

    done = check_here(*arguments)

    assert done.returncode == 2
    assert error in done.stderr
    assert json.loads((tmp_path / 'b.json').read_text()) == clean()


def test_categories_without_names_are_compared_too():
    files = [
        CocoFile.of(f'{count}.json', dict(categories=[dict(id=1)] * count))
        for count in (1, 2)
    ]

    (problem,) = check_together(files, has_images=True)

    assert "number 2 is None instead of 'nothing'" in str(problem)


@pytest.mark.parametrize(
    ('encoding', 'done'),
    [
        ('utf-8', 'nothing to mend'),
        ('utf-16', 'written as JSON in UTF-8'),
        ('utf-8-sig', 'written as JSON in UTF-8'),
    ],
)
def test_another_encoding_is_mended_and_said(
    tmp_path, call_tool, encoding, done
):
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(clean()), encoding=encoding)

    result = call_tool('check_coco', file, '--fix', tmp_path / 'b.json')

    assert f'b.json: {done}\n' in result.stdout


@pytest.mark.parametrize(
    ('content', 'name'),
    [
        ([dict(id=1, data={}, annotations=[])], 'Label Studio'),
        ({'a.jpg1': dict(filename='a.jpg', regions=[])}, 'VIA'),
        (dict(_via_img_metadata={}), 'VIA'),
        (dict(items=[], categories={}), 'Datumaro'),
        (dict(shapes=[], imagePath='a.jpg'), 'LabelMe'),
        (dict(objects=[], size={}), 'Supervisely'),
        ([dict(image_id=1, category_id=1, bbox=[], score=1)], 'detection'),
        ({}, 'is it a COCO file'),
        ([], 'is it a COCO file'),
        ('text', 'is it a COCO file'),
    ],
)
def test_other_formats_are_named(content, name, tmp_path):
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(content))

    read = read_file(file)

    problem = read if isinstance(read, Problem) else next(check_file(read))
    assert name in problem.advice


@pytest.mark.parametrize(
    ('names', 'found'),
    [
        (
            ['red', 'Red ', 'green', ' RED'],
            "['red', 'Red ', ' RED'] are",
        ),
        (['red', 'green', 'dark red'], None),
        # Another check finds equal ones.
        (['red', 'red'], None),
    ],
)
def test_nearly_equal_names_of_classes_are_noted(names, found):
    categories = [dict(id=i, name=n) for i, n in enumerate(names)]
    file = CocoFile.of('a.json', dict(categories=categories))

    notes = list(describe_classes(file))

    assert len(notes) == (found is not None)
    assert not found or f'a.json: {found}' in notes[0]
