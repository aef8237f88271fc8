"""The training that ours is compared with has MMDetection's parts alone."""

import time

import pytest
from builders import ROOT, write_scores
from mmengine.config import Config

from projects.data_distillation.benchmarks.stopwatch import Stopwatch
from projects.data_distillation.benchmarks.training_cost import (
    compare_training,
    make_ours,
    make_stock,
)


def test_stopwatch_adds_up_the_calls_of_a_function():
    watch = Stopwatch(lambda seconds, *, found: time.sleep(seconds) or found)

    assert [watch(0.01, found='a'), watch(0.02, found='b')] == ['a', 'b']
    assert 0.03 <= watch.seconds < 1


def test_stock_training_has_no_part_of_ours():
    cfg = Config.fromfile(ROOT / 'configs/digits/student.py')
    ours = make_ours(cfg)
    assert ours.default_hooks.finite_loss.type == 'mmdet.FiniteLossHook'
    assert ours.default_hooks.ignore_regions.type == 'mmdet.IgnoreRegionsHook'
    assert 'finite_loss' not in cfg.default_hooks
    cfg.custom_hooks = [dict(type='AnnotationHook')]

    stock = make_stock(cfg)

    assert ours.default_hooks.resume.type == 'ResumeHook'
    assert 'resume' not in stock.default_hooks
    assert stock.custom_hooks == []
    sampler = stock.train_dataloader.sampler
    assert sampler.type == 'MultiSourceSampler'
    assert sampler.source_ratio == list(ours.train_dataloader.sampler.ratio)
    assert sampler.batch_size == stock.train_dataloader.batch_size
    parts = stock.train_dataloader.dataset.datasets
    assert [part.type for part in parts] == ['CocoDataset', 'CocoDataset']


@pytest.mark.slow
def test_trainings_take_turns_after_one_that_does_not_count(
    tiny_experiment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    cfg = Config.fromfile(tiny_experiment / 'student.py')
    truth = tiny_experiment.parent / (
        'data/digits/annotations/unlabeled_truth.json'
    )
    cfg.train_dataloader.dataset.datasets[1].ann_file = str(
        write_scores(truth)
    )
    cfg.train_dataloader.update(batch_size=2, num_workers=0)
    cfg.train_dataloader.persistent_workers = False

    found = compare_training(cfg, tmp_path, num_turns=2, iterations=1)

    assert found.keys() == {'wall', 'cpu', 'seconds', 'ours', 'stock'}
    assert len(found['wall']) == len(found['cpu']) == 2
    assert min(*found['wall'], *found['cpu'], found['seconds']) > 0
    # Loading and hooks are a part of an iteration, and the model is the rest.
    assert len(found['ours']) == len(found['stock']) == 2
    assert 0 < min(found['ours']) < 2 * found['seconds']
    assert {path.name for path in tmp_path.iterdir()} == {'ours', 'stock'}


@pytest.mark.parametrize('name', ['num_turns', 'iterations'])
def test_nothing_to_measure_is_refused_before_the_training(tmp_path, name):
    numbers = dict(num_turns=1, iterations=1) | {name: 0}

    with pytest.raises(
        ValueError, match=f'{name} must be an integer of at least 1, got 0'
    ):
        compare_training(Config(), tmp_path, **numbers)
