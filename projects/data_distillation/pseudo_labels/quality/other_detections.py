"""Compares detections with others of the same images, such as one view's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...text import format_call
from ..detections.store import DetectionStore, StoreError
from .label_quality import measure_stored, read_readable


@dataclass(frozen=True)
class OtherDetections:
    """Detections to compare others with.

    Args:
        folder: The folder of their store.
        made_by: Their views and their merger, in words.
        detections: Their metrics, see `Quality.detections`.
    """

    folder: Path
    made_by: str
    detections: dict[str, float]

    def format_lines(self, others: Mapping[str, float]) -> list[str]:
        """Format these figures, and how far they are from others.

        Args:
            others: The metrics of the others, by the same names, from 0 to 1.

        Returns:
            A line that names these detections, and one for each metric, with
            the value and the difference in points (times 100).

        Raises:
            KeyError: If the others lack a metric.
        """
        return [
            f'beside: {self.folder} ({self.made_by})',
            *(
                f'beside {name}: {100 * value:.1f}, '
                f'{format_difference(100 * (value - others[name]))}'
                for name, value in self.detections.items()
            ),
        ]

    def to_dict(self) -> dict:
        """Collect all figures for JSON.

        Returns:
            The fields by name, with the folder as text.
        """
        return dict(vars(self), folder=str(self.folder))


def measure_others(
    folder: Path,
    table: pa.Table,
    counted: pa.ChunkedArray,
    truth: Path,
    by_masks: bool,
) -> OtherDetections:
    """Measure detections as those of a table are measured.

    Args:
        folder: The folder of their store.
        table: The rows of the other detections, whose images were all read.
        counted: The names of the images that are measured, which are among
            them.
        truth: The COCO file of the true objects.
        by_masks: Whether masks are compared instead of boxes.

    Returns:
        Their figures.

    Raises:
        StoreError: If none of their images could be read, if they are of other
            images or a shard is damaged, or if masks are compared and they
            have none.
        CocoError: If the truth cannot be used, has other classes than their
            provenance, or lacks an image.
        FileNotFoundError: If the truth does not exist.
    """
    store = DetectionStore(folder)
    own, _ = read_readable(store)
    names = (one['file_name'].to_pylist() for one in (own, table))
    check_same_images(folder, *names)
    own = own.filter(pc.is_in(own['file_name'], counted))
    made_by = store.require_provenance()
    # No class has a `min_score`, and all detections are candidates: of the
    # result only the mAP is used, which does not depend on them.
    quality = measure_stored(
        own,
        np.ones(pc.sum(pc.list_value_length(own['scores'])).as_py(), bool),
        truth,
        dict.fromkeys(made_by['classes']),
        by_masks=by_masks,
    )
    return OtherDetections(folder, describe_maker(made_by), quality.detections)


def check_same_images(
    folder: Path, names: Iterable[str], expected: Iterable[str]
) -> None:
    """Check that detections are of the images that others are of.

    Args:
        folder: The folder of their store.
        names: The names of their images.
        expected: The names of the others' images.

    Raises:
        StoreError: If the images differ: metrics of different images cannot
            be compared.
    """
    found, wanted = set(names), set(expected)
    if found == wanted:
        return
    missing, others = sorted(wanted - found), sorted(found - wanted)
    parts = [
        f'{text} {len(images):,} (first: {images[0]})'
        for text, images in (('lacks', missing), ('has', others))
        if images
    ]
    raise StoreError(
        f'{folder} must have the images of the detections that it is compared '
        f'with, but {" and ".join(parts)}: annotate the same images'
    )


def describe_maker(made_by: Mapping) -> str:
    """Describe in words what made detections.

    Args:
        made_by: Their provenance.

    Returns:
        The number of views, if the config says them, and the merger as a call.
    """
    views = made_by['views']
    words = 'views of the pipeline'
    if isinstance(views, list):
        words = f'{len(views)} view{"s" * (len(views) != 1)}'
    return f'{words}, {format_call(made_by["merger"])}'


def format_difference(points: float) -> str:
    """Format how much higher a metric is than another.

    Args:
        points: The difference, in points.

    Returns:
        Such as `1.2 higher` or `0.3 lower`; `the same` if it rounds to 0.0.
    """
    # Rounded first: what is shown as 0.0 is neither higher nor lower.
    number = f'{abs(points):.1f}'
    if number == '0.0':
        return 'the same'
    return f'{number} {"higher" if points > 0 else "lower"}'
