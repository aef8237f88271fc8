"""Results depend on the content of the images, not on names and times."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from builders import stored_row

from projects.data_distillation import DetectionStore
from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    IMAGE_FILES,
    list_differences,
    write_settings,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.model_evaluation import (
    Evaluation,
    mark_evaluated,
)
from projects.data_distillation.experiment.stages.stage_results import (
    hash_read_images,
)
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.files import known_digests
from projects.data_distillation.files.known_digests import IMAGE_DIGESTS
from projects.data_distillation.pseudo_labels.freshness.image_states import (
    hash_detected,
    hash_images,
    save_digests,
)
from projects.data_distillation.training.finished import mark_finished


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder of images and a COCO file beside it."""
    folder = tmp_path / 'data/images'
    folder.mkdir(parents=True)
    for name in 'abc':
        (folder / name).write_text(f'content of {name}')
    content = dict(images=[dict(file_name=name) for name in 'abc'])
    (tmp_path / 'data/coco.json').write_text(json.dumps(content))
    return folder


def loader_of(images: Path, **changes: object) -> dict:
    """Of a dataset within others, as a config has it."""
    dataset = dict(ann_file='coco.json', data_prefix=dict(img='images'))
    dataset |= dict(data_root=str(images.parent), **changes)
    wrapper = dict(type='ConcatDataset', datasets=[dataset])
    return dict(dataset=dict(type='RepeatDataset', dataset=wrapper))


def exchange(image: Path) -> None:
    image.unlink()
    image.write_bytes(b'other')


def test_images_of_a_coco_file_have_one_digest(images, tmp_path, capsys):
    file = str(images.parent / 'coco.json')
    before = hash_images(loader_of(images), tmp_path)
    assert list(before) == [file]
    assert len(before[file]) == 64

    os.utime(images / 'a', (0, 0))
    (images / 'other').write_text('is not in the file')
    assert hash_images(loader_of(images), tmp_path) == before
    exchange(images / 'b')
    after = hash_images(loader_of(images), tmp_path)
    assert list(after) == [file]
    assert after != before
    (images / 'b').write_text('content of a')
    (images / 'a').write_text('content of b')
    assert hash_images(loader_of(images), tmp_path) not in (before, after)
    assert not (tmp_path / IMAGE_DIGESTS).exists()


def test_exchanged_images_are_named_once(
    images, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(known_digests, 'TICK', -1)
    caplog.set_level('INFO', LOG.name)
    hash_read_images(loader_of(images), tmp_path)
    save_digests(tmp_path)
    for names, verb in (('a', 'a has'), ('bc', 'b and 1 more images have')):
        for name in names:
            exchange(images / name)
        caplog.clear()

        for _ in range(2):
            hash_read_images(loader_of(images), tmp_path)

        assert caplog.messages == [
            f'{images}/{verb} other content than in an earlier run'
        ]


@pytest.mark.parametrize(
    'text', ['a b', '[]', '{"images": [{}]}', '{"images": {}}', '[[[']
)
def test_other_annotation_files_are_left_out(images, tmp_path, text):
    (images.parent / 'other').write_text(text)

    for name in ('other', 'none', ''):
        loader = loader_of(images, ann_file=name)
        assert hash_images(loader, tmp_path) == {}
    assert hash_images(loader_of(images, data_prefix='x'), tmp_path) == {}


@pytest.mark.parametrize('was_there', [True, False])
def test_image_that_is_not_there_is_no_change(images, tmp_path, was_there):
    """A disk may not be mounted."""

    def collect() -> dict:
        return {IMAGE_FILES: hash_images(loader_of(images), tmp_path)}

    one, aside = images / 'a', images / 'aside'
    if not was_there:
        one.rename(aside)
    write_settings(tmp_path, collect())
    if was_there:
        one.rename(aside)
    else:
        aside.rename(one)

    assert list_differences(tmp_path, collect()) == []


class Tiny:
    """Stages of an experiment whose images can be exchanged."""

    def __init__(self, folder: Path, experiment: Path) -> None:
        source = experiment.parent / 'data'
        # The configs name it relative to the current folder.
        self.data = Path(shutil.copytree(source, folder / 'data'))
        self.data = self.data.relative_to(folder)
        self.experiment = shutil.copytree(experiment, folder / 'experiment')
        self.work = folder / 'work'
        self.stages = Stages(Experiment(self.experiment), Launcher())

    def image(self, part: str) -> Path:
        return sorted((self.data / 'digits/images' / part).iterdir())[0]


@pytest.fixture
def tiny(tiny_experiment, tmp_path, monkeypatch) -> Tiny:
    monkeypatch.chdir(tmp_path)
    return Tiny(tmp_path, tiny_experiment)


@pytest.mark.parametrize(
    ('model', 'part', 'is_noticed'),
    [
        ('teacher', 'labeled', True),
        ('teacher', 'unlabeled', False),
        ('student', 'labeled', True),
        ('student', 'unlabeled', True),
        ('student', 'val', False),
    ],
)
def test_training_depends_on_the_images_it_reads(
    tiny, model, part, is_noticed
):
    labels = tiny.work / 'annotate/pseudo_labels.json'
    labels.parent.mkdir(parents=True)
    shutil.copy(tiny.data / 'digits/annotations/unlabeled_truth.json', labels)
    training = tiny.stages.prepare_training(
        model, tiny.work / model, labels if model == 'student' else None
    )
    write_settings(training.folder, training.collect_settings())
    assert training.find_changes() == []
    os.utime(tiny.image(part), (0, 0))
    assert training.find_changes() == []

    exchange(tiny.image(part))

    file = f'data/digits/annotations/{part}.json'
    name = labels.name if part == 'unlabeled' else file
    expected = [f'images of {name} have other content'] if is_noticed else []
    assert training.find_changes() == expected
    # Another folder of the labels is none of them.
    if model == 'student':
        shutil.move(labels, tiny.work / labels.name)
        moved = replace(training, labels=tiny.work / labels.name)
        assert moved.find_changes() == expected


def test_training_depends_on_the_weights_it_begins_with(tiny):
    weights = tiny.work / 'r50.pth'
    weights.parent.mkdir()
    weights.write_bytes(b'weights')
    with (tiny.experiment / 'teacher.py').open('a') as config:
        config.write(f'load_from = {str(weights)!r}\n')
    training = tiny.stages.prepare_training('teacher', tiny.work / 'teacher')
    write_settings(training.folder, training.collect_settings())
    assert training.find_changes() == []

    exchange(weights)

    assert training.find_changes() == [f'{weights} has changed']


def test_evaluation_depends_on_the_validation_images(tiny):
    training = tiny.stages.prepare_training('teacher', tiny.work / 'teacher')
    evaluation = Evaluation(training, tiny.work / 'teacher/iter_2.pth')
    write_settings(evaluation.folder, evaluation.collect_settings())
    os.utime(tiny.image('val'), (0, 0))
    exchange(tiny.image('labeled'))
    assert evaluation.find_reasons() == ['there is no record of its end']

    exchange(tiny.image('val'))

    assert evaluation.find_reasons() == [
        'images of data/digits/annotations/val.json have other content'
    ]


def test_what_is_known_of_images_is_kept(tiny, monkeypatch):
    """Also if there is nothing to do."""
    monkeypatch.setattr(known_digests, 'TICK', -1)
    training = tiny.stages.prepare_training('teacher', tiny.work / 'teacher')
    write_settings(training.folder, training.collect_settings())
    checkpoint = training.folder / 'iter_2.pth'
    checkpoint.write_bytes(b'weights')
    mark_finished(training.folder, checkpoint)
    digests = tiny.work / IMAGE_DIGESTS

    assert training.run() == checkpoint
    assert str(tiny.image('labeled')) in digests.read_text()

    evaluation = Evaluation(training, checkpoint)
    metrics = evaluation.folder / '20200101_000000/20200101_000000.json'
    metrics.parent.mkdir(parents=True)
    metrics.write_text('{"coco/bbox_mAP": 0.5}')
    write_settings(evaluation.folder, evaluation.collect_settings())
    mark_evaluated(evaluation.folder)
    evaluation.run()
    assert str(tiny.image('val')) in digests.read_text()


def test_results_of_earlier_versions_are_used(tiny):
    """They do not tell which images made them."""
    training = tiny.stages.prepare_training('teacher', tiny.work / 'teacher')
    settings = training.collect_settings()
    del settings[IMAGE_FILES]
    write_settings(training.folder, settings)
    exchange(tiny.image('labeled'))

    assert training.find_changes() == []


def test_digest_of_detected_images_is_that_of_their_content(tmp_path):
    def digest_of(folder: str, *rows: dict) -> str | None:
        store = DetectionStore(tmp_path / folder, dict(classes=['a']))
        store.add(*rows)
        store.flush()
        return hash_detected(store.folder, {'a', 'b'})

    a, b, c = (
        stored_row(name, sha256=digit * 64, state='1-2')
        for name, digit in zip('abc', '123')
    )

    together = digest_of('1', a, b)

    assert together == digest_of('2', c, b, a)
    assert together != digest_of('3', a, dict(b, sha256='4' * 64))
    assert digest_of('4', a, dict(b, sha256=None)) is None
