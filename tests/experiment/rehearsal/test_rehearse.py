"""What would fail only in a later stage is found on one batch of each."""

import json
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.processes.temporary import (
    temporary_folder,
)
from projects.data_distillation.experiment.rehearsal.loads import (
    check_fit,
    refusing_other_weights,
)
from projects.data_distillation.experiment.rehearsal.observer import (
    check_heads,
)
from projects.data_distillation.experiment.rehearsal.record import NOTE
from projects.data_distillation.experiment.rehearsal.rehearse import (
    RehearsalError,
    explain_death,
    rehearse,
    rehearse_new,
)
from projects.data_distillation.experiment.rehearsal.remedies import (
    describe_failure,
    find_excuse,
    find_remedy,
)
from projects.data_distillation.experiment.rehearsal.shorten import (
    redirect_outputs,
    shorten_training,
)
from projects.data_distillation.experiment.rehearsal.stages_to_try import (
    StageToTry,
    list_stages_to_try,
)
from projects.data_distillation.experiment.rehearsal.trial import (
    RESULT,
    STAGES,
    RehearsalResult,
    run_trials,
)
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    write_settings,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.run import Distillation
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
)
from projects.data_distillation.training.finished import mark_finished

MODELS = ('teacher', 'student')
FAILED = RehearsalResult(
    'student', 'while it validates', 'KeyError', "'gt_x'", 'a.py'
)


def make_run(
    experiment: Path, work_dir: Path, *options: str, seed: int | None = None
) -> Distillation:
    definition = Experiment(experiment, MODELS, options)
    return Distillation(Stages(definition, Launcher(), seed), work_dir)


def read_files(folder: Path) -> dict[Path, bytes]:
    return {f: f.read_bytes() for f in folder.rglob('*') if f.is_file()}


@pytest.fixture
def try_stage(
    tiny_experiment, tmp_path, monkeypatch
) -> Callable[..., RehearsalResult]:
    """Tries a teacher with a config that is changed by some lines."""
    monkeypatch.chdir(tiny_experiment.parent)

    def call(
        text: str, *options: str, name: str = 'teacher'
    ) -> RehearsalResult:
        config = tmp_path / 'teacher.py'
        base = tiny_experiment / 'teacher.py'
        config.write_text(f'_base_ = {str(base)!r}\n{text}')
        stage = StageToTry(name, str(config), True, options=list(options))
        folder = tmp_path / 'tried'
        folder.mkdir()
        request = dict(stages=[asdict(stage)], seconds=0)
        (folder / STAGES).write_text(json.dumps(request))
        run_trials(folder)
        return RehearsalResult(**json.loads((folder / RESULT).read_text()))

    return call


# --- what is found ---------------------------------------------------------

PIPELINE = '_base_.test_dataloader.dataset.pipeline'
# A change of the config -> where it fails, and with which words.
FAULTS = dict(
    gray_images=(
        "load = dict(type='LoadImageFromFile', color_type='grayscale')\n"
        f'pipeline = [load, *{PIPELINE}[1:]]\n'
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
        'val_dataloader = test_dataloader',
        'while it validates',
        'as many channels as the model',
    ),
    no_boxes_in_the_pipeline=(
        'p = _base_.train_dataloader.dataset.pipeline\n'
        "p = [t for t in p if t.type != 'LoadAnnotations']\n"
        'train_dataloader = dict(dataset=dict(pipeline=p))',
        'in training iteration 1',
        'add the transform that makes it',
    ),
    masks=(
        "test_evaluator = dict(metric=['bbox', 'segm'])\n"
        'val_evaluator = test_evaluator',
        'while it validates',
        'masks that its labels lack',
    ),
    classes=(
        'model = dict(bbox_head=dict(num_classes=12))',
        'while it is set up',
        'num_classes must be the number of classes of the images, 10, got 12',
    ),
    unmeasured_key=(
        "default_hooks = dict(checkpoint=dict(save_best='coco/segm_mAP', "
        "rule='greater'))",
        'while it validates',
        'coco/segm_mAP',
    ),
    loss=(
        "nan = dict(loss_weight=float('nan'))\n"
        'model = dict(bbox_head=dict(loss_cls=nan))',
        'after its training iteration',
        'has diverged at iteration 1',
    ),
    weights_that_are_none=(
        "load_from = 'FOLDER/broken.pth'",
        'while it is set up',
        'broken.pth',
    ),
    later_pipeline=(
        'custom_hooks = [dict(type="SwitchPipelineHook", iteration=5, '
        'pipeline=[dict(type="LoadImageFromFile"), '
        'dict(type="PackDetInputs")])]\n'
        'train_cfg = dict(max_iters=9)',
        'in training iteration 2, which has its later pipeline',
        '',
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize('fault', FAULTS)
def test_fault_is_found_with_its_place_and_a_remedy(
    fault, try_stage, tmp_path
):
    (tmp_path / 'broken.pth').write_bytes(b'<html>')
    change, doing, words = FAULTS[fault]

    result = try_stage(change.replace('FOLDER', str(tmp_path)))

    text = describe_failure(result, 'teacher.py')
    assert text.startswith(f'teacher would fail {doing}')
    assert words in text
    assert '--no-rehearsal' in text


@pytest.mark.slow
def test_training_that_will_be_long_is_tried_as_it_is(try_stage, tmp_path):
    hook = "custom_hooks = [dict(type='EMAHook', begin_iter=50)]\n"

    result = try_stage(
        f'{hook}train_cfg = dict(max_iters=100, val_interval=100)',
        name='student',
    )

    assert (result.text, result.is_complete) == ('', True)
    # No later stage needs its checkpoint.
    assert not (tmp_path / 'tried' / 'student').exists()


@pytest.mark.slow
def test_training_in_epochs_is_tried_on_a_batch_too(try_stage):
    loop = "dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=3)"

    result = try_stage(
        f'train_cfg = {loop}\n'
        "train_dataloader = dict(sampler=dict(type='DefaultSampler'))\n"
        'default_hooks = dict(_delete_=True)\n'
        'param_scheduler = []'
    )

    assert (result.text, result.is_complete) == ('', True)


@pytest.mark.slow
def test_fault_of_a_later_stage_ends_the_command(
    tiny_experiment, tmp_path, stages_here, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    folder = tmp_path / 'experiment'
    folder.mkdir()
    for file in tiny_experiment.glob('*.py'):
        (folder / file.name).write_text(file.read_text())
    with (folder / 'student.py').open('a') as file:
        file.write('model = dict(neck=dict(in_channels=[32, 65]))\n')
    run = make_run(folder, tmp_path / 'work')
    before = read_files(tmp_path)

    with pytest.raises(RehearsalError, match='student would fail') as found:
        rehearse([run])

    assert f'{folder}/student.py' in str(found.value)
    assert read_files(tmp_path) == before


@pytest.mark.slow
def test_weights_do_not_depend_on_a_rehearsal(
    tiny_experiment, tmp_path, stages_here, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    # Other processes make folders in that of the system.
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
    weights = []
    for name in ('without', 'with'):
        run = make_run(tiny_experiment, tmp_path / name, seed=3)
        if name == 'with':
            rehearse([run])
            assert not list(temporary.glob('data_distillation_*'))
        trained = run.stages.train('teacher', run.work_dir / 'teacher')
        weights.append(torch.load(trained, weights_only=False)['state_dict'])

    one, other = weights
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    # What is finished is not tried again.
    stages = list_stages_to_try(run)
    assert [s.name for s in stages] == ['validate', 'annotate', 'student']
    assert {s.teacher for s in stages[:2]} == {str(trained)}
    assert stages[2].values == {'randomness.seed': 3}
    assert stages[2].labels_key.endswith('.ann_file')


VALIDATED = """
custom_hooks = [dict(_base_.custom_hooks[0], selection=dict(
    validation=dict(detections='not there', ann_file='{val}')))]
"""


@pytest.mark.slow
def test_annotation_that_was_stopped_is_tried_with_what_is_validated(
    tiny_experiment, tmp_path, stages_here, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    experiment = tmp_path / 'experiment'
    shutil.copytree(tiny_experiment, experiment)
    val = tiny_experiment.parent / 'data/digits/annotations/val.json'
    with (experiment / 'annotate.py').open('a') as config:
        config.write(VALIDATED.format(val=val))
    run = make_run(experiment, tmp_path / 'work', seed=0)
    teacher = run.stages.train('teacher', run.work_dir / 'teacher')
    validated = run.work_dir / 'validate'
    run.stages.prepare_detection('validate', validated, teacher).run()

    rehearse([run])

    stages = list_stages_to_try(run)
    assert [stage.name for stage in stages] == ['annotate', 'student']
    assert str(validated / 'detections') in stages[0].values.values()


@pytest.mark.slow
def test_new_experiment_is_tried_once_and_without_a_work_folder(
    tiny_experiment, tmp_path, stages_here, monkeypatch, caplog
):
    monkeypatch.chdir(tiny_experiment.parent)
    folder = tmp_path / 'tiny'
    shutil.copytree(tiny_experiment, folder)
    before = read_files(tmp_path), read_files(tiny_experiment.parent)

    line = rehearse_new(folder)

    assert line.startswith('teacher, validate, annotate, supervised_long, ')
    assert 'work on one batch each' in line
    after = read_files(tmp_path)
    assert after.pop(folder / NOTE)
    assert (after, read_files(tiny_experiment.parent)) == before
    # The run itself tries no stage again.
    caplog.set_level('INFO', LOG.name)
    rehearse([make_run(folder, tmp_path / 'work', seed=0)])
    (said,) = [r.message for r in caplog.records if r.name == LOG.name]
    assert said.endswith('annotate, student were tried here before')


# --- stages -----------------------------------------------------------------


def test_temporary_folder_is_gone_after_a_signal():
    before = signal.getsignal(signal.SIGTERM)

    made = []

    def be_stopped() -> None:
        with temporary_folder() as folder:
            made.append(folder)
            (folder / 'some').mkdir()
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit, match='^143$'):
        be_stopped()

    assert not made[0].exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ('code', 'words'),
    [
        (-9, 'out of memory'),
        (-15, 'SIGTERM'),
        (-40, 'signal 40'),
        (3, 'exit code 3: b c d'),
    ],
)
def test_process_that_died_is_explained(tmp_path, code, words):
    console = tmp_path / 'console.txt'
    console.write_text('a\nb\nc\nd\n')

    result = explain_death(RehearsalResult('oracle', 'in x'), code, console)

    assert (result.stage, result.doing) == ('oracle', 'in x')
    assert words in result.text


@pytest.mark.parametrize(
    ('error', 'text', 'remedy'),
    [
        ('OutOfMemoryError', 'CUDA out of memory', 'batch size'),
        ('URLError', '<urlopen error>', 'downloaded'),
        ('OSError', '[Errno 28] No space left on device', 'TMPDIR'),
        ('IndexError', 'index 5 is out of bounds', 'num_classes'),
        ('ValueError', 'Default process group has not been', 'write BN'),
        # Said of the loss, not of a setting that a hook lacks.
        ('LossError', "the loss diverged; 'NoneType' has no attribute", ''),
        ('Odd', 'unheard of', ''),
    ],
)
def test_remedy_follows_from_the_error(error, text, remedy):
    found = find_remedy(replace(FAILED, error=error, text=text))

    assert remedy in found
    assert bool(found) == bool(remedy)


def test_long_error_is_cut():
    result = replace(FAILED, text='long\n' * 1000)

    text = describe_failure(result, 'teacher.py')

    assert f'{"long " * 120} ... (' in text.replace(f'({FAILED.place})', '(')
    assert text.count('long') == 120


@pytest.mark.parametrize(
    ('error', 'text', 'has_gpu', 'words'),
    [
        ('RuntimeError', 'carafe is not compiled with CUDA', False, 'a GPU'),
        ('RuntimeError', 'carafe is not compiled with CUDA', True, ''),
        ('URLError', '<urlopen error>', True, 'downloaded'),
        ('TimeUpError', 'it has taken 300 s', True, 'too long'),
        ('KeyError', 'gt_masks', False, ''),
    ],
)
def test_fault_may_be_one_of_the_machine(error, text, has_gpu, words):
    result = replace(FAILED, error=error, text=text)

    excuse = find_excuse(result, has_gpu)

    assert words in excuse
    assert bool(excuse) == bool(words)


def test_weights_of_another_model_are_refused():
    own = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4))
    stage = {
        f'0.{k}': v for k, v in torch.nn.Linear(2, 3).state_dict().items()
    }

    check_fit(own, own.state_dict())
    check_fit(own, stage)
    # The head of other classes is left out when weights are loaded.
    check_fit(own, {**own.state_dict(), '1.weight': torch.zeros(80, 3)})
    for other in (dict(x=torch.zeros(2)), {'0.weight': torch.zeros(9, 9)}, {}):
        with pytest.raises(CheckpointError, match='those of another model'):
            check_fit(own, other)


def test_mmengine_refuses_weights_of_another_model(tmp_path):
    file = tmp_path / 'other.pth'
    torch.save(dict(x=torch.zeros(2)), file)
    own = torch.nn.Linear(2, 3)
    before = own.weight.clone()

    with (
        refusing_other_weights(),
        pytest.raises(CheckpointError, match='those of another model'),
    ):
        load_checkpoint(own, str(file))

    load_checkpoint(own, str(file))  # It only logs that nothing fits.
    assert torch.equal(own.weight, before)


def test_mmengine_loads_weights_of_the_model(tmp_path):
    own, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    torch.save(other.state_dict(), tmp_path / 'other.pth')

    with refusing_other_weights():
        load_checkpoint(own, str(tmp_path / 'other.pth'))

    assert torch.equal(own.weight, other.weight)


def test_heads_have_the_classes_of_the_images():
    def make(name: str, number: int) -> torch.nn.Module:
        head = torch.nn.Identity()
        head.num_classes = number
        return torch.nn.ModuleDict({name: head})

    for name in ('rpn_head', 'semantic_head', 'backbone'):
        check_heads(make(name, 7), ['a', 'b'])
    check_heads(make('bbox_head', 2), ['a', 'b'])
    with pytest.raises(ValueError, match=r'model.bbox_head.num_classes must'):
        check_heads(make('bbox_head', 7), ['a', 'b'])


def test_files_are_written_into_the_folder(tmp_path):
    stage = [dict(out_dir=None, inner=dict(outfile_prefix='work/results'))]

    redirect_outputs(stage, tmp_path)

    results = str(tmp_path / 'results')
    assert stage == [dict(out_dir=None, inner=dict(outfile_prefix=results))]


@pytest.mark.parametrize(
    ('loop', 'hooks', 'number', 'interval', 'by_epoch'),
    [
        (dict(max_iters=9), [], 1, 1, False),
        (dict(max_iters=9), [dict(iteration=5)], 2, 2, False),
        (dict(max_iters=9), [dict(iteration=1)], 1, 1, False),
        (dict(max_iters=1), [dict(iteration=5)], 1, 1, False),
        (dict(max_epochs=9), [dict(iteration=5)], 2, 1, True),
        (dict(by_epoch=False), [dict(iteration=5)], 2, 2, False),
    ],
)
def test_training_validates_after_its_first_iterations(
    loop, hooks, number, interval, by_epoch
):
    hooks = [dict(type='SwitchPipelineHook', **hook) for hook in hooks]
    loop = dict(loop, val_begin=7, val_interval=8, dynamic_intervals=[(3, 4)])
    cfg = Config(
        dict(train_cfg=loop, custom_hooks=hooks, default_hooks=dict())
    )

    assert shorten_training(cfg) == number

    assert cfg.train_cfg.val_begin == 1
    assert cfg.train_cfg.val_interval == interval
    assert 'dynamic_intervals' not in cfg.train_cfg
    assert [hook.iteration for hook in cfg.custom_hooks] == [1] * len(hooks)
    assert cfg.default_hooks.checkpoint == dict(
        type='CheckpointHook',
        interval=interval,
        by_epoch=by_epoch,
        save_begin=0,
    )


@pytest.mark.slow
def test_stages_that_are_left_are_tried_with_what_is_there(
    tiny_experiment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    run = make_run(tiny_experiment, tmp_path, seed=3)

    teacher, *detections, student = list_stages_to_try(run)

    assert (teacher.name, student.name) == MODELS
    assert teacher.is_training and student.is_training
    assert teacher.values == {'randomness.seed': 3}
    assert not teacher.labels_key
    assert student.labels_key.endswith('ann_file')
    assert [stage.name for stage in detections] == ['validate', 'annotate']
    assert not any(stage.is_training for stage in detections)

    folder = tmp_path / 'teacher'
    folder.mkdir()
    torch.save(dict(meta={}, state_dict={}), folder / 'iter_2.pth')
    mark_finished(folder, folder / 'iter_2.pth')
    training = run.stages.prepare_training('teacher', folder)
    write_settings(folder, training.collect_settings())
    names = [stage.name for stage in list_stages_to_try(run)]
    assert names == ['validate', 'annotate', 'student']

    # It will be trained again.
    write_settings(folder, dict(training.collect_settings(), model='other'))
    assert list_stages_to_try(run)[0].name == 'teacher'
