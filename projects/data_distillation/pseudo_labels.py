"""From stored detections to a COCO file of pseudo labels."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import mmcv
import mmdet
import mmengine
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from rich.console import Console
from rich.table import Table

from .coco import Categories, write_json, xyxy_to_xywh
from .selection import LabeledCounts, Selector

# CocoDataset drops boxes that are thinner, without a word.
MIN_SIDE = 1.0


@dataclass(frozen=True)
class Detections:
    """All detections of all images that were read, as columns.

    Args:
        image_index: Shape (n,), the row of each detection's image.
        bbox_xywh: Shape (n, 4), pixels, inside the image.
        scores: Shape (n,), float32.
        labels: Shape (n,).
        num_views: Shape (n,), how many views support the detection.
    """

    image_index: np.ndarray
    bbox_xywh: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    num_views: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> 'Detections':
        """Return the chosen detections (a mask or indices)."""
        return Detections(*(column[chosen] for column in vars(self).values()))

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.scores)


@dataclass(frozen=True)
class Selection:
    """What was selected, for the file and for the log.

    Args:
        num_images: How many unlabeled images were read.
        num_detections: How many detections there were, thin ones left out.
        num_thin: How many were thinner than `MIN_SIDE`.
        min_scores: Shape (number of classes,), float32.
        selected: The pseudo labels.
    """

    num_images: int
    num_detections: int
    num_thin: int
    min_scores: np.ndarray
    selected: Detections


def export_pseudo_labels(
    table: pa.Table,
    categories: Categories,
    labeled: LabeledCounts,
    selector: Selector,
    provenance: dict,
    out_file: Path,
) -> str:
    """Select the pseudo labels and write them as a COCO file.

    Args:
        table: The detection store's table, in its order.
        categories: The labeled file's, which are copied as they are.
        labeled: The counts of the labeled file.
        selector: Chooses the scores from which a detection is a label.
        provenance: What made the detections, for the file's `info`.
        out_file: The file to write.

    Returns:
        A report for people.

    Raises:
        ValueError: If no image could be read.
    """
    is_read = pc.is_null(table['unreadable'])
    if not pc.any(is_read).as_py():
        raise ValueError(
            f'none of {len(table)} unlabeled images could be read, the first '
            f'because of {table["unreadable"][0]}'
        )
    images = coco_images(table.filter(is_read))
    detections = flatten(table.filter(is_read))
    selection = select(detections, len(images), selector, labeled)
    unreadable = table.filter(pc.invert(is_read))
    unreadable = unreadable.select(['file_name', 'unreadable']).to_pylist()
    origin = dict(
        provenance, **describe(selection, categories), unreadable=unreadable
    )
    annotations = coco_annotations(selection.selected, images, categories)
    write_json(
        out_file,
        dict(
            info=dict(description='Pseudo labels', data_distillation=origin),
            images=images,
            annotations=annotations,
            categories=categories,
        ),
    )
    text = report(selection, labeled, categories, out_file)
    if unreadable:
        text += (
            f'\nwarning: {len(unreadable):,} images could not be read, the '
            f'first is {unreadable[0]["file_name"]} '
            f'({unreadable[0]["unreadable"]}); all are in its `info`'
        )
    return text


def coco_images(table: pa.Table) -> list[dict]:
    """Make COCO's `images`.

    Args:
        table: The images that were read.

    Returns:
        One dict per image, in order. Images of a folder get the ids 1, 2, ...
    """
    columns = ['image_id', 'file_name', 'width', 'height']
    return [
        dict(
            id=number if row['image_id'] is None else row['image_id'],
            file_name=row['file_name'],
            width=row['width'],
            height=row['height'],
        )
        for number, row in enumerate(table.select(columns).to_pylist(), 1)
    ]


def flatten(table: pa.Table) -> Detections:
    """Turn one row per image into one element per detection.

    Args:
        table: The images that were read.

    Returns:
        The detections, by image, then as stored.
    """
    lengths = pc.list_value_length(table['scores']).to_numpy()
    image_index = np.repeat(np.arange(len(lengths)), lengths.astype(int))
    sizes_wh = np.stack(
        [table['width'].to_numpy(), table['height'].to_numpy()], axis=1
    )
    corners = pc.list_flatten(pc.list_flatten(table['bboxes_xyxy']))
    bboxes_xyxy = corners.to_numpy().reshape(-1, 4)
    columns = [
        pc.list_flatten(table[name]).to_numpy()
        for name in ('scores', 'labels', 'num_views')
    ]
    bbox_xywh = xyxy_to_xywh(bboxes_xyxy, sizes_wh[image_index])
    return Detections(image_index, bbox_xywh, *columns)


def select(
    detections: Detections,
    num_images: int,
    selector: Selector,
    labeled: LabeledCounts,
) -> Selection:
    """Select the detections that become pseudo labels.

    Args:
        detections: All detections.
        num_images: How many unlabeled images were read.
        selector: Chooses `min_score`; it does not see detections that are
            thinner than `MIN_SIDE`, which never become labels.
        labeled: The counts of the labeled file.

    Returns:
        The selection.
    """
    is_thin = detections.bbox_xywh[:, 2:].min(axis=1) < MIN_SIDE
    usable = detections[~is_thin]
    min_scores = selector.choose(
        usable.scores, usable.labels, num_images, labeled
    )
    selected = usable[usable.scores >= min_scores[usable.labels]]
    return Selection(
        num_images, len(usable), int(is_thin.sum()), min_scores, selected
    )


def coco_annotations(
    selected: Detections, images: list[dict], categories: Categories
) -> list[dict]:
    """Make COCO's `annotations`.

    Args:
        selected: The pseudo labels.
        images: COCO's `images`, as the image indices count them.
        categories: The categories, as the labels count them.

    Returns:
        One dict per pseudo label, in order, with ids from 1; beside COCO's
        keys `score`, and `views`, the number of views that support it.
    """
    columns = (
        column.tolist() if name != 'scores' else shorten(column)
        for name, column in vars(selected).items()
    )
    return [
        dict(
            id=number,
            image_id=images[image]['id'],
            category_id=categories[label]['id'],
            bbox=bbox_xywh,
            area=round(bbox_xywh[2] * bbox_xywh[3], 2),
            iscrowd=0,
            score=score,
            views=num_views,
        )
        for number, (image, bbox_xywh, score, label, num_views) in enumerate(
            zip(*columns, strict=True), 1
        )
    ]


def shorten(scores: np.ndarray) -> list[float | None]:
    """Return float32 scores with no more digits than tell them apart.

    Infinity becomes None, since JSON has none.
    """
    return [float(str(s)) if np.isfinite(s) else None for s in scores]


def describe(selection: Selection, categories: Categories) -> dict:
    """Describe a selection for the file's `info`.

    Args:
        selection: The selection.
        categories: The categories, as the labels count them.

    Returns:
        `min_scores` by class name (null: nothing of this class was wanted),
        the counts, the versions of the packages, and the date in UTC.
    """
    names = [category['name'] for category in categories]
    return dict(
        min_scores=dict(
            zip(names, shorten(selection.min_scores), strict=True)
        ),
        num_images=selection.num_images,
        num_detections=selection.num_detections,
        num_thin=selection.num_thin,
        packages={
            module.__name__: module.__version__
            for module in (torch, mmengine, mmcv, mmdet)
        },
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec='seconds'
        ),
    )


def report(
    selection: Selection,
    labeled: LabeledCounts,
    categories: Categories,
    out_file: Path,
) -> str:
    """Describe a selection for people.

    Args:
        selection: The selection.
        labeled: The counts of the labeled file.
        categories: The categories, as the labels count them.
        out_file: Where the pseudo labels are.

    Returns:
        A table with a line per class, and what was left out.
    """
    names = [category['name'] for category in categories]
    kept = np.bincount(selection.selected.labels, minlength=len(names))
    table = Table('class', title='Pseudo labels')
    for heading in ('labeled / image', 'pseudo / image', 'min_score', 'kept'):
        table.add_column(heading, justify='right')
    for name, num_labeled, num_kept, min_score in zip(
        names, labeled.num_instances, kept, selection.min_scores, strict=True
    ):
        table.add_row(
            name,
            f'{num_labeled / labeled.num_images:.2f}',
            f'{num_kept / max(selection.num_images, 1):.2f}',
            f'{min_score:.3f}',
            f'{num_kept:,}',
        )
    summary = (
        f'{len(selection.selected):,} of {selection.num_detections:,} '
        f'detections on {selection.num_images:,} images became pseudo labels '
        f'({selection.num_thin:,} more were thinner than {MIN_SIDE:g} pixel '
        f'and left out): {out_file}'
    )
    warnings = [
        f'warning: no pseudo label of class {name!r}'
        for name, num_kept in zip(names, kept, strict=True)
        if not num_kept
    ]
    return '\n'.join([render(table), *warnings, summary])


def render(table: Table) -> str:
    """Return a table as plain text, 80 columns wide."""
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
