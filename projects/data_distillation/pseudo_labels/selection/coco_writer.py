"""Writes pseudo labels as a COCO file, one part at a time.

As Python objects, the annotations of a million images would need many
gigabytes, and minutes to format. The text is therefore made column by column.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...files.atomic import replacing
from ...label_files.coco.reading import (
    Categories,
    check_is_file,
    find_origin,
    read_coco,
)
from ...label_files.segmentations.outlines import outline_mask
from ..detections.columns import Detections, keep_listed

# The name of the file that annotation writes.
PSEUDO_LABELS = 'pseudo_labels.json'
# As text, so many images take about 4 MB, and so many annotations 30 MB.
IMAGES_AT_ONCE = 50_000
ANNOTATIONS_AT_ONCE = 200_000
# A mask may have thousands of letters.
MASKS_AT_ONCE = 20_000
Texts: TypeAlias = pa.Array
# The first bytes of a file; `is_info` finds the line of `info` by them.
INFO = '{"info": '


def write_pseudo_labels(
    path: Path,
    info: dict,
    images: pa.Table,
    annotations: Detections,
    is_crowd: np.ndarray,
    categories: Categories,
    segmentation: str = 'rle',
) -> None:
    """Write a COCO file with one object on each line.

    If writing fails, the file stays as it was.

    Args:
        path: The file to write.
        info: The content of COCO's `info`.
        images: A table with the columns `id`, `file_name`, `width` and
            `height`; `annotations.image_index` counts its rows.
        annotations: The annotations. Each gets COCO's keys with an `id`,
            counted from 1, and also `score` and `views`, the number of views
            that support it. If they have masks, each has one; it gets
            `segmentation`, and the area is that of the mask.
        is_crowd: The `iscrowd` of each annotation, shape (number of
            annotations,), bool.
        categories: The categories, in the order in which labels count them.
        segmentation: 'rle' or 'polygon', how masks are written; without masks,
            it is not used.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If JSON cannot hold `info` or the categories.
    """
    image_ids = images['id'].cast(pa.string()).combine_chunks()
    category_ids = pa.array([json.dumps(c['id']) for c in categories])

    def format_some_images(part: slice) -> bytes:
        """Format a part of the images."""
        return format_images(image_ids[part], images[part])

    def format_some_annotations(part: slice) -> bytes:
        """Format a part of the annotations."""
        one = annotations[part]
        return format_annotations(
            part.start + 1,
            image_ids.take(pa.array(one.image_index)),
            category_ids.take(pa.array(one.labels)),
            one,
            is_crowd[part],
            format_segmentations(one, images, segmentation),
        )

    num = len(annotations)
    at_once = ANNOTATIONS_AT_ONCE
    if annotations.masks is not None:
        at_once = min(at_once, MASKS_AT_ONCE)
    with replacing(path) as file:
        file.write(f'{INFO}{json.dumps(info)},\n"images": ['.encode())
        file.writelines(
            format_in_parts(format_some_images, len(images), IMAGES_AT_ONCE)
        )
        file.write(b'\n],\n"annotations": [')
        file.writelines(format_in_parts(format_some_annotations, num, at_once))
        end = f'\n],\n"categories": {json.dumps(categories)}}}\n'
        file.write(end.encode())


def format_images(ids: Texts, images: pa.Table) -> bytes:
    """Format images as JSON objects, see `format_lines`.

    Args:
        ids: The id of each image, as JSON.
        images: The images, as `write_pseudo_labels` takes them.

    Returns:
        The objects as `format_lines` gives them, in order, UTF-8.
    """
    names = images['file_name'].to_pylist()
    return format_lines(
        id=ids,
        file_name=pa.array([json.dumps(name) for name in names]),
        width=format_numbers(images['width'].to_numpy()),
        height=format_numbers(images['height'].to_numpy()),
    )


def format_annotations(
    first_id: int,
    image_ids: Texts,
    category_ids: Texts,
    annotations: Detections,
    is_crowd: np.ndarray,
    segmentations: Texts | None = None,
) -> bytes:
    """Format annotations as JSON objects, see `format_lines`.

    Args:
        first_id: The id of the first annotation; the others follow it.
        image_ids: The id of each annotation's image, as JSON.
        category_ids: The id of each annotation's category, as JSON.
        annotations: The annotations.
        is_crowd: The `iscrowd` of each annotation, shape (number of
            annotations,), bool.
        segmentations: The `segmentation` of each annotation, as JSON; None if
            they have none.

    Returns:
        The objects as `format_lines` gives them, in order. `bbox` is xywh in
        pixels; `area` is in pixels squared, that of the mask if there is one.
    """
    areas = annotations.mask_areas
    if segmentations is None or areas is None:
        areas, masks = compute_areas(annotations.bbox_xywh), {}
    else:
        masks = dict(segmentation=segmentations)
    return format_lines(
        id=format_numbers(np.arange(len(annotations)) + first_id),
        image_id=image_ids,
        category_id=category_ids,
        bbox=join_texts('[', *join_columns(annotations.bbox_xywh), ']'),
        **masks,
        area=format_numbers(areas),
        iscrowd=format_numbers(is_crowd.astype(np.int8)),
        score=format_numbers(annotations.scores),
        views=format_numbers(annotations.num_views),
    )


def format_segmentations(
    annotations: Detections, images: pa.Table, segmentation: str
) -> Texts | None:
    """Format masks as JSON.

    Args:
        annotations: The annotations.
        images: The images, as `write_pseudo_labels` takes them.
        segmentation: 'rle' or 'polygon'.

    Returns:
        The `segmentation` of each annotation, in order; None if they have no
        masks.
    """
    if annotations.masks is None:
        return None
    heights, widths = (
        images[name].take(pa.array(annotations.image_index))
        for name in ('height', 'width')
    )
    if segmentation == 'polygon':
        sizes = zip(heights.to_pylist(), widths.to_pylist(), strict=True)
        return pa.array(
            json.dumps(outline_mask(counts.as_py(), size_hw))
            for counts, size_hw in zip(annotations.masks, sizes, strict=True)
        )
    counts = annotations.masks.cast(pa.large_string()).cast(pa.string())
    # Of the letters of an RLE, JSON escapes this one.
    escaped = pc.replace_substring(counts, '\\', '\\\\')
    height, width = (format_numbers(n.to_numpy()) for n in (heights, widths))
    return join_texts(
        '{"size": [', height, ', ', width, '], "counts": "', escaped, '"}'
    )


def read_origin(path: str | Path) -> dict:
    """Read from a file of pseudo labels how they were made.

    If `write_pseudo_labels` wrote the file, only its first line is read: as
    objects, the other lines may take many gigabytes.

    Args:
        path: The file.

    Returns:
        The content of `info.data_distillation`; empty if it is missing or no
        object.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file is not a JSON object in UTF-8.
    """
    check_is_file(path)
    with Path(path).open('rb') as file:
        first = file.readline()
    if is_info(first):
        # In a file of another writer, `info` may continue on the next line.
        with suppress(ValueError, RecursionError):
            # The line is `{"info": ...,`: without the comma and closed, it is
            # an object of its own.
            return find_origin(json.loads(first.removesuffix(b',\n') + b'}'))
    return find_origin(read_coco(path))


def is_info(line: bytes) -> bool:
    """Return whether the first line of a file has its `info` and no more.

    A file of another writer may have all of its content on this line.

    Args:
        line: The line with its end.

    Returns:
        True if it begins and ends as `write_pseudo_labels` writes it.
    """
    return line.startswith(INFO.encode()) and line.endswith(b',\n')


def hash_labels(path: Path) -> str:
    """Hash a file of pseudo labels without its `info`, which has the date.

    Args:
        path: A file of pseudo labels, as `write_pseudo_labels` writes it. All
            bytes of another file count, unless it begins like these: then its
            first line does not.

    Returns:
        The SHA-256, 64 hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open('rb') as file:
        first = file.readline()
        if not is_info(first):
            digest.update(first)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def format_in_parts(
    format_part: Callable[[slice], bytes], length: int, at_once: int
) -> Iterator[bytes]:
    """Yield the text of a list, one part after another.

    Args:
        format_part: A function that formats the elements of a slice; the text
            of each element starts with a comma.
        length: The length of the list.
        at_once: The number of elements in a part.

    Yields:
        UTF-8, in order, without the comma before the first element; nothing
        for an empty list.
    """
    for start in range(0, length, at_once):
        text = format_part(slice(start, start + at_once))
        yield text if start else text.removeprefix(b',')


def format_lines(**columns: Texts) -> bytes:
    """Format JSON objects, each on a new line after a comma.

    Args:
        **columns: Key -> its value in each object, as JSON, all of one length.

    Returns:
        UTF-8, one object after the other; empty if the columns are.
    """
    pieces: list = [',\n{']
    for name, texts in columns.items():
        comma = '' if len(pieces) == 1 else ', '
        pieces += [f'{comma}"{name}": ', texts]
    lines = join_texts(*pieces, '}')
    # The buffer holds the lines one after the other, so that no line needs to
    # become a string of its own.
    return lines.buffers()[2].to_pybytes() if len(lines) else b''


def join_texts(*pieces: str | Texts) -> Texts:
    """Join texts element by element.

    Args:
        *pieces: Columns of one length, at least one; a string is joined to
            every element.

    Returns:
        A column of that length.
    """
    # The last argument is the separator.
    return pc.binary_join_element_wise(*pieces, '')


def join_columns(values: np.ndarray) -> Iterable[str | Texts]:
    """Yield the texts of the columns, with commas between them.

    Args:
        values: The numbers, shape (n, m).

    Yields:
        The texts of a column, or a comma, from left to right.
    """
    for column, numbers in enumerate(values.T):
        if column:
            yield ', '
        yield format_numbers(numbers)


def format_numbers(values: np.ndarray) -> Texts:
    """Write each number with the fewest digits that identify it.

    Args:
        values: Shape (n,), integers or floats.

    Returns:
        A column of n texts, such as `0.1` for the float32 that is nearest to
        it. They are JSON if the numbers are finite.
    """
    return pa.array(np.ascontiguousarray(values)).cast(pa.string())


def compute_areas(bbox_xywh: np.ndarray) -> np.ndarray:
    """Return the areas of boxes, rounded to 1/100.

    Args:
        bbox_xywh: The boxes, shape (n, 4), float32, pixels rounded to 1/100.

    Returns:
        Shape (n,), float64, pixels squared: width times height, in double
        precision.
    """
    # Of the sides as they are written.
    sides = bbox_xywh[:, 2:].astype(np.float64).round(2)
    return sides.prod(axis=1).round(2)


def keep_selected(
    table: pa.Table, pseudo_labels: Path, origin: dict
) -> pa.Table:
    """Leave out images that the pseudo labels do not list.

    Mostly they were unlabeled and are no longer. The file is only read if it
    was not made of all these detections.

    Args:
        table: The images of the detection store that could be read.
        pseudo_labels: The file of pseudo labels.
        origin: What it says of its selection; empty without such a file.

    Returns:
        The rows of the other images, see `keep_listed`; all if the selection
        has dropped images without labels.

    Raises:
        CocoError: If the file is needed and cannot be used.
    """
    stored = pc.sum(pc.list_value_length(table['scores'])).as_py()
    # Images without labels that were dropped are not listed either.
    if origin.get('num_detections') in (None, stored) or origin.get(
        'num_empty_dropped'
    ):
        return table
    return keep_listed(table, read_coco(pseudo_labels, 'images'))
