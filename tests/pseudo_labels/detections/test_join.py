"""Detections of different images are joined, with their masks."""

import numpy as np
import pyarrow as pa

from projects.data_distillation.pseudo_labels.detections.columns import (
    Detections,
    join_detections,
)


def make(image_index: list[int], masks: list[bytes] | None) -> Detections:
    number = len(image_index)
    floats = np.linspace(0, 1, number, dtype=np.float32)
    whole = np.arange(number, dtype=np.int32)
    has_masks = masks is not None
    return Detections(
        np.array(image_index, np.int32),
        np.ones((number, 4), np.float32),
        floats,
        whole,
        whole,
        floats,
        whole if has_masks else None,
        floats if has_masks else None,
        pa.array(masks, pa.large_binary()) if has_masks else None,
    )


def test_masks_stay_with_their_detections():
    joined = join_detections(
        [
            (make([0, 0, 2], [b'a', b'b', b'c']), 3),
            (make([], []), 2),
            (make([1], [b'd']), 2),
        ]
    )

    assert joined.image_index.tolist() == [0, 0, 2, 6]
    assert joined.masks.to_pylist() == [b'a', b'b', b'c', b'd']
    assert joined.mask_areas.tolist() == [0, 1, 2, 0]
    assert joined.bbox_xywh.shape == (4, 4)


def test_columns_that_no_part_has_stay_away():
    joined = join_detections([(make([0], None), 1), (make([0], None), 1)])

    assert joined.image_index.tolist() == [0, 1]
    assert joined.masks is joined.mask_areas is joined.mask_agreement is None
