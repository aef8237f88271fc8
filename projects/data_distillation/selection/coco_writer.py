"""Writes pseudo labels as a COCO file, a part at a time.

A million images' annotations as Python objects would need many gigabytes, and
minutes to format: the text is made column by column.
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

from ..coco.reading import Categories, check_is_file, origin_of, read_coco
from ..detections.columns import Detections
from ..files.atomic import replacing

IMAGES_AT_ONCE = 50_000
ANNOTATIONS_AT_ONCE = 200_000
Texts: TypeAlias = pa.Array
INFO = '{"info": '


def write_pseudo_labels(
    path: Path,
    info: dict,
    images: pa.Table,
    annotations: Detections,
    is_crowd: np.ndarray,
    categories: Categories,
) -> None:
    """Write a COCO file, whole or not at all, an object on each line.

    Args:
        path: The file.
        info: COCO's `info`.
        images: With the columns `id`, `file_name`, `width`, `height`, in the
            order in which `annotations.image_index` counts them.
        annotations: Each becomes one with COCO's keys, an `id` from 1 on, and
            beside them `score` and `views` (how many support it).
        is_crowd: Shape (number of annotations,), bool, their `iscrowd`.
        categories: The categories, as the labels count them.
    """
    image_ids = images['id'].cast(pa.string()).combine_chunks()
    category_ids = pa.array([json.dumps(c['id']) for c in categories])

    def image_part(part: slice) -> bytes:
        """Make the text of a part of the images."""
        return image_lines(image_ids[part], images[part])

    def annotation_part(part: slice) -> bytes:
        """Make the text of a part of the annotations."""
        one = annotations[part]
        return annotation_lines(
            part.start + 1,
            image_ids.take(pa.array(one.image_index)),
            category_ids.take(pa.array(one.labels)),
            one,
            is_crowd[part],
        )

    num = len(annotations)
    with replacing(path) as file:
        file.write(f'{INFO}{json.dumps(info)},\n"images": ['.encode())
        file.writelines(parts(image_part, len(images), IMAGES_AT_ONCE))
        file.write(b'\n],\n"annotations": [')
        file.writelines(parts(annotation_part, num, ANNOTATIONS_AT_ONCE))
        end = f'\n],\n"categories": {json.dumps(categories)}}}\n'
        file.write(end.encode())


def image_lines(ids: Texts, images: pa.Table) -> bytes:
    """Make the text of some images.

    Args:
        ids: Their ids.
        images: See `write_pseudo_labels`.
    """
    names = images['file_name'].to_pylist()
    return lines_of(
        id=ids,
        file_name=pa.array([json.dumps(name) for name in names]),
        width=as_text(images['width'].to_numpy()),
        height=as_text(images['height'].to_numpy()),
    )


def annotation_lines(
    first_id: int,
    image_ids: Texts,
    category_ids: Texts,
    annotations: Detections,
    is_crowd: np.ndarray,
) -> bytes:
    """Make the text of some annotations.

    Args:
        first_id: The first one's id; the others count on.
        image_ids: Of each.
        category_ids: Of each.
        annotations: See `write_pseudo_labels`.
        is_crowd: Shape (number of annotations,), bool.
    """
    return lines_of(
        id=as_text(np.arange(len(annotations)) + first_id),
        image_id=image_ids,
        category_id=category_ids,
        bbox=joined('[', *columns_joined(annotations.bbox_xywh), ']'),
        area=as_text(areas(annotations.bbox_xywh)),
        iscrowd=as_text(is_crowd.astype(np.int8)),
        score=as_text(annotations.scores),
        views=as_text(annotations.num_views),
    )


def read_origin(path: str | Path) -> dict:
    """Read how a file of pseudo labels came to be.

    Args:
        path: The file; if `write_pseudo_labels` wrote it, only its first line
            is read, since the others may be many gigabytes as objects.

    Returns:
        `info.data_distillation`; empty if there is none.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it is no JSON object.
    """
    check_is_file(path)
    with Path(path).open('rb') as file:
        first = file.readline()
    if first.startswith(INFO.encode()) and first.endswith(b',\n'):
        # A file of another writer may go on with its `info` on the next line.
        with suppress(ValueError, RecursionError):
            return origin_of(json.loads(first.removesuffix(b',\n') + b'}'))
    return origin_of(read_coco(path))


def digest_of_labels(path: Path) -> str:
    """Return a file's SHA-256 without its `info`, which has the date.

    Args:
        path: A file of pseudo labels; if `write_pseudo_labels` did not write
            it, the digest is that of the whole file.
    """
    digest = hashlib.sha256()
    with path.open('rb') as file:
        first = file.readline()
        if not first.startswith(INFO.encode()):
            digest.update(first)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def parts(
    text_of: Callable[[slice], bytes], length: int, at_once: int
) -> Iterator[bytes]:
    """Yield the text of a list's parts.

    Args:
        text_of: Makes it; each element's begins with a comma.
        length: Of the list.
        at_once: The length of a part.
    """
    for start in range(0, length, at_once):
        text = text_of(slice(start, start + at_once))
        yield text if start else text.removeprefix(b',')


def lines_of(**columns: Texts) -> bytes:
    """Make the text of JSON objects, each on a line after a comma.

    Args:
        **columns: The JSON texts of each key's values, one for each object.
    """
    pieces: list = [',\n{']
    for name, texts in columns.items():
        comma = '' if len(pieces) == 1 else ', '
        pieces += [f'{comma}"{name}": ', texts]
    lines = joined(*pieces, '}')
    # The lines lie one after the other: no need to make each a string.
    return lines.buffers()[2].to_pybytes() if len(lines) else b''


def joined(*pieces: str | Texts) -> Texts:
    """Join texts element by element; a string goes into each."""
    return pc.binary_join_element_wise(*pieces, '')


def columns_joined(values: np.ndarray) -> Iterable[str | Texts]:
    """Yield the columns' texts with commas between them.

    Args:
        values: Shape (n, m).
    """
    for column, numbers in enumerate(values.T):
        if column:
            yield ', '
        yield as_text(numbers)


def as_text(values: np.ndarray) -> Texts:
    """Write numbers with the fewest digits that tell them apart."""
    return pa.array(np.ascontiguousarray(values)).cast(pa.string())


def areas(bbox_xywh: np.ndarray) -> np.ndarray:
    """Multiply width and height, in double precision, rounded to 1/100.

    Args:
        bbox_xywh: Shape (n, 4), float32, rounded to 1/100.
    """
    sides = bbox_xywh[:, 2:].astype(np.float64).round(2)
    return sides.prod(axis=1).round(2)
