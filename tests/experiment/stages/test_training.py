"""What the weights of a training depend on."""

import json
import shutil

import pytest

from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages


@pytest.fixture
def collect(tiny_experiment, tmp_path, monkeypatch):
    """The settings of a student that is trained on a file of labels."""
    monkeypatch.chdir(tiny_experiment.parent)
    stages = Stages(Experiment(tiny_experiment), Launcher())

    def collect_from(labels):
        student = stages.training('student', tmp_path / 'student', labels)
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
