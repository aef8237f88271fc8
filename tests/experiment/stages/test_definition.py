"""Experiment folders: their configs, options and the mistakes in them."""

import os

import pytest
import torch
from builders import Call, ToyDetector, toy_detector_cfg
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from projects.data_distillation.experiment.stages.definition import (
    Experiment,
    find_pseudo_label_key,
)
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
)


def student_config(tmp_path, *files: str):
    loader = dict(dataset=dict(datasets=[dict(ann_file=f) for f in files]))
    file = tmp_path / 'student.py'
    Config(dict(train_dataloader=loader)).dump(file)
    return file


@pytest.mark.slow
def test_key_of_the_pseudo_labels_is_found(tmp_path):
    file = student_config(tmp_path, 'labeled.json', 'x/pseudo_labels.json')

    key = find_pseudo_label_key(Config.fromfile(file))

    assert key == 'train_dataloader.dataset.datasets.1.ann_file'


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (
            "custom_hooks = [dict(type='ResumeHook', selection=1)]",
            r'in custom_hooks of .*annotate\.py cannot be built: .*takes',
        ),
        (
            "custom_hooks = [dict(type='NoSuchHook')]",
            r'a hook in custom_hooks of .*cannot be built: .*NoSuchHook',
        ),
        (
            "test_dataloader = dict(dataset=dict(type='CocoDataset', b=1))",
            r'dataset of .*annotate\.py cannot be built: .*argument .b.',
        ),
        (
            'model = dict()',
            r'dataset of .*annotate\.py cannot be built: .*test_dataloader',
        ),
    ],
)
def test_part_that_cannot_be_built_is_named_with_its_file(
    tmp_path, line, message
):
    for stage in ('teacher', 'annotate', 'student'):
        (tmp_path / f'{stage}.py').write_text(line)
    experiment = Experiment(tmp_path)
    build = experiment.build_images
    if 'hooks' in line:
        build = experiment.build_detection_hook

    with pytest.raises(ValueError, match=message):
        build('annotate')


@pytest.mark.parametrize('stage', ['annotate', 'validate'])
@pytest.mark.parametrize('content', [b"a = '\xff'", b'', b'model = dict()'])
def test_damaged_choice_of_tuning_is_named_with_what_to_do(
    tiny_experiment, tmp_path, stage, content
):
    for name in ('annotate', 'validate'):
        base = f"_base_ = '{tiny_experiment}/{name}.py'"
        (tmp_path / f'{name}.py').write_text(base)
    experiment = Experiment(tiny_experiment, tuned=tmp_path)
    assert experiment.build_detection_hook(stage)
    file = tmp_path / f'{stage}.py'
    file.write_bytes(content)

    with pytest.raises(ValueError, match=f'{file}.* must ') as refused:
        experiment.build_detection_hook(stage)

    advice = f'; delete {tmp_path}/annotate.py, and the same command chooses '
    assert advice in str(refused.value)


@pytest.mark.parametrize('files', [['a.json'], ['pseudo_labels.json'] * 2])
def test_student_must_name_the_pseudo_labels_once(tmp_path, files):
    file = student_config(tmp_path, *files)

    found = files.count('pseudo_labels.json')
    with pytest.raises(ValueError, match=rf'must name one .*found {found}'):
        find_pseudo_label_key(Config.fromfile(file))


def test_experiment_without_a_stage_config_is_refused(tmp_path):
    student_config(tmp_path)

    with pytest.raises(FileNotFoundError, match=r'annotate\.py not found'):
        Experiment(tmp_path)


def test_options_change_every_stage(tmp_path):
    for stage in ('teacher', 'annotate', 'student'):
        (tmp_path / f'{stage}.py').write_text('a = dict(b=1)\n')

    experiment = Experiment(tmp_path, options=('a.b=x', 'c=3'))

    assert experiment.load('annotate').to_dict() == dict(a=dict(b='x'), c=3)


@pytest.mark.parametrize(
    ('option', 'error'),
    [
        ('param_scheduler.5.end=1', 'KeyError'),
        ('optim_wrapper.lr.x=1', 'TypeError'),
        ('param_scheduler.0=1', 'AttributeError'),
    ],
)
def test_option_that_does_not_fit_is_named_with_the_file(
    tmp_path, option, error
):
    for stage in ('teacher', 'annotate', 'student'):
        (tmp_path / f'{stage}.py').write_text(
            'param_scheduler = [dict(end=9)]\noptim_wrapper = dict(lr=1)\n'
        )
    experiment = Experiment(tmp_path, options=(option,))
    message = f'--cfg-options {option} do not fit .*/teacher.py: {error}: '

    with pytest.raises(ValueError, match=message):
        experiment.load('teacher')


@pytest.fixture(autouse=True)
def beside_the_data(tiny_experiment, monkeypatch) -> None:
    monkeypatch.chdir(tiny_experiment.parent)


def with_hooks(tiny_experiment, tmp_path, hooks: str) -> Experiment:
    """The tiny experiment with other hooks in annotate.py."""
    for stage in ('teacher', 'annotate', 'student', 'validate'):
        base = str(tiny_experiment / f'{stage}.py')
        text = f'_base_ = {base!r}\n'
        (tmp_path / f'{stage}.py').write_text(text)
    with (tmp_path / 'annotate.py').open('a') as config:
        config.write(f'custom_hooks = {hooks}\n')
    return Experiment(tmp_path)


def test_annotation_needs_one_hook_that_writes_labels(
    tiny_experiment, tmp_path
):
    experiment = with_hooks(tiny_experiment, tmp_path, '[]')

    with pytest.raises(ValueError, match='one AnnotationHook, found 0'):
        experiment.check()


def test_evaluator_of_the_student_is_checked(tiny_experiment, tmp_path):
    experiment = with_hooks(tiny_experiment, tmp_path, '_base_.custom_hooks')
    with (tmp_path / 'student.py').open('a') as config:
        config.write("test_evaluator = [dict(type='VOCMetric')]\n")

    with pytest.raises(ValueError, match='must give coco/bbox_mAP, by which'):
        experiment.check()


def test_place_of_validation_detections_is_found(tiny_experiment, tmp_path):
    selection = 'dict(validation=dict(detections="a", ann_file="b"))'
    hooks = (
        '[dict(type="IgnoreRegionsHook"), '
        f'dict(_base_.custom_hooks[0], selection={selection})]'
    )
    experiment = with_hooks(tiny_experiment, tmp_path, hooks)

    key = experiment.find_validation_key()

    assert key == 'custom_hooks.1.selection.validation.detections'
    experiment.config('validate').unlink()
    assert experiment.find_validation_key() is None
    assert Experiment(tiny_experiment).find_validation_key() is None


@pytest.mark.slow
def test_student_of_another_architecture_cannot_teach(
    tiny_experiment, tmp_path
):
    experiment = with_hooks(tiny_experiment, tmp_path, '_base_.custom_hooks')
    experiment.check(can_teach=True)
    with (tmp_path / 'student.py').open('a') as config:
        config.write('model = dict(bbox_head=dict(stacked_convs=1))\n')

    experiment.check()
    with pytest.raises(CheckpointError, match='cannot be the next teacher'):
        experiment.check(can_teach=True)


@MODELS.register_module()
class LoadingDetector(ToyDetector):
    """Loads a checkpoint while it is built, as MMDetection's LD does."""

    def __init__(self, file: str, **kwargs) -> None:
        super().__init__(**kwargs)
        load_checkpoint(self, file, map_location='cpu')


@pytest.mark.slow
def test_code_in_what_the_student_loads_is_not_run(tiny_experiment, tmp_path):
    made, evil = tmp_path / 'made', tmp_path / 'evil.pth'
    torch.save(dict(a=Call(os.system, f'touch {made}')), evil)
    experiment = with_hooks(tiny_experiment, tmp_path, '_base_.custom_hooks')
    student = dict(
        toy_detector_cfg(),
        type='LoadingDetector',
        file=str(evil),
        _delete_=True,
    )
    with (tmp_path / 'student.py').open('a') as config:
        config.write(f'model = {student}\n')

    with pytest.raises(CheckpointError, match='evil.pth is refused, because'):
        experiment.check(can_teach=True)

    assert not made.exists()
