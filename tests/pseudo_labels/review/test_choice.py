"""The values of images, and which of them are chosen."""

import cv2
import numpy as np
import pytest

from projects.data_distillation.pseudo_labels.review.appearance import (
    Appearance,
    find_appearance,
    measure_distances,
)
from projects.data_distillation.pseudo_labels.review.choice import (
    choose_images,
    find_candidates,
)
from projects.data_distillation.pseudo_labels.review.features import (
    describe_colors,
    normalize_vector,
)
from projects.data_distillation.pseudo_labels.review.signals import Signals
from projects.data_distillation.pseudo_labels.review.value import (
    value_images,
    weigh_classes,
)

NOBODY = Appearance(np.zeros((0, 2), np.float32), [])


def appearance_of(*angles: float) -> Appearance:
    """Images that are as different as angles, none a near-duplicate."""
    turned = np.radians(angles)
    vectors = np.column_stack([np.cos(turned), np.sin(turned)])
    return Appearance(vectors.astype(np.float32), [None] * len(angles))


def test_values_sum_up_wrong_labels_and_missed_objects():
    signals = Signals(
        scores=np.array([0.9, 0.8, 0.4, 0.3]),
        labels=np.array([0, 1, 1, 0]),
        support=np.array([1, 0.25, 1, 1]),
        spread=np.array([0, 0.5, 0.5, 0]),
        rival_labels=np.array([-1, 0, 1, -1]),
        rival_scores=np.array([0, 0.7, 0.1, 0]),
        overlap=np.zeros(4),
    )
    index = np.array([0, 0, 0, 2])
    chances = np.array([0.9, 0.5, 0.25, 0.125])
    is_label = np.array([True, True, False, False])

    found = value_images(
        index, signals, chances, is_label, 3, np.array([1.0, 2.0])
    )

    assert found.wrong.tolist() == [[pytest.approx(0.1), 0.5], [0, 0], [0, 0]]
    assert found.missed.tolist() == [[0, 0.25], [0, 0], [0.125, 0]]
    assert found.values == pytest.approx([0.1 + 2 * 0.75, 0, 0.125])
    assert found.few_views.tolist() == [1, 0, 0]
    assert found.far_apart.tolist() == [1, 0, 0]
    assert found.confused.tolist() == [[0, 1, 0]]


def test_label_of_score_zero_without_a_rival_is_not_confused():
    zero, one = np.zeros(1), np.ones(1)
    signals = Signals(
        scores=zero, labels=np.array([1]), support=one, spread=zero,
        rival_labels=np.array([-1]), rival_scores=zero, overlap=zero,
    )  # fmt: skip

    found = value_images(
        np.array([0]), signals, one, np.array([True]), 1, np.ones(2)
    )

    assert found.confused.tolist() == []


def test_errors_of_rare_classes_count_more():
    weights = weigh_classes(np.array([40, 10, 10, 0]))

    assert weights[0] < 1 < weights[1] == weights[2] < weights[3]
    assert weigh_classes(np.array([7, 7])).tolist() == [1, 1]


def test_candidates_are_worth_most():
    values = np.arange(100) % 50

    found = find_candidates(values, 12)

    assert found[:4].tolist() == [49, 99, 48, 98]
    assert len(found) == 12
    found = find_candidates(values, 12, values < 20)
    assert found.tolist() == [19, 69, 18, 68, 17, 67, 16, 66, 15, 65, 14, 64]


def test_alike_images_wait_for_others():
    # The second is worth nearly as much as the first, and appearance like it.
    appearance = appearance_of(0, 1, 90, 180)

    choice = choose_images(np.array([5, 4.9, 3, 1]), appearance, NOBODY, 3)

    assert choice.indices.tolist() == [0, 2, 3]


def test_what_looks_like_a_labeled_image_waits():
    appearance, labeled = appearance_of(0, 90, 180), appearance_of(1)

    choice = choose_images(np.array([5, 4, 3.9]), appearance, labeled, 1)

    assert choice.indices.tolist() == [1]


def test_an_outlier_without_errors_is_not_taken_first():
    appearance = appearance_of(0, 20, 40, 180)

    choice = choose_images(
        np.array([5, 4, 3, 0.1]), appearance, appearance_of(1), 2
    )

    assert 3 not in choice.indices


@pytest.mark.parametrize('seed', range(5))
def test_the_choice_is_that_of_the_definition(seed):
    random = np.random.default_rng(seed)
    values = random.random(30)
    appearance = appearance_of(*random.uniform(0, 360, 30))
    labeled = appearance_of(*random.uniform(0, 360, 3))

    found = choose_images(values, appearance, labeled, 10)

    taken: list[int] = []
    typical = np.median(measure_distances(appearance.vectors, labeled.vectors))
    for place in range(10):
        known = np.concatenate([labeled.vectors, appearance.vectors[taken]])
        gains = {}
        for index in set(range(30)) - set(taken):
            distance = (1 - (known @ appearance.vectors[index]).max()) / 2
            gains[index] = values[index] * min(distance / typical, 1) ** 0.5
        best = max(gains, key=gains.get)
        assert found.indices[place] == best
        taken.append(best)


def write_images(folder, *pixels):
    paths = [str(folder / f'{n}.png') for n in range(len(pixels))]
    for path, one in zip(paths, pixels):
        assert cv2.imwrite(path, one)
    return paths


def test_near_duplicates_are_left_out(tmp_path):
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (3, 12, 12, 3)).astype(np.uint8)
    scenes = [cv2.resize(one, (96, 96)) for one in small]
    brighter = np.clip(scenes[0].astype(int) + 6, 0, 255).astype(np.uint8)
    paths = write_images(tmp_path, *scenes, brighter, scenes[2][:, ::2])
    appearance = find_appearance(paths[:4], describe_colors)
    labeled = find_appearance(paths[4:], describe_colors)

    choice = choose_images(np.array([1, 2, 9, 3]), appearance, labeled, 4)

    assert sorted(choice.indices.tolist()) == [1, 3]
    assert choice.near == {2: -1, 0: 3}


def test_an_image_that_cannot_be_read_looks_like_nothing(tmp_path):
    paths = write_images(tmp_path, np.full((9, 9, 3), 200, np.uint8))
    (tmp_path / 'broken.png').write_bytes(b'no image')

    appearance = find_appearance(
        [*paths, str(tmp_path / 'broken.png')], describe_colors
    )

    assert appearance.vectors[0] @ appearance.vectors[0] == pytest.approx(1)
    assert not appearance.vectors[1].any()
    assert appearance.bits == [None, None]
    # The vectors of images that all cannot be read have another length.
    unread = find_appearance([str(tmp_path / 'broken.png')], describe_colors)
    choice = choose_images(np.ones(1), unread, appearance, 1)
    assert choice.indices.tolist() == [0]


def test_nothing_has_no_direction():
    assert normalize_vector(np.zeros(3)).tolist() == [0, 0, 0]
    assert normalize_vector(np.array([3.0, 4.0])) == pytest.approx([0.6, 0.8])
