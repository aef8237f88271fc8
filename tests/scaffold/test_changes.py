"""What a new experiment says of its detector."""

import pytest
from mmengine.config import Config

from projects.data_distillation.scaffold.changes import describe_label_kind
from projects.data_distillation.scaffold.detector import DetectorConfig


@pytest.mark.parametrize(
    ('load', 'words'),
    [
        (dict(), 'boxes'),
        (dict(with_mask=True), 'boxes and masks (RLE, as the training rea'),
        (dict(with_mask=True, poly2mask=False), 'boxes and masks (polygons'),
    ],
)
def test_labels_are_what_the_training_reads(load, words):
    pipeline = [dict(type='LoadAnnotations', with_bbox=True, **load)]
    dataset = dict(type='CocoDataset', pipeline=pipeline)
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))

    text = describe_label_kind(DetectorConfig('a.py', cfg))

    assert text.startswith(words)
    assert load or text == words
