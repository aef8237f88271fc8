"""The epoch goes on in a training that counts iterations."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from projects.data_distillation import EpochHook


@pytest.mark.parametrize(
    ('max_iters', 'expected'),
    [(12, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]), (2, [0, 1])],
)
def test_epochs_share_the_iterations(max_iters, expected):
    hub = MessageHub.get_instance('epochs')
    runner = SimpleNamespace(message_hub=hub, max_iters=max_iters)
    hook, found = EpochHook(max_epochs=3), []

    for runner.iter in range(max_iters):
        hook.before_train_iter(runner, runner.iter)
        found.append(hub.get_info('epoch'))

    assert found == expected
