r"""List the labels that look wrong to a detector, with pictures.

The detector must not have been trained on these labels. docs/review.md says
how to get such detections of a labeled set.

Example:
    python tools/suspicious_labels.py work_dirs/digits/validate/detections \
        data/digits/annotations/val.json --count 50
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.command_line import (
    check_not_read,
    make_parser,
)
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.report.suspicious_labels import review_labels


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('detections', type=Path, help='the folder of detections/*.parquet')
    add('labels', type=Path, help='the COCO file of the labels')
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
        help='the folder to write to (default: review/ beside DETECTIONS)',
    )
    args = parser.parse_args()
    if args.count < 1:
        parser.error(f'--count must be at least 1, got {args.count}')
    return args


@quiet_screen()
def main() -> None:
    """Look at the labels, write, and say what was written."""
    args = parse_args()
    out = args.out or args.detections.parent / 'review'
    try:
        review = review_labels(args.detections, args.labels, args.images)
        check_not_read(review.list_files(out), [args.labels])
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    for line in [*review.notes, *review.write(out, args.count)]:
        print(line)


if __name__ == '__main__':
    main()
