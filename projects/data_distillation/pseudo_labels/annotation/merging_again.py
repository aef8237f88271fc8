"""Merges the stored boxes of views again, without inference.

```
store with keep_views ──► choose views ──► merger ──► another store
```
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mmdet.registry import TASK_UTILS

from ...multi_view.inference.view_boxes import ViewBoxes
from ...multi_view.merging.mergers import Merger
from ..detections.shards import ShardError, read_index
from ..detections.store import DetectionStore, StoreError
from .rows import make_merged_columns

# What a row says of its image.
IMAGE_COLUMNS = ['file_name', 'image_id', 'width', 'height', 'unreadable']
# What it says of the boxes of views besides the boxes, as `ViewBoxes` has it.
VIEW_COLUMNS = ['view_scores', 'view_labels', 'view_counts', 'view_run_index']


def merge_again(
    detections: str | Path,
    out: str | Path,
    merger: dict | None = None,
    numbers: Sequence[int] | None = None,
    boxes_only: bool = False,
) -> DetectionStore:
    """Merge the boxes of views again, and write the result to another store.

    The result is the one that annotation with this merger and these views
    would have given. Images that are in the other store already
    are left out, so that a run that was killed goes on, but those that could
    not be read before are merged if they were read since.

    Args:
        detections: The folder of a store that was made with `keep_views`.
        out: The folder of the other store.
        merger: The config of a merger, with what JSON can hold; None for the
            one of the store.
        numbers: The numbers of the views to merge, counted from 0 and in any
            order; None for all.
        boxes_only: Whether detections that have masks lose them. Those of the
            views are not stored, so that they cannot be merged again.

    Returns:
        The other store.

    Raises:
        StoreError: If the store has no detections, a damaged shard or no boxes
            of views, `out` holds other detections or those of an image that
            was exchanged since, or masks would be lost without `boxes_only`.
        ValueError: If a number is out of range or given twice, or there is
            none; if an argument of the merger is out of range; or if `out` is
            the folder to read.
        KeyError, TypeError: If the type of the merger is not registered, an
            argument is unknown, or JSON cannot hold its config.
        OSError: If the other store cannot be written.
    """
    # Otherwise the advice would be to delete what is to be read.
    if os.path.realpath(out) == os.path.realpath(detections):
        raise ValueError(
            f'{out} would be written to, but its detections are to be read: '
            'name another folder to write'
        )
    store = DetectionStore(detections)
    made_by = describe_merge(store, merger, numbers, boxes_only)
    other = DetectionStore(out, made_by)
    build = TASK_UTILS.build(made_by['merger'])
    done, digests = other.list_images(), read_digests(other)
    for shard, table in zip(
        store.list_shards(), store.iter_views(), strict=True
    ):
        contents = read_index(shard).contents
        for (row, boxes), image in zip(
            iter_rows(table), contents, strict=True
        ):
            if must_merge(row, image.digest, done, digests):
                merged = merge_views(boxes, build, numbers)
                row |= dict(sha256=image.digest, state=image.state)
                other.add(dict(row, **merged))
        # A shard for each that was read, so that a kill costs one at most.
        other.flush()
    return other


def must_merge(
    row: dict,
    digest: str | None,
    done: Mapping[str, bool],
    digests: Mapping[str, str],
) -> bool:
    """Return whether an image is still to be merged.

    Args:
        row: What the store says of the image, with `file_name` and
            `unreadable`.
        digest: The digest of its file; None if it is not known.
        done: Name -> whether it was read, for images in the other store.
        digests: Name -> the digest that the other store has.

    Returns:
        Whether the other store lacks it, or has it as unreadable only.

    Raises:
        StoreError: If the other store has it with another digest.
    """
    name, is_read = row['file_name'], row['unreadable'] is None
    if not done.get(name, False):
        return is_read or name not in done
    if is_read and digest and digests.get(name, digest) != digest:
        raise StoreError(
            f'{name} is another image than the one that was merged before: '
            'delete the merged detections, or name another folder'
        )
    return False


def read_digests(store: DetectionStore) -> dict[str, str]:
    """Read of which images a store was made.

    Args:
        store: The store.

    Returns:
        File name -> digest of the file, for images with a known one. A file
        that is not a whole shard is left out.
    """
    found = {}
    for shard in store.list_shards():
        with suppress(ShardError):
            index = read_index(shard)
            for name, image in zip(index.names, index.contents, strict=True):
                if image.digest:
                    found[name] = image.digest
    return found


def merge_views(
    boxes: ViewBoxes, merger: Merger, numbers: Sequence[int] | None = None
) -> dict:
    """Merge the boxes of an image.

    Args:
        boxes: The boxes of all views.
        merger: The merger.
        numbers: The numbers of the views to merge, counted from 0, in any
            order; None for all. The merger gets the views in the order of the
            config.

    Returns:
        The columns of `shards.SCHEMA` that describe boxes, see
        `make_merged_columns`; without a detection if no view was run, as for
        an image that could not be read.

    Raises:
        ValueError: If views were run, but one of the numbers is out of range.
    """
    num_views = len(boxes.run_index)
    if numbers is None or not num_views:
        numbers = range(num_views)
    check_numbers(numbers, num_views)
    return make_merged_columns(merger(**boxes.choose(numbers)))


def describe_merge(
    store: DetectionStore,
    merger: dict | None,
    numbers: Sequence[int] | None,
    boxes_only: bool,
) -> dict:
    """Make the provenance of the detections that are merged again.

    Args:
        store: The store with the boxes of views.
        merger: The config of the merger; None for the one of the store.
        numbers: The numbers of the views to merge, counted from 0; None for
            all.
        boxes_only: Whether masks may be lost.

    Returns:
        A new provenance; that of the store stays as it is.

    Raises:
        StoreError: If there are no detections, or masks would be lost.
        ValueError: If a number is out of range or given twice, or there is
            none; see `choose_views`.
    """
    if store.provenance is None:
        raise StoreError(f'no detections (*.parquet) in {store.folder}')
    made_by = dict(store.provenance)
    # The other store has merged boxes alone.
    made_by.pop('keep_views', None)
    made_by.pop('segmentation', None)
    if made_by.pop('masks', None) is not None and not boxes_only:
        raise StoreError(
            f'the detections in {store.folder} have masks, and those of the '
            'single views are not stored: annotate again with other views or '
            'another merger, or merge the boxes alone with --boxes-only '
            '(boxes_only=True)'
        )
    if merger is not None:
        made_by['merger'] = merger
    if numbers is not None:
        made_by['views'] = choose_views(made_by['views'], numbers)
    return made_by


def choose_views(
    views: Sequence[list] | None, numbers: Sequence[int]
) -> list | dict:
    """Choose views of a config by their numbers.

    Args:
        views: All views; None if the pipeline made them.
        numbers: The numbers of the chosen ones, counted from 0.

    Returns:
        The views in the order of the config, as the config of a run with only
        these would have them. Of the pipeline's views only the numbers are
        known: `dict(of_pipeline=NUMBERS)`, ascending.

    Raises:
        ValueError: If a number is given twice, there is none, or one is out of
            range. How many views the pipeline made is not known here;
            `merge_views` checks the range of theirs.
    """
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(
            f'numbers of views must be different, at least one, got {numbers}'
        )
    if views is None:
        return dict(of_pipeline=sorted(numbers))
    check_numbers(numbers, len(views))
    return [views[number] for number in sorted(numbers)]


def check_numbers(numbers: Sequence[int], num_views: int) -> None:
    """Check that there are views of some numbers.

    Args:
        numbers: The numbers, counted from 0; there may be none.
        num_views: The number of views.

    Raises:
        ValueError: If a number is out of range.
    """
    if numbers and (min(numbers) < 0 or max(numbers) >= num_views):
        raise ValueError(
            f'numbers of views must be from 0 to {num_views - 1}, got '
            f'{list(numbers)}'
        )


def find_numbers(
    candidates: Sequence[list] | None, views: Sequence[list] | None
) -> list[int] | None:
    """Find the numbers with which `choose_views` gives some views.

    Args:
        candidates: All views, as JSON has them; None if the pipeline made
            them.
        views: The views to find, in the same form; None if the pipeline makes
            them.

    Returns:
        The numbers, ascending and each once; None if the pipeline makes views
        or one is not among the candidates.
    """
    if candidates is None or views is None:
        return None
    if any(view not in candidates for view in views):
        return None
    return sorted({candidates.index(view) for view in views})


def iter_rows(table: pa.Table) -> Iterator[tuple[dict, ViewBoxes]]:
    """Yield each image of a table with the boxes of its views.

    Args:
        table: A table with the columns of `VIEW_SCHEMA`, and at least one row.

    Yields:
        `IMAGE_COLUMNS` by name, and the boxes, in the order of the rows.
    """
    images = table.select(IMAGE_COLUMNS).to_pylist()
    scores = table['view_scores']
    # Lists of lists of 4: flattened twice, they are one run of numbers.
    corners = pc.list_flatten(pc.list_flatten(table['view_bboxes_xyxy']))
    columns = [
        split_column(corners.to_numpy().reshape(-1, 4), scores),
        *(
            split_column(pc.list_flatten(column).to_numpy(), column)
            for column in table.select(VIEW_COLUMNS).columns
        ),
    ]
    for image, *parts in zip(images, *columns, strict=True):
        yield image, ViewBoxes(*parts)


def split_column(
    values: np.ndarray, lists: pa.ChunkedArray
) -> list[np.ndarray]:
    """Split the elements of a column of lists by row.

    Args:
        values: Shape (n, ...), the elements of all rows.
        lists: Lists with n elements in all, at least one list.

    Returns:
        The elements of each row, shape (length of its list, ...), in order.
    """
    lengths = pc.list_value_length(lists).to_numpy()
    # `np.split` takes the inner bounds only.
    return np.split(values, np.cumsum(lengths)[:-1])
