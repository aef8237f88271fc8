"""What a checkpoint may hold."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from builders import Call, toy_detector_cfg
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import checkpoint
from mmengine.runner.checkpoint import load_checkpoint
from mmengine.utils import digit_version

from projects.data_distillation.multi_view.inference import safe_loading
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
    load_teacher,
)
from projects.data_distillation.multi_view.inference.safe_loading import (
    VARIABLE,
    refusing_code,
)

HOLDS_CODE = 'is refused, because it holds code, which would run while it'


@pytest.fixture(autouse=True, params=['new', 'old'])
def torch_version(monkeypatch, request):
    """Load as with PyTorch 2.6 and newer, and as with older ones."""
    monkeypatch.delenv(VARIABLE, raising=False)
    if request.param == 'new' and not safe_loading.KNOWS_GLOBALS:
        pytest.skip(f'PyTorch {torch.__version__} has no safe globals')
    if request.param == 'old':
        # What they lack.
        monkeypatch.setattr(safe_loading, 'KNOWS_GLOBALS', False)
        for name in ('get', 'add', 'clear'):
            monkeypatch.delattr(
                torch.serialization, f'{name}_safe_globals', raising=False
            )
        monkeypatch.setattr(
            checkpoint, 'TORCH_VERSION', '2.1.2', raising=False
        )


def load(file) -> dict:
    with refusing_code():
        return load_checkpoint(torch.nn.Linear(1, 1), str(file))


def saved(file, extra: object, **options):
    weights = torch.nn.Linear(1, 1).state_dict()
    torch.save(dict(state_dict=weights, extra=extra), file, **options)
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


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(_use_new_zipfile_serialization=False),
        *(dict(pickle_protocol=protocol) for protocol in (3, 4, 5)),
    ],
)
def test_code_is_named_and_there_is_a_way_out(tmp_path, monkeypatch, options):
    made = tmp_path / 'made'
    file = saved(
        tmp_path / 'old.pth', Call(os.system, f'touch {made}'), **options
    )
    with pytest.raises(CheckpointError, match='it calls for') as refused:
        load(file)
    assert not made.exists()
    text = str(refused.value)
    assert text.startswith(f'{file} {HOLDS_CODE} is loaded: it calls for `')
    assert '.system`. ' in text
    assert '--trust-checkpoint' in text
    assert f'{VARIABLE}=0' in text
    assert 'weights_only' not in text

    with refusing_code(is_trusted=True):
        assert os.environ[VARIABLE] == '0'
        torch.load(file, weights_only=False)
    assert VARIABLE not in os.environ
    assert made.exists()
    made.unlink()
    monkeypatch.setenv(VARIABLE, '0')
    with refusing_code():
        torch.load(file, weights_only=False)
    assert made.exists()


@pytest.mark.parametrize('protocol', range(6))
def test_pickle_of_nothing_but_code_is_called_that(tmp_path, protocol):
    made, file = tmp_path / 'made', tmp_path / 'a.pth'
    payload = Call(os.system, f'touch {made}')
    file.write_bytes(pickle.dumps(payload, protocol=protocol))

    with pytest.raises(CheckpointError, match=f'{HOLDS_CODE}.*system`') as e:
        load(file)

    assert not made.exists()
    assert 'weights_only' not in str(e.value)


def test_no_class_gets_another_method(tmp_path):
    file = tmp_path / 'a.pth'
    # As bytes, because pickle would not write it.
    name = OneCycleParamScheduler.__module__.encode()
    file.write_bytes(
        b'c' + name + b'\nOneCycleParamScheduler\n(N(dVstep\nI1\nstb.'
    )
    step = OneCycleParamScheduler.step

    with pytest.raises(CheckpointError, match='it changes `<class .*OneCyc'):
        load(file)

    assert OneCycleParamScheduler.step is step


def test_program_of_torch_script_is_not_run(tmp_path):
    file = tmp_path / 'a.pth'
    torch.jit.script(torch.nn.Linear(1, 1)).save(file)

    with pytest.raises(CheckpointError, match='a program of TorchScript'):
        load(file)


def test_what_a_library_asks_for_is_not_unlimited(tmp_path):
    made = tmp_path / 'made'
    file = saved(tmp_path / 'a.pth', Call(open, str(made), 'w'))

    with refusing_code(), pytest.raises(CheckpointError, match=HOLDS_CODE):
        torch.load(file, weights_only=False, pickle_module=pickle)

    assert not made.exists()


def test_nothing_stays_behind(tmp_path):
    before = torch.load
    with refusing_code():
        limited = torch.load
        with refusing_code():
            assert torch.load is limited
        assert torch.load is limited
    assert torch.load is before


def test_other_teachers_and_what_detectors_load_are_checked(tmp_path):
    made = tmp_path / 'made'
    file = saved(tmp_path / 'a.pth', Call(open, str(made), 'w'))

    with pytest.raises(CheckpointError, match=HOLDS_CODE):
        load_teacher(toy_detector_cfg(), str(file))

    assert not made.exists()


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
        message_hub=dict(log_scalars=dict(loss=history())),
        curve=OneCycleParamScheduler._annealing_cos,
        dtype=torch.float16,
        half=torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
        device=torch.device('cpu'),
        size=torch.Size([1]),
        values=({1}, 1j, b'b', bytearray(b'c'), None, 'd', slice(1)),
        empty=HistoryBuffer(),
    )
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    file = tmp_path / 'a.pth'
    written = np.ndarray.__reduce__(np.ones(1))[0].__module__.encode()
    file.write_bytes(buffer.getvalue().replace(written, module))
    assert module in file.read_bytes()

    found = load(file)

    assert found['meta']['numbers'] == numbers
    assert found['meta']['array'].tolist() == [1, 1]
    loss = found['message_hub']['log_scalars']['loss']
    assert loss.mean() == 2
    assert loss.statistics('max') == 2.5
    assert found['curve'] is OneCycleParamScheduler._annealing_cos
    for name in ('dtype', 'device', 'size', 'values'):
        assert found[name] == content[name]
    assert torch.equal(found['half'], content['half'])


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='older ones find a zip file at the start of a file only',
)
def test_file_that_is_open_loads(tmp_path):
    buffer = io.BytesIO(b'some bytes before')
    buffer.seek(0, io.SEEK_END)
    saved(buffer, 1)
    buffer.seek(17)
    with refusing_code():
        assert torch.load(buffer)['extra'] == 1


def test_code_in_a_file_that_is_open_is_named():
    buffer = io.BytesIO(b'before')
    buffer.seek(0, io.SEEK_END)
    buffer.write(pickle.dumps(Call(os.system, 'false'), protocol=2))
    buffer.seek(6)
    with refusing_code(), pytest.raises(CheckpointError, match=HOLDS_CODE):
        torch.load(buffer)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'<html>not found</html>',
        b'version https://git-lfs.github.com/spec/v1\noid sha256:4d\n',
        b'Not Found',
        b'{"message": "Not Found"}',
    ],
)
def test_what_is_no_checkpoint_is_not_called_dangerous(tmp_path, content):
    file = tmp_path / 'a.pth'
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match='is not a') as refused:
        load(file)

    text = str(refused.value)
    assert text.startswith(f'{file} is not a checkpoint. Is it empty, a web ')
    assert 'trust' not in text


def test_file_that_is_cut_short_is_called_what_pytorch_calls_it(tmp_path):
    file = saved(tmp_path / 'a.pth', 1)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])

    with pytest.raises(RuntimeError, match='failed finding central directory'):
        load(file)


@pytest.mark.slow
def test_older_file_is_refused_wherever_it_is_cut_short(tmp_path):
    buffer = io.BytesIO()
    content = dict(state_dict=torch.nn.Linear(3, 2).state_dict())
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    content = buffer.getvalue()

    for length in range(0, len(content), 5):
        file = tmp_path / 'a.pth'
        file.write_bytes(content[:length])
        with pytest.raises(
            (CheckpointError, RuntimeError),
            match='is not a checkpoint|is refused|unexpected EOF',
        ):
            load(file)


def test_tar_file_is_not_unpacked(tmp_path):
    """PyTorch once saved tar files, which it can still load."""
    file = tmp_path / 'a.pth'
    parts = dict(storages=[0, []], tensors=[0], pickle=[dict(a=1)])
    with tarfile.open(file, 'w') as tar:
        for name, values in parts.items():
            content = b''.join(map(pickle.dumps, values))
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

    with pytest.raises(CheckpointError, match='is not a checkpoint'):
        load(file)
