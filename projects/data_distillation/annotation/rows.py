"""Samples as rows of the detection store."""

from mmdet.structures import DetDataSample

from ..inference.unreadable import is_unreadable


def boxes_row(sample: DetDataSample) -> dict:
    """Return what any sample has for a row of the detection store.

    Args:
        sample: With `pred_instances` on the host.

    Returns:
        `file_name`, `width`, `height`, `bboxes_xyxy`, `scores`, `labels`.
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
        sample: With `pred_instances` on the host and the metainfo that
            `UnlabeledDataset` gives.

    Returns:
        A row as `shards.SCHEMA` has it.
    """
    found = sample.pred_instances
    return dict(
        boxes_row(sample),
        image_id=sample.image_id,
        unreadable=sample.unreadable if is_unreadable(sample) else None,
        num_views=found.num_views.numpy(),
        corner_spread=found.corner_spread.numpy(),
    )
