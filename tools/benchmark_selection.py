"""Measure selection and export, on made-up detections of many images.

10 detections an image, 80 classes. Beside it, in the same run, the way of
earlier projects: all results in one pickle, 91 scores tried for each class.

Example:
    python tools/benchmark_selection.py --images 100000 1000000 \
        --grid-up-to 100000
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.benchmarks.selection import compare


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--images', type=int, nargs='+', default=[100_000])
    add(
        '--grid-up-to',
        type=int,
        default=100_000,
        help='most images to try it with (5 GiB for 100,000)',
    )
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    args = parse_args()
    for num_images in args.images:
        with tempfile.TemporaryDirectory() as folder:
            print(
                compare(
                    Path(folder), num_images, num_images <= args.grid_up_to
                )
            )


if __name__ == '__main__':
    main()
