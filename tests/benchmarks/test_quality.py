"""The benchmark of the quality of labels, on a few images."""

import json

import pytest

from projects.data_distillation.benchmarks import quality


@pytest.mark.slow
def test_few_images_are_measured(tmp_path, monkeypatch):
    def call_here(function, *arguments):
        return dict(result=function(*arguments))

    monkeypatch.setattr(quality, 'measure_in_process', call_here)

    figures = quality.measure_quality_of(tmp_path / 'made', num_images=20)

    assert figures['num_images'] == 20
    assert figures['labels'] > 0
    truth = json.loads(next(tmp_path.rglob('truth*.json')).read_text())
    crowds = sum(one['iscrowd'] for one in truth['annotations'])
    assert crowds == len(truth['annotations']) // 100 > 0
    compared = figures['comparison']['result']
    assert compared['instances'] >= figures['labels']
    assert 0 < compared['precision'] < 1
    assert 0 < compared['recall'] < 1
