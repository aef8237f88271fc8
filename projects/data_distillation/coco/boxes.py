"""Box formats, and the limits that CocoDataset sets to boxes."""

import numpy as np

# CocoDataset drops thinner boxes without a message; pixels.
MIN_SIDE = 1.0
# A box may reach this far outside its image, in pixels: tools that count
# pixels from 1, or that round, go that far, and CocoDataset takes such boxes.
TOLERANCE = 1.0


def xyxy_to_xywh(bboxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Clip boxes to their images and convert them to COCO's format.

    Args:
        bboxes_xyxy: Shape (n, 4), pixels of the original image.
        sizes_wh: Shape (n, 2), width and height of each box's image, pixels.

    Returns:
        Shape (n, 4), float64: left, top, width and height in pixels, rounded
        to 1/100 pixel, in the same order.
    """
    corners = bboxes_xyxy.astype(np.float64).round(2)
    corners = np.clip(corners, 0, np.tile(sizes_wh, 2))
    corners[:, 2:] -= corners[:, :2]
    return corners.round(2)
