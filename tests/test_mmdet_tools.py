"""Where results go, where Slurm's processes meet, how those of CPUs end."""

import contextlib
import gc
import multiprocessing
import os
import sys
import weakref
from pathlib import Path

import pytest
import torch
from builders import ROOT, Call, annotate_cfg, write_checkpoint
from mmengine.config import Config
from torch import distributed
from torch.utils.data import DataLoader

from projects.data_distillation import mmdet_tools
from projects.data_distillation.base_configs.formatting import formatted_by
from projects.data_distillation.files.lock import (
    LockedError,
    locked,
    name_locks,
)
from projects.data_distillation.mmdet_tools import (
    check_annotates,
    find_first_host,
    load_mmdet_tool,
    name_work_dir,
    read_work_dir_flag,
    run_mmdet_tool,
    set_slurm_master,
    start_cpu_processes,
)
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
)
from projects.data_distillation.pseudo_labels.annotation.interruption import (
    AnnotationStopped,
)

SRUN = dict(
    SLURM_JOB_ID='1234',
    SLURM_STEP_ID='0',
    SLURM_NODELIST='rack[01-04]',
    SLURM_PROCID='0',
    SLURM_LOCALID='0',
    SLURM_NTASKS='2',
)


def master(**changes: str) -> tuple[str, int]:
    environ = SRUN | changes
    set_slurm_master(environ)
    return environ['MASTER_ADDR'], int(environ['MASTER_PORT'])


@pytest.mark.parametrize(
    ('hosts', 'first'),
    [
        ('localhost', 'localhost'),
        ('n7.cluster.org,n8.cluster.org', 'n7.cluster.org'),
        ('rack[01-04,7]x', 'rack01x'),
        ('rack[7,01-04]', 'rack7'),
        ('gpu-node-[010-012],login', 'gpu-node-010'),
        ('login,gpu[1-3]', 'login'),
        ('r[1-2,5]n[03-04,9].org,s[1-9]', 'r1n03.org'),
    ],
)
def test_first_host_of_a_list(hosts, first):
    assert find_first_host(hosts) == first


def test_tasks_meet_at_the_first_host_of_their_step():
    assert master()[0] == 'rack01'
    # srun --relative=2 in a job of four hosts.
    assert master(SLURM_STEP_NODELIST='rack[03-04]')[0] == 'rack03'
    # It is the login node where srun was started there.
    assert master(SLURM_LAUNCH_NODE_IPADDR='10.0.0.1')[0] == 'rack01'


def test_jobs_and_steps_have_ports_of_their_own():
    ports = [
        master(SLURM_JOB_ID=str(job), SLURM_STEP_ID=str(step))[1]
        for job in range(20)
        for step in range(10)
    ]

    assert len(set(ports)) == len(ports)
    # Neither of the system nor of those that Linux deals out.
    assert all(1_024 < port < 32_768 for port in ports)


def test_master_of_the_environment_is_respected():
    said = dict(MASTER_ADDR='here', MASTER_PORT='29571')

    assert master(**said) == ('here', 29571)


@pytest.mark.parametrize('name', SRUN)
def test_process_that_srun_did_not_start_is_refused(name):
    environ = {key: value for key, value in SRUN.items() if key != name}

    with pytest.raises(ValueError, match=rf"sets \['{name}'\]: use tools/sl"):
        set_slurm_master(environ)


# --- the process group of a run on CPUs ------------------------------------


class Model:
    """Holds itself, as a runner and its parts hold each other."""

    def __init__(self) -> None:
        self.me = self


def run_a_model(died: list[bool], end: type[BaseException] | None) -> None:
    """Note whether there was a process group yet when the model died."""
    model = Model()
    weakref.finalize(model, lambda: died.append(distributed.is_initialized()))
    if end:
        raise end('it')


@pytest.fixture
def of_slurm(monkeypatch):
    for name in ('SLURM_PROCID', 'SLURM_LOCALID'):
        monkeypatch.setenv(name, '0')
    monkeypatch.setenv('SLURM_NTASKS', '1')
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    # Any free one.
    monkeypatch.setenv('MASTER_PORT', '0')
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'):
        monkeypatch.setenv(name, 'to be set')


@pytest.mark.slow
@pytest.mark.parametrize('end', [None, SystemExit, AnnotationStopped])
def test_process_group_ends_after_the_models_in_it(of_slurm, end):
    died = []

    with (
        pytest.raises(end, match='it') if end else contextlib.nullcontext(),
        start_cpu_processes('slurm'),
    ):
        assert distributed.get_world_size() == 1
        run_a_model(died, end)

    assert not distributed.is_initialized()
    assert died == [True]


@pytest.mark.slow
def test_workers_end_before_their_loader_is_collected(of_slurm, request):
    """Else each of them is waited for, for 5 seconds."""
    left = []

    def note(phase: str, info: dict) -> None:
        if phase == 'start' and info['generation'] == 2:
            left.append(multiprocessing.active_children())

    with start_cpu_processes('slurm'):
        # Loaders of other tests may not be collected yet.
        others = multiprocessing.active_children()
        loader = DataLoader([1, 2], num_workers=2, persistent_workers=True)
        # Both batches, so that both workers have started.
        assert len(list(loader)) == 2
        workers = [
            child
            for child in multiprocessing.active_children()
            if child not in others
        ]
        assert len(workers) == 2
        # It dies as a part of a cycle, as the runner does.
        loader.dataset.append(loader)
        del loader
        gc.callbacks.append(note)
        request.addfinalizer(lambda: gc.callbacks.remove(note))

    assert left[-1] == []
    # PyTorch would report any other as a fault.
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_error_ends_a_process_that_others_may_wait_for(of_slurm):
    with (
        pytest.raises(RuntimeError, match='of one'),
        start_cpu_processes('slurm'),
    ):
        raise RuntimeError('of one')

    # Without a word to the others, who may be in the middle of something.
    assert distributed.is_initialized()
    distributed.destroy_process_group()


def test_other_launcher_is_refused_without_a_gpu():
    with (
        pytest.raises(ValueError, match="must be 'none', .* got 'mpi'"),
        start_cpu_processes('mpi'),
    ):
        pass


# --- the lock of whoever started it ------------------------------------------


def test_tool_shares_the_lock_of_its_parent(monkeypatch, tmp_path):
    found = []

    def look(*_) -> None:
        with pytest.raises(LockedError, match='in use'), locked(tmp_path):
            pass
        found.append(True)

    with locked(tmp_path):
        environment = name_locks()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mmdet_tools, 'call_tool', look)
    monkeypatch.setattr(sys, 'argv', ['train.py'])

    run_mmdet_tool('train.py')

    assert found
    with locked(tmp_path):
        pass


# --- what it spares MMEngine ------------------------------------------------


def test_tool_formats_a_config_once(monkeypatch):
    texts = []

    def count(text: str, **options: object) -> tuple[str, bool]:
        texts.append(text)
        return text, False

    cfg = Config(dict(a=1))
    monkeypatch.setattr(
        mmdet_tools, 'call_tool', lambda *_: (cfg.pretty_text, cfg.pretty_text)
    )
    monkeypatch.setattr(sys, 'argv', ['train.py'])

    with formatted_by(count):
        run_mmdet_tool('train.py')

    assert len(texts) == 1


# --- what may be tried -----------------------------------------------------


@pytest.mark.parametrize(
    ('hooks', 'found'),
    [
        ('None', '[]'),
        ("[dict(type='EMAHook')]", "['EMAHook']"),
        (
            "[importlib.import_module('mmengine.hooks').EMAHook()]",
            "['EMAHook']",
        ),
    ],
)
def test_config_without_an_annotating_hook_is_not_tried(
    tmp_path, hooks, found
):
    config = tmp_path / 'a.py'
    config.write_text(f'import importlib\ncustom_hooks = {hooks}')

    with pytest.raises(ValueError, match='--dry-run is for annot') as refused:
        check_annotates(str(config))

    assert str(refused.value).endswith(f'in `custom_hooks`, got {found}')


# --- the work folder --------------------------------------------------------


@pytest.mark.parametrize(
    ('experiment', 'work_dir'),
    [
        (ROOT / 'configs/digits', 'work_dirs/digits'),
        (
            ROOT / 'configs/coco/faster-rcnn_r50_fpn/co35_co80',
            'work_dirs/coco/faster-rcnn_r50_fpn/co35_co80',
        ),
        (ROOT / 'configs/digits/../bccd', 'work_dirs/bccd'),
        # Elsewhere.
        (ROOT / 'configs', 'work_dirs/configs'),
        ('/data/configs/mine/cells', 'work_dirs/cells'),
        (ROOT / 'tests', 'work_dirs/tests'),
    ],
)
def test_experiment_has_a_work_folder_of_its_own(experiment, work_dir):
    assert name_work_dir(Path(experiment)) == Path(work_dir)


def test_relative_path_of_an_experiment_is_the_same_experiment(monkeypatch):
    monkeypatch.chdir(ROOT / 'configs/bccd')

    assert name_work_dir(Path()) == Path('work_dirs/bccd')
    assert name_work_dir(Path('../digits')) == Path('work_dirs/digits')


def test_experiments_of_the_current_folder_share_no_work_folder(
    monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'configs').symlink_to('mine')

    for group in ('red', 'green'):
        folder = Path('configs') / group / 'cells'
        assert name_work_dir(folder) == Path('work_dirs') / group / 'cells'
    assert name_work_dir(Path('configs')) == Path('work_dirs/mine')
    assert name_work_dir(ROOT / 'configs/bccd') == Path('work_dirs/bccd')


def flag(monkeypatch, tool: str, *arguments: object) -> list[str]:
    """Return what is added to a command line of one of MMDetection's tools."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    # The tools set it.
    monkeypatch.setenv('LOCAL_RANK', '0')
    return read_work_dir_flag(load_mmdet_tool(tool).parse_args())


def test_stage_without_a_work_folder_gets_that_of_distill(
    monkeypatch, tmp_path
):
    stages = ROOT / 'configs/digits'
    own = tmp_path / 'cells/teacher.py'
    own.parent.mkdir()
    own.write_text(f'_base_ = {str(stages / "teacher.py")!r}')

    trained = flag(monkeypatch, 'train.py', stages / 'teacher.py')
    annotated = flag(monkeypatch, 'test.py', stages / 'annotate.py', 't.pth')

    assert trained == ['--work-dir', 'work_dirs/digits/teacher']
    assert annotated == ['--work-dir', 'work_dirs/digits/annotate']
    elsewhere = ['--work-dir', 'work_dirs/cells/teacher']
    assert flag(monkeypatch, 'train.py', own) == elsewhere


def test_work_folder_that_is_named_stays(monkeypatch, tmp_path):
    teacher = ROOT / 'configs/digits/teacher.py'
    own = tmp_path / 'teacher.py'
    own.write_text(f"_base_ = {str(teacher)!r}\nwork_dir = 'mine'")

    said = [
        (teacher, '--work-dir', 'mine'),
        (teacher, '--cfg-options', 'work_dir=mine'),
        (own,),
    ]

    assert [flag(monkeypatch, 'train.py', *words) for words in said] == [
        [], [], []
    ]  # fmt: skip


@pytest.mark.slow
def test_user_may_trust_a_checkpoint(drawn, tmp_path, monkeypatch):
    made, evil = tmp_path / 'made', tmp_path / 'evil.pth'
    file = write_checkpoint(tmp_path / 'good.pth')
    opened = Call(os.system, f'touch {made}')
    torch.save(dict(torch.load(file), opened=opened), evil)
    config = tmp_path / 'annotate.py'
    annotate_cfg(drawn, evil, tmp_path / 'work').dump(config)
    command = ['test.py', str(config), str(evil)]

    monkeypatch.setattr(sys, 'argv', command)
    with pytest.raises(CheckpointError, match='it holds code'):
        run_mmdet_tool('test.py')
    assert not made.exists()

    monkeypatch.setattr(sys, 'argv', [*command, '--trust-checkpoint'])
    run_mmdet_tool('test.py')
    assert made.exists()
    assert (tmp_path / 'work/pseudo_labels.json').is_file()
