"""What a checkpoint may hold."""

import io
import os

import numpy as np
import pytest
import torch
from builders import Call
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint
from mmengine.runner.checkpoint import load_checkpoint

from projects.data_distillation.inference.checkpoints import CheckpointError
from projects.data_distillation.inference.safe_loading import (
    VARIABLE,
    explain_refusal,
    refusing_code,
)


@pytest.fixture(autouse=True)
def undo(monkeypatch):
    """Take back what is set for the rest of the process."""
    monkeypatch.setattr(
        checkpoint, 'get_torch_safe_globals', checkpoint.get_torch_safe_globals
    )
    monkeypatch.setitem(os.environ, VARIABLE, '')
    del os.environ[VARIABLE]
    known = torch.serialization.get_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(known)


def load(file) -> dict:
    with refusing_code():
        return load_checkpoint(torch.nn.Linear(1, 1), str(file))


def saved(file, extra: object):
    weights = torch.nn.Linear(1, 1).state_dict()
    torch.save(dict(state_dict=weights, extra=extra), file)
    return file


def opening(path) -> list:
    """What opens a file though it names no function but a log buffer's."""
    rebuild = torch._utils._rebuild_parameter
    known = Call(getattr, rebuild, '__builtins__')
    run = Call(getattr, Call(HistoryBuffer, state=known), 'exec')
    nn = Call(HistoryBuffer, state=dict(Parameter=run))
    fake = Call(HistoryBuffer, state=dict(nn=nn))
    replace = Call(getattr, rebuild, '__globals__', items=[('torch', fake)])
    return [replace, Call(rebuild, f'open({str(path)!r}, "w")', {}, {})]


def test_attributes_lead_to_no_code(tmp_path):
    made = tmp_path / 'made'
    file = saved(tmp_path / 'evil.pth', opening(made))

    with pytest.raises(CheckpointError, match="it looks up '__globals__' of"):
        load(file)

    assert not made.exists()


@pytest.mark.parametrize('name', ['__init__', 'register_statistics'])
def test_log_buffers_give_nothing_but_their_statistics(tmp_path, name):
    file = saved(tmp_path / 'a.pth', Call(getattr, HistoryBuffer, name))

    with pytest.raises(CheckpointError, match=f"it looks up '{name}' of"):
        load(file)


def test_user_may_trust_a_checkpoint(tmp_path, monkeypatch):
    made = tmp_path / 'made'
    file = saved(tmp_path / 'old.pth', Call(open, str(made), 'w'))
    # Without torch's advice, some of which is to let it run.
    cause = r'Unsupported global: GLOBAL \S+ was not an allowed global by '
    with pytest.raises(CheckpointError, match=f'{cause}default. If you trus'):
        load(file)
    assert not made.exists()

    monkeypatch.setenv(VARIABLE, '0')
    load(file)

    assert made.exists()


def history() -> HistoryBuffer:
    buffer = HistoryBuffer()
    for value in (1.5, 2.5):
        buffer.update(value)
    return buffer


@pytest.mark.parametrize(
    'module', [b'numpy.core.multiarray', b'numpy._core.multiarray']
)
def test_log_buffers_and_numbers_of_both_numpy_versions_load(tmp_path, module):
    numbers = [t(1) for t in (np.float64, np.float32, np.int64, np.bool_)]
    buffer = io.BytesIO()
    # In this format the pickle is not compressed, nor is its length noted.
    content = dict(
        state_dict=torch.nn.Linear(1, 1).state_dict(),
        meta=dict(numbers=numbers, array=np.ones(2, np.float32)),
        message_hub=dict(loss=history()),
    )
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    file = tmp_path / 'a.pth'
    written = np.ndarray.__reduce__(np.ones(1))[0].__module__.encode()
    file.write_bytes(buffer.getvalue().replace(written, module))
    assert module in file.read_bytes()

    found = load(file)

    assert found['meta']['numbers'] == numbers
    assert found['meta']['array'].tolist() == [1, 1]
    assert found['message_hub']['loss'].mean() == 2
    assert found['message_hub']['loss'].statistics('max') == 2.5


def test_what_is_no_checkpoint_is_not_called_dangerous():
    text = explain_refusal(
        'Weights... WeightsUnpickler error: Unsupported operand 118'
    )

    assert 'is not a checkpoint: Unsupported operand 118 Is it a web ' in text
    assert 'trust' not in text
