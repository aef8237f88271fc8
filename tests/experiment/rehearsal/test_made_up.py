"""Detections that are made up where a model finds none."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from projects.data_distillation.experiment.rehearsal.made_up import (
    add_detection,
    add_label,
)
from projects.data_distillation.pseudo_labels.annotation.rows import (
    make_merged_columns,
)

# In an image of 16 by 8 pixels.
MIDDLE = [4.0, 2.0, 12.0, 6.0]


def make_sample(**found) -> DetDataSample:
    return DetDataSample(
        metainfo=dict(ori_shape=(8, 16)), pred_instances=InstanceData(**found)
    )


def find_boxes(number: int) -> dict[str, torch.Tensor]:
    return dict(
        bboxes=torch.zeros(number, 4),
        scores=torch.zeros(number),
        labels=torch.zeros(number, dtype=torch.long),
    )


def merge_boxes(number: int) -> dict[str, torch.Tensor]:
    return dict(
        **find_boxes(number),
        num_views=torch.zeros(number, dtype=torch.long),
        corner_spread=torch.ones(number),
    )


def test_sample_without_detections_gets_one():
    sample = make_sample(**find_boxes(0))

    add_detection(sample)

    assert sample.pred_instances.bboxes.tolist() == [MIDDLE]
    assert sample.pred_instances.scores.tolist() == [1]
    assert 'masks' not in sample.pred_instances


def test_detection_has_a_mask_where_there_would_be_masks():
    masks = torch.zeros(0, 8, 16, dtype=torch.bool)
    sample = make_sample(**find_boxes(0), masks=masks)

    add_detection(sample)

    assert sample.pred_instances.masks.shape == (1, 8, 16)
    assert sample.pred_instances.masks.all()


def test_sample_with_detections_stays_as_it_is():
    sample = make_sample(**find_boxes(2))

    add_detection(sample)

    assert len(sample.pred_instances) == 2


def test_sample_without_boxes_stays_as_it_is():
    sample, of_scores = DetDataSample(), make_sample(scores=torch.zeros(0))

    add_detection(sample)
    add_detection(of_scores)

    assert 'pred_instances' not in sample
    assert of_scores.pred_instances.keys() == ['scores']


def test_made_up_label_comes_first_and_passes_all_filters():
    sample = make_sample(**merge_boxes(2))

    add_label(sample)

    found = sample.pred_instances
    assert found.bboxes[0].tolist() == MIDDLE
    assert found.scores.tolist() == [1, 0, 0]
    assert found.num_views.tolist() == [100, 0, 0]
    assert found.corner_spread.tolist() == [0, 1, 1]


def test_made_up_label_is_stored_with_its_mask():
    sample = make_sample(
        **merge_boxes(0),
        masks=[],
        mask_areas=torch.zeros(0, dtype=torch.long),
        mask_agreement=torch.zeros(0),
    )

    add_label(sample)

    row = make_merged_columns(sample.pred_instances)
    assert row['bboxes_xyxy'] == [MIDDLE]
    assert row['mask_areas'].tolist() == [32]
    assert row['mask_agreement'].tolist() == [1]
    assert row['scores'].tolist() == [1]
