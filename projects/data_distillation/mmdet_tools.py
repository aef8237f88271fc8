"""Runs MMDetection's own tools, also distributed over CPUs."""

import argparse
import gc
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

import mmdet
import torch
from mmengine.config import Config
from torch import distributed

from .inference.safe_loading import refusing_code
from .quiet import QuietRunner, quiet_screen

# The wrapper that the runner makes by default asks for a GPU.
CPU_OPTIONS = [
    '--cfg-options',
    'model_wrapper_cfg.type=MMDistributedDataParallel',
    'model_wrapper_cfg.device_ids=None',
    'model_wrapper_cfg.broadcast_buffers=False',
]

# A flag of ours, which MMDetection's tools do not know.
DRY_RUN = '--dry-run'
ANNOTATING_HOOKS = {'AnnotationHook', 'DetectionHook'}
# What srun sets for each of its tasks, and sbatch alone does not.
SLURM_VARIABLES = (
    'SLURM_JOB_ID',
    'SLURM_STEP_ID',
    'SLURM_NODELIST',
    'SLURM_PROCID',
    'SLURM_LOCALID',
    'SLURM_NTASKS',
)
# Below the ports that Linux gives to whoever asks for any.
SLURM_PORTS = range(10_000, 30_000)


@quiet_screen()
def run_mmdet_tool(name: str) -> None:
    """Run a tool that MMDetection ships, with this process's arguments.

    Args:
        name: Its file name, such as `'train.py'`.

    Raises:
        CheckpointError: If a checkpoint could run code.
        ValueError: If `--dry-run` is among them, and there is nothing to
            annotate.
    """
    is_dry_run = DRY_RUN in sys.argv
    if is_dry_run:
        sys.argv.remove(DRY_RUN)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--launcher', default='none')
    launcher = parser.parse_known_args()[0].launcher
    if launcher == 'slurm':
        set_slurm_master(os.environ)
    with ExitStack() as during:
        if launcher != 'none' and not torch.cuda.is_available():
            during.enter_context(cpu_processes(launcher))
            sys.argv += CPU_OPTIONS
        during.enter_context(refusing_code())
        tool = load_mmdet_tool(name)
        if is_dry_run:
            check_annotates(tool.parse_args().config)
            sys.argv += ['--cfg-options', 'dry_run=True']
        tool.main()


def load_mmdet_tool(name: str) -> ModuleType:
    """Import a tool that MMDetection ships as a file.

    Args:
        name: Its file name, such as `'train.py'`.
    """
    file = Path(mmdet.__file__).parent / '.mim' / 'tools' / name
    spec = importlib.util.spec_from_file_location(f'mmdet_{file.stem}', file)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.Runner = QuietRunner
    return tool


def check_annotates(config: str) -> None:
    """Check that a config can be tried with `--dry-run`.

    Args:
        config: The file.

    Raises:
        ValueError: If it has no hook that would act on it.
    """
    hooks = Config.fromfile(config).get('custom_hooks', ())
    types = {getattr(h['type'], '__name__', h['type']) for h in hooks}
    if not types & ANNOTATING_HOOKS:
        raise ValueError(
            f'{DRY_RUN} is for annotation: {config} needs one of '
            f'{sorted(ANNOTATING_HOOKS)} in `custom_hooks`, got '
            f'{sorted(types)}'
        )


@contextmanager
def cpu_processes(launcher: str) -> Iterator[None]:
    """Have a process group over gloo; mmengine's own way needs GPUs.

    It ends before the interpreter does: gloo's threads may still hold tensors
    then, and abort the process (github.com/pytorch/pytorch/pull/179291).

    Args:
        launcher: `'pytorch'` (torchrun has set the environment) or `'slurm'`.

    Raises:
        ValueError: For another launcher.
    """
    init_cpu_processes(launcher)
    try:
        yield
    except SystemExit as end:
        # Its frames hold the runner, whose model holds the group.
        traceback.clear_frames(end.__traceback__)
        leave_processes()
        raise
    # After an error, gloo may wait for the others in the middle of something:
    # this process must end without waiting, so that the launcher sees it.
    leave_processes()


def init_cpu_processes(launcher: str) -> None:
    """Start the process group of `cpu_processes`."""
    if launcher not in ('pytorch', 'slurm'):
        raise ValueError(
            "without a GPU the launcher must be 'none', 'pytorch' or 'slurm', "
            f'got {launcher!r}'
        )
    if launcher == 'slurm':
        os.environ.update(
            RANK=os.environ['SLURM_PROCID'],
            LOCAL_RANK=os.environ['SLURM_LOCALID'],
            WORLD_SIZE=os.environ['SLURM_NTASKS'],
        )
    distributed.init_process_group('gloo')


def leave_processes() -> None:
    """End the process group, once the models in it are gone."""
    gc.collect()
    distributed.destroy_process_group()


def set_slurm_master(environ: MutableMapping[str, str]) -> None:
    """Say where the processes of a Slurm job meet, unless it is said already.

    Sets `MASTER_ADDR` to the host of the first task, and `MASTER_PORT` to a
    port of this job step, so that two jobs on a host do not meet. mmengine
    respects both; its own way asks `scontrol`, which containers may lack, and
    has one port for all jobs.

    Args:
        environ: The environment of the process, changed in place.

    Raises:
        ValueError: If srun did not start this process.
    """
    missing = [name for name in SLURM_VARIABLES if name not in environ]
    if missing:
        raise ValueError(
            "the launcher 'slurm' is for processes that srun starts, which "
            f'sets {missing}: use tools/slurm_train.sh or tools/slurm_test.sh '
            'inside an sbatch script too'
        )
    # Of all hosts of the job, a step may have some.
    hosts = environ.get('SLURM_STEP_NODELIST', environ['SLURM_NODELIST'])
    job, step = (int(environ[name]) for name in SLURM_VARIABLES[:2])
    # Each job has 31 ports, for so many of its steps at once.
    port = SLURM_PORTS[(31 * job + step) % len(SLURM_PORTS)]
    environ.setdefault('MASTER_ADDR', first_host(hosts))
    environ.setdefault('MASTER_PORT', str(port))


def first_host(hosts: str) -> str:
    """Return the first host of a list as Slurm writes it.

    Args:
        hosts: Such as `'rack[01-04,7]x,login'`, which starts with `rack01x`.
    """
    return re.sub(r'\[(\w+)[^\]]*\]', r'\1', hosts).split(',')[0]
