"""Turns the detections of a store into NumPy columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...label_files.coco.box_formats import xyxy_to_xywh
from ...label_files.column_matching.greedy import DetectionColumns
from ...label_files.column_matching.mask_ious import as_column

# The number of boxes that are converted at once, in double precision.
BOXES_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Detections:
    """All detections of a table of images, as columns.

    Args:
        image_index: Shape (n,), int32, the row of the image of each detection,
            ascending.
        bbox_xywh: Shape (n, 4), float32, pixels of the original image, clipped
            to the image and rounded to 1/100.
        scores: Shape (n,), float32, descending within an image.
        labels: Shape (n,), int32, the class of each detection.
        num_views: Shape (n,), int32, the number of views that support each
            detection.
        corner_spread: Shape (n,), float32, see `merging.boxes.corner_spread`.
        mask_areas: Shape (n,), int32, the number of pixels of each mask, 0
            where there is none; None if detections have no masks.
        mask_agreement: Shape (n,), float32, see `MaskMerger.merge`; None as
            before.
        masks: n times the `counts` of COCO's RLE; None as before.
    """

    image_index: np.ndarray
    bbox_xywh: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    num_views: np.ndarray
    corner_spread: np.ndarray
    mask_areas: np.ndarray | None = None
    mask_agreement: np.ndarray | None = None
    masks: pa.LargeBinaryArray | None = None  # 64-bit offsets

    def __getitem__(self, chosen: np.ndarray | slice) -> 'Detections':
        """Choose some detections.

        Args:
            chosen: A mask of shape (n,), bool, or indices, or a slice.

        Returns:
            The chosen ones: by indices in the order of these, otherwise in
            that of the columns. A slice shares the memory of the columns,
            apart from the masks.

        Raises:
            IndexError: If an index is out of range.
        """
        columns = {
            name: column[chosen]
            for name, column in vars(self).items()
            if isinstance(column, np.ndarray)
        }
        if self.masks is not None:
            rows = np.arange(len(self))[chosen]
            # `take` needs indices, also for a mask or a slice.
            columns['masks'] = self.masks.take(pa.array(rows))
        return Detections(**columns)

    @property
    def has_mask(self) -> np.ndarray:
        """Whether each detection has a mask, if detections have masks.

        Shape (n,), bool; True for all of them if they have no masks.
        """
        if self.mask_areas is None:
            return np.ones(len(self), bool)
        return self.mask_areas > 0

    def __len__(self) -> int:
        """Return the number of detections.

        Returns:
            The number n.
        """
        return len(self.scores)


def join_detections(
    parts: Sequence[tuple[Detections, int]],
) -> Detections:
    """Join the detections of different images.

    Args:
        parts: The detections, and the number of images that they are of; at
            least one part. Either all of them have masks, or none has.

    Returns:
        The detections, part after part. `image_index` goes on from part to
        part.
    """
    starts = np.cumsum([0, *(number for _, number in parts)])
    columns = {}
    for name in vars(parts[0][0]):
        values = [getattr(found, name) for found, _ in parts]
        if name == 'image_index':
            # Both stay 32 bits wide.
            values = [
                value + value.dtype.type(start)
                for value, start in zip(values, starts, strict=False)
            ]
        if name == 'masks' and values[0] is not None:
            columns[name] = pa.concat_arrays(values)
        elif values[0] is not None:
            columns[name] = np.concatenate(values)
    return Detections(**columns)


def keep_readable(table: pa.Table) -> pa.Table:
    """Leave out the rows of images that could not be read.

    Args:
        table: A table with the columns of `shards.SCHEMA` or of
            `shards.MASK_SCHEMA`.

    Returns:
        The other rows, in their order.
    """
    return table.filter(pc.is_null(table['unreadable']))


def keep_listed(table: pa.Table, coco: dict) -> pa.Table:
    """Keep the rows of images that a COCO file has.

    A store keeps the images that were taken out of its file since.

    Args:
        table: A table with the column `file_name`.
        coco: The COCO object.

    Returns:
        These rows, in their order; all rows if the file has none of them,
        which is then not their file.
    """
    names = [image['file_name'] for image in coco['images']]
    is_listed = pc.is_in(table['file_name'], pa.array(names, pa.string()))
    return table.filter(is_listed) if pc.any(is_listed).as_py() else table


def flatten_table(table: pa.Table) -> Detections:
    """Turn one row per image into one element per detection.

    Args:
        table: A table with the columns of `shards.SCHEMA` or of
            `shards.MASK_SCHEMA`.

    Returns:
        The detections, ordered by image and then as stored; `image_index`
        numbers the rows. An unreadable image has none.
    """
    lengths = pc.list_value_length(table['scores']).to_numpy()
    image_index = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    columns = [
        pc.list_flatten(table[name]).to_numpy()
        for name in ('scores', 'labels', 'num_views', 'corner_spread')
    ]
    bbox_xywh = convert_boxes(table, image_index)
    if 'masks' in table.column_names:
        columns += [
            pc.list_flatten(table[name]).to_numpy()
            for name in ('mask_areas', 'mask_agreement')
        ]
        columns.append(pc.list_flatten(table['masks']).combine_chunks())
    return Detections(image_index, bbox_xywh, *columns)


def collect_stored(
    table: pa.Table, image_index: np.ndarray, by_masks: bool = False
) -> DetectionColumns:
    """Return the detections of a table for matching.

    Args:
        table: A table with the columns of `SCHEMA`.
        image_index: Shape (number of rows,), int64, the number of the image of
            each row.
        by_masks: Whether masks are compared; the table then has the columns
            of `MASK_SCHEMA`.

    Returns:
        The detections, in the order of the rows and then as stored. Their
        boxes are those that are written to COCO files, in float64; scores are
        float32.
    """
    lengths = pc.list_value_length(table['scores']).to_numpy()
    rows = np.repeat(np.arange(len(lengths)), lengths)
    scores, labels = (
        pc.list_flatten(table[name]).to_numpy()
        for name in ('scores', 'labels')
    )
    return DetectionColumns(
        image_index[rows],
        labels.astype(np.int64),
        convert_boxes(table, rows, np.float64),  # as JSON has them
        scores,
        collect_stored_masks(table) if by_masks else None,
    )


def collect_stored_masks(table: pa.Table) -> np.ndarray:
    """Collect the masks of all detections of a table.

    Args:
        table: The table of a shard, with a row for each image, and with masks.

    Returns:
        Shape (n,), objects, see `DetectionColumns.masks`; in the order of the
        rows.
    """
    sizes = [table[name].to_pylist() for name in ('height', 'width')]
    return as_column(
        dict(size=list(size_hw), counts=counts)
        for *size_hw, of_image in zip(
            *sizes, table['masks'].to_pylist(), strict=True
        )
        for counts in of_image
    )


def convert_boxes(
    table: pa.Table, image_index: np.ndarray, dtype: type = np.float32
) -> np.ndarray:
    """Convert the boxes of a table to the format of `Detections.bbox_xywh`.

    Args:
        table: A table with the columns of `SCHEMA`.
        image_index: Shape (n,), int, the row of each box.
        dtype: The precision of the result.

    Returns:
        Shape (n, 4), of this type: xywh in pixels of the original image,
        clipped to it and rounded to 1/100.
    """
    sizes_wh = np.stack(
        [table['width'].to_numpy(), table['height'].to_numpy()], axis=1
    )
    corners = pc.list_flatten(pc.list_flatten(table['bboxes_xyxy']))
    bboxes_xyxy = corners.to_numpy().reshape(-1, 4)
    bbox_xywh = np.empty(bboxes_xyxy.shape, dtype)
    for start in range(0, len(bbox_xywh), BOXES_AT_ONCE):
        part = slice(start, start + BOXES_AT_ONCE)
        bbox_xywh[part] = xyxy_to_xywh(
            bboxes_xyxy[part], sizes_wh[image_index[part]]
        )
    return bbox_xywh


def list_images_read(table: pa.Table) -> dict[str, bool]:
    """List the images of a shard.

    Args:
        table: A table with the columns of `SCHEMA`.

    Returns:
        The file name of each image, and whether it was read, in the order in
        which the names first occur. Of several rows of one image, the last one
        counts.
    """
    is_read = pc.is_null(table['unreadable'])
    names = table['file_name'].to_pylist()
    return dict(zip(names, is_read.to_pylist(), strict=True))


def choose_rows(table: pa.Table) -> pa.Array:
    """Choose one row of each image.

    An image has several rows if two runs did it at the same time, or if it was
    read only at the second try.

    Args:
        table: A table with the columns of `SCHEMA`.

    Returns:
        The index of one row for each file name, int64, in the order in which
        the names first occur: the last row that was read or, if there is none,
        the last row.
    """
    # Numbers the names in the order in which they first occur.
    names = table['file_name'].combine_chunks().dictionary_encode()
    is_read = pc.is_null(table['unreadable']).to_numpy()
    chosen = np.zeros(len(names.dictionary), np.int64)
    # NumPy keeps the last of several values for one place.
    # False sorts first: a row that was read is written last, and stays.
    in_order = np.argsort(is_read, kind='stable')
    chosen[names.indices.to_numpy()[in_order]] = in_order
    return pa.array(chosen)
