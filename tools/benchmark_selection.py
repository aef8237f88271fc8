r"""Measure the time and memory of selection and export.

The detections are made up: 10 on each image, of 80 classes. For comparison the
same run measures what earlier projects did: they kept all results in one
pickle and tried 91 scores for each class.

Example:
    python tools/benchmark_selection.py --images 100000 1000000 \
        --grid-up-to 100000
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.benchmarks.image_counts import (
    add_image_counts,
    measure_each,
)
from projects.data_distillation.benchmarks.selection import compare_selections
from projects.data_distillation.command_line import (
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add_image_counts(parser, default=100_000)
    parser.add_argument(
        '--grid-up-to',
        type=int,
        default=100_000,
        metavar='N',
        help='the largest number of images to measure the earlier way with, '
        'which takes 5 GiB of memory for 100,000 (default: 100,000)',
    )
    return parser.parse_args()


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Run the benchmark, and print its figures."""
    args = parse_args()

    def measure(folder: Path, num_images: int) -> dict:
        """Compare, the earlier way only if its memory suffices."""
        return compare_selections(
            folder, num_images, num_images <= args.grid_up_to
        )

    for report in measure_each(measure, args.images):
        print(report)


if __name__ == '__main__':
    main()
