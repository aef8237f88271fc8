"""Where the processes of a Slurm job meet, and how those of CPUs end."""

import contextlib
import sys
import weakref

import pytest
from torch import distributed

from projects.data_distillation.mmdet_tools import (
    cpu_processes,
    first_host,
    load_mmdet_tool,
    set_slurm_master,
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
    assert first_host(hosts) == first


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


def run_a_model(died: list[bool], exits: bool) -> None:
    """Note whether there was a process group yet when the model died."""
    model = Model()
    weakref.finalize(model, lambda: died.append(distributed.is_initialized()))
    if exits:
        sys.exit(0)


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


@pytest.mark.parametrize('exits', [False, True])
def test_process_group_ends_after_the_models_in_it(of_slurm, exits):
    died = []

    with (
        pytest.raises(SystemExit) if exits else contextlib.nullcontext(),
        cpu_processes('slurm'),
    ):
        assert distributed.get_world_size() == 1
        run_a_model(died, exits)

    assert not distributed.is_initialized()
    assert died == [True]


def test_error_ends_a_process_that_others_may_wait_for(of_slurm):
    with pytest.raises(RuntimeError, match='of one'), cpu_processes('slurm'):
        raise RuntimeError('of one')

    # Without a word to the others, who may be in the middle of something.
    assert distributed.is_initialized()
    distributed.destroy_process_group()


def test_other_launcher_is_refused_without_a_gpu():
    with (
        pytest.raises(ValueError, match="must be 'none', .* got 'mpi'"),
        cpu_processes('mpi'),
    ):
        pass


def test_tool_that_is_no_python_file_is_refused():
    with pytest.raises(ImportError, match="Python file, got 'dist_test.sh'"):
        load_mmdet_tool('dist_test.sh')
