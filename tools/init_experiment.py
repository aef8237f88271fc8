r"""Write an experiment folder for your data and any MMDetection detector.

The stage configs inherit from the config of the detector. Change them as you
like; `tools/distill.py OUT` runs them.

Example:
    python tools/init_experiment.py configs/cells \
        --detector mmdet::retinanet/retinanet_r18_fpn_1x_coco.py \
        --labeled cells/labeled.json --labeled-images cells/images \
        --val cells/val.json --val-images cells/images \
        --unlabeled cells/more_images
"""

import argparse
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.base_configs.metafiles import (
    metafiles_read_once,
)
from projects.data_distillation.command_line import (
    add_own_modules,
    add_trust,
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.experiment.creation.new_experiment import (
    write_experiment,
)
from projects.data_distillation.experiment.creation.overwriting import (
    check_is_experiment,
)
from projects.data_distillation.experiment.processes.process import StageError
from projects.data_distillation.experiment.processes.temporary import (
    leaving_on_signals,
)
from projects.data_distillation.experiment.rehearsal.record import NOTE
from projects.data_distillation.experiment.rehearsal.rehearse import (
    rehearse_new,
)
from projects.data_distillation.experiment.scaffold.plan import RATIO, RECIPES
from projects.data_distillation.experiment.timing.cpu import describe_time
from projects.data_distillation.files.atomic import replacing_folder
from projects.data_distillation.multi_view.inference.safe_loading import (
    refusing_code,
)
from projects.data_distillation.pseudo_labels.selection.rule_options import (
    add_choice,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('out', type=Path, help='the folder to write, for example configs/NAME')
    add(
        '--detector',
        required=True,
        metavar='CONFIG',
        help='the config of the detector: a path or mmdet::family/name.py',
    )
    add_data(parser.add_argument_group('data'))
    add_teacher(parser.add_argument_group('a teacher that is trained already'))
    settings = parser.add_argument_group(
        'settings (chosen for you if left out)'
    )
    add_trainings(settings)
    add_sizes(settings)
    add_choice(settings)
    parser.add_argument(
        '--overwrite',
        dest='overwrites',
        action='store_true',
        help='replace the experiment in this folder, with its configs',
    )
    parser.add_argument(
        '--no-rehearsal',
        dest='rehearses',
        action='store_false',
        help='do not try each stage on one batch',
    )
    add_trust(parser)
    return parser.parse_args()


def add_data(group: argparse._ArgumentGroup) -> None:
    """Add the options for the data.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add_labeled(group)
    add(
        '--unlabeled',
        required=True,
        metavar='IMAGES',
        help='the unlabeled images: a folder, a list of files (.txt), a COCO '
        'file of image infos (.json), a share of the labeled images (90%%), '
        'or "rest": all images in --labeled-images that no file lists',
    )
    add_rest(group)
    add(
        '--unlabeled-images',
        type=Path,
        metavar='DIR',
        help='the folder that the file names in a list or in image infos are '
        'relative to (default: the folder of the list; for image infos '
        '--labeled-images, and without --labeled the folder of the file)',
    )
    add(
        '--unlabeled-truth',
        type=Path,
        metavar='ANN',
        help='the COCO file of the true objects on the unlabeled images, for '
        'the oracle and to measure the pseudo labels',
    )
    add(
        '--seed',
        type=int,
        default=0,
        help='the random seed for a share of the labeled images (default: 0)',
    )
    add(
        '--allow-problems',
        action='store_true',
        help='go on although tools/check_coco.py finds problems in the data',
    )


def add_rest(group: argparse._ArgumentGroup) -> None:
    """Add the options of `--unlabeled rest`.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add(
        '--leave-out',
        dest='left_out',
        type=Path,
        nargs='+',
        default=[],
        metavar='ANN',
        help='with "rest": COCO files of more images in --labeled-images that '
        'must stay unseen, such as a test set',
    )
    add(
        '--annotate-empty',
        dest='annotates_empty',
        action='store_true',
        help='with "rest": labeled images without any object are not labeled '
        'yet, so they are unlabeled ones too',
    )


def add_labeled(group: argparse._ArgumentGroup) -> None:
    """Add the options for the labeled data.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    for name, what in (('labeled', 'labeled'), ('val', 'validation')):
        group.add_argument(
            f'--{name}',
            type=Path,
            metavar='ANN',
            help=f'the COCO file of the {what} images (may be left out if a '
            'teacher is given)',
        )
        group.add_argument(
            f'--{name}-images',
            type=Path,
            metavar='DIR',
            help=f'the folder of the {what} images',
        )
    group.add_argument(
        '--classes',
        nargs='+',
        default=[],
        metavar='NAME',
        help='without --labeled and --val: the classes to label (default: '
        'those of the teacher, or those with a --prompt)',
    )


def add_teacher(group: argparse._ArgumentGroup) -> None:
    """Add the options for a teacher that is given.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add(
        '--teacher',
        type=Path,
        nargs='+',
        default=[],
        metavar='CHECKPOINT',
        help='the weights of the teacher, so that none is trained; with '
        'several, their boxes are merged',
    )
    add(
        '--teacher-config',
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='the config of each teacher, or one for all: a path or '
        'mmdet::family/name.py (default: the config in the checkpoint)',
    )
    add_class_names(group)


def add_class_names(group: argparse._ArgumentGroup) -> None:
    """Add the options that say what a given teacher calls the classes.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add(
        '--classes-from',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help="the names of the teacher's classes, in its order: a COCO file "
        'or a list (.txt) (default: the names in the checkpoint)',
    )
    add(
        '--class-map',
        nargs='+',
        default=[],
        metavar='NAME=WANTED',
        help='the names of classes that the teacher calls otherwise than the '
        'labeled file, such as automobile=car',
    )
    add(
        '--prompt',
        nargs='+',
        default=[],
        metavar='CLASS=TEXT',
        help='what a teacher that finds what texts say (Grounding DINO, '
        'GLIP) looks for, such as "cell=a round red cell" (default: the names '
        'of the classes)',
    )


def add_trainings(group: argparse._ArgumentGroup) -> None:
    """Add the options for the trainings.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add(
        '--from-scratch',
        action='store_true',
        help='train without pretrained weights, as the tiny detectors for '
        'CPUs need it; others usually learn more from few images with them',
    )
    add(
        '--batch-size',
        type=int,
        metavar='N',
        help='the number of images of each process in an iteration',
    )
    add(
        '--gpus',
        type=int,
        default=1,
        metavar='N',
        help='the number of processes that will train (default: 1)',
    )
    flags = {'--iterations': 'teacher', '--student-iterations': 'student'}
    for flag, model in flags.items():
        add(
            flag,
            type=int,
            metavar='N',
            help=f'the number of iterations of the {model}',
        )
    add(
        '--ratio',
        type=float,
        nargs=2,
        default=RATIO,
        metavar=('LABELED', 'PSEUDO'),
        help='the ratio of labeled to pseudo-labeled images in the batches of '
        'the student (default: 6 4)',
    )


def add_sizes(group: argparse._ArgumentGroup) -> None:
    """Add the options for the size of the images and for the views.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add(
        '--recipe',
        choices=RECIPES,
        default='measured',
        help='measured: 6 views, weighted boxes fusion, and tune.py to choose '
        'better ones by the validation images; paper: 18 views and box '
        'voting (default: measured)',
    )
    add(
        '--image-size',
        type=int,
        metavar='PIXELS',
        help='the longest side of an image at test time; half of it takes '
        'about a quarter of the time, but most objects should keep 16 pixels '
        '(default: as in the config of the detector)',
    )
    add(
        '--scales',
        type=float,
        nargs='+',
        metavar='FACTOR',
        help='the scales of the views, as factors of the test scale of the '
        'detector (default: those of the recipe)',
    )
    add('--no-flip', action='store_true', help='make no mirrored views')


def try_stages(out: Path) -> str:
    """Try each stage on one batch.

    Args:
        out: The folder of the experiment. It is removed if a stage fails.

    Returns:
        A line about it.

    Raises:
        RehearsalError: If a stage fails for a reason that does not lie in
            this machine.
        SystemExit: If a signal stops this process.
        OSError: If the folder of the results cannot be written.
    """
    print(f'{out}: trying each stage on one batch ...', file=sys.stderr)
    try:
        return rehearse_new(out)
    # Also after a signal: what no stage could run looks like an experiment.
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Write the experiment, and print what was chosen."""
    args = vars(parse_args())
    add_own_modules()
    out, detector = args.pop('out'), args.pop('detector')
    rehearses, overwrites = args.pop('rehearses'), args.pop('overwrites')
    refusing = refusing_code(args.pop('trust_checkpoint'))
    try:
        if overwrites:
            check_is_experiment(out, {NOTE})
        making = replacing_folder(out) if overwrites else nullcontext()
        # Standard output is for what was chosen.
        with (
            leaving_on_signals(),
            refusing,
            quiet_screen(sys.stderr),
            metafiles_read_once(),
            making,
        ):
            lines = write_experiment(out, detector, args)
            tried = 'left out, as wanted'
            if rehearses:
                tried = try_stages(out)
            times = list(describe_time(out))
    except (ValueError, StageError) as error:
        sys.exit(f'error: {error}')
    lines[-2:-2] = [
        f'rehearsal   {tried}',
        *(f'{"" if n else "time":12}{text}' for n, text in enumerate(times)),
    ]
    print(*lines, sep='\n')


if __name__ == '__main__':
    main()
