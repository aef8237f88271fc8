"""Run an experiment: train a teacher, annotate, train a student, compare.

If you run the same command again, it skips the stages that are finished and
goes on with the first one that is not. Stages whose config or annotation files
have changed run again.

Examples:
    python tools/distill.py configs/digits --oracle --control
    python tools/distill.py configs/digits --seeds 0 1 2 --rounds 2 --dry-run
"""

import argparse
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.base_configs.metafiles import (
    metafiles_read_once,
)
from projects.data_distillation.command_line import (
    add_experiment,
    add_launcher,
    add_own_modules,
    add_trust,
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.experiment.processes.log import log_to, say
from projects.data_distillation.experiment.processes.process import StageError
from projects.data_distillation.experiment.rehearsal.rehearse import rehearse
from projects.data_distillation.experiment.stages.comparison import (
    format_comparison,
)
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    read_settings,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.model_names import CONTROL
from projects.data_distillation.experiment.stages.run import (
    Distillation,
    make_seed_runs,
    run_seeds,
)
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.experiment.stages.training import (
    is_teacher_control,
)
from projects.data_distillation.experiment.timing.time_plan import format_plan
from projects.data_distillation.files.lock import LockedError, locked
from projects.data_distillation.mmdet_tools import name_work_dir
from projects.data_distillation.multi_view.inference.safe_loading import (
    refusing_code,
)
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.report.page import write_report
from projects.data_distillation.report.preview import write_preview

DEFAULT_SEED = 0


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add_experiment(parser)
    add_experiment_options(parser)
    add_trials(parser)
    add_stage_options(parser)
    add_trust(parser)
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f'--rounds must be at least 1, got {args.rounds}')
    if args.preview is not None and (args.preview < 1 or args.seeds):
        parser.error(
            '--preview needs at least 1 image, and does not go with --seeds'
        )
    if args.preview and args.dry_run:
        parser.error(
            '--dry-run plans whole runs, and does not go with --preview'
        )
    if args.seeds and len(set(args.seeds)) < max(2, len(args.seeds)):
        parser.error(
            f'--seeds needs two or more different seeds, got {args.seeds}'
        )
    return args


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is run.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--oracle',
        action='store_true',
        help='also train oracle.py, on the true labels of all images',
    )
    add(
        '--control',
        action='store_true',
        help='also train supervised_long.py, on the labeled images alone with '
        'the schedule of the student; a teacher with this schedule is the '
        'control without this option',
    )
    add(
        '--teacher',
        type=Path,
        nargs='+',
        default=[],
        metavar='CHECKPOINT',
        help='train no teacher, but annotate with these weights of the '
        'detector in annotate.py; with several, their boxes are merged',
    )
    add_changes(parser)


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add the options that repeat stages, or leave them out.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--rounds',
        type=int,
        default=1,
        metavar='N',
        help='the most rounds to run, in each of which the student of the '
        'round before is the teacher; stops early if a student is not better '
        'than its teacher on the validation images (default: 1)',
    )
    add(
        '--no-tune',
        dest='tune',
        action='store_false',
        help='annotate with the views and the merger of annotate.py, instead '
        'of choosing them by the validation images (tune.py)',
    )
    add(
        '--no-rehearsal',
        dest='rehearses',
        action='store_false',
        help='do not try each stage on one batch before the first one runs',
    )


def add_trials(parser: argparse.ArgumentParser) -> None:
    """Add the options that only show what a run would give.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--preview',
        type=int,
        metavar='N',
        help='train the teacher, annotate N images, write a page with their '
        'labels, and stop',
    )
    add(
        '--dry-run',
        action='store_true',
        help='print what would be done, and measure how long it would take',
    )


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose how each stage is run.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add_launcher(parser)
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument(
        '--seed',
        type=int,
        help='the random seed of all trainings (default: that of the configs, '
        f'or {DEFAULT_SEED})',
    )
    seeds.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        metavar='SEED',
        help='two or more seeds: run everything with each of them, and '
        'compare the means',
    )
    parser.add_argument(
        '--cfg-options',
        action='extend',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='changes of the configs of all stages, as the tools of '
        'MMDetection take them',
    )


def make_distillation(args: argparse.Namespace) -> Distillation:
    """Make the distillation that the command line asks for.

    Args:
        args: The arguments.

    Returns:
        The distillation; nothing has run yet.

    Raises:
        FileNotFoundError: If a stage config does not exist.
        ValueError: If launcher, processes and partition do not fit together.
    """
    experiment = Experiment(
        args.experiment,
        options=tuple(args.cfg_options),
        given=tuple(args.teacher),
    )
    # A teacher that is trained as long as the student costs no control.
    has_control = args.control or is_teacher_control(experiment)
    bounds = {CONTROL: has_control, 'oracle': args.oracle}
    models = (*experiment.models, *(m for m, on in bounds.items() if on))
    experiment = replace(experiment, models=models)
    launcher = Launcher(args.launcher, args.gpus, args.partition)
    work_dir = args.work_dir or name_work_dir(args.experiment)
    seed = args.seed
    if seed is None:
        seed = choose_seed(experiment, work_dir / 'teacher')
    stages = Stages(experiment, launcher, seed, args.tune)
    return Distillation(stages, work_dir, args.rounds)


def choose_seed(experiment: Experiment, teacher: Path) -> int | None:
    """Choose the seed if none is given.

    Args:
        experiment: The experiment.
        teacher: The work folder of the teacher. Earlier versions trained it
            with a random seed unless one was given, and it is kept.

    Returns:
        The seed; None leaves it to the configs.
    """
    before = read_settings(teacher) or {}
    is_random = 'seed' in before and before['seed'] is None
    if is_random or experiment.seed is not None:
        return None
    return DEFAULT_SEED


def show_preview(distillation: Distillation, num_images: int) -> None:
    """Annotate some images, and write the page with their labels.

    Args:
        distillation: The distillation.
        num_images: The number of images.

    Raises:
        OSError: If a file in the work folder cannot be written.
    """
    folder = distillation.preview(num_images)
    annotate = distillation.stages.experiment.load('annotate')
    file = write_preview(annotate, folder)
    say(f'report: {file}')
    say('to annotate all images, repeat the command without --preview')


def run(distillation: Distillation, args: argparse.Namespace) -> None:
    """Run or plan a distillation. While it runs, its folders are locked.

    Args:
        distillation: The distillation.
        args: The arguments of the command line.

    Raises:
        OSError: If a file in a work folder cannot be written.
    """
    seeds = make_seed_runs(distillation, args.seeds or ())
    runs = [*seeds.values()] or [distillation]
    if args.dry_run:
        # Neither a log nor a lock: the work folder may be one in use.
        log_to(None)
        print(format_plan(runs))
        return
    # All folders are locked before anything runs in one of them.
    with ExitStack() as during:
        are_locked = [
            during.enter_context(locked(one.work_dir)) for one in runs
        ]
        log_to(distillation.work_dir / 'distill.log')
        # Some network file systems have no locks. A warning, not an error: one
        # run alone is as safe there.
        if not all(are_locked):
            say(
                f'warning: the file system of {distillation.work_dir} knows '
                'no locks: do not start this command twice at the same time'
            )
        if args.rehearses:
            rehearse(runs)
        if args.preview:
            show_preview(distillation, args.preview)
        else:
            run_all(distillation, seeds)


def run_all(
    distillation: Distillation, seeds: Mapping[int, Distillation]
) -> None:
    """Run a distillation, and print the outcome.

    Args:
        distillation: The distillation.
        seeds: The run for each seed; empty to run it only once.

    Raises:
        OSError: If a file in a work folder cannot be written.
    """
    if seeds:
        summary = run_seeds(seeds, distillation.work_dir)
    else:
        summary = distillation.run()
    say(f'\n{format_comparison(summary)}')
    annotate = distillation.stages.experiment.load('annotate')
    for one in [*seeds.values()] or [distillation]:
        say(f'report: {write_report(annotate, one.work_dir)}')


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Run the experiment, and print the comparison."""
    args = parse_args()
    add_own_modules()
    try:
        with refusing_code(args.trust_checkpoint), metafiles_read_once():
            run(make_distillation(args), args)
    # ImportError: a config imports a module that is not there.
    except (
        LockedError,
        StageError,
        ImportError,
        ValueError,
    ) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        print('stopped by SIGINT: run the same command again to go on')
        # As a shell reports a process that a signal has ended.
        sys.exit(128 + signal.SIGINT)


if __name__ == '__main__':
    main()
