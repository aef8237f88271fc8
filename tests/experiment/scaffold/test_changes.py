"""What a new experiment says of its detector."""

import pytest
from mmengine.config import Config

from projects.data_distillation.experiment.scaffold.changes import (
    describe_label_kind,
    list_changes,
)
from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
)
from projects.data_distillation.experiment.scaffold.init import make_plan
from projects.data_distillation.experiment.scaffold.plan import (
    Data,
    ExperimentOptions,
    Images,
)

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'


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


def test_variables_with_data_of_the_detector_are_named():
    cfg = DetectorConfig.read(RETINANET).cfg
    # MMDetection's own configs have `data_root`, which nobody expects here.
    cfg.merge_from_dict(dict(data_root='data/a/', extra_file='data/a/b.json'))
    cfg.train_dataloader.dataset.data_root = 'data/a/'
    detector = DetectorConfig('a.py', cfg)
    images = Images('labeled.json', 'images/', 400)
    data = Data(('a',), images, Images('', 'more/', 100), images)
    plan = make_plan(detector, data, ExperimentOptions(ratio=(6, 4)))

    *_, last = list_changes(detector, plan, ('a',))

    assert last.startswith('not taken over, since they name the detector')
    assert last.endswith(': extra_file')
