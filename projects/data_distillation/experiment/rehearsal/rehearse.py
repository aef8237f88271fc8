"""Runs a rehearsal in a process of its own, and judges what became of it."""

import signal
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ...files.atomic import read_json, write_json
from ...text import format_duration
from ..processes import process
from ..processes.cause import name_signal
from ..processes.log import say
from ..processes.process import StageError, make_environment
from ..processes.temporary import temporary_folder
from ..stages.definition import Experiment
from ..stages.launcher import Launcher
from ..stages.model_names import TRAINED
from ..stages.run import Distillation
from ..stages.stages import Stages
from .quick_configs import quick_configs
from .record import note_rehearsed, were_rehearsed
from .remedies import describe_failure, find_excuse
from .stages_to_try import StageToTry, list_stages_to_try
from .trial import RESULT, STAGES, RehearsalResult

PROGRAM = Path(__file__).with_name('__main__.py')
CONSOLE = 'console.txt'
# For a new experiment, on a machine that may not be the one that trains.
MAX_SECONDS = 300


class RehearsalError(StageError):
    """A stage would fail; the message says which, why and what to do."""


def rehearse(runs: Sequence[Distillation]) -> None:
    """Try each stage that is left to run on one batch, and say so.

    A training step, a validation, an evaluation, and the annotation of a
    batch are run with the configs, the options and the seed of the run. All
    they write goes to a folder that is deleted. What `rehearse_new` has tried
    is not tried again, unless something of it has changed.

    Args:
        runs: The runs, at least one, and all of one experiment. The first one
            with something left to do is tried.

    Raises:
        RehearsalError: If a stage fails.
        ValueError: If the data or the options of a stage cannot be used.
        FileNotFoundError: If a file of a stage does not exist.
        SystemExit: If a signal stops this process.
        ImportError: If a config imports a module that is not there.
        OSError: If the folder that is deleted cannot be written.
    """
    with quick_configs():
        # A generator: no run after the first that has stages left is looked
        # at.
        found = ((run, list_stages_to_try(run)) for run in runs)
        run, stages = next(((r, s) for r, s in found if s), (runs[0], []))
    if not stages:
        return
    if run.stages.launcher.name == 'slurm':
        say('rehearsal: left out, since the stages run on other machines')
        return
    run.check()
    with quick_configs():
        if were_rehearsed(run.stages.experiment.folder, stages):
            say(f'rehearsal: {name_stages(stages)} were tried here before')
            return
    say(f'rehearsal of {name_stages(stages)}, on one batch each')
    begin = time.monotonic()
    result = try_stages(stages, run.work_dir.name)
    if not result.is_complete:
        raise RehearsalError(describe_result(result, stages))
    took = format_duration(time.monotonic() - begin)
    say(f'rehearsal: they work; took {took}')


def rehearse_new(folder: Path) -> str:
    """Try each stage of a new experiment on one batch.

    Args:
        folder: The folder of the experiment. It gets a note of what works.

    Returns:
        A line for the user: what was tried, or why that was not possible.

    Raises:
        RehearsalError: If a stage fails for a reason that does not lie in this
            machine.
        SystemExit: If a signal stops this process.
        FileNotFoundError: If the folder lacks a stage config, or a file that
            one names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or the data of a stage cannot be used.
        OSError: If the folder of the results cannot be written.
    """
    models = [m for m in TRAINED if (folder / f'{m}.py').is_file()]
    all_stages = Stages(Experiment(folder, tuple(models)), Launcher())
    begin = time.monotonic()
    # Nothing is in this folder, so nothing is finished.
    with temporary_folder() as work_dir, quick_configs():
        stages = list_stages_to_try(Distillation(all_stages, work_dir))
    result = try_stages(stages, folder.name, MAX_SECONDS)
    if result.is_complete:
        with quick_configs():
            note_rehearsed(folder, stages)
        took = format_duration(time.monotonic() - begin)
        return f'{name_stages(stages)} work on one batch each; took {took}'
    if excuse := find_excuse(result, torch.cuda.is_available()):
        return (
            f'could not be completed here, since {excuse}; '
            'tools/distill.py repeats it where the stages run'
        )
    raise RehearsalError(describe_result(result, stages))


def name_stages(stages: Sequence[StageToTry]) -> str:
    """Join the names of stages.

    Args:
        stages: The stages.

    Returns:
        The names, with commas; empty without stages.
    """
    return ', '.join(stage.name for stage in stages)


def try_stages(
    stages: Sequence[StageToTry], name: str, seconds: int = 0
) -> RehearsalResult:
    """Try stages in a process of its own, which no memory is left of.

    Args:
        stages: The stages.
        name: The name of the work folder. Its results have the same, since
            some names are not what a stage expects.
        seconds: The time in seconds that it may take; 0 for no limit.

    Returns:
        How far it has come, and the error that has ended it, if any.

    Raises:
        SystemExit: If a signal stops this process.
        OSError: If the folder of the results cannot be written.
    """
    with temporary_folder() as temporary:
        folder = temporary / (name or 'work')
        request = dict(stages=[asdict(p) for p in stages], seconds=seconds)
        write_json(folder / STAGES, request)
        with (temporary / CONSOLE).open('wb') as console:
            # `make_environment` puts this interpreter first.
            command = ['python', str(PROGRAM), str(folder)]
            # Its output is that of several stages; the result has the cause.
            code = process.ChildProcess(
                command, make_environment(), console
            ).run()
        written = read_json(folder / RESULT)
        result = RehearsalResult(
            **written if isinstance(written, dict) else {}
        )
        if result.error or result.is_complete:
            return result
        return explain_death(result, code, temporary / CONSOLE)


def explain_death(
    result: RehearsalResult, code: int, console: Path
) -> RehearsalResult:
    """Explain why a rehearsal has ended without an error of its own.

    Args:
        result: How far it has come.
        code: The exit code of its process; negative if a signal ended it.
        console: The file with what it has printed.

    Returns:
        The same stage, with the error `killed` and a text about the end.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    lines = console.read_text(errors='replace').strip().splitlines()
    text = f'the process ended with exit code {code}: {" ".join(lines[-3:])}'
    if code == -signal.SIGKILL:
        text = 'the process was killed, as Linux does if it is out of memory'
    elif code < 0:
        text = f'the process was ended by {name_signal(-code)}'
    return RehearsalResult(result.stage, result.doing, 'killed', text)


def describe_result(
    result: RehearsalResult, stages: Sequence[StageToTry]
) -> str:
    """Say which stage has failed, why, and what to do.

    Args:
        result: What has failed.
        stages: The stages that were tried.

    Returns:
        Sentences for the user, see `describe_failure`.
    """
    configs = {stage.name: stage.config for stage in stages}
    return describe_failure(result, configs.get(result.stage, 'no stage'))
