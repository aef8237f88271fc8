"""Makes up detections where a model that has not learned finds none."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask


def add_detection(sample: DetDataSample) -> None:
    """Give a sample without detections one; a mask if there would be masks.

    The detection is that of `make_box`, in pixels of the original image. The
    mask covers the whole image. A sample with detections, or without
    `pred_instances` or `bboxes`, stays as it is.

    Args:
        sample: What a detector returns. It is changed in place.
    """
    found = sample.get('pred_instances')
    if found is None or len(found) or 'bboxes' not in found:
        return
    height, width = sample.ori_shape[:2]
    values = make_box(height, width)
    if 'masks' in found:
        values['masks'] = torch.ones(1, height, width, dtype=torch.bool)
    device = found.bboxes.device
    sample.pred_instances = InstanceData(
        **{key: value.to(device) for key, value in values.items()}
    )


def add_label(sample: DetDataSample) -> None:
    """Give a merged sample a detection that becomes a pseudo label.

    It comes before those that the sample has. It is that of `make_box`, in
    pixels of the original image, with a mask of the same shape if there are
    masks.

    Args:
        sample: What `MultiViewTTA` returns. It is changed in place.
    """
    height, width = sample.ori_shape[:2]
    found = sample.pred_instances
    values = make_box(height, width)
    made = InstanceData(
        **values,
        # More views than there are, so that no filter stops it.
        num_views=torch.full((1,), 100, dtype=found.num_views.dtype),
        corner_spread=torch.zeros(1, dtype=found.corner_spread.dtype),
    )
    if 'masks' in found:
        bbox_xyxy = values['bboxes'][0].int().tolist()
        made.masks = [encode_box(bbox_xyxy, height, width)]
        x1, y1, x2, y2 = bbox_xyxy
        made.mask_areas = torch.tensor([(x2 - x1) * (y2 - y1)])
        made.mask_agreement = torch.ones(1)
    sample.pred_instances = InstanceData.cat([made, found])


def make_box(height: int, width: int) -> dict[str, torch.Tensor]:
    """Make a sure detection in the middle of an image, half as large.

    Args:
        height: The height of the image in pixels.
        width: The width of the image in pixels.

    Returns:
        `bboxes` (float32 of shape (1, 4), xyxy in whole pixels of this image),
        `scores` (1.0) and `labels` (0), both of shape (1,).
    """
    corners = [width // 4, height // 4, 3 * width // 4, 3 * height // 4]
    return dict(
        bboxes=torch.tensor([corners], dtype=torch.float32),
        scores=torch.tensor([1.0]),
        labels=torch.tensor([0]),
    )


def encode_box(bbox_xyxy: list[int], height: int, width: int) -> dict:
    """Encode the mask of a box as COCO's RLE.

    Args:
        bbox_xyxy: The box, whole pixels. Its right and its lower edge are the
            first pixels that are not in the mask.
        height: The height of the image in pixels.
        width: The width of the image in pixels.

    Returns:
        `size` (height and width) and `counts` (bytes), as pycocotools has
        them.
    """
    # COCO's RLE goes by columns, and pycocotools refuses the order of C.
    mask = np.zeros((height, width), np.uint8, order='F')
    x1, y1, x2, y2 = bbox_xyxy
    mask[y1:y2, x1:x2] = 1
    return coco_mask.encode(mask)
