"""The schedule of a detector, as its config says it."""

import pytest

from projects.data_distillation.base_configs.config_reading import read_config
from projects.data_distillation.experiment.scaffold.schedule import (
    find_base_batch_size,
)

TINY = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'


@pytest.mark.parametrize(
    ('name', 'images'),
    [
        # `schedule_1x.py`, from which it inherits, says 16.
        (TINY, 256),
        ('mmdet::rtmdet/rtmdet-ins_x_8xb16-300e_coco.py', 128),
        ('mmdet::rtmdet/rtmdet_x_p6_4xb8-300e_coco.py', 32),
        # Fewer in the name than in the rule.
        ('mmdet::retinanet/retinanet_r18_fpn_1xb8-1x_coco.py', 16),
        ('mmdet::gfl/gfl_r50_fpn_1x_coco.py', 16),
        ('mmdet::detr/detr_r50_8xb2-150e_coco.py', 16),
    ],
)
def test_rate_is_meant_for_the_batch_in_the_name(name, images):
    assert find_base_batch_size(read_config(name)) == images


@pytest.mark.parametrize(
    ('text', 'images'),
    [
        ('train_dataloader = dict(batch_size=4)', 256),
        ('optim_wrapper = dict(optimizer=dict(lr=0.1))', 16),
        ('auto_scale_lr = dict(_delete_=True)', None),
        ('auto_scale_lr = dict(base_batch_size=512)', 512),
        ('# as in a_8xb64-1x.py', 256),
    ],
)
def test_own_config_has_the_batch_of_its_base(tmp_path, text, images):
    file = tmp_path / 'own.py'
    file.write_text(f'_base_ = {TINY!r}\n{text}\n')

    assert find_base_batch_size(read_config(str(file))) == images


@pytest.mark.parametrize(
    ('file', 'images'),
    [('run_8xb32_a/my.py', 16), ('run_8xb32_a/my_8xb4_a.py', 32)],
)
def test_name_of_a_folder_says_nothing(tmp_path, file, images):
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text("_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'\n")

    assert find_base_batch_size(read_config(str(path))) == images
