"""The numbers of images that benchmarks measure with."""

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from ..arguments import check_at_least_1

Measured = TypeVar('Measured')


def add_image_counts(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--images`, the numbers of images that a benchmark measures with.

    Args:
        parser: The parser of a benchmark. It is changed in place.
        default: The only number, if none is given.
    """
    parser.add_argument(
        '--images',
        type=int,
        nargs='+',
        default=[default],
        metavar='N',
        help=f'the numbers of images to measure with (default: {default:,})',
    )


def measure_each(
    measure: Callable[[Path, int], Measured], counts: Iterable[int]
) -> Iterator[Measured]:
    """Measure with each number of images, in a folder that is gone afterwards.

    Args:
        measure: Takes an empty folder and the number of images.
        counts: The numbers of images, each at least 1.

    Yields:
        What `measure` returns for each, in order.

    Raises:
        ValueError: If a number is less than 1; nothing is measured then.
        OSError: If the folder cannot be made or removed.
        Exception: Whatever `measure` raises.
    """
    counts = list(counts)
    check_at_least_1('--images', min(counts, default=1))
    for num_images in counts:
        with tempfile.TemporaryDirectory() as folder:
            yield measure(Path(folder), num_images)
