"""Compare what annotation found with the truth, where the truth is known.

The detections by COCO's mAP, before any selection; the pseudo labels by
precision and recall at IoU 0.5.

Example:
    python tools/label_quality.py work_dirs/digits/annotate \
        data/digits/annotations/unlabeled_truth.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation import DetectionStore
from projects.data_distillation.metrics import (
    detection_metrics,
    pseudo_label_quality,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'work_dir', type=Path, help='of annotation, with pseudo_labels.json'
    )
    parser.add_argument('truth', help='COCO file of the true objects')
    return parser.parse_args()


def main() -> None:
    """Print the figures."""
    args = parse_args()
    rows = DetectionStore(args.work_dir / 'detections').read().to_pylist()
    readable = [row for row in rows if row['unreadable'] is None]
    metrics = detection_metrics(readable, args.truth)
    labels = pseudo_label_quality(
        args.work_dir / 'pseudo_labels.json', args.truth
    )
    for name, value in metrics.items():
        print(f'detections {name}: {100 * value:.1f}')
    for name, value in labels.items():
        shown = f'{value:.3f}' if isinstance(value, float) else value
        print(f'pseudo labels {name}: {shown}')


if __name__ == '__main__':
    main()
