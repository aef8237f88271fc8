"""Teachers of folds, each of which has not seen the images it looks at."""

import json

import pytest
from mmengine.config import Config

from projects.data_distillation import DetectionStore
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.folds import (
    detect_by_folds,
    find_labeled,
    split_folds,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.label_files.coco.reading import CocoError


def make_coco(num_images: int) -> dict:
    return dict(
        images=[
            dict(id=10 + n, file_name=f'{n}.png') for n in range(num_images)
        ],
        annotations=[
            dict(id=n, image_id=10 + n % num_images) for n in range(20)
        ],
        categories=[dict(id=1, name='a')],
    )


def list_ids(coco: dict) -> list[int]:
    return [image['id'] for image in coco['images']]


def test_each_image_is_in_one_fold_and_trained_on_in_all_others():
    coco = make_coco(7)

    folds = split_folds(coco, 3, seed=0)

    held_out = [i for fold, _ in folds for i in list_ids(fold)]
    assert sorted(held_out) == list_ids(coco)
    assert sorted(len(fold['images']) for fold, _ in folds) == [2, 2, 3]
    for fold, others in folds:
        assert sorted(list_ids(fold) + list_ids(others)) == list_ids(coco)
        assert {a['image_id'] for a in fold['annotations']} == {
            *list_ids(fold)
        }
        assert fold['categories'] == others['categories'] == coco['categories']


def test_folds_depend_on_the_seed_alone():
    coco = make_coco(12)

    assert split_folds(coco, 3, seed=1) == split_folds(coco, 3, seed=1)
    assert split_folds(coco, 3, seed=1) != split_folds(coco, 3, seed=2)


def test_too_few_folds_or_images_are_refused():
    with pytest.raises(ValueError, match='at least 2 folds, got 1'):
        split_folds(make_coco(4), 1, seed=0)
    with pytest.raises(
        CocoError, match='4 labeled images cannot be dealt .* 5'
    ):
        split_folds(make_coco(4), 5, seed=0)


def test_labeled_images_of_several_files_are_refused():
    teacher = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(ann_file='a.json'),
                        dict(ann_file='b.json'),
                    ],
                )
            )
        )
    )

    with pytest.raises(ValueError, match='must name one ann_file .* found 2'):
        find_labeled(teacher)


def test_given_teachers_are_not_trained_on_folds(tmp_path):
    teacher = tmp_path / 'teacher.pth'
    teacher.touch()
    for stage in ('teacher', 'validate', 'annotate'):
        (tmp_path / f'{stage}.py').write_text(
            f'given_teachers = [{str(teacher)!r}]'
        )
    stages = Stages(Experiment(tmp_path, ('teacher',)), Launcher(), 0)

    with pytest.raises(ValueError, match='is given, so that no other can be'):
        detect_by_folds(stages, tmp_path / 'folds', 2)


@pytest.fixture
def folds(tiny_experiment, tmp_path, stages_here, monkeypatch):
    """Runs the folds of the tiny experiment, which has 3 labeled images."""
    monkeypatch.chdir(tiny_experiment.parent)
    stages = Stages(Experiment(tiny_experiment, ('teacher',)), Launcher(), 0)
    return lambda: detect_by_folds(stages, tmp_path / 'folds', 2)


@pytest.mark.slow
def test_teacher_of_a_fold_has_seen_all_other_images(folds, tiny_experiment):
    found = folds()

    images = set()
    for fold in found:
        names = {
            i['file_name']
            for i in json.loads(fold.labels.read_text())['images']
        }
        store = DetectionStore(fold.detections)
        assert set(store.read()['file_name'].to_pylist()) == names
        trained = fold.labels.with_name('labeled.json')
        others = {
            i['file_name'] for i in json.loads(trained.read_text())['images']
        }
        assert len(others) + len(names) == 3 and not others & names
        own = Config.fromfile(fold.labels.parent / 'configs/teacher.py')
        assert find_labeled(own)['ann_file'] == str(trained)
        images |= names
    assert (len(images), len(found)) == (3, 2)
    # What is finished is not run again.
    before = {p: p.stat().st_mtime_ns for p in found[0].detections.rglob('*')}
    assert folds() == found
    assert before == {
        p: p.stat().st_mtime_ns for p in found[0].detections.rglob('*')
    }


@pytest.mark.slow
def test_command_lists_the_labels_of_all_folds(
    tiny_experiment, tmp_path, stages_here, call_tool, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    work_dir = tmp_path / 'work'

    done = call_tool(
        'suspicious_labels',
        tiny_experiment,
        '--folds',
        2,
        '--work-dir',
        work_dir,
    )

    assert not done.returncode, done.stderr
    written = work_dir / 'folds/review/suspicious_labels.json'
    assert json.loads(written.read_text())['images']
    assert 'fold 2 of 2: ' in (work_dir / 'folds/folds.log').read_text()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['exp', '--folds', '1'], '--folds must be at least 2, got 1'),
        (['exp'], 'an experiment and --folds'),
        (['exp', 'labels.json', '--folds', '2'], 'an experiment and --folds'),
    ],
)
def test_wrong_arguments_are_refused(arguments, words, call_tool):
    done = call_tool('suspicious_labels', *arguments)

    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--gpus', '2'], "2 processes need a launcher, got 'none'"),
        (['--launcher', 'slurm'], "got 'slurm' and None"),
        (['--partition', 'p'], "got 'none' and 'p'"),
    ],
)
def test_folds_are_trained_as_the_launcher_says(
    arguments, words, tiny_experiment, tmp_path, call_tool
):
    done = call_tool(
        'suspicious_labels',
        tiny_experiment,
        *('--folds', 2, '--work-dir', tmp_path / 'work', *arguments),
    )

    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / 'work').exists()
