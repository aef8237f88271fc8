"""What a part of a model would not train, and what makes it train."""

import pytest

from projects.data_distillation.base_configs.config_reading import (
    DetectorError,
)
from projects.data_distillation.base_configs.freezing import unfreeze


def test_model_that_is_not_registered_is_refused():
    with pytest.raises(DetectorError, match='^Nix is no registered model'):
        unfreeze(dict(type='Nix', frozen_stages=1))


class WithoutDefault:
    def __init__(self, frozen_stages) -> None:
        pass


class NoneByDefault:
    def __init__(self, frozen_stages=None) -> None:
        pass


@pytest.mark.parametrize('kind', [WithoutDefault, NoneByDefault])
def test_value_that_freezes_nothing_must_be_known(kind):
    with pytest.raises(DetectorError, match=rf'^{kind.__name__} .* got'):
        unfreeze(dict(type=kind, frozen_stages=1))


@pytest.mark.parametrize(
    ('init', 'changes'),
    [
        (dict(type='Pretrained', checkpoint='a.pth'), dict(init_cfg=None)),
        (dict(checkpoint='a.pth'), dict(init_cfg=None)),
        # How weights are drawn is a part of the model.
        (dict(type='Xavier', layer='Conv2d', distribution='uniform'), {}),
        ([dict(type='Kaiming', layer='Conv2d')], {}),
        ({}, {}),
        (None, {}),
    ],
)
def test_only_weights_of_a_file_are_left_out(init, changes):
    part = dict(type='FPN', init_cfg=init)

    assert unfreeze(part) == changes


def test_frozen_stages_that_are_no_number_are_refused():
    message = 'must be a whole number, got None: write -1 to freeze nothing'
    with pytest.raises(DetectorError, match=message):
        unfreeze(dict(type='ResNet', frozen_stages=None))
