"""Runs MMDetection's own tools, also in several processes on CPUs."""

import argparse
import gc
import json
import multiprocessing
import os
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import mmdet
import torch
from torch import distributed

from .base_configs.formatting import formatted_once
from .base_configs.metafiles import metafiles_read_once
from .base_configs.stage_config import read_stage_config
from .command_line import TRUST_FLAG, add_own_modules
from .files.lock import sharing_locks
from .multi_view.inference.safe_loading import refusing_code
from .pseudo_labels.annotation.interruption import AnnotationStopped
from .quiet import quiet_screen
from .training.own_checkpoint import TrainingRunner
from .training.whole_checkpoints import whole_checkpoints

# The wrapper that the runner makes by default needs a GPU.
CPU_OPTIONS = [
    '--cfg-options',
    'model_wrapper_cfg.type=MMDistributedDataParallel',
    'model_wrapper_cfg.device_ids=None',
    'model_wrapper_cfg.broadcast_buffers=False',
]

# MMDetection's tools know neither these flags nor `TRUST_FLAG`.
DRY_RUN = '--dry-run'
CFG_JSON = '--cfg-json'
# What is added to the config of each tool. It is not in the configs, so that
# it is there in those of earlier versions too.
ADDED: dict[str, dict[str, object]] = {
    'train.py': {
        'default_hooks.finite_loss.type': 'mmdet.FiniteLossHook',
        'default_hooks.ignore_regions.type': 'mmdet.IgnoreRegionsHook',
    }
}
# The seconds that a process waits for a worker of its data loader to end.
MAX_WAIT = 5
ANNOTATING_HOOKS = {'AnnotationHook', 'DetectionHook', 'TuneHook'}
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# The variables that srun sets for each task; sbatch alone sets only some.
SLURM_VARIABLES = (
    'SLURM_JOB_ID',
    'SLURM_STEP_ID',
    'SLURM_NODELIST',
    'SLURM_PROCID',
    'SLURM_LOCALID',
    'SLURM_NTASKS',
)
# These are below the ports that Linux gives to a program that asks for any.
SLURM_PORTS = range(10_000, 30_000)


@quiet_screen()
def run_mmdet_tool(name: str) -> None:
    """Run a tool that MMDetection ships, with the arguments of this process.

    If neither the arguments nor the config name a work folder, it is that of
    the stage within its experiment (see `name_work_dir`).

    Args:
        name: The file name of the tool, such as `'train.py'`.

    Raises:
        SystemExit: With exit code 143, if SIGTERM has stopped an annotation;
            with 2, if the tool does not know an argument; with 0 for `--help`.
        CheckpointError: If a checkpoint could run code, or does not fit.
        ValueError: If an argument or the config cannot be used, or `--dry-run`
            is given for a config that does not annotate.
        KeyError, TypeError: If an option, a type or its argument does not fit.
        FileNotFoundError, ImportError: If there is no such tool or config, or
            the config imports a module that is not there.
        OSError: If a lock cannot be shared, or a result not be written.
    """
    add_own_modules()
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--launcher', default='none')
    launcher = parser.parse_known_args()[0].launcher
    if launcher == 'slurm':
        set_slurm_master(os.environ)
    try:
        with ExitStack() as during:
            during.enter_context(sharing_locks())
            during.enter_context(whole_checkpoints())
            during.enter_context(metafiles_read_once())
            during.enter_context(formatted_once())
            if launcher != 'none' and not torch.cuda.is_available():
                during.enter_context(start_cpu_processes(launcher))
                sys.argv += CPU_OPTIONS
            during.enter_context(refusing_code(take_flag(TRUST_FLAG)))
            call_tool(load_mmdet_tool(name), ADDED.get(name, {}))
    except AnnotationStopped as stop:
        sys.exit(stop.exit_code)


def call_tool(tool: ModuleType, values: dict[str, object]) -> None:
    """Call a tool, which may be told `--dry-run` and `--cfg-json`.

    Args:
        tool: The module of the tool.
        values: What is added to its config: key with dots -> value.

    Raises:
        SystemExit: If the tool does not know an argument, or for `--help`.
        ValueError: If the text after `--cfg-json` is no JSON object, or
            `--dry-run` is given for a config that does not annotate.
        Exception: See `read_work_dir_flag`; also what the tool raises.
    """
    is_dry_run = take_flag(DRY_RUN)
    add_values(tool, values | take_values(sys.argv))
    args = tool.parse_args()
    sys.argv += read_work_dir_flag(args)
    if is_dry_run:
        check_annotates(args.config)
        sys.argv += ['--cfg-options', 'dry_run=True']
    tool.main()


def take_flag(flag: str) -> bool:
    """Remove a flag from the arguments of this process.

    Args:
        flag: The flag.

    Returns:
        Whether it was there. If it was there twice, one is left.
    """
    is_there = flag in sys.argv
    if is_there:
        sys.argv.remove(flag)
    return is_there


def take_values(argv: list[str]) -> dict[str, object]:
    """Take the values of `--cfg-json` out of the arguments of a tool.

    MMEngine's parser of `--cfg-options` reads values as it likes: it drops
    spaces and outer quotes, splits at commas, and wants brackets in pairs. A
    path may have any of these. JSON says what a value is.

    Args:
        argv: The tool's name and its arguments, which are changed in place.

    Returns:
        Key with dots -> value, of the last such flag; empty without one.

    Raises:
        SystemExit: If nothing follows the flag.
        ValueError: If the text after the flag is no JSON, or no JSON object.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(CFG_JSON, default='{}')
    found, argv[1:] = parser.parse_known_args(argv[1:])
    try:
        values = json.loads(found.cfg_json)
        if not isinstance(values, dict):
            raise TypeError('it is no object')
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{CFG_JSON} needs a JSON object of keys with dots and their '
            f'values, got {found.cfg_json!r}: {error}'
        ) from None
    return values


def add_values(tool: ModuleType, values: dict[str, object]) -> None:
    """Let a tool change its config by some values too.

    Args:
        tool: The module of the tool. What it parses is changed: the values
            come before the `--cfg-options`, which may replace them.
        values: Key with dots -> value.
    """
    parse = tool.parse_args

    def parse_args() -> argparse.Namespace:
        """Parse the arguments, and add the values."""
        args = parse()
        # What the user says comes last, so that it wins.
        args.cfg_options = {**values, **(args.cfg_options or {})} or None
        return args

    vars(tool).update(parse_args=parse_args)


def load_mmdet_tool(name: str) -> ModuleType:
    """Import a tool that MMDetection ships as a file.

    Args:
        name: The file name of the tool, such as `'train.py'`.

    Returns:
        The module, which trains with this project's `Runner`.

    Raises:
        FileNotFoundError: If MMDetection ships no such tool.
    """
    file = Path(mmdet.__file__).parent / '.mim' / 'tools' / name
    # The tools are files outside of any package, which no `import` finds.
    loader = SourceFileLoader(f'mmdet_{file.stem}', str(file))
    tool = ModuleType(loader.name)
    loader.exec_module(tool)
    # The tool makes its runner by this name.
    vars(tool).update(Runner=TrainingRunner)
    return tool


def read_work_dir_flag(args: argparse.Namespace) -> list[str]:
    """Read a stage's config; return the flag for its default work folder.

    MMDetection names it after the file, and many are called `teacher.py`.

    Args:
        args: The tool's arguments: `config`, `work_dir` and `cfg_options`.

    Returns:
        `--work-dir` and the folder. It is empty if the arguments or the
        config name a folder.

    Raises:
        FileNotFoundError, ImportError, StageConfigError: See
            `read_stage_config`.
        KeyError, TypeError: If an option does not fit the config.
    """
    if args.work_dir is not None:
        return []
    cfg = read_stage_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    if cfg.get('work_dir') is not None:
        return []
    config = Path(args.config)
    return ['--work-dir', str(name_work_dir(config.parent) / config.stem)]


def name_work_dir(experiment: Path) -> Path:
    """Return the default work folder of an experiment, below `work_dirs/`.

    Args:
        experiment: The folder of the stage configs. The work folder has its
            path below the `configs/` of this repository or of the current
            folder or, if it is elsewhere, its name.

    Returns:
        The path, relative to the current folder; nothing is made.
    """
    experiment = experiment.resolve()
    for configs in (CONFIGS, Path('configs').resolve()):
        if configs in experiment.parents:
            return Path('work_dirs') / experiment.relative_to(configs)
    return Path('work_dirs') / experiment.name


def check_annotates(config: str) -> None:
    """Check that a config can be tried with `--dry-run`.

    Args:
        config: The path of the config.

    Raises:
        ValueError: If the config has no hook that knows the flag.
        KeyError: If the config of a hook has no `type`.
        FileNotFoundError, ImportError, StageConfigError: See
            `read_stage_config`.
    """
    hooks = read_stage_config(config).get('custom_hooks') or ()
    types = [h['type'] if isinstance(h, dict) else type(h) for h in hooks]
    names = {str(getattr(each, '__name__', each)) for each in types}
    if not names & ANNOTATING_HOOKS:
        raise ValueError(
            f'{DRY_RUN} is for annotation: {config} needs one of '
            f'{sorted(ANNOTATING_HOOKS)} in `custom_hooks`, got '
            f'{sorted(names)}'
        )


@contextmanager
def start_cpu_processes(launcher: str) -> Iterator[None]:
    """Start a gloo group of CPU processes; MMEngine's own way needs GPUs.

    The group ends with the context, but after no error other than
    `AnnotationStopped` and `SystemExit`. If it ended with the interpreter,
    threads of gloo might still hold tensors and abort the process
    (github.com/pytorch/pytorch/pull/179291).

    Args:
        launcher: `'pytorch'` (torchrun has set the environment) or `'slurm'`.

    Yields:
        Nothing.

    Raises:
        KeyError, ValueError, RuntimeError: See `init_cpu_processes`.
    """
    init_cpu_processes(launcher)
    try:
        yield
    except (AnnotationStopped, SystemExit) as end:
        # The frames hold the runner, whose model holds the group.
        traceback.clear_frames(end.__traceback__)
        leave_processes()
        raise
    # After an error, gloo may wait for the other processes, which are in the
    # middle of something. This process must end without waiting, so that the
    # launcher sees the error.
    leave_processes()


def init_cpu_processes(launcher: str) -> None:
    """Start the group of `start_cpu_processes`; `os.environ` may change.

    Args:
        launcher: `'pytorch'` or `'slurm'`.

    Raises:
        ValueError: If it is another, or torchrun has not set its variables.
        KeyError: If srun has not set its variables.
        RuntimeError: If the processes cannot reach each other.
    """
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
    """End child processes, and the process group after its models are gone."""
    # A loader with `persistent_workers` ends its workers when it is collected.
    # Collected in a cycle, as the runner's are, it cannot wake them, and waits
    # 5 s for each.
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(MAX_WAIT)
    gc.collect()
    distributed.destroy_process_group()


def set_slurm_master(environ: MutableMapping[str, str]) -> None:
    """Say where the processes of a Slurm job step meet.

    This sets `MASTER_ADDR` to the host of the first task, and `MASTER_PORT` to
    a port that depends on job and step, so that two jobs on a host do not
    clash. Variables that are set already stay. MMEngine's own way asks
    `scontrol`, which containers may lack, and uses one port for all jobs.

    Args:
        environ: The environment of the process. It is changed in place.

    Raises:
        ValueError: If srun did not start this process.
    """
    missing = [name for name in SLURM_VARIABLES if name not in environ]
    if missing:
        raise ValueError(
            "the launcher 'slurm' is for processes that srun starts, because "
            f'srun sets {missing}: use tools/slurm_train.sh or '
            'tools/slurm_test.sh, also inside an sbatch script'
        )
    # A step may have only some of the hosts of the job.
    hosts = environ.get('SLURM_STEP_NODELIST', environ['SLURM_NODELIST'])
    job, step = (int(environ[name]) for name in SLURM_VARIABLES[:2])
    # Each job has 31 ports, for as many of its steps at the same time.
    port = SLURM_PORTS[(31 * job + step) % len(SLURM_PORTS)]
    environ.setdefault('MASTER_ADDR', find_first_host(hosts))
    environ.setdefault('MASTER_PORT', str(port))


def find_first_host(hosts: str) -> str:
    """Find the first host of a list in Slurm's notation.

    Args:
        hosts: The list, such as `'rack[01-04,7]x,login'`.

    Returns:
        The name of the host, for this list `'rack01x'`.
    """
    return re.sub(r'\[(\w+)[^\]]*\]', r'\1', hosts).split(',')[0]
