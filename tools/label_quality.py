"""How good are the pseudo labels, by class? Compares with a known truth.

Prints precision, recall and F1 of the labels and the mAP of all detections;
writes the figures (`label_quality.json`) and the precision-recall curves
(`precision_recall.png`). docs/label_quality.md says how to read them.

With `--detections` it is an estimate, on labeled images, at the scores that
the pseudo labels were selected with.

Example:
    python tools/label_quality.py work_dirs/digits/annotate \
        data/digits/annotations/unlabeled_truth.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.utils import import_modules_from_strings

from projects.data_distillation.quality.curves import LabelReport


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('work_dir', type=Path, help='of annotation, with pseudo_labels.json')
    add('truth', type=Path, help='COCO file of the true objects')
    add(
        '--detections',
        type=Path,
        help='of the same teacher on labeled images, whose COCO file TRUTH '
        'is: estimate the quality there (default: WORK_DIR/detections)',
    )
    add(
        '--out',
        type=Path,
        help='folder to write to (default: WORK_DIR/quality, or with '
        '--detections WORK_DIR/quality_estimate)',
    )
    add(
        '--labels',
        type=Path,
        help='pseudo labels to judge (default: WORK_DIR/pseudo_labels.json)',
    )
    add(
        '--custom-imports',
        nargs='+',
        default=[],
        metavar='MODULE',
        help='modules that register filters of your own',
    )
    add(
        '--iou',
        type=float,
        default=0.5,
        help='overlap from which a label is right (default: 0.5)',
    )
    return parser.parse_args()


def main() -> None:
    """Print the report."""
    args = parse_args()
    import_modules_from_strings(args.custom_imports)
    report = LabelReport(
        args.work_dir, args.truth, args.detections, args.iou, args.labels
    )
    try:
        print(report.write(args.out or report.default_out))
    except (FileNotFoundError, ValueError, KeyError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
