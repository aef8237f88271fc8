"""What a selection tells the user."""

import math

import numpy as np
import pytest

from projects.data_distillation.label_files.coco.matching import ClassMatches
from projects.data_distillation.pseudo_labels.detections.columns import (
    Detections,
)
from projects.data_distillation.pseudo_labels.selection.rules import Selection
from projects.data_distillation.pseudo_labels.selection.selectors import (
    Candidates,
    LabeledCounts,
)
from projects.data_distillation.pseudo_labels.selection.summary import (
    describe_left_out,
    summarize_selection,
    warn_of_counts,
    warn_of_distributions,
    warn_of_full_images,
    warn_of_ignored,
    warn_of_unreadable,
)


def counts(num_images: int, *num_instances: int, **names) -> LabeledCounts:
    classes = tuple('abcd'[: len(num_instances)])
    return LabeledCounts(num_images, np.array(num_instances), classes, **names)


def selection(scores, labels, **changes) -> Selection:
    """A selection of the detections from 0.5 on, of two classes."""
    scores, labels = np.array(scores, np.float32), np.array(labels, int)
    columns = dict(
        min_scores=np.float32([0.5, math.inf]),
        ignore_scores=None,
        is_selected=(scores >= 0.5) & (labels == 0),
        is_ignored=scores < 0,
        keeps_image=np.ones(4, bool),
        num_images=4,
        num_empty=1,
        num_thin=0,
        num_maskless=0,
        num_stopped={},
        found=Candidates(scores, labels, 4),
    )
    return Selection(**(columns | changes))


def detections(scores, labels) -> Detections:
    zeros = np.zeros(len(scores))
    return Detections(
        zeros.astype(int), np.zeros((len(scores), 4)), np.float32(scores),
        np.array(labels, int), zeros, zeros,
    )  # fmt: skip


@pytest.mark.parametrize(
    ('number', 'warns'), [(9, True), (10, False), (40, False), (41, True)]
)
def test_number_far_from_that_of_labeled_images_is_warned_of(number, warns):
    labeled = counts(5, 10, name='labeled and other')

    found = [*warn_of_counts(np.array([number]), 10, labeled)]

    text = (
        f"class 'a' has {number} pseudo labels; at the rate of the labeled "
        'and other images it would have 20'
    )
    assert found == [text] * warns


def test_without_labeled_images_only_a_lacking_class_is_warned_of():
    kept = np.array([999, 0])

    assert [*warn_of_counts(kept, 10, counts(0, 0, 0))] == [
        "class 'b' has no pseudo label"
    ]


def test_scores_of_another_kind_than_in_validation_are_warned_of():
    low, high = np.linspace(0.1, 0.5, 60), np.linspace(0.3, 0.9, 60)
    chosen = selection([*low, *high], [0] * 60 + [1] * 60)
    is_right = np.ones(60, bool)
    matches = [
        ClassMatches(high.astype(np.float32), is_right, 60) for _ in 'ab'
    ]
    labeled = counts(5, 10, 10)

    (text,) = warn_of_distributions(chosen, labeled, matches)

    assert text == (
        "the scores of class 'a' differ between the validation images (median "
        '0.60) and the unlabeled ones (0.30): check that these images are of '
        'the same kind'
    )
    assert [*warn_of_distributions(chosen, labeled, None)] == []
    # One of them may differ by chance, and nothing differs from none.
    few = [
        ClassMatches(np.float32(scores), np.ones(len(scores), bool), 1)
        for scores in ([0.9], [])
    ]
    assert [*warn_of_distributions(chosen, labeled, few)] == []


def test_images_and_objects_that_do_not_count_are_warned_of():
    rows = [
        dict(file_name=name, unreadable='cut off') for name in ('x.png', 'y')
    ]

    assert [*warn_of_unreadable(rows)] == [
        '2 images could not be read, the first is x.png (cut off); the `info` '
        'of the file lists all of them'
    ]
    (text,) = warn_of_ignored(counts(1, 1, num_ignored=1234))
    assert text.startswith('1,234 labeled annotations have `ignore`. They')
    assert [*warn_of_unreadable([]), *warn_of_ignored(counts(1, 1))] == []


def test_what_was_left_out_is_told_with_its_reason():
    chosen = selection(
        [0.9], [0], num_thin=2, num_maskless=3, num_stopped=dict(MinViews=4),
        keeps_image=np.array([True, False, True, True]),
    )  # fmt: skip
    end = '1 of 4 images have no pseudo label; '

    thin, maskless, stopped, last = describe_left_out(chosen)

    assert thin == (
        '2 detections were left out because they were thinner than 1 pixel'
    )
    assert maskless.startswith('3 detections were left out because they have')
    assert stopped == '4 detections were stopped by MinViews'
    assert last == f'{end}1 of them were dropped'
    assert [*describe_left_out(selection([0.9], [0]))] == [
        f'{end}0 of them were dropped'
    ]


def cells_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if '│' in line]
    return [line.replace('│', ' ').split() for line in lines]


@pytest.mark.parametrize('ignores', [True, False])
def test_table_has_a_line_for_each_class(ignores):
    scores, labels = [0.9, 0.7, 0.6, 0.3], [0, 0, 1, 0]
    ignore_scores = np.float32([0.2, 0.2]) if ignores else None
    chosen = selection(
        scores,
        labels,
        ignore_scores=ignore_scores,
        is_ignored=np.array([False, False, False, ignores]),
    )

    text = summarize_selection(
        detections(scores, labels), chosen, counts(2, 1, 1), None, []
    )

    more = [['1'], ['0']] if ignores else [[], []]
    assert cells_of(text) == [
        ['a', '0.50', '0.50', '0.500', '2', *more[0]],
        ['b', '0.50', '0.00', '-', '0', *more[1]],
    ]
    assert ('ignored' in text) == ignores
    assert "warning: class 'b' has no pseudo label" in text
    assert text.splitlines()[-1] == (
        '2 of 4 detections on 4 images became pseudo labels'
    )


def test_rate_of_nothing_labeled_is_left_open():
    text = summarize_selection(
        detections([0.9], [0]),
        selection([0.9], [0]),
        counts(0, 0, 0),
        None,
        [],
    )

    assert [row[:3] for row in cells_of(text)] == [
        ['a', '-', '0.25'], ['b', '-', '0.00']
    ]  # fmt: skip


def test_images_with_more_objects_than_the_merger_keeps_are_counted():
    scores, labels = [0.9, 0.8, 0.7], [0, 0, 0]
    found = detections(scores, labels)
    full = selection(scores, labels)
    cut = selection(scores, labels, is_selected=np.array([True, True, False]))

    (warning,) = warn_of_full_images(found, full, 3)

    assert 'on 1 images all 3 detections' in warning
    assert [*warn_of_full_images(found, cut, 3)] == []
    assert [*warn_of_full_images(found, full, 4)] == []
    assert [*warn_of_full_images(found, full, None)] == []
    none = selection([], [])
    assert [*warn_of_full_images(detections([], []), none, 1)] == []
