"""Box formats, and the limits that CocoDataset sets to boxes."""

import numpy as np

# CocoDataset drops boxes that are thinner, in pixels, without a word.
MIN_SIDE = 1.0


def xyxy_to_xywh(bboxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Clip boxes to their images and turn them to COCO's x, y, width, height.

    Args:
        bboxes_xyxy: Shape (n, 4), pixels.
        sizes_wh: Shape (n, 2), width and height of each box's image, pixels.

    Returns:
        Shape (n, 4), float64, rounded to 1/100 pixel.
    """
    corners = bboxes_xyxy.astype(np.float64).round(2)
    corners = np.clip(corners, 0, np.tile(sizes_wh, 2))
    corners[:, 2:] -= corners[:, :2]
    return corners.round(2)


# A box may reach outside its image by so many pixels: tools that count pixels
# from 1, or round, go that far, and CocoDataset takes such boxes.
TOLERANCE = 1.0
