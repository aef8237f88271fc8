"""What the weights of a training depend on."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config

from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.processes.process import StageError
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    read_settings,
    write_settings,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.experiment.stages.training import (
    Training,
    count_passes,
)
from projects.data_distillation.training.finished import (
    FINISHED,
    find_ending,
    mark_finished,
)


@pytest.fixture
def collect(tiny_experiment, tmp_path, monkeypatch):
    """The settings of a student that is trained on a file of labels."""
    monkeypatch.chdir(tiny_experiment.parent)
    stages = Stages(Experiment(tiny_experiment), Launcher())

    def collect_from(labels):
        student = stages.prepare_training(
            'student', tmp_path / 'student', labels
        )
        return student.collect_settings()

    return collect_from


def test_labels_count_by_content_and_not_by_place(
    collect, tiny_experiment, tmp_path
):
    data = tiny_experiment.parent / 'data/digits/annotations'
    labels = tmp_path / 'annotate/pseudo_labels.json'
    moved = tmp_path / 'elsewhere/pseudo_labels.json'
    for file in (labels, moved):
        file.parent.mkdir()
        shutil.copyfile(data / 'unlabeled_truth.json', file)

    before = collect(labels)
    assert collect(moved) == before
    # Nor does a file at the place that the config names.
    named = tiny_experiment.parent / 'work_dirs/digits/annotate'
    shutil.copytree(moved.parent, named)
    try:
        assert collect(labels) == before
    finally:
        shutil.rmtree(named)

    content = json.loads(moved.read_text())
    content['annotations'].pop()
    moved.write_text(json.dumps(content))
    assert collect(moved) != before


@pytest.fixture
def training(tiny_experiment, tmp_path, monkeypatch) -> Training:
    """The training of a teacher, with a checkpoint of its last iteration."""
    monkeypatch.chdir(tiny_experiment.parent)
    monkeypatch.setattr(LOG, 'handlers', [])
    folder = tmp_path / 'work/teacher'
    folder.mkdir(parents=True)
    torch.save(dict(meta=dict(iter=2), state_dict={}), folder / 'iter_2.pth')
    stages = Stages(Experiment(tiny_experiment), Launcher(), seed=1)
    training = stages.prepare_training('teacher', folder)
    write_settings(folder, training.collect_settings())
    return training


def test_finished_training_is_not_run_again(training, caplog):
    file = training.folder / 'iter_2.pth'
    mark_finished(training.folder, file)

    with caplog.at_level('INFO', LOG.name):
        assert training.run() == file

    assert f'teacher: already trained, in {training.folder}' in caplog.text


def test_training_of_an_earlier_version_gets_a_record(training):
    (training.folder / FINISHED).touch()

    file = training.run()

    (training.folder / 'iter_2.pth').write_bytes(b'other')
    fault = 'iter_2.pth is not what the training wrote'
    assert file.name == 'iter_2.pth'
    assert find_ending(training.folder).fault == fault


def test_training_without_its_settings_runs_again(training):
    mark_finished(training.folder, training.folder / 'iter_2.pth')
    assert training.find_changes() == []

    (training.folder / 'settings.json').unlink()

    assert training.find_changes() == ['settings.json is missing']


@pytest.mark.parametrize(
    ('seed', 'message'),
    [
        (2, 'holds results of seed 2, got seed 1: go on .* with --seed 2,'),
        (None, 'a seed of the configs or by chance.*without --seed,'),
    ],
)
def test_training_of_another_seed_is_refused(training, seed, message):
    settings = read_settings(training.folder)
    write_settings(training.folder, dict(settings, seed=seed))

    with pytest.raises(StageError, match=message):
        training.run()

    assert (training.folder / 'iter_2.pth').is_file()


def test_seed_and_labels_of_the_run_reach_the_config(training, tmp_path):
    stages = Stages(training.experiment, Launcher(), seed=3)
    labels = tmp_path / 'pseudo_labels.json'

    student = stages.prepare_training('student', tmp_path / 'student', labels)
    values = student.make_values()

    cfg = training.experiment.load('student')
    cfg.merge_from_dict(values)
    assert cfg.randomness.seed == 3
    parts = cfg.train_dataloader.dataset.datasets
    assert [part.ann_file for part in parts].count(str(labels)) == 1
    unseeded = Stages(training.experiment, Launcher())
    assert unseeded.prepare_training('teacher', tmp_path).make_values() == {}


def test_checkpoint_that_is_broken_makes_room(training, caplog):
    folder = training.folder
    mark_finished(folder, folder / 'iter_2.pth')
    (folder / 'iter_2.pth').write_bytes(b'torn')

    # It ends where its output is opened.
    (folder / 'console.log').mkdir()

    with (
        caplog.at_level('INFO', LOG.name),
        pytest.raises(IsADirectoryError, match=r'console\.log'),
    ):
        training.run()

    why = 'iter_2.pth is not what the training wrote'
    assert f'teacher: trains to its end again, since {why}' in caplog.text
    assert 'iter_2.pth: moved to' in caplog.text
    assert not (folder / 'iter_2.pth').exists()
    assert not (folder / FINISHED).exists()


def test_command_goes_on_from_the_last_checkpoint(training, caplog):
    # The command is named before its output is opened.
    (training.folder / 'console.log').mkdir()
    (training.folder / 'settings.json').unlink()

    with (
        caplog.at_level('INFO', LOG.name),
        pytest.raises(IsADirectoryError, match=r'console\.log'),
    ):
        training.run()

    (command,) = [t for t in caplog.messages if t.startswith('\n$ python')]
    assert f'--resume {training.folder}/iter_2.pth' in command
    assert '{"randomness.seed": 1}' in command
    assert read_settings(training.folder)['seed'] == 1
    assert not (training.folder / FINISHED).exists()


def make_student(**changes) -> Config:
    """A student of 3 labeled, 2 pseudo-labeled and no other images in 5."""
    sources = [dict(ann_file=f'{name}.json') for name in ('a', 'b', 'c')]
    sources[1]['ann_file'] = 'annotate/pseudo_labels.json'
    loader = dict(
        batch_size=4,
        sampler=dict(type='SourceRatioSampler', ratio=[3, 2, 0]),
        dataset=dict(type='ConcatDataset', datasets=sources),
    )
    student = dict(train_cfg=dict(max_iters=100), train_dataloader=loader)
    return Config(dict(student, **changes))


def test_passes_over_pseudo_labeled_images_are_counted():
    assert count_passes(make_student(), num_images=40) == 4
    assert count_passes(make_student(), num_images=40, num_processes=2) == 8
    assert count_passes(make_student(), num_images=0) is None
    by_epoch = make_student(train_cfg=dict(max_epochs=12))
    assert count_passes(by_epoch, num_images=40) is None


def test_passes_are_not_known_without_a_ratio():
    student = make_student()
    for sampler in (dict(type='DefaultSampler'), None):
        student.train_dataloader.sampler = sampler

        assert count_passes(student, num_images=40) is None
