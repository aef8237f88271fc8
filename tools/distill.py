"""Run an experiment folder: teacher, annotate, student, comparison.

Run again, it skips what is finished, goes on with what is not, and runs the
stages again whose config or annotation files have changed.

Examples:
    python tools/distill.py configs/digits --oracle --control
    python tools/distill.py configs/digits --seeds 0 1 2 --rounds 2 --dry-run
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.experiment.comparison import comparison
from projects.data_distillation.experiment.definition import Experiment
from projects.data_distillation.experiment.launcher import Launcher
from projects.data_distillation.experiment.log import log_to, say
from projects.data_distillation.experiment.plan import plan
from projects.data_distillation.experiment.process import StageError
from projects.data_distillation.experiment.run import (
    Distillation,
    per_seed,
    run_seeds,
)
from projects.data_distillation.experiment.stages import Stages
from projects.data_distillation.mmdet_tools import default_work_dir
from projects.data_distillation.report.page import write_report


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment_options(parser)
    add_stage_options(parser)
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f'--rounds must be at least 1, got {args.rounds}')
    if args.seeds and len(set(args.seeds)) < max(2, len(args.seeds)):
        parser.error(f'--seeds needs two or more, each once, got {args.seeds}')
    return args


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is run."""
    add = parser.add_argument
    add('experiment', type=Path, help='folder of teacher.py, annotate.py, ...')
    add(
        '--work-dir',
        type=Path,
        help='default: work_dirs/ and its path below configs/',
    )
    add(
        '--oracle',
        action='store_true',
        help='also train oracle.py, on the true labels of all images',
    )
    add(
        '--control',
        action='store_true',
        help='also train supervised_long.py, the labeled images alone for the '
        "student's schedule",
    )
    add(
        '--rounds',
        type=int,
        default=1,
        help='let each student be the next teacher, so often at most; stops '
        'when validation gains no more (default: 1)',
    )
    add(
        '--dry-run',
        action='store_true',
        help='say what would be done, and measure what it would take',
    )


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how each stage is run."""
    add = parser.add_argument
    add('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    add('--gpus', type=int, default=1, help='processes, with a launcher')
    add('--partition', help='of Slurm, with --launcher slurm')
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument('--seed', type=int, help='of all trainings')
    seeds.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        help='run all with each of these, and compare the means',
    )
    add(
        '--cfg-options',
        action='extend',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help="as MMDetection's tools take them, for every stage",
    )


def distillation_of(args: argparse.Namespace) -> Distillation:
    """Make what is to be run of the command line.

    Raises:
        FileNotFoundError: If a stage config does not exist.
        ValueError: If launcher, processes and partition do not fit together.
    """
    bounds = {'supervised_long': args.control, 'oracle': args.oracle}
    models = ('teacher', 'student', *(m for m, on in bounds.items() if on))
    experiment = Experiment(args.experiment, models, tuple(args.cfg_options))
    launcher = Launcher(args.launcher, args.gpus, args.partition)
    work_dir = args.work_dir or default_work_dir(args.experiment)
    stages = Stages(experiment, launcher, args.seed)
    return Distillation(stages, work_dir, args.rounds)


def run(distillation: Distillation, args: argparse.Namespace) -> None:
    """Run or plan it, and print the outcome."""
    seeds = per_seed(distillation, args.seeds or ())
    runs = [*seeds.values()] or [distillation]
    if args.dry_run:
        print(plan(runs))
        return
    log_to(distillation.work_dir / 'distill.log')
    if seeds:
        summary = run_seeds(seeds, distillation.work_dir)
    else:
        summary = distillation.run()
    say(f'\n{comparison(summary)}')
    annotate = distillation.stages.experiment.load('annotate')
    for one in runs:
        say(f'report: {write_report(annotate, one.work_dir)}')


def main() -> None:
    """Run the experiment, and print the comparison."""
    args = parse_args()
    try:
        run(distillation_of(args), args)
    # ImportError: of a module that a config imports.
    except (StageError, ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
