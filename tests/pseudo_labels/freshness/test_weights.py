"""Weights that a training begins with count by their content."""

import hashlib

import pytest

from projects.data_distillation.experiment.stages.fingerprint import (
    WEIGHTS,
    list_differences,
    write_settings,
)
from projects.data_distillation.pseudo_labels.freshness.weights import (
    hash_weights,
)


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / 'r50.pth'
    file.write_bytes(b'weights')
    return file


def configs_with(path: str) -> list[dict]:
    """Each way of naming them."""
    init_cfg = dict(type='Pretrained', checkpoint=path)
    return [
        dict(load_from=path),
        dict(model=dict(backbone=dict(init_cfg=init_cfg))),
        dict(model=dict(parts=[dict(init_cfg=[init_cfg])])),
        dict(model=dict(pretrained=path)),
        dict(model=dict(teacher_ckpt=path)),
    ]


def test_weights_are_found_wherever_they_are_named(weights, tmp_path):
    for cfg in configs_with(str(weights)):
        found = hash_weights(cfg)
        assert list(found) == [str(weights)]
        assert len(found[str(weights)]) == 64


@pytest.mark.parametrize(
    'path', ['torchvision://resnet50', 'https://a.org/b.pth', '', '/']
)
def test_what_is_no_file_here_has_no_digest(tmp_path, path):
    for cfg in configs_with(path):
        assert hash_weights(cfg) == {}
    assert hash_weights(dict(load_from=None, model=None)) == {}


def test_exchanged_weights_are_noticed_and_missing_ones_not(weights, tmp_path):
    def find() -> list[str]:
        found = hash_weights(dict(load_from=str(weights)))
        return list_differences(tmp_path, {WEIGHTS: found})

    write_settings(
        tmp_path,
        {WEIGHTS: hash_weights(dict(load_from=str(weights)))},
    )
    assert find() == []
    weights.write_bytes(b'others!')
    assert find() == [f'{weights} has changed']
    weights.unlink()
    assert find() == []


def test_what_no_image_file_may_be_counts_for_weights(weights):
    # Such as a file without a byte, or one of more than 2 GiB.
    weights.write_bytes(b'')

    found = hash_weights(dict(load_from=str(weights)))

    assert found == {str(weights): hashlib.sha256().hexdigest()}
