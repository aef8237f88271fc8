"""Turns samples into rows of the detection store."""

from mmdet.structures import DetDataSample

from ..inference.unreadable import is_unreadable


def boxes_row(sample: DetDataSample) -> dict:
    """Return the part of a row that the sample of any detector has.

    Args:
        sample: A sample with `pred_instances` on the host, and with
            `file_name` and `ori_shape` in its metainfo.

    Returns:
        `file_name`, `width` and `height` of the image in pixels, and for its
        k boxes, in order, `bboxes_xyxy` (a list of k lists of 4 numbers),
        `scores` and `labels` (shape (k,)).
    """
    height, width = sample.ori_shape[:2]
    found = sample.pred_instances
    return dict(
        file_name=sample.file_name,
        width=width,
        height=height,
        bboxes_xyxy=found.bboxes.numpy().tolist(),
        scores=found.scores.numpy(),
        labels=found.labels.numpy(),
    )


def detection_row(sample: DetDataSample) -> dict:
    """Turn a merged sample into a row of the detection store.

    Args:
        sample: A sample as `MultiViewTTA.test_step` returns it, with the
            metainfo that `UnlabeledDataset` gives.

    Returns:
        A row with the columns of `shards.SCHEMA`.
    """
    found = sample.pred_instances
    return dict(
        boxes_row(sample),
        image_id=sample.image_id,
        unreadable=sample.unreadable if is_unreadable(sample) else None,
        num_views=found.num_views.numpy(),
        corner_spread=found.corner_spread.numpy(),
    )
