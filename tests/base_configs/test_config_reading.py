"""Configs of detectors as people have them: what is read, what is refused."""

from pathlib import Path

import pytest
from mmengine.config import Config

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
    check_version,
    get_type,
    holds_key,
    is_lazy,
    list_mappings,
    list_shipped,
    read_config,
)
from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
)

LAZY_BASE = """
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import PackDetInputs, Resize
from mmcv.transforms import LoadImageFromFile
from mmdet.models import RetinaHead, RetinaNet
from mmengine.optim.scheduler import MultiStepLR
from torch.optim import SGD
default_scope = None
pipeline = [
    dict(type=LoadImageFromFile),
    dict(type=Resize, scale=(160, 120), keep_ratio=True),
    dict(type=PackDetInputs),
]
dataset = dict(type=CocoDataset, ann_file='x.json', pipeline=pipeline)
model = dict(type=RetinaNet, bbox_head=dict(type=RetinaHead, num_classes=80))
train_dataloader = dict(batch_size=2, dataset=dataset)
test_dataloader = dict(batch_size=2, dataset=dataset)
train_cfg = dict(max_epochs=12)
param_scheduler = [dict(type=MultiStepLR, milestones=[8, 11])]
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.01))
"""
LAZY = """
from mmengine.config import read_base
with read_base():
    from .lazy_base import *
train_dataloader.update(batch_size=4)
"""


@pytest.fixture
def lazy(tmp_path) -> Path:
    """A config with `read_base()`."""
    (tmp_path / 'lazy_base.py').write_text(LAZY_BASE)
    file = tmp_path / 'lazy.py'
    file.write_text(LAZY)
    return file


def test_config_with_read_base_is_read(lazy):
    detector = DetectorConfig.read(str(lazy))

    assert is_lazy(str(lazy))
    assert get_type(detector.cfg.model) == 'RetinaNet'
    assert detector.cfg.train_dataloader.batch_size == 4
    assert detector.cfg.default_scope == 'mmdet'
    assert detector.test_resize['scale'] == (160, 120)


def test_stages_inherit_from_a_copy_of_it(lazy, tmp_path):
    detector = DetectorConfig.read(str(lazy))

    detector.copy_to(tmp_path)

    assert detector.find_base(tmp_path) == './detector.py'
    copy = Config.fromfile(tmp_path / 'detector.py')
    assert copy.to_dict() == detector.cfg.to_dict()


def test_other_configs_are_not_copied(tmp_path):
    file = tmp_path / 'own.py'
    # For some versions of MMEngine, modules in files of Python are lazy.
    file.write_text('import sys\nx = 1')

    DetectorConfig(str(file), Config()).copy_to(tmp_path)

    assert not is_lazy(str(file))
    assert not (tmp_path / 'detector.py').exists()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            'retinanet/retinanet_r18_fpn_1x_coco.py',
            r'mean mmdet::retinanet/retinanet_r18_fpn_1x_coco.py\?$',
        ),
        (
            'retinanet_r18_fpn_1x_coco',
            r'mean mmdet::retinanet/retinanet_r18_fpn_1x_coco.py\?$',
        ),
        (
            'configs/faster_rcnn/faster_rcnn_r50_fpn_1x_coco.py',
            'mean mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py or ',
        ),
        (
            'mmdet::rtmdet/rtmdet-tiny_8xb32-300e_coco.py',
            'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        ),
        ('qq.py', 'qq.py: give a path, or the name mmdet::family/name.py'),
    ],
)
def test_nearest_names_are_suggested(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        read_config(name)


def test_nearest_paths_are_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs/cells').mkdir(parents=True)
    (tmp_path / 'configs/cells/teacher.py').touch()
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/detector.py').touch()

    with pytest.raises(FileNotFoundError, match='configs/cells/teacher.py.$'):
        read_config('configs/cell/teacher.py')
    with pytest.raises(FileNotFoundError, match='mean mine/detector.py.$'):
        read_config('mine/detektor.py')


def test_config_whose_own_base_is_missing_is_not_said_to_be_missing(tmp_path):
    file = tmp_path / 'own.py'
    file.write_text("_base_ = './not_there.py'")

    with pytest.raises(FileNotFoundError, match='not_there'):
        read_config(str(file))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            "custom_imports = dict(imports=['no_such_package'])",
            "Error: No module named 'no_such_package'$",
        ),
        (
            'from mmengine.config import read_base\n'
            'with read_base():\n    from no_such_package.x import *',
            'Error: No package metadata was found for no_such_package$|'
            "NotFound: The 'no_such_package' distribution was not found",
        ),
    ],
)
def test_package_that_is_not_there_is_named(tmp_path, text, message):
    """Without the list of the places where it was looked for."""
    file = tmp_path / 'own.py'
    file.write_text(text)

    with pytest.raises(DetectorError, match=message):
        read_config(str(file))


def test_settings_of_mmdetection_2_that_are_left_over_do_no_harm():
    check_version('own.py', dict(data={}, train_dataloader={}))
    with pytest.raises(DetectorError, match='own.py is a config of MMDet'):
        check_version('own.py', dict(data={}))


def test_suggested_names_are_those_of_configs():
    shipped = list_shipped()

    assert len(shipped) > 500
    assert read_config(shipped['retinanet_r18_fpn_1x_coco']).model


@pytest.mark.parametrize(
    'text',
    [
        'data = dict(samples_per_gpu=2)\nlr_config = dict(step=[8])',
        "optimizer = dict(type='SGD')\nrunner = dict(max_epochs=12)",
        'total_epochs = 12',
    ],
)
def test_config_of_mmdetection_2_is_named(tmp_path, text):
    file = tmp_path / 'old.py'
    file.write_text(f"model = dict(type='RetinaNet')\n{text}")

    with pytest.raises(DetectorError, match=r'of MMDetection 2.x: it sets \['):
        read_config(str(file))


@pytest.mark.parametrize(
    ('name', 'sign'),
    [
        ('gn+ws/faster-rcnn_r50_fpn_gn-ws-all_1x_coco.py', '[+]'),
        ('legacy_1.x/faster-rcnn_r50_fpn_1x_coco_v1.py', '[.]'),
    ],
)
def test_name_with_a_sign_leads_to_the_file(name, sign):
    with pytest.raises(DetectorError, match=f'with a `{sign}`') as found:
        read_config(f'mmdet::{name}')

    path = str(found.value).rpartition(' ')[2]
    assert path.endswith(name)
    assert read_config(path).model.type == 'FasterRCNN'


def test_mappings_are_listed_from_the_outside():
    inner, deep = dict(b=1), dict(c=2)
    outer = dict(x=[inner, (deep, 'text')], y=3)

    assert list(list_mappings([outer])) == [outer, inner, deep]
    assert list(list_mappings('text')) == []


def test_key_is_found_at_any_depth():
    config = dict(a=[dict(b=1), (dict(c=dict(size=None)),)])

    assert holds_key(config, 'size')
    assert holds_key(config, 'a')
    assert not holds_key(config, '1')
    assert not holds_key('size', 'size')
