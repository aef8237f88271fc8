"""The tables of errors, worked by hand."""

from pathlib import Path

import numpy as np

from projects.data_distillation.matching.numbering import Places
from projects.data_distillation.report.mistakes import make_mistakes
from projects.data_distillation.report.validation import (
    JudgedModel,
    Validation,
)
from projects.data_distillation.review.errors import Judged

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


def validate(
    objects: list, found: dict[str, list], classes: list[str]
) -> Validation:
    """Judge boxes on three images, from a score of 0.5 on."""
    categories = [dict(id=n, name=name) for n, name in enumerate(classes)]
    places = Places.of(range(3), categories)
    keys = 'image_id', 'category_id', 'bbox', 'score'
    true = places.collect_objects(dict(zip(keys, one)) for one in objects)
    models = []
    for name, boxes in found.items():
        columns = places.collect_found(dict(zip(keys, one)) for one in boxes)
        models.append(JudgedModel(name, Judged.of(true, columns), 0.5))
    images = [
        dict(id=n, file_name=f'{n}.png', width=200, height=100)
        for n in range(3)
    ]
    return Validation(images, classes, Path('nowhere'), models, [])


def test_tables_of_a_hand_worked_example():
    mistakes = make_mistakes(validate(OBJECTS, FOUND, CLASSES))

    # Objects; class, box, both, duplicate, background, missed; precision,
    # recall.
    everything, by_class, by_size = mistakes['tables']
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
    assert mistakes['verdict'] == (
        'The student makes fewer errors than the teacher on 1 images, more on '
        '1, and as many on 1.'
    )


def test_kinds_have_bars():
    mistakes = make_mistakes(validate(OBJECTS, FOUND, CLASSES))

    bars = {row['name']: row['bars'] for row in mistakes['kinds']}
    assert bars['background'] == [('1', 0.5), ('2', 1.0)]
    assert bars['both'] == [('0', 0.0), ('0', 0.0)]


def test_matrices_of_a_hand_worked_example():
    mistakes = make_mistakes(validate(OBJECTS, FOUND, CLASSES))

    teacher, student = mistakes['matrices']
    assert teacher['header'] == ['cat', 'dog', 'background']
    counts = [[n for n, _ in row['cells']] for row in teacher['rows']]
    assert counts == [[1, 0, 1], [1, 0, 0], [1, 1, 0]]
    shares = [[share for _, share in row['cells']] for row in student['rows']]
    assert shares == [[0.5, 0, 0.5], [0, 1, 0], [1 / 3, 2 / 3, 0]]


def test_one_model_is_not_compared():
    only = dict(teacher=FOUND['teacher'])

    mistakes = make_mistakes(validate(OBJECTS, only, CLASSES))

    assert mistakes['verdict'] == ''
    ((row,), *_) = mistakes['tables']
    assert ' '.join(row) == 'all 3 1 0 0 1 1 1 0.250 0.333'
    assert make_mistakes(validate(OBJECTS, {}, CLASSES)) is None


def test_images_and_models_without_boxes():
    nothing = dict(teacher=[], student=[])

    mistakes = make_mistakes(validate([], nothing, CLASSES))

    ((row,), *_) = mistakes['tables']
    assert row[:2] == ['all', '0']
    assert row[-2:] == ['- → -', '- → -']


def test_classes_that_are_confused_most_are_named():
    classes = [f'{n}' for n in range(20)]
    objects = [(0, n, [0, 20 * n, 10, 10]) for n in range(20)]
    # 18 is taken for 3; all others are found.
    found = [(*one, 0.9) for one in objects if one[1] != 18]
    found.append((0, 3, objects[18][2], 0.8))

    mistakes = make_mistakes(validate(objects, dict(a=found), classes))

    (matrix,) = mistakes['matrices']
    names = matrix['header']
    assert names[-3:] == ['18', '8 other classes', 'background']
    assert [row['name'] for row in matrix['rows']] == names
    counts = np.array([[n for n, _ in row['cells']] for row in matrix['rows']])
    assert counts.sum() == 20
    assert counts[names.index('18'), names.index('3')] == 1
    assert counts[-2, -2] == 8
    assert mistakes['num_merged'] == 20
