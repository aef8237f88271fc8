"""The options of docs/student.md, as they are written there."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import ROOT, write_scores
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.data_distillation.multi_view.inference.checkpoints import (
    load_teacher,
)
from projects.data_distillation.training.resume import (
    find_last_checkpoint,
    set_seeds,
)

pytestmark = pytest.mark.slow

OPTIONS, DETECTOR = re.findall(
    r'```python\n(.*?)```', (ROOT / 'docs/student.md').read_text(), re.DOTALL
)


@pytest.fixture
def experiment(tiny_experiment, monkeypatch) -> Path:
    monkeypatch.chdir(tiny_experiment.parent)
    return tiny_experiment


def student(experiment: Path, name: str, text: str = OPTIONS) -> Config:
    """The config of a file beside the student's."""
    file = experiment / f'{name}.py'
    file.write_text(text)
    cfg = Config.fromfile(file)
    cfg.work_dir = str(experiment / name)
    cfg.randomness = dict(seed=0)
    cfg.experiment_name = f'{experiment.parent.name}_{name}'
    cfg.train_cfg.update(max_iters=3, val_begin=4)
    cfg.default_hooks.checkpoint.interval = 3
    cfg.train_dataloader.batch_size = 2
    datasets = cfg.train_dataloader.dataset.datasets
    truth = Path(cfg.data_root) / 'annotations/unlabeled_truth.json'
    datasets[1].ann_file = str(write_scores(truth))
    return cfg


def parts(cfg: Config) -> list:
    init_default_scope('mmdet')
    return DATASETS.build(cfg.train_dataloader.dataset).datasets


def load(dataset, number: int) -> tuple:
    """Pixels and boxes of an image, with random numbers of its own."""
    set_seeds(number)
    sample = dataset[number % len(dataset)]
    instances = sample['data_samples'].gt_instances
    return sample['inputs'].float().numpy(), instances.bboxes.tensor.numpy()


def test_only_pseudo_labeled_images_are_strongly_augmented(experiment):
    plain = parts(student(experiment, 'plain', "_base_ = './student.py'"))
    strong = parts(student(experiment, 'strong'))

    for number in range(12):
        labeled = load(plain[0], number), load(strong[0], number)
        assert all(map(np.array_equal, *labeled))
        pixels, augmented = (load(p[1], number)[0] for p in (plain, strong))
        assert pixels.shape == augmented.shape
        assert (pixels != augmented).mean() > 0.1


@pytest.mark.parametrize(
    'name', ['bccd', 'coco/faster-rcnn_r50_fpn/co115_un120', 'digits']
)
def test_options_fit_any_student(tmp_path, name):
    base = str(ROOT / 'configs' / name / 'student.py')
    file = tmp_path / 'options.py'
    file.write_text(OPTIONS.replace('./student.py', base))

    cfg = Config.fromfile(file)

    labeled, pseudo_labeled = cfg.train_dataloader.dataset.datasets
    expected = [step.type for step in labeled.pipeline]
    expected.insert(-1, 'StrongAugmentation')
    assert [step.type for step in pseudo_labeled.pipeline] == expected
    assert expected[-1] == 'PackDetInputs'
    assert pseudo_labeled.ann_file.endswith('pseudo_labels.json')
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert hooks == ['IgnoreRegionsHook', 'EMAHook']
    sampler = Config.fromfile(base).train_dataloader.sampler
    assert cfg.train_dataloader.sampler == sampler


class WeightRecorder(Hook):
    """Keeps the model's weights behind each step, and as it is tested."""

    def __init__(self) -> None:
        self.trained, self.tested = [], []

    def after_train_iter(self, runner, *args, **kwargs):
        self.trained.append(copied(runner.model))

    def after_test_iter(self, runner, *args, **kwargs):
        self.tested.append(copied(runner.model))


def copied(model) -> dict:
    return {key: value.clone() for key, value in model.state_dict().items()}


def runner_of(cfg: Config) -> tuple[Runner, WeightRecorder]:
    runner = Runner.from_cfg(cfg)
    recorder = WeightRecorder()
    runner.register_hook(recorder)
    return runner, recorder


def assert_weights(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_average_is_what_is_saved_evaluated_and_annotates(experiment):
    cfg = student(experiment, 'options')
    momentum = cfg.custom_hooks[1].momentum = 0.25
    runner, recorder = runner_of(cfg)

    runner.train()

    average = recorder.trained[0]
    for weights in recorder.trained[1:]:
        for key, value in weights.items():
            # Numbers of batches are not averaged.
            if value.is_floating_point():
                average[key] = average[key].lerp(value, momentum)
    file = find_last_checkpoint(Path(cfg.work_dir))
    assert file.name == 'iter_3.pth'
    checkpoint = torch.load(file, weights_only=False)
    assert_weights(checkpoint['state_dict'], average)
    trained = {f'module.{k}': v for k, v in recorder.trained[-1].items()}
    assert checkpoint['ema_state_dict'].pop('steps') == 3
    assert_weights(checkpoint['ema_state_dict'], trained)

    cfg.load_from = str(file)
    cfg.experiment_name += '_test'
    runner, recorder = runner_of(cfg)
    runner.test()
    assert_weights(recorder.tested[0], average)
    assert_weights(copied(load_teacher(cfg.model, str(file))), average)


def test_student_may_be_another_detector(experiment):
    cfg = student(experiment, 'other', OPTIONS + DETECTOR)
    runner, recorder = runner_of(cfg)

    runner.train()

    assert type(runner.model).__name__ == 'RetinaNet'
    assert len(recorder.trained) == 3
    assert all(w.isfinite().all() for w in recorder.trained[-1].values())
    runner.test()
    assert len(recorder.tested) == 1
