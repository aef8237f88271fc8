"""What a row of the detection store holds."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from projects.data_distillation.pseudo_labels.annotation.rows import (
    make_detection_row,
)


def make_sample(**metainfo) -> DetDataSample:
    found = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 3.0, 4.0]]),
        scores=torch.tensor([0.5]),
        labels=torch.tensor([1]),
        num_views=torch.tensor([2]),
        corner_spread=torch.tensor([0.25]),
    )
    known = dict(
        img_path='a/b.png', file_name='b.png', img_id=7, image_id=7,
        ori_shape=(8, 16),
    )  # fmt: skip
    return DetDataSample(metainfo={**known, **metainfo}, pred_instances=found)


def test_row_tells_which_content_was_annotated():
    row = make_detection_row(make_sample(sha256='c0de', state='5-9'))

    assert (row['sha256'], row['state']) == ('c0de', '5-9')
    assert (row['image_id'], row['unreadable']) == (7, None)
    assert row['bboxes_xyxy'] == [[1, 2, 3, 4]]


def test_content_may_be_unknown():
    row = make_detection_row(make_sample())

    assert (row['sha256'], row['state']) == (None, None)
