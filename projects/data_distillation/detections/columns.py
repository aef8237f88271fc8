"""The detections of a store as NumPy columns."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..coco.boxes import xyxy_to_xywh

# How many boxes are computed with at once, in double precision.
BOXES_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Detections:
    """All detections of all images that were read, as columns.

    Args:
        image_index: Shape (n,), the row of each detection's image; ascending.
        bbox_xywh: Shape (n, 4), float32, pixels, inside the image, rounded to
            1/100.
        scores: Shape (n,), float32, descending within an image.
        labels: Shape (n,).
        num_views: Shape (n,), how many views support the detection.
        corner_spread: Shape (n,), float32, see `mergers.corner_spread`.
    """

    image_index: np.ndarray
    bbox_xywh: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    num_views: np.ndarray
    corner_spread: np.ndarray

    def __getitem__(self, chosen: np.ndarray | slice) -> 'Detections':
        """Return the chosen detections (a mask, indices or a slice)."""
        return Detections(*(column[chosen] for column in vars(self).values()))

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.scores)


def flatten(table: pa.Table) -> Detections:
    """Turn one row per image into one element per detection.

    Args:
        table: Of `SCHEMA`, the images that were read.

    Returns:
        The detections, by image, then as stored.
    """
    lengths = pc.list_value_length(table['scores']).to_numpy()
    image_index = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    columns = [
        pc.list_flatten(table[name]).to_numpy()
        for name in ('scores', 'labels', 'num_views', 'corner_spread')
    ]
    return Detections(image_index, boxes_xywh(table, image_index), *columns)


def boxes_xywh(table: pa.Table, image_index: np.ndarray) -> np.ndarray:
    """Return the boxes as `Detections.bbox_xywh`.

    Args:
        table: Of `SCHEMA`.
        image_index: Shape (n,), the row of each box.
    """
    sizes_wh = np.stack(
        [table['width'].to_numpy(), table['height'].to_numpy()], axis=1
    )
    corners = pc.list_flatten(pc.list_flatten(table['bboxes_xyxy']))
    bboxes_xyxy = corners.to_numpy().reshape(-1, 4)
    bbox_xywh = np.empty(bboxes_xyxy.shape, np.float32)
    for start in range(0, len(bbox_xywh), BOXES_AT_ONCE):
        part = slice(start, start + BOXES_AT_ONCE)
        bbox_xywh[part] = xyxy_to_xywh(
            bboxes_xyxy[part], sizes_wh[image_index[part]]
        )
    return bbox_xywh
