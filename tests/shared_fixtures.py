"""Fixtures made of the builders."""

import copy
import gc
import io
import itertools
import os
import re
import runpy
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import mmdet
import pytest
import torch
from builders import ROOT, DrawnImages, load_tool, write_checkpoint
from hypothesis import HealthCheck, settings
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.dataset import base_dataset
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from yapf.yapflib import yapf_api

from projects.data_distillation.attributes import replaced
from projects.data_distillation.base_configs.formatting import formatted_by
from projects.data_distillation.digits.dataset import Recipe, write_digits
from projects.data_distillation.experiment.processes import process
from projects.data_distillation.experiment.processes.child_process import (
    ChildProcess,
)
from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.rehearsal.quick_configs import (
    quick_configs as rehearsal_configs,
)
from projects.data_distillation.experiment.timing import rates

Called = subprocess.CompletedProcess
TINY = """
_base_ = '{config}'
data_root = '{data}/'
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2))
"""
NO_ARGUMENTS = SimpleNamespace(params={})
# The folders whose configs no test writes.
LASTING = str(ROOT / 'configs'), str(Path(mmdet.__file__).parent)
FORMAT_CODE = yapf_api.FormatCode
NUMBERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis try few examples where the slow tests are left out.

    They are the same in each run, unless another number of them is asked
    for, except for numbers and texts that Hypothesis finds in those modules
    of this project which other tests have imported before.
    """
    asked = os.environ.get('FUZZ_EXAMPLES')
    number = 20 if config.option.markexpr == 'not slow' else 50
    settings.register_profile(
        'this run',
        max_examples=int(asked or number),
        derandomize=not asked,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile('this run')
    use_one_thread()


def use_one_thread() -> None:
    """Let this process, and those that it starts, compute in one thread.

    The tests run beside each other, and threads of several processes that
    wait for the same cores take many times as long.
    """
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))


@pytest.hookimpl(tryfirst=True)  # Before xdist looks.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests together that share an experiment, a report, or so.

    Processes of pytest-xdist would make it more than once.
    """
    for item in items:
        if {'tiny_experiment', 'report'} & {*item.fixturenames}:
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
        if 'browser' in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group('browser'))
        if {'detectors', 'segmentors'} & {*item.fixturenames}:
            arguments = getattr(item, 'callspec', NO_ARGUMENTS).params
            name = arguments.get('name', 'several')
            item.add_marker(pytest.mark.xdist_group(f'{name}, random'))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what has been imported."""
    gc.freeze()


class NoCollection:
    """Stands for the module `gc`, and leaves all to Python's own turns."""

    @staticmethod
    def collect() -> int:
        return 0


def read_configs_once(read: Callable) -> Callable:
    """Let MMEngine read each config once that no test writes.

    Environment variables change with the tests, so what has some is read
    again.
    """
    known = {}

    def read_config(filename: str, *options, **named) -> tuple:
        key = str(filename), options, tuple(named.items())
        if key not in known:
            content = read(filename, *options, **named)
            if content[-1] or not str(filename).startswith(LASTING):
                return content
            known[key] = content
        return copy.deepcopy(known[key])

    return read_config


@pytest.fixture(scope='session', autouse=True)
def quick_configs() -> Iterator[None]:
    """Spare MMEngine what takes most of the time of a run.

    Besides what a rehearsal spares it, it reads a config with all its bases
    for each look; here it reads each once. It collects garbage for each
    dataset, which takes longer than most tests. Processes that tests start
    do as MMEngine does.
    """
    read_once = staticmethod(read_configs_once(Config._file2dict))
    with (
        rehearsal_configs(),
        replaced(Config, '_file2dict', read_once),
        replaced(base_dataset, 'gc', NoCollection),
    ):
        yield


@pytest.fixture
def formatted() -> Iterator[None]:
    """Written configs have the layout that people get."""
    with formatted_by(FORMAT_CODE):
        yield


@pytest.fixture(autouse=True)
def default_scope() -> None:
    """As the tools have it, whatever tests ran before in this process."""
    init_default_scope('mmdet')


@pytest.fixture(autouse=True)
def log_reaches_caplog(monkeypatch) -> None:
    """Whatever test before in this process has begun a log of its own."""
    monkeypatch.setattr(LOG, 'propagate', True)


@pytest.fixture
def call_tool(monkeypatch, capsys) -> Callable[..., Called]:
    """Runs a command line in this process: to start one takes seconds."""
    monkeypatch.setattr(LOG, 'handlers', [])
    monkeypatch.syspath_prepend(ROOT / 'tools')

    def call(name: str, *arguments: object, cwd: Path | str = '.') -> Called:
        command = [f'{name}.py', *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', command)
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        code = None
        try:
            load_tool(name).main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        if isinstance(code, str):
            # As Python ends then.
            code, err = 1, f'{err}{code}\n'
        return Called(command, code or 0, out, err)

    return call


@pytest.fixture
def one_core() -> Iterator[None]:
    """Annotation is one process then: each takes seconds to start."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


def forget_runs() -> None:
    """Let the next run have its own folder; what MMEngine shares keeps it."""
    for shared in (MessageHub, MMLogger, DetLocalVisualizer):
        shared._instance_dict.clear()


class StageHere(ChildProcess):
    """Runs the command of a stage in this process."""

    def run(self) -> int:
        python, tool, *_ = self.command
        assert python == 'python', self.command
        forget_runs()
        with pytest.MonkeyPatch.context() as patch, self.redirected():
            patch.setattr(sys, 'argv', list(self.command[1:]))
            for name in self.environment.keys() - os.environ.keys():
                patch.setenv(name, self.environment[name])
            try:
                runpy.run_path(tool, run_name='__main__')
            except SystemExit as end:
                if not isinstance(end.code, str):
                    return end.code or 0
                # As Python ends then.
                print(end.code, file=sys.stderr)
                return 1
            except Exception:
                traceback.print_exc()
                return 1
        return 0

    @contextmanager
    def redirected(self) -> Iterator[None]:
        """Let what is printed go where that of a process would."""
        if self.output is None:
            yield
            return
        with (
            io.TextIOWrapper(
                os.fdopen(os.dup(self.output.fileno()), 'ab'),
                write_through=True,
            ) as text,
            redirect_stdout(text),
            redirect_stderr(text),
        ):
            yield


def capture_stage_here(command: Sequence[str]) -> str:
    """Return the output of the command of a stage, run in this process."""
    with redirect_stdout(io.StringIO()) as output:
        assert StageHere(command, {}).run() == 0, output.getvalue()
    return output.getvalue()


@pytest.fixture
def run_here(capsys, monkeypatch) -> Iterator[Callable[..., Called]]:
    """Runs a file of Python as a process would, but in this one."""

    def call(*command: object, cwd: Path = ROOT) -> Called:
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        words = list(map(str, command))
        code = StageHere(words, {}).run()
        return Called(words, code, *capsys.readouterr())

    yield call
    forget_runs()


@pytest.fixture
def stages_here(monkeypatch, one_core) -> Iterator[None]:
    """Stages run in this process: to start one takes most of its time.

    `test_run.done` and the tests of tools start them as users do.
    """
    monkeypatch.setattr(process, 'ChildProcess', StageHere)
    monkeypatch.setattr(rates, 'capture_output', capture_stage_here)
    yield
    forget_runs()


@pytest.fixture
def tmp_path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A new folder for the test.

    It has a number of its own. pytest looks through the folders of all
    tests before for the next one, which takes a second per thousand tests.
    """
    name = re.sub(r'\W', '_', request.node.name)[:30]
    return tmp_path_factory.mktemp(f'{name}_{next(NUMBERS)}', numbered=False)


@pytest.fixture
def drawn(tmp_path: Path) -> DrawnImages:
    return DrawnImages(tmp_path / 'drawn')


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The weights of a toy teacher."""
    return write_checkpoint(tmp_path / 'teacher.pth')


@pytest.fixture(scope='module')
def tiny_experiment(tmp_path_factory) -> Path:
    """The digits experiment with a handful of images and two iterations."""
    folder = tmp_path_factory.mktemp('tiny')
    images = dict(labeled=3, unlabeled=4, val=2)
    # Where configs/digits expects them.
    write_digits(folder / 'data/digits', recipe=Recipe(images=images))
    experiment = folder / 'experiment'
    experiment.mkdir()
    for config in (ROOT / 'configs/digits').glob('*.py'):
        text = TINY.format(config=config, data=folder / 'data/digits')
        (experiment / config.name).write_text(text)
    return experiment


@pytest.fixture(scope='session')
def browser():
    """A headless Chromium that finds no network."""
    try:
        chrome = load_tool('screenshot').open_browser()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with chrome:
        yield chrome
