"""Turns samples into rows of the detection store."""

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ...multi_view.inference.unreadable import is_unreadable


def make_boxes_row(sample: DetDataSample) -> dict:
    """Return the part of a row that the sample of any detector has.

    Args:
        sample: A sample with `pred_instances` on the host, and with
            `file_name` and `ori_shape` in its metainfo.

    Returns:
        `file_name`, `width` and `height` of the image in pixels, and for its
        k boxes, in order, `bboxes_xyxy` (a list of k lists of 4 numbers, in
        pixels of the original image), `scores` and `labels` (shape (k,), of
        the types of the sample).
    """
    height, width = sample.ori_shape[:2]
    return dict(
        file_name=sample.file_name,
        width=width,
        height=height,
        **make_box_columns(sample.pred_instances),
    )


def make_box_columns(found: InstanceData) -> dict:
    """Collect what a row says of boxes.

    Args:
        found: The k boxes of an image, on the host, xyxy in pixels of the
            original image.

    Returns:
        `bboxes_xyxy`, `scores` and `labels`, see `make_boxes_row`.
    """
    return dict(
        bboxes_xyxy=found.bboxes.numpy().tolist(),
        scores=found.scores.numpy(),
        labels=found.labels.numpy(),
    )


def make_merged_columns(found: InstanceData) -> dict:
    """Collect what a row of the store says of merged boxes.

    Args:
        found: The detections of an image as a merger returns them, on the
            host; with masks if `MaskMerger.merge` has added them.

    Returns:
        The columns by name, each with one element for a detection, in order.
    """
    columns = dict(
        make_box_columns(found),
        num_views=found.num_views.numpy(),
        corner_spread=found.corner_spread.numpy(),
    )
    if 'masks' in found:
        columns |= dict(
            # The size of each RLE is that of the image, which the row has.
            masks=[mask['counts'] for mask in found.masks],
            mask_areas=found.mask_areas.numpy(),
            mask_agreement=found.mask_agreement.numpy(),
        )
    return columns


def make_detection_row(sample: DetDataSample) -> dict:
    """Turn a merged sample into a row of the detection store.

    Args:
        sample: A sample as `MultiViewTTA.test_step` returns it, with the
            metainfo that `UnlabeledDataset` gives.

    Returns:
        A row with the columns of `shards.SCHEMA`, with `sha256` and `state` of
        the image file (see `Content`), with the columns of
        `shards.MASK_SCHEMA` if there are masks, and with those of
        `shards.VIEW_SCHEMA` if the sample has the boxes of its views.
        `unreadable` is the reason, or None for an image that was read.
    """
    row = dict(
        make_boxes_row(sample),
        image_id=sample.image_id,
        unreadable=sample.unreadable if is_unreadable(sample) else None,
        sha256=sample.get('sha256'),
        state=sample.get('state'),
        **make_merged_columns(sample.pred_instances),
    )
    if 'view_boxes' in sample:
        columns = vars(sample.view_boxes).items()
        row |= {f'view_{name}': values for name, values in columns}
        # Arrow takes lists of boxes, but no array of two dimensions.
        row['view_bboxes_xyxy'] = row['view_bboxes_xyxy'].tolist()
    return row
