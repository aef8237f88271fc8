"""A runner that could train a toy teacher, made in a moment."""

from pathlib import Path

from builders import CLASSES, DrawnImages, toy_detector_cfg
from mmengine.config import Config

from projects.data_distillation.training.own_checkpoint import TrainingRunner


def make_trainer(drawn: DrawnImages, work_dir: Path) -> TrainingRunner:
    """A runner of `tools/train.py`, before its first iteration."""
    dataset = dict(
        type='CheckedCocoDataset',
        ann_file=str(drawn.folder / 'truth.json'),
        data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
        metainfo=dict(classes=CLASSES),
    )
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='InfiniteSampler'),
        dataset=dataset,
    )
    return TrainingRunner.from_cfg(
        Config(
            dict(
                default_scope='mmdet',
                work_dir=str(work_dir),
                experiment_name=str(work_dir).replace('/', '_'),
                log_level='WARNING',
                model=toy_detector_cfg(),
                train_dataloader=loader,
                train_cfg=dict(type='IterBasedTrainLoop', max_iters=3),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)),
            )
        )
    )
