"""The training that ours is compared with has MMDetection's parts alone."""

from builders import ROOT
from mmengine.config import Config

from projects.data_distillation.benchmarks.training import make_stock


def test_stock_training_has_no_part_of_ours():
    ours = Config.fromfile(ROOT / 'configs/digits/student.py')
    ours.custom_hooks = [dict(type='AnnotationHook')]

    stock = make_stock(ours)

    assert ours.default_hooks.resume.type == 'ResumeHook'
    assert 'resume' not in stock.default_hooks
    assert stock.custom_hooks == []
    sampler = stock.train_dataloader.sampler
    assert sampler.type == 'MultiSourceSampler'
    assert sampler.source_ratio == list(ours.train_dataloader.sampler.ratio)
    assert sampler.batch_size == stock.train_dataloader.batch_size
    parts = stock.train_dataloader.dataset.datasets
    assert [part.type for part in parts] == ['CocoDataset', 'CocoDataset']
