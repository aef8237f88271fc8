"""Checks of the boxes of a COCO file."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..text import format_value
from .boxes import MIN_SIDE, TOLERANCE
from .problems import CocoFile, Problem, column_of
from .schema import is_number

# Bboxes are judged to be corners if so many, and this part of all, reach
# outside as [x, y, w, h] (about 3 in 4 do that are placed at random), and
# nearly all lie inside as corners; some are broken in any file. Right boxes
# hardly ever do both: each would have to be longer than it is far from the
# left and from the top.
FEWEST_OUTSIDE, PART_OUTSIDE = 5, 0.1


PART_INSIDE = 0.99


def check_areas(file: CocoFile) -> Iterator[Problem]:
    """Find areas that are not positive though the box is not empty."""
    columns = file.annotations.columns
    for index, (area, bbox) in enumerate(
        zip(columns['area'], columns['bbox'], strict=True)
    ):
        if area is not None and area <= 0 and bbox and min(bbox[2:]) > 0:
            yield file.problem(
                'area not positive',
                file.annotations,
                index,
                f'area {area} is not positive, CocoDataset drops the box',
                'write w * h (--fix does)',
            )


def check_ignored(file: CocoFile) -> Iterator[Problem]:
    """Find annotations that CocoDataset leaves out because they say so."""
    for index, value in enumerate(
        column_of(file.annotations.entries, 'ignore')
    ):
        if value:
            yield file.problem(
                'ignore',
                file.annotations,
                index,
                f'`ignore` is {format_value(value)}, CocoDataset drops the '
                'box',
                'remove `ignore`; if it is a region to leave out, write '
                'iscrowd 1',
            )


def check_finite(file: CocoFile) -> Iterator[Problem]:
    """Find bboxes with NaN, infinity or absurdly large numbers."""
    for index, bbox in enumerate(file.annotations.columns['bbox']):
        if bbox is not None and not all(map(is_number, bbox)):
            yield file.problem(
                'bbox not finite',
                file.annotations,
                index,
                f'bbox {format_value(bbox)} is not finite',
                'remove the annotation (--fix does)',
            )


@dataclass(frozen=True)
class Boxes:
    """The boxes of a file that are four finite numbers.

    Args:
        indices: Shape (n,), the annotations they are from.
        xywh: Shape (n, 4), float64, pixels.
        sizes_wh: Shape (n, 2), of the images; NaN where it is not known, so
            that no comparison with it holds.
    """

    indices: np.ndarray
    xywh: np.ndarray
    sizes_wh: np.ndarray

    @classmethod
    def of(cls, file: CocoFile) -> 'Boxes':
        """Collect the boxes of a file."""
        columns, sizes_wh = file.annotations.columns, image_sizes(file)
        indices = [
            index
            for index, bbox in enumerate(columns['bbox'])
            if bbox is not None and all(map(is_number, bbox))
        ]
        xywh = [columns['bbox'][i] for i in indices]
        unknown = (np.nan, np.nan)
        sizes = [
            sizes_wh.get(columns['image_id'][i], unknown) for i in indices
        ]
        return cls(
            np.array(indices, np.int64),
            np.array(xywh, np.float64).reshape(-1, 4),
            np.array(sizes, np.float64).reshape(-1, 2),
        )

    @property
    def overshoot(self) -> np.ndarray:
        """How far each box reaches outside; shape (n,), pixels."""
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.maximum(-self.xywh[:, :2], ends - self.sizes_wh).max(1)

    @property
    def visible_wh(self) -> np.ndarray:
        """Width and height of the part inside the image; shape (n, 2)."""
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.minimum(ends, self.sizes_wh) - self.xywh[:, :2].clip(0)

    @property
    def inside_as_corners(self) -> np.ndarray:
        """Whether each is a box in its image if it is read as xyxy."""
        start, end = self.xywh[:, :2], self.xywh[:, 2:]
        inside = (start >= -TOLERANCE) & (end <= self.sizes_wh + TOLERANCE)
        return np.all(inside & (end > start), axis=1)


def image_sizes(file: CocoFile) -> dict[int, tuple[float, float]]:
    """Map the id of each image to its width and height, if both are right."""
    columns = file.images.columns
    rows = zip(columns['id'], columns['width'], columns['height'], strict=True)
    return {row[0]: row[1:] for row in rows if None not in row}


# In order: the first that holds for a box is its problem.
BOX_PROBLEMS = {
    'bbox empty': ('is empty', 'remove the annotation (--fix does)'),
    'bbox thin': (
        'is thinner than 1 pixel, CocoDataset drops it',
        'remove the annotation (--fix does)',
    ),
    'bbox away': (
        'lies outside {image}',
        'remove the annotation (--fix does)',
    ),
    'bbox nearly away': (
        'has less than 1 pixel inside {image}',
        'remove the annotation (--fix does)',
    ),
    'bbox outside': (
        'reaches outside {image}',
        'clip it (--fix does)',
    ),
}


def box_problems(boxes: Boxes) -> np.ndarray:
    """Judge every box.

    Returns:
        Shape (n,): the number of its kind in `BOX_PROBLEMS`, from 1; 0 for
        what is right.
    """
    is_outside = boxes.overshoot > TOLERANCE
    sides, visible = boxes.xywh[:, 2:].min(1), boxes.visible_wh.min(1)
    holds = (
        sides <= 0,
        sides < MIN_SIDE,
        visible <= 0,
        is_outside & (visible < MIN_SIDE),
        is_outside,
    )
    return np.select(holds, range(1, len(holds) + 1), 0)


def check_boxes(file: CocoFile) -> Iterator[Problem]:
    """Find empty and thin boxes and such that are not inside their image.

    If the file seems to hold corners, that is the only problem.
    """
    boxes = Boxes.of(file)
    if are_corners(boxes):
        yield corners_problem(file, boxes)
        return
    kinds = box_problems(boxes)
    for row in np.flatnonzero(kinds):
        yield box_problem(file, boxes, row, list(BOX_PROBLEMS)[kinds[row] - 1])


def are_corners(boxes: Boxes) -> bool:
    """Judge whether bboxes are xyxy, by those whose image is known."""
    is_known = ~np.isnan(boxes.sizes_wh[:, 0])
    num_outside = (boxes.overshoot > TOLERANCE).sum()
    num_inside = boxes.inside_as_corners.sum()
    return bool(
        num_outside >= max(FEWEST_OUTSIDE, PART_OUTSIDE * is_known.sum())
        and num_inside >= PART_INSIDE * is_known.sum()
    )


def corners_problem(file: CocoFile, boxes: Boxes) -> Problem:
    """Make the problem of a file whose bboxes seem to be xyxy."""
    return file.problem_of_all(
        'bboxes are corners',
        f'bboxes seem to be [x1, y1, x2, y2]: of {len(boxes.indices)}, '
        f'{(boxes.overshoot > TOLERANCE).sum()} reach outside their image as '
        f'[x, y, w, h], and {boxes.inside_as_corners.sum()} lie inside it as '
        'corners',
        'subtract x1 from x2 and y1 from y2, then check again',
    )


def box_problem(file: CocoFile, boxes: Boxes, row: int, kind: str) -> Problem:
    """Make the problem of one box."""
    index = int(boxes.indices[row])
    columns = file.annotations.columns
    width, height = boxes.sizes_wh[row]
    what, advice = BOX_PROBLEMS[kind]
    image = f'image {columns["image_id"][index]} ({width:.0f}x{height:.0f})'
    what = f'bbox {columns["bbox"][index]} {what.format(image=image)}'
    return file.problem(kind, file.annotations, index, what, advice)
