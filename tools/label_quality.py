r"""Compare pseudo labels with the known truth, class by class.

Prints precision, recall and F1 of the labels and the mAP of all detections.
Writes these figures to `label_quality.json`, and precision-recall curves to
`precision_recall.png`. docs/label_quality.md says how to read them.

If the truth is not known, `--detections` estimates the quality on labeled
images, at the scores that the pseudo labels were selected with.

Example:
    python tools/label_quality.py work_dirs/digits/annotate \
        data/digits/annotations/unlabeled_truth.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from projects.data_distillation.command_line import (
    add_custom_imports,
    check_not_read,
    ending_at_os_errors,
    import_own_modules,
    make_parser,
)
from projects.data_distillation.pseudo_labels.quality.curves import LabelReport
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('work_dir', type=Path, help='the folder with pseudo_labels.json')
    add('truth', type=Path, help='the COCO file of the true objects')
    add(
        '--detections',
        type=Path,
        metavar='DIR',
        help='the detections of the same teacher on labeled images, whose '
        'COCO file is TRUTH: estimates the quality on them (default: '
        'WORK_DIR/detections)',
    )
    add(
        '--out',
        type=Path,
        metavar='DIR',
        help='the folder to write to (default: WORK_DIR/quality; with '
        '--detections WORK_DIR/quality_estimate, with --labels '
        'WORK_DIR/quality_of_FILE)',
    )
    add(
        '--labels',
        type=Path,
        metavar='FILE',
        help='the pseudo labels to judge (default: '
        'WORK_DIR/pseudo_labels.json)',
    )
    add(
        '--beside',
        type=Path,
        metavar='DIR',
        help='other detections of the same images, such as those of one view: '
        'their mAP is shown beside',
    )
    add_custom_imports(parser)
    add_overlap(parser)
    return parser.parse_args()


def add_overlap(parser: argparse.ArgumentParser) -> None:
    """Add the options that say when a label is right.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--masks',
        dest='by_masks',
        action='store_true',
        help='compare masks instead of boxes',
    )
    add(
        '--iou',
        type=float,
        default=0.5,
        help='the least overlap of a label that is right with its object '
        '(default: 0.5)',
    )


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Measure the labels, and print the table."""
    args = parse_args()
    import_own_modules(args.custom_imports)
    report = LabelReport(
        args.work_dir,
        args.truth,
        args.detections,
        args.iou,
        args.labels,
        args.by_masks,
        args.beside,
    )
    out = args.out or report.default_out
    try:
        check_not_read(report.list_files(out), (args.truth, args.labels))
        print(report.write(out))
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
