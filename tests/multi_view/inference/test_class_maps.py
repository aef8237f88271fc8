"""The classes of a teacher are those of the labeled file, by name."""

import logging

import pytest
import torch
from mmengine.structures import InstanceData
from torch import nn

from projects.data_distillation.multi_view.inference.checkpoint_error import (
    CheckpointError,
)
from projects.data_distillation.multi_view.inference.class_maps import (
    ClassNames,
)

WANTED = ('car', 'bus')


class Detector(nn.Module):
    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__()
        if num_classes:
            self.rpn_head, self.bbox_head = nn.Module(), nn.Module()
            self.rpn_head.num_classes = 1
            self.bbox_head.num_classes = num_classes


def found(*labels: int) -> InstanceData:
    """Boxes side by side, of which the first is the best."""
    left = 10 * torch.arange(len(labels)).float()
    zero = torch.zeros_like(left)
    return InstanceData(
        bboxes=torch.stack([left, zero, left + 8, zero + 8], dim=1),
        scores=torch.linspace(0.9, 0.5, len(labels)),
        labels=torch.tensor(labels),
    )


def mapped(known: tuple, *labels: int, **renamed: str) -> list[int]:
    meta = dict(dataset_meta=dict(classes=known))
    names = ClassNames(None, renamed)
    one = names.map(Detector(len(known)), meta, WANTED)
    return one.apply(found(*labels), 0.5).labels.tolist()


@pytest.mark.parametrize(
    'meta',
    [
        dict(dataset_meta=dict(classes=WANTED)),
        dict(dataset_meta=dict(CLASSES=list(WANTED))),
        dict(CLASSES=WANTED),
    ],
)
def test_nothing_changes_if_the_classes_are_the_same(meta):
    assert ClassNames().map(Detector(), meta, WANTED) is None


@pytest.mark.parametrize('meta', [{}, dict(dataset_meta=None)])
def test_classes_that_nothing_names_are_taken_with_a_warning(meta, caplog):
    with caplog.at_level(logging.WARNING):
        assert ClassNames().map(Detector(), meta, WANTED) is None

    renaming = ClassNames(None, dict(automobile='car'))
    with pytest.raises(CheckpointError, match='does not say what its classes'):
        renaming.map(Detector(), meta, WANTED)


def test_another_order_more_classes_and_other_names():
    assert mapped(('bus', 'car'), 0, 1, 1) == [1, 0, 0]
    assert mapped(('dog', 'bus', 'car'), 0, 1, 2) == [1, 0]
    assert mapped(('auto', 'dog', 'bus'), 0, 1, 2, auto='car') == [0, 1]


def test_fields_of_boxes_stay_together():
    meta = dict(dataset_meta=dict(classes=('dog', 'bus', 'car')))
    one = ClassNames().map(Detector(), meta, WANTED)
    boxes = found(2, 0, 1)

    left = one.apply(boxes, 0.5)

    assert torch.equal(left.bboxes, boxes.bboxes[[0, 2]])
    assert torch.equal(left.scores, boxes.scores[[0, 2]])


def test_object_of_two_joined_classes_has_one_box():
    meta = dict(dataset_meta=dict(classes=('van', 'bus', 'car')))
    names = ClassNames(None, dict(van='car'))
    one = names.map(Detector(3), meta, WANTED)
    boxes = found(0, 2, 1, 0)
    boxes.bboxes[:3] = boxes.bboxes[0]

    left = one.apply(boxes, 0.5)

    assert left.labels.tolist() == [0, 1, 0]
    assert left.scores.tolist() == boxes.scores[[0, 2, 3]].tolist()
    assert len(one.apply(boxes[:0], 0.5)) == 0


def test_box_left_of_the_image_hides_no_box_of_another_class():
    meta = dict(dataset_meta=dict(classes=('car', 'bus', 'van')))
    one = ClassNames(None, dict(van='car')).map(Detector(3), meta, WANTED)
    boxes = found(0, 1)
    # mmcv moves class 1 by 1,001 pixels, to where the car is.
    boxes.bboxes[0] = torch.tensor([900.0, 900, 1000, 1000])
    boxes.bboxes[1] = torch.tensor([-101.0, -101, -1, -1])

    assert one.apply(boxes, 0.5).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ('known', 'renamed', 'message'),
    [
        (
            ('Car', 'bus'),
            {},
            r"lacks 1 .*\['car'\] \(the nearest names: Car\)",
        ),
        (('motor car', 'bus'), {}, 'nearest names: motor car'),
        (('auto', 'bus'), dict(aut='car'), "'aut', which is not .* auto"),
        (('auto', 'bus'), dict(auto='cars'), "'cars', which .* file .* car"),
        (('xyz', 'bus'), {}, r"\['car'\]\. If it has another name"),
    ],
)
def test_missing_class_is_named_with_those_like_it(known, renamed, message):
    meta = dict(dataset_meta=dict(classes=known))

    with pytest.raises(CheckpointError, match=message):
        ClassNames(None, renamed).map(Detector(), meta, WANTED)


def test_names_must_be_as_many_as_the_classes_of_a_head():
    names = ClassNames(('bus', 'car'))

    with pytest.raises(CheckpointError, match=r'2 classes .* heads have \[1'):
        names.map(Detector(80), {}, WANTED)
    # Also if their order is that of the file.
    with pytest.raises(CheckpointError, match=r'2 classes .* heads have \[1'):
        ClassNames(WANTED).map(Detector(80), {}, WANTED)
    assert ClassNames(WANTED).map(Detector(2), {}, WANTED) is None


@pytest.mark.parametrize(
    ('meta', 'message'),
    [
        (dict(dataset_meta='abc'), '`meta.dataset_meta` .* got str: MMEngine'),
        (dict(dataset_meta=['a']), '`meta.dataset_meta` .* got list: MMEng'),
        (dict(CLASSES=5), 'a list of names, got 5: MMEngine writes no such'),
        (dict(dataset_meta=dict(classes=torch.ones(2))), r'got tensor\(\[1'),
    ],
)
def test_classes_that_are_no_list_are_refused(meta, message):
    with pytest.raises(CheckpointError, match=message):
        ClassNames().map(Detector(), meta, WANTED)


def test_long_list_of_classes_is_cut():
    known = tuple(f'class {n}' for n in range(80))
    meta = dict(dataset_meta=dict(classes=known))

    with pytest.raises(CheckpointError, match="'class 7', and 72 more"):
        ClassNames().map(Detector(), meta, WANTED)


def test_detector_that_is_told_its_classes_has_those_of_the_file():
    detector = Detector()
    detector.language_model = nn.Identity()
    meta = dict(dataset_meta=dict(classes=('dog',)))

    assert ClassNames().map(detector, meta, WANTED) is None
