"""Does a checkpoint fit?"""

import hashlib

import pytest
import torch
from torch import nn

from projects.data_distillation.files.digest import compute_sha256
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
    check_weights,
    load_teacher,
)


def test_weights_of_the_model_pass_also_from_a_wrapped_model():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    weights = model.state_dict()

    wrapped = {f'module.{k}': v for k, v in weights.items()}
    more = {**weights, 'mask_head.weight': torch.zeros(1)}
    for passing in (weights, wrapped, more):
        assert check_weights(model, passing) is None


def test_weights_without_a_number_pass():
    model = nn.Module()
    model.nothing = nn.Parameter(torch.zeros(0, 4))

    weights = dict(nothing=torch.zeros(0, 4))
    assert check_weights(model, weights) is None


def test_missing_and_misshapen_weights_are_counted():
    model = nn.Linear(2, 3)

    with pytest.raises(CheckpointError, match='2 of 2 .*weight is missing; '):
        check_weights(model, dict(bias=torch.zeros(4)))


@pytest.mark.parametrize(
    ('weights', 'message'),
    [
        (
            {'weight': 3.0, 'bias': torch.ones(3)},
            '1 of 2 .* tensor, but float',
        ),
        (
            {0: torch.ones(3)},
            'must have names as keys, got 0: MMEngine writes',
        ),
        ([torch.ones(3)], '`state_dict` .* a dictionary, got list: MMEngine'),
    ],
)
def test_what_is_no_named_tensor_is_refused(weights, message):
    with pytest.raises(CheckpointError, match=message):
        check_weights(nn.Linear(2, 3), weights)


def test_weights_that_only_training_uses_may_be_missing():
    model = nn.ModuleDict(dict(dn_query_generator=nn.Linear(2, 3)))
    model['head'] = nn.Linear(2, 3)

    check_weights(
        model, {'head.weight': torch.ones(3, 2), 'head.bias': torch.ones(3)}
    )

    with pytest.raises(CheckpointError, match='2 of 2 weights'):
        check_weights(model, model['dn_query_generator'].state_dict())


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_weights_that_are_no_numbers_are_named(dtype):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(dtype)
    weights = model.state_dict()
    weights['1.running_var'][1] = torch.inf
    check_weights(model, weights)

    weights['1.running_var'][1] = torch.nan
    with pytest.raises(CheckpointError, match=r'numbers \(1.running_var has'):
        check_weights(model, weights)


def test_hash_is_that_of_the_whole_file(tmp_path):
    # More than the block that is read at once.
    content = bytes(range(256)) * 8192
    file = tmp_path / 'a'
    file.write_bytes(content)

    assert compute_sha256(file) == hashlib.sha256(content).hexdigest()
    assert compute_sha256('https://example.org/a.pth') is None


def test_teacher_without_a_config_is_refused():
    with pytest.raises(TypeError, match='needs `module`, .* got Linear'):
        load_teacher(nn.Linear(2, 3), 'a.pth')
