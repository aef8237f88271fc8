"""Run an experiment folder: teacher, annotate, student, comparison.

Run again, it skips what is finished and goes on with what is not.

Example:
    python tools/distill.py configs/digits --oracle --control
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.experiment import (
    Experiment,
    StageError,
    comparison,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'experiment', type=Path, help='folder of teacher.py, annotate.py, ...'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='default: work_dirs/ and its path below configs/',
    )
    parser.add_argument(
        '--oracle',
        action='store_true',
        help='also train oracle.py, on the true labels of all images',
    )
    parser.add_argument(
        '--control',
        action='store_true',
        help='also train supervised_long.py, the labeled images alone for the '
        "student's schedule",
    )
    add_stage_options(parser)
    args = parser.parse_args()
    if args.gpus > 1 and args.launcher == 'none':
        parser.error('--gpus needs --launcher pytorch')
    return args


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how each stage is run."""
    add = parser.add_argument
    add('--launcher', choices=['none', 'pytorch'], default='none')
    add(
        '--gpus',
        type=int,
        default=1,
        help='processes, with --launcher pytorch',
    )
    add('--seed', type=int, help='of all trainings')
    add(
        '--cfg-options',
        nargs='+',
        default=(),
        metavar='KEY=VALUE',
        help="as MMDetection's tools take them, for every stage",
    )


def default_work_dir(experiment: Path) -> Path:
    """Return `work_dirs/` and the experiment's path below `configs/`.

    Args:
        experiment: Its folder; of one elsewhere only the name counts.
    """
    configs = Path(__file__).resolve().parents[1] / 'configs'
    experiment = experiment.resolve()
    if configs in experiment.parents:
        return Path('work_dirs') / experiment.relative_to(configs)
    return Path('work_dirs') / experiment.name


def main() -> None:
    """Run the experiment and print the comparison."""
    args = parse_args()
    bounds = {'supervised_long': args.control, 'oracle': args.oracle}
    models = ('teacher', 'student', *(m for m, on in bounds.items() if on))
    try:
        experiment = Experiment(
            args.experiment,
            args.work_dir or default_work_dir(args.experiment),
            models,
            args.gpus if args.launcher == 'pytorch' else 1,
            args.seed,
            tuple(args.cfg_options),
        )
        summary = experiment.run()
    except (StageError, FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'\n{comparison(summary)}')


if __name__ == '__main__':
    main()
