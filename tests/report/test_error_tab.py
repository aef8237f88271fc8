"""The tables of errors, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from report_files import encoded, make_validation

from projects.data_distillation.report import error_tab
from projects.data_distillation.report.error_tab import (
    LOWEST,
    make_errors,
    sample_groups,
)
from projects.data_distillation.report.validation import Validation

CLASSES = ['cat', 'dog']
# Image, class, box: 10 x 10, 40 x 40 and 100 x 100 pixels.
OBJECTS = [
    (0, 0, [0, 0, 10, 10]),
    (0, 1, [50, 0, 40, 40]),
    (1, 0, [0, 0, 100, 100]),
]
FOUND = {
    'teacher': [
        (0, 0, [0, 0, 10, 10], 0.9),  # right
        (0, 0, [0, 0, 10, 10], 0.8),  # duplicate
        (0, 0, [50, 0, 40, 40], 0.7),  # class
        (2, 1, [0, 0, 8, 8], 0.6),  # background
        (1, 0, [0, 0, 100, 100], 0.1),  # does not count
    ],
    'student': [
        (0, 0, [0, 0, 10, 10], 0.9),  # right
        (0, 1, [50, 0, 40, 40], 0.8),  # right
        (1, 0, [0, 0, 100, 30], 0.7),  # box
        (2, 1, [0, 0, 8, 8], 0.6),  # background
        (2, 1, [50, 0, 8, 8], 0.5),  # background
    ],
}


def test_tables_of_a_hand_worked_example():
    errors = make_errors(make_validation(OBJECTS, FOUND, CLASSES))

    # Objects; class, box, both, duplicate, background, missed; precision,
    # recall.
    everything, by_class, by_size = errors['tables']
    rows = [' '.join(row) for row in (*everything, *by_class)]
    assert rows == [
        'all 3 1 → 0 0 → 1 0 → 0 1 → 0 1 → 2 1 → 0 0.250 → 0.400 '
        '0.333 → 0.667',
        'cat 2 1 → 0 0 → 1 0 → 0 1 → 0 0 → 0 1 → 0 0.333 → 0.500 '
        '0.500 → 0.500',
        'dog 1 0 → 0 0 → 0 0 → 0 0 → 0 1 → 2 0 → 0 0.000 → 0.333 '
        '0.000 → 1.000',
    ]
    # Errors have the size of their object, if they have one.
    assert [' '.join(row[1:8]) for row in by_size] == [
        '1 0 → 0 0 → 0 0 → 0 1 → 0 1 → 2 0 → 0',
        '1 1 → 0 0 → 0 0 → 0 0 → 0 0 → 0 0 → 0',
        '1 0 → 0 0 → 1 0 → 0 0 → 0 0 → 0 1 → 0',
    ]
    assert errors['compared'] == [
        'Right boxes and errors: teacher 1 and 4, student 2 and 3.',
        'Beside teacher, student is better on 1 images, worse on 1, and '
        'neither on 1.',
    ]


def test_kinds_have_bars():
    errors = make_errors(make_validation(OBJECTS, FOUND, CLASSES))

    bars = {row['name']: row['bars'] for row in errors['kinds']}
    assert bars['background'] == [('1', 0.5), ('2', 1.0)]
    assert bars['both'] == [('0', 0.0), ('0', 0.0)]


def test_matrices_of_a_hand_worked_example():
    errors = make_errors(make_validation(OBJECTS, FOUND, CLASSES))

    teacher, student = errors['matrices']
    assert teacher['header'] == ['cat', 'dog', 'background']
    counts = [[n for n, _ in row['cells']] for row in teacher['rows']]
    assert counts == [[1, 0, 1], [1, 0, 0], [1, 1, 0]]
    # The row of the background has all errors that take no object.
    kinds = {row['name']: row['bars'] for row in errors['kinds']}
    for at, matrix in enumerate((teacher, student)):
        (*_, row) = matrix['rows']
        assert sum(n for n, _ in row['cells']) == sum(
            int(kinds[kind][at][0])
            for kind in ('background', 'box', 'both', 'duplicate')
        )
    shares = [[share for _, share in row['cells']] for row in student['rows']]
    assert shares == [[0.5, 0, 0.5], [0, 1, 0], [1 / 3, 2 / 3, 0]]


def test_one_model_is_not_compared():
    only = dict(teacher=FOUND['teacher'])

    errors = make_errors(make_validation(OBJECTS, only, CLASSES))

    assert errors['compared'] == []
    ((row,), *_) = errors['tables']
    assert ' '.join(row) == 'all 3 1 0 0 1 1 1 0.250 0.333'
    assert make_errors(make_validation(OBJECTS, {}, CLASSES)) is None


def test_crowds_are_no_objects():
    crowd = (2, 0, [0, 0, 50, 50], 1)
    found = dict(student=[*FOUND['student'], (2, 0, [0, 0, 9, 9], 0.9)])

    errors = make_errors(make_validation([*OBJECTS, crowd], found, CLASSES))

    # As without the crowd, and what lies on it.
    assert errors['num_objects'] == 3
    ((row,), (cat, _), _) = errors['tables']
    assert ' '.join(row) == 'all 3 0 1 0 0 2 0 0.400 0.667'
    assert ' '.join(cat) == 'cat 2 0 1 0 0 0 0 0.500 0.500'


def test_images_and_models_without_boxes():
    nothing = dict(teacher=[], student=[])

    errors = make_errors(make_validation([], nothing, CLASSES))

    ((row,), *_) = errors['tables']
    assert row[:2] == ['all', '0']
    assert row[-2:] == ['- → -', '- → -']


def test_classes_that_are_confused_most_are_named():
    classes = [f'{n}' for n in range(20)]
    objects = [(0, n, [0, 20 * n, 10, 10]) for n in range(20)]
    # 18 is taken for 3; all others are found.
    found = [(*one, 0.9) for one in objects if one[1] != 18]
    found.append((0, 3, objects[18][2], 0.8))

    errors = make_errors(make_validation(objects, dict(a=found), classes))

    (matrix,) = errors['matrices']
    names = matrix['header']
    assert names[-3:] == ['18', '8 other classes', 'background']
    assert [row['name'] for row in matrix['rows']] == names
    counts = np.array([[n for n, _ in row['cells']] for row in matrix['rows']])
    assert counts.sum() == 20
    assert counts[names.index('18'), names.index('3')] == 1
    assert counts[-2, -2] == 8
    assert errors['num_grouped'] == 20


def on_images(numbers: list[tuple[int, int]]) -> list[tuple]:
    """Find some objects of each image, and nothing else: (right, wrong)."""
    return [
        (image, 0, [20 * n, 50 * is_wrong, 10, 10], 0.9)
        for image, counts in enumerate(numbers)
        for is_wrong, count in enumerate(counts)
        for n in range(count)
    ]


@pytest.fixture
def compared() -> Validation:
    """Three models on six images, each with three objects."""
    objects = [
        (image, 0, [20 * n, 0, 10, 10]) for image in range(6) for n in range(3)
    ]
    found = dict(
        teacher=on_images([(3, 9)] * 6),
        supervised_long=on_images(
            [(1, 7), (1, 5), (2, 0), (2, 2), (0, 1), (2, 1)]
        ),
        # Fewer of both, more of both, worse in both, better in both; fewer
        # wrong ones alone, and the same.
        student=on_images([(0, 1), (2, 9), (1, 1), (3, 1), (0, 0), (2, 1)]),
    )
    names = [f'{n}.png' for n in range(6)]
    return make_validation(objects, found, CLASSES, names=names)


def test_images_are_sorted_by_right_boxes_and_errors(compared):
    groups = {one.name: one.images for one in sample_groups(compared)}
    alone = replace(compared, models=compared.models[:1])

    # An object that is not found is an error too, so each counts twice.
    assert compared.compare_by_image(1).tolist() == [0, 0, -3, 3, 1, 0]
    assert groups['Better than supervised_long'] == [3, 4]
    assert groups['Worse than supervised_long'] == [2]
    # Errors: 1 + 3, 9 + 1, 1 + 2, 1, 3, 1 + 1.
    assert groups['Wrong against the truth'] == [1, 0, 2, 4, 5, 3]
    assert sorted(groups['Random']) == [0, 1, 2, 3, 4, 5]
    assert [one.name for one in sample_groups(alone)] == [
        'Wrong against the truth',
        'Random',
    ]


def test_control_is_compared_before_the_teacher(compared):
    lines = make_errors(compared)['compared']

    assert lines == [
        'Right boxes and errors: teacher 18 and 54, supervised_long 8 and 26, '
        'student 8 and 23.',
        'Beside supervised_long, student is better on 2 images, worse on 1, '
        'and neither on 3.',
        'Beside teacher, student is better on 1 images, worse on 1, '
        'and neither on 4.',
    ]


def test_gallery_has_the_objects_and_boxes_of_its_images(tmp_path):
    (tmp_path / '0.png').write_bytes(encoded(np.random.default_rng(0), 9, 9))
    weak = (0, 0, [0, 50, 10, 10])
    found = dict(
        teacher=[*FOUND['teacher'], (*weak, LOWEST)],
        student=[*FOUND['student'], (*weak, 0.9 * LOWEST)],
    )

    validation = make_validation(OBJECTS, found, CLASSES, tmp_path)
    data = make_errors(validation)['data']

    assert [image['name'] for image in data['images']] == [
        '0.png',
        '1.png',
        '2.png',
    ]
    first, second, third = data['images']
    assert first['src'].startswith('data:image/jpeg')
    assert second['src'] is None
    assert second['objects'] == [[0, 0, 100, 100, 0, False]]
    # Class, score, kind and object.
    teacher, student = ([box[4:] for box in boxes] for boxes in first['boxes'])
    assert teacher == [
        [0, 0.7, 0, 1],
        [0, 0.9, -1, 0],
        [0, 0.8, 3, 0],
        [0, pytest.approx(LOWEST), 4, -1],
    ]
    assert student == [[1, 0.8, -1, 1], [0, 0.9, -1, 0]]
    assert second['boxes'][0] == [[0, 0, 100, 100, 0, 0.1, -1, 0]]
    assert third['objects'] == []
    assert data['models'][1]['counts'][50] == [2, 5]


def test_group_says_how_many_images_are_left_out(monkeypatch):
    monkeypatch.setattr(error_tab, 'GROUP_SIZE', 2)

    validation = make_validation(OBJECTS, FOUND, CLASSES)
    data = make_errors(validation)['data']

    sizes = {one['name']: one for one in data['groups']}
    assert sizes['Wrong against the truth']['total'] == 2
    assert sizes['Random']['total'] == 3
    assert len(sizes['Random']['images']) == 2
    for group in data['groups']:
        assert max(group['images']) < len(data['images']) <= 3


@pytest.mark.parametrize('score', [0.03, 0.05, 0.5])
def test_boxes_that_count_are_never_left_out(score):
    found = dict(teacher=[(*OBJECTS[0], score)])

    validation = make_validation(OBJECTS, found, CLASSES, min_score=score)
    data = make_errors(validation)['data']

    assert data['lowest'] == min(score, LOWEST)
    assert len(data['images'][0]['boxes'][0]) == 1
