"""Kinds of errors: worked by hand, and beside a slow reference."""

import itertools

import numpy as np
import pytest

from projects.data_distillation.label_files.coco.matching import match_images
from projects.data_distillation.label_files.column_matching.numbering import (
    Numbering,
)
from projects.data_distillation.pseudo_labels.review.errors import (
    BACKGROUND,
    BOTH,
    BOX,
    CLASS,
    DUPLICATE,
    KINDS,
    MISSED,
    ON_CROWD,
    RIGHT,
    Judged,
    group_rare,
)

CAT, DOG, BIRD = 7, 3, 5
CATEGORIES = [
    dict(id=CAT, name='cat'),
    dict(id=DOG, name='dog'),
    dict(id=BIRD, name='bird'),
]
GRID = np.arange(101) / 100


def judge(
    objects: list[tuple], found: list[tuple], num_images: int = 1
) -> Judged:
    """Judge boxes.

    Args:
        objects: Image, category, box and whether it is a crowd.
        found: Image, category, box and score.
        num_images: The number of images.
    """
    numbering = Numbering.of(range(num_images), CATEGORIES)
    keys = 'image_id', 'category_id', 'bbox'
    return Judged.of(
        numbering.collect_objects(
            dict(zip((*keys, 'iscrowd'), one)) for one in objects
        ),
        numbering.collect_found(
            dict(zip((*keys, 'score'), one)) for one in found
        ),
    )


HAND_WORKED = {
    # The box of the object is 10 x 10 at (0, 0), and a box beside it that
    # begins at x = n has an IoU of (10 - n) / (10 + n).
    'right': (CAT, [0, 0, 10, 10], RIGHT, 0, False),
    'just right': (CAT, [0, 0, 5, 10], RIGHT, 0, False),
    'class': (DOG, [2, 0, 10, 10], CLASS, 0, False),
    'box': (CAT, [5, 0, 10, 10], BOX, 0, False),
    'just near': (CAT, [0, 0, 1, 10], BOX, 0, False),
    'both': (DOG, [5, 0, 10, 10], BOTH, 0, True),
    'too far': (CAT, [9, 0, 10, 10], BACKGROUND, -1, True),
    'elsewhere': (CAT, [90, 0, 10, 10], BACKGROUND, -1, True),
    'nothing': (CAT, [0, 0, 0, 0], BACKGROUND, -1, True),
}


@pytest.mark.parametrize('case', HAND_WORKED)
def test_one_detection_of_one_object(case):
    category, bbox, kind, target, is_missed = HAND_WORKED[case]

    judged = judge([(0, CAT, [0, 0, 10, 10], 0)], [(0, category, bbox, 0.5)])

    assert judged.kinds.tolist() == [kind]
    assert judged.targets.tolist() == [target]
    everything = np.ones(1, bool)
    assert judged.find_missed(everything).tolist() == [is_missed]
    assert judged.find_missed(~everything).tolist() == [True]


@pytest.mark.parametrize(
    ('category', 'bbox', 'kind', 'target'),
    [
        # IoU 1/4 with the cat and 2/3 with the dog, and the other way round.
        (CAT, [6, 0, 10, 15], CLASS, 1),
        (DOG, [0, 0, 10, 15], CLASS, 0),
        # IoU 2/7 with the cat and 1/8 with the dog: the class decides.
        (CAT, [4, 0, 4, 20], BOX, 0),
        (DOG, [4, 0, 4, 20], BOX, 1),
    ],
)
def test_place_of_an_object_counts_more_than_being_near(
    category, bbox, kind, target
):
    objects = [(0, CAT, [0, 0, 10, 10], 0), (0, DOG, [6, 0, 10, 10], 0)]

    judged = judge(objects, [(0, category, bbox, 0.5)])

    assert (judged.kinds, judged.targets) == (kind, target)


def test_second_best_of_an_object_is_a_duplicate():
    judged = judge(
        [(0, CAT, [0, 0, 10, 10], 0)],
        [
            (0, CAT, [0, 0, 10, 9], 0.6),
            (0, CAT, [0, 0, 10, 10], 0.5),
            (0, CAT, [1, 0, 10, 10], 0.7),
        ],
    )

    # The score decides, not the overlap.
    assert judged.kinds.tolist() == [DUPLICATE, DUPLICATE, RIGHT]
    assert judged.targets.tolist() == [0, 0, 0]


def test_crowds_are_neither_missed_nor_wrong():
    judged = judge(
        [(0, CAT, [0, 0, 50, 50], 1)],
        [(0, CAT, [9, 9, 9, 9], 0.9), (0, DOG, [0, 0, 50, 50], 0.8)],
    )

    assert judged.kinds.tolist() == [ON_CROWD, BACKGROUND]
    assert judged.targets.tolist() == [-1, -1]
    assert not judged.find_missed(np.zeros(2, bool)).any()
    assert judged.count_from(np.zeros(1)).tolist() == [[0, 1]]
    matrix = judged.confuse(np.ones(2, bool), 2)
    assert matrix.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_nothing_at_all():
    judged = judge([], [])

    assert judged.choose_min_score(GRID) == 1
    assert judged.confuse(np.ones(0, bool), 2).sum() == 0
    assert judge([], [(0, CAT, [0, 0, 9, 9], 0.5)]).kinds == [BACKGROUND]
    lost = judge([(0, CAT, [0, 0, 9, 9], 0)], [])
    assert lost.find_missed(np.zeros(0, bool)).tolist() == [True]


# Two cats and a dog in a row; the second image has a cat.
ROW = [
    (0, CAT, [0, 0, 10, 10], 0),
    (0, CAT, [20, 0, 10, 10], 0),
    (0, DOG, [40, 0, 10, 10], 0),
    (1, CAT, [0, 0, 10, 10], 0),
]
FOUND = [
    (0, CAT, [0, 0, 10, 10], 0.9),  # right
    (0, DOG, [0, 0, 10, 10], 0.8),  # class, of a cat that is found
    (0, DOG, [20, 0, 10, 10], 0.7),  # class
    (0, DOG, [20, 0, 10, 9], 0.6),  # class, of the same cat
    (0, DOG, [45, 0, 10, 10], 0.5),  # box
    (1, DOG, [50, 0, 10, 10], 0.4),  # background
]


def test_counts_of_a_hand_worked_example():
    judged = judge(ROW, FOUND, 2)
    everything = judged.find_shown(0.4)

    by_class = judged.count_errors(
        everything, judged.found.labels, judged.objects.labels, 2
    )
    by_image = judged.count_errors(
        judged.find_shown(0.55),
        judged.found.image_index,
        judged.objects.image_index,
        2,
    )

    # class, box, both, duplicate, background, missed
    assert by_class.tolist() == [[0, 0, 0, 0, 0, 1], [3, 1, 0, 0, 1, 0]]
    # Without the detection beside it, the dog is missed.
    assert by_image.tolist() == [[3, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]]


def test_confusion_of_a_hand_worked_example():
    judged = judge(ROW, FOUND, 2)

    matrix = judged.confuse(np.ones(6, bool), 2)

    # Rows: cat, dog, background. One of the three cats is found, one is taken
    # for a dog once, and one is missed.
    assert matrix.tolist() == [[1, 1, 1], [0, 0, 1], [0, 4, 0]]


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        # The right one has the object, whatever the scores are.
        ([(0, DOG, 0.9), (0, CAT, 0.8)], [[1, 0, 0], [0, 0, 0], [0, 1, 0]]),
        # Of two errors, the one with the higher score has it.
        ([(0, DOG, 0.8), (0, BIRD, 0.9)], [[0, 0, 1], [0, 0, 0], [0, 1, 0]]),
        ([(0, DOG, 0.9), (0, BIRD, 0.8)], [[0, 1, 0], [0, 0, 0], [0, 0, 1]]),
    ],
)
def test_each_object_is_given_once(found, expected):
    boxes = [(i, c, [0, 0, 10, 10], score) for i, c, score in found]
    judged = judge([(0, CAT, [0, 0, 10, 10], 0)], boxes)

    matrix = judged.confuse(np.ones(2, bool), 3)

    assert matrix[np.ix_([0, 1, 3], [0, 1, 2])].tolist() == expected


@pytest.mark.parametrize(
    ('scores', 'expected'),
    [
        # Right, wrong, right, of two objects: F1 is 2/3, 1/2, 4/5.
        ([0.9, 0.8, 0.7], 0.7),
        # F1 is 2/3 up to 0.70, and 4/5 below 0.31.
        ([0.7, 0.3, 0.3], 0.3),
        ([0.3, 0.2, 0.004], 0.0),
    ],
)
def test_score_with_the_best_f1(scores, expected):
    boxes = [0, 0, 10, 10], [50, 0, 10, 10], [0, 20, 10, 10]
    objects = [(0, CAT, boxes[0], 0), (0, CAT, boxes[2], 0)]
    found = [(0, CAT, b, s) for b, s in zip(boxes, scores)]

    assert judge(objects, found).choose_min_score(GRID) == expected


def test_scores_are_compared_as_float32():
    score = float(np.float32(0.7))
    assert score < 0.7

    judged = judge([], [(0, CAT, [0, 0, 9, 9], score)])

    assert judged.find_shown(0.7).tolist() == [True]
    assert judged.count_from(np.array([0.7])).tolist() == [[0, 1]]


def random_task(seed: int) -> tuple[list, list]:
    """Boxes on a coarse grid, so that they overlap, and equally much."""
    random = np.random.default_rng(seed)

    def draw(number: int) -> list[tuple]:
        return [
            (
                int(random.integers(4)),
                (CAT, DOG)[random.integers(2)],
                [
                    *(random.integers(0, 8, 2) * 3).tolist(),
                    *(random.integers(1, 5, 2) * 3).tolist(),
                ],
            )
            for _ in range(number)
        ]

    objects = [(*one, int(random.random() < 0.15)) for one in draw(40)]
    found = [(*one, float(random.integers(1, 20) / 20)) for one in draw(120)]
    return objects, found


def measure_iou(one: list, other: list) -> float:
    """Of whole numbers, so that nothing is rounded before the division."""
    cells = [
        set(itertools.product(range(x, x + w), range(y, y + h)))
        for x, y, w, h in (one, other)
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def judge_slowly(objects: list, found: list, is_right: list) -> list[int]:
    """The kinds, from their definitions, box by box."""
    kinds = []
    for (image, category, bbox, _), right in zip(found, is_right):
        same, other = [0.0], [0.0]
        for where, what, box, crowd in objects:
            if where == image and not crowd:
                ious = same if what == category else other
                ious.append(measure_iou(bbox, box))
        if right is not False:
            kinds.append(RIGHT if right else ON_CROWD)
        elif max(same) >= 0.5:
            kinds.append(DUPLICATE)
        elif max(other) >= 0.5:
            kinds.append(CLASS)
        elif max(same) >= 0.1:
            kinds.append(BOX)
        else:
            kinds.append(BOTH if max(other) >= 0.1 else BACKGROUND)
    return kinds


@pytest.mark.parametrize('seed', range(8))
def test_kinds_are_those_of_their_definitions(seed):
    objects, found = random_task(seed)
    # Of equal scores, COCO's matching takes the first of the image.
    judged = judge(objects, found, 4)
    is_right = [
        None if kind == ON_CROWD else kind == RIGHT
        for kind in judged.kinds.tolist()
    ]

    assert judged.kinds.tolist() == judge_slowly(objects, found, is_right)
    # Each object is taken once, and by a detection that fits.
    taken = judged.targets[judged.kinds == RIGHT].tolist()
    assert len(set(taken)) == len(taken) > 2
    for one, kind, target in zip(found, judged.kinds, judged.targets):
        if kind in (RIGHT, BOX, DUPLICATE, CLASS, BOTH):
            image, category, bbox, _ = objects[target]
            assert image == one[0]
            assert (category == one[1]) == (kind not in (CLASS, BOTH))
            iou = measure_iou(bbox, one[2])
            assert (iou >= 0.5) == (kind in (RIGHT, DUPLICATE, CLASS))


@pytest.mark.parametrize('seed', range(4))
def test_right_ones_are_those_of_the_other_tables(seed):
    objects, found = random_task(seed)
    judged = judge(objects, found, 4)
    keys = 'image_id', 'category_id', 'bbox'
    truth = dict(
        categories=CATEGORIES,
        annotations=[dict(zip((*keys, 'iscrowd'), one)) for one in objects],
    )
    results = [dict(zip((*keys, 'score'), one)) for one in found]

    matches = match_images(truth, results, range(4), [0.5])

    for score in (0.05, 0.5, 0.95):
        counted = matches.scores >= np.float32(score)
        assert judged.count_from(np.array([score])).tolist() == [
            [matches.is_right[counted, 0].sum(), counted.sum()]
        ]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('min_score', [0.0, 0.4, 0.9])
def test_matrix_counts_each_object_and_each_detection_once(seed, min_score):
    judged = judge(*random_task(seed), 4)
    is_shown = judged.find_shown(min_score)

    matrix = judged.confuse(is_shown, 2)

    counted = is_shown & (judged.kinds != ON_CROWD)
    objects = judged.objects.labels[~judged.objects.is_crowd]
    found = judged.found.labels[counted]
    assert matrix[:2].sum(axis=1).tolist() == np.bincount(objects).tolist()
    assert matrix[:, :2].sum(axis=0).tolist() == np.bincount(found).tolist()
    for label in range(2):
        right = is_shown & (judged.kinds == RIGHT)
        right &= judged.found.labels == label
        assert matrix[label, label] == right.sum()
    # More are left over than are missed: an error of box is near them.
    missed = judged.find_missed(is_shown)
    assert matrix[:2, 2].sum() >= missed.sum()


@pytest.mark.parametrize('seed', range(4))
def test_all_wrong_detections_and_missed_objects_are_counted(seed):
    judged = judge(*random_task(seed), 4)
    is_shown = judged.find_shown(0.3)

    counts = judged.count_errors(
        is_shown, judged.found.image_index, judged.objects.image_index, 4
    )

    assert counts.shape == (4, len(KINDS))
    num_wrong = (is_shown & (judged.kinds >= 0)).sum()
    assert counts[:, :MISSED].sum() == num_wrong
    assert counts[:, MISSED].sum() == judged.find_missed(is_shown).sum()


def test_sizes_of_objects_and_detections():
    judged = judge(
        [(0, CAT, [0, 0, 31, 33], 0), (0, CAT, [50, 0, 32, 32], 0)],
        [
            (0, CAT, [0, 0, 40, 40], 0.9),
            (0, DOG, [50, 0, 32, 20], 0.8),
            (0, DOG, [500, 0, 96, 96], 0.7),
            (0, DOG, [500, 0, 95, 96], 0.6),
        ],
    )

    of_found, of_objects = judged.find_sizes()

    # Those of the objects, where there are any.
    assert of_objects.tolist() == [0, 1]
    assert of_found.tolist() == [0, 1, 2, 1]


def test_classes_that_are_seldom_confused_are_merged():
    # Class 3 is taken for 1 twice; 0 and 2 are only missed.
    counts = np.diag([9, 9, 9, 9, 0])
    counts[3, 1] = 2
    counts[0, 4] = counts[4, 2] = 7

    merged, named = group_rare(counts, 2)

    assert named == [1, 3]
    assert merged.tolist() == [
        [9, 0, 0, 0],
        [2, 9, 0, 0],
        [0, 0, 18, 7],
        [0, 0, 7, 0],
    ]
    assert group_rare(counts, 4)[0] is counts
