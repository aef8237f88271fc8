"""Annotations as columns: their images and classes are numbered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...text import format_value
from .greedy import DetectionColumns, Objects
from .mask_ious import as_column, read_mask

Sizes = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Numbering:
    """The numbers of the images and of the classes.

    Args:
        images: Image id -> number from 0; several ids may have one number.
        labels: Category id -> number, from 0, in the order of the categories.
    """

    images: dict
    labels: dict

    @classmethod
    def of(cls, image_ids: Iterable, categories: list[dict]) -> 'Numbering':
        """Number images and categories.

        Args:
            image_ids: The ids of the images, in any order; an id that occurs
                again is the same image.
            categories: The categories of COCO, each with an id of its own.

        Returns:
            Images numbered from 0 by ascending id, and categories in their
            order.

        Raises:
            KeyError: If a category has no id.
            TypeError: If the ids of images cannot be compared, as numbers with
                texts.
        """
        # COCOeval goes through the images by their ids, which decides about
        # equal scores.
        return cls(
            {id: number for number, id in enumerate(sorted(set(image_ids)))},
            {category['id']: n for n, category in enumerate(categories)},
        )

    @property
    def shape(self) -> tuple[int, int]:
        """How many image ids and how many classes there are."""
        return len(self.images), len(self.labels)

    def collect_objects(
        self, annotations: Iterable[dict], sizes_hw: Sizes | None = None
    ) -> Objects:
        """Collect true objects as columns.

        Args:
            annotations: COCO annotations with `bbox` as xywh in pixels, which
                are crowds only if `iscrowd` says so. Those of other images and
                categories are left out.
            sizes_hw: Image id -> height and width in pixels, to compare masks,
                which all annotations then have; None to compare boxes.

        Returns:
            The objects of known images and categories, in order; shape (0,),
            and (0, 4) for the boxes, if there are none.

        Raises:
            KeyError: If an annotation lacks a key, or its image a size.
            TypeError, ValueError: If an id is a list or an object, a box has
                not four sides, or one cannot be read as a number; see also
                `read_mask`.
            IndexError, Exception: See `read_mask`.
        """
        kept = self._keep(annotations)
        is_crowd = [bool(a.get('iscrowd', 0)) for a in kept]
        return Objects(
            *self._columns(kept),
            np.array(is_crowd, bool),
            collect_masks(kept, sizes_hw),
        )

    def collect_found(
        self, results: Iterable[dict], sizes_hw: Sizes | None = None
    ) -> DetectionColumns:
        """Collect detections as columns.

        Args:
            results: COCO annotations with `bbox` as xywh in pixels and with
                `score`. Those of other images and categories are left out.
            sizes_hw: Image id -> height and width in pixels, to compare masks,
                which all results then have; None to compare boxes.

        Returns:
            The detections of known images and categories, in order, with
            scores as float64; shape (0,), and (0, 4) for the boxes, if there
            are none.

        Raises:
            KeyError, TypeError, ValueError, IndexError, Exception: See
                `collect_objects`; also if a score is no number.
        """
        kept = self._keep(results)
        # A list takes fewer calls than a generator.
        scores = np.fromiter([one['score'] for one in kept], np.float64)
        return DetectionColumns(
            *self._columns(kept), scores, collect_masks(kept, sizes_hw)
        )

    def _keep(self, annotations: Iterable[dict]) -> list[dict]:
        return [
            one
            for one in annotations
            if one['image_id'] in self.images
            and one['category_id'] in self.labels
        ]

    def _columns(
        self, kept: Sequence[dict]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the numbers of the images, the labels and the boxes."""
        images = (self.images[one['image_id']] for one in kept)
        labels = (self.labels[one['category_id']] for one in kept)
        bboxes = [one['bbox'] for one in kept]
        if set(map(len, bboxes)) - {4}:
            wrong = next(bbox for bbox in bboxes if len(bbox) != 4)
            raise ValueError(
                f'`bbox` must be four numbers, got {format_value(wrong)}: '
                'correct the annotation'
            )
        sides = (side for bbox in bboxes for side in bbox)
        return (
            np.fromiter(images, np.int64, len(kept)),
            np.fromiter(labels, np.int64, len(kept)),
            np.fromiter(sides, np.float64, 4 * len(kept)).reshape(-1, 4),
        )


def collect_masks(
    annotations: Sequence[dict], sizes_hw: Sizes | None
) -> np.ndarray | None:
    """Collect the masks of annotations.

    Args:
        annotations: n COCO annotations, each with `segmentation`.
        sizes_hw: Image id -> height and width in pixels; None if boxes are
            compared.

    Returns:
        Shape (n,), compressed RLE, in order; None if boxes are compared.

    Raises:
        KeyError: If an annotation lacks a key, or its image a size; see also
            `read_mask`.
        TypeError, ValueError, IndexError, Exception: See `read_mask`.
    """
    if sizes_hw is None:
        return None
    return as_column(
        read_mask(one['segmentation'], sizes_hw[one['image_id']])
        for one in annotations
    )
