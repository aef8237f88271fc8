r"""Measure the time and memory of comparing labels with the truth.

The detections are made up: 30 on each image, of 80 classes. The truth has 7
objects on each image.

Example:
    python tools/benchmark_quality.py --images 20000 200000
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.benchmarks.image_counts import (
    add_image_counts,
    measure_each,
)
from projects.data_distillation.benchmarks.quality import measure_quality_of
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
    add_image_counts(parser, default=20_000)
    return parser.parse_args()


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Run the benchmark, and print its figures."""
    args = parse_args()
    for report in measure_each(measure_quality_of, args.images):
        print(report)


if __name__ == '__main__':
    main()
