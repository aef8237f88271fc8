r"""List the labels that look wrong to a detector, with pictures.

The detector must not have been trained on these labels. For the labeled images
of an experiment, --folds trains detectors that were not: each on the images of
all folds but one, to detect on the images of that one.

Examples:
    python tools/suspicious_labels.py work_dirs/digits/validate/detections \
        data/digits/annotations/val.json --count 50
    python tools/suspicious_labels.py configs/digits --folds 3
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.command_line import (
    add_launcher,
    add_own_modules,
    check_not_read,
    ending_at_os_errors,
    find_experiment,
    make_parser,
)
from projects.data_distillation.experiment.processes.log import log_to
from projects.data_distillation.experiment.processes.process import StageError
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.folds import detect_by_folds
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.files.lock import LockedError, locked
from projects.data_distillation.files.sealed import check_unchanged
from projects.data_distillation.mmdet_tools import name_work_dir
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.report.fold_review import review_folds
from projects.data_distillation.report.suspicious_labels import (
    LabelReview,
    review_labels,
)

EXPECTED_ERRORS = (
    ImportError,
    LockedError,
    StageError,
    ValueError,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        'detections',
        type=find_experiment,
        help='the folder of detections/*.parquet; with --folds, the folder of '
        'an experiment',
    )
    add(
        'labels',
        type=Path,
        nargs='?',
        help='the COCO file of the labels; with --folds, those of the labeled '
        'images are taken',
    )
    add_folds(parser)
    add_output(parser)
    args = parser.parse_args()
    if args.count < 1:
        parser.error(f'--count must be at least 1, got {args.count}')
    if args.folds is not None and args.folds < 2:
        parser.error(f'--folds must be at least 2, got {args.folds}')
    if (args.labels is None) == (args.folds is None):
        parser.error(
            'give the detections and the COCO file of their labels, or an '
            'experiment and --folds'
        )
    return args


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is written, and where.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--images',
        type=Path,
        metavar='DIR',
        help='the folder of the images (default: where they were annotated)',
    )
    add(
        '--count',
        type=int,
        default=50,
        metavar='N',
        help='the number of labels to list (default: 50)',
    )
    add(
        '--out',
        type=Path,
        metavar='DIR',
        help='the folder to write to (default: review/ beside DETECTIONS; '
        'with --folds, folds/review/ in the work folder)',
    )


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Add the options that train detectors on folds.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--folds',
        type=int,
        metavar='N',
        help='deal out the labeled images of the experiment to N folds, and '
        'train a teacher for each',
    )
    add(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='with --folds: the folder of the results (default: that of '
        'tools/distill.py)',
    )
    add(
        '--seed',
        type=int,
        default=0,
        help='with --folds: the seed of the trainings and of the folds '
        '(default: 0)',
    )
    add_launcher(parser)


def name_output(args: argparse.Namespace) -> Path:
    """Name the folder to write to, and check that nothing is lost there.

    Args:
        args: The arguments of the command line.

    Returns:
        The folder, which need not exist.

    Raises:
        ValueError: If a file that is read would be overwritten.
        FileExistsError: If the images to correct have been changed.
    """
    if args.out:
        out = args.out
    elif args.folds is None:
        out = args.detections.parent / 'review'
    else:
        out = name_folds(args) / 'review'
    files = LabelReview.list_files(out)
    check_not_read(files, [args.labels])
    check_unchanged(files[1])
    return out


def name_folds(args: argparse.Namespace) -> Path:
    """Name the folder of the folds.

    Args:
        args: The arguments of the command line.

    Returns:
        The folder, which need not exist.
    """
    return (args.work_dir or name_work_dir(args.detections)) / 'folds'


def review(args: argparse.Namespace) -> LabelReview:
    """Look at labels, with detections that are there or with those of folds.

    Args:
        args: The arguments of the command line.

    Returns:
        What looks wrong.

    Raises:
        FileNotFoundError: If a file is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If detections, labels or a config cannot be used, or if
            launcher, processes and partition do not fit together.
        StageError: If a training or a detection fails.
        LockedError: If another process uses the work folder.
        OSError: If a file in the work folder cannot be written.
    """
    if args.folds is None:
        return review_labels(args.detections, args.labels, args.images)
    folder = name_folds(args)
    experiment = Experiment(args.detections, models=('teacher',))
    launcher = Launcher(args.launcher, args.gpus, args.partition)
    stages = Stages(experiment, launcher, args.seed)
    with locked(folder):
        log_to(folder / 'folds.log')
        folds = detect_by_folds(stages, folder, args.folds)
    return review_folds(folds, args.images)


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Look at the labels, write, and say what was written."""
    args = parse_args()
    add_own_modules()
    try:
        out = name_output(args)
        found = review(args)
    except EXPECTED_ERRORS as error:
        sys.exit(f'error: {error}')
    for line in [*found.notes, *found.write(out, args.count)]:
        print(line)


if __name__ == '__main__':
    main()
