"""Heads get the number of classes, and as many weights of classes."""

import pytest

from projects.data_distillation.base_configs.heads import set_num_classes

QUERIES = dict(num_things_classes=80, num_stuff_classes=0)


def weighed(weights: object) -> dict:
    return {**QUERIES, 'loss_cls': dict(class_weight=weights)}


def test_part_without_classes_stays():
    assert set_num_classes(dict(depth=18), 3) == {}


def test_number_of_classes_is_replaced():
    assert set_num_classes(dict(num_classes=80), 3) == dict(num_classes=3)


def test_each_class_and_the_background_have_a_weight():
    changes = set_num_classes(weighed([2.0] * 80 + [0.1]), 3)

    assert changes == dict(
        num_things_classes=3,
        loss_cls=dict(class_weight=[2.0, 2.0, 2.0, 0.1]),
    )


@pytest.mark.parametrize('weights', [0.5, [1.0] * 40, [1.0] * 79 + [2.0, 0.1]])
def test_other_weights_stay(weights):
    assert 'loss_cls' not in set_num_classes(weighed(weights), 3)


@pytest.mark.parametrize('loss', [None, [dict(class_weight=[1.0, 0.1])]])
def test_loss_that_is_no_mapping_stays(loss):
    part = dict(num_classes=80, loss_cls=loss)

    assert set_num_classes(part, 3) == dict(num_classes=3)
