r"""Write an experiment folder for your data and any MMDetection detector.

The stage configs inherit from the detector's, and are yours to change.
`tools/distill.py OUT` runs them.

Example:
    python tools/init_experiment.py configs/cells \
        --detector mmdet::retinanet/retinanet_r18_fpn_1x_coco.py \
        --labeled cells/labeled.json --labeled-images cells/images \
        --val cells/val.json --val-images cells/images \
        --unlabeled cells/more_images
"""

import argparse
import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# MMDetection greets on stdout, which is for what was chosen.
with contextlib.redirect_stdout(sys.stderr):
    from projects.data_distillation.scaffold.data import Sources
    from projects.data_distillation.scaffold.init import (
        ExperimentOptions,
        init_experiment,
    )
    from projects.data_distillation.scaffold.plan import RATIO, VIEW_SCALES


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('out', type=Path, help='folder to write, such as configs/NAME')
    add(
        '--detector',
        required=True,
        metavar='CONFIG',
        help='config of a detector: a path, or mmdet::family/name.py',
    )
    add_data(parser.add_argument_group('data'))
    add_numbers(parser.add_argument_group('numbers (chosen if left out)'))
    return parser.parse_args()


def add_data(group: argparse._ArgumentGroup) -> None:
    """Add the options that say where the data is."""
    add = group.add_argument
    add('--labeled', type=Path, required=True, help='COCO file with labels')
    add('--labeled-images', type=Path, required=True, metavar='DIR')
    add('--val', type=Path, required=True, help='COCO file to validate on')
    add('--val-images', type=Path, required=True, metavar='DIR')
    add(
        '--unlabeled',
        required=True,
        help='folder, list of files (.txt), COCO image infos (.json), or a '
        'share of the labeled images, such as 90%%',
    )
    add(
        '--unlabeled-images',
        type=Path,
        metavar='DIR',
        help='folder of a list or of image infos (default: that of the list, '
        '--labeled-images)',
    )
    add(
        '--unlabeled-truth',
        type=Path,
        metavar='ANN',
        help='COCO file of their labels, to compare with and for the oracle',
    )
    add('--seed', type=int, default=0, help='of the share of images')
    add(
        '--allow-problems',
        action='store_true',
        help='go on with data in which check_coco finds something',
    )


def add_numbers(group: argparse._ArgumentGroup) -> None:
    """Add the options that override what would be chosen."""
    add = group.add_argument
    add('--from-scratch', action='store_true', help='no pretrained weights')
    add('--batch-size', type=int, help='images of a step, of each process')
    add('--gpus', type=int, default=1, help='processes that will train')
    add('--iterations', type=int, help="the teacher's")
    add('--student-iterations', type=int)
    add(
        '--image-size',
        type=int,
        metavar='PIXELS',
        help="longest side at test time (default: the detector's)",
    )
    add(
        '--scales',
        type=float,
        nargs='+',
        default=VIEW_SCALES,
        help="of the views, times the detector's test scale (default: 0.5 "
        'to 1.5)',
    )
    add('--no-flip', action='store_true', help='no mirrored views')
    add(
        '--ratio',
        type=float,
        nargs=2,
        default=RATIO,
        metavar=('LABELED', 'PSEUDO'),
        help="in the student's batches (default: 6 4)",
    )


def main() -> None:
    """Write the experiment, and say what was chosen."""
    args = vars(parse_args())
    out, detector = args.pop('out'), args.pop('detector')
    sources = Sources(
        **{name: args.pop(name) for name in Sources.__dataclass_fields__}
    )
    try:
        # pycocotools tells stdout what it reads.
        with contextlib.redirect_stdout(sys.stderr):
            lines = init_experiment(
                out, detector, sources, ExperimentOptions(**args)
            )
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')
    print(*lines, sep='\n')


if __name__ == '__main__':
    main()
