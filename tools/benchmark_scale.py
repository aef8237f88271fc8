r"""Measure what one job of many does besides detecting.

The shards are made up: 10 detections on each image, 100 images in each shard.
A job that goes on after its node was lost finds all of them on disk. A million
images take 1 GiB of disk for as long as this runs.

Example:
    python tools/benchmark_scale.py --images 100000 1000000 --jobs 64
"""

import argparse
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.benchmarks.image_counts import (
    add_image_counts,
    measure_each,
)
from projects.data_distillation.benchmarks.scale import (
    format_jobs,
    measure_job,
)
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
        '--jobs',
        type=int,
        default=64,
        metavar='N',
        help='the number of jobs that share the images (default: 64)',
    )
    return parser.parse_args()


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Run the benchmark, and print its table."""
    args = parse_args()
    measure = functools.partial(measure_job, num_jobs=args.jobs)
    print(format_jobs(list(measure_each(measure, args.images))))


if __name__ == '__main__':
    main()
