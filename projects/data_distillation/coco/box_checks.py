"""Checks of the boxes of a COCO file."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..text import format_value
from .boxes import MIN_SIDE, TOLERANCE
from .problems import Problem
from .schema import is_number
from .tables import CocoFile

# Bboxes are taken for corners if at least this number of them, and this share,
# reach outside their image as [x, y, w, h], and nearly all lie inside it as
# corners. About 3 in 4 corners reach outside if they are placed at random; a
# few boxes are broken in any file. Right boxes hardly ever do both: each would
# have to be longer than its distance from the left and from the top.
FEWEST_OUTSIDE, SHARE_OUTSIDE = 5, 0.1
SHARE_INSIDE = 0.99


def check_areas(file: CocoFile) -> Iterator[Problem]:
    """Find areas that are not positive although the box is not empty."""
    annotations = file.annotations
    areas, bboxes = annotations.column('area'), annotations.column('bbox')
    for index, (area, bbox) in enumerate(zip(areas, bboxes, strict=True)):
        if area is not None and area <= 0 and bbox and min(bbox[2:]) > 0:
            yield file.make_problem(
                'area not positive',
                annotations,
                index,
                f'area {area} is not positive, so CocoDataset drops the box',
                'write w * h',
                is_fixable=True,
            )


def check_ignored(file: CocoFile) -> Iterator[Problem]:
    """Find annotations that CocoDataset leaves out because of `ignore`."""
    for index, value in enumerate(file.annotations.values('ignore')):
        if value:
            yield file.make_problem(
                'ignore',
                file.annotations,
                index,
                f'`ignore` is {format_value(value)}, so CocoDataset drops the '
                'box',
                'remove `ignore`; if the box is a region to leave out, write '
                'iscrowd 1',
            )


def check_finite(file: CocoFile) -> Iterator[Problem]:
    """Find bboxes with NaN, infinity or a number beyond `LARGEST`."""
    for index, bbox in enumerate(file.annotations.column('bbox')):
        if bbox is not None and not all(map(is_number, bbox)):
            yield file.make_problem(
                'bbox not finite',
                file.annotations,
                index,
                f'`bbox` must be finite, got {format_value(bbox)}',
                'remove the annotation',
                is_fixable=True,
            )


@dataclass(frozen=True)
class Boxes:
    """The boxes of a file that are four finite numbers.

    Args:
        indices: Shape (n,), the indices of their annotations, ascending.
        xywh: Shape (n, 4), float64, pixels.
        sizes_wh: Shape (n, 2), width and height of each box's image, pixels;
            NaN if the image is not known, so that no comparison holds.
    """

    indices: np.ndarray
    xywh: np.ndarray
    sizes_wh: np.ndarray

    @classmethod
    def of(cls, file: CocoFile) -> 'Boxes':
        """Collect the boxes of a file."""
        bboxes = file.annotations.column('bbox')
        image_ids = file.annotations.column('image_id')
        sizes_wh, unknown = map_image_sizes(file), (np.nan, np.nan)
        indices = [
            index
            for index, bbox in enumerate(bboxes)
            if bbox is not None and all(map(is_number, bbox))
        ]
        xywh = [bboxes[i] for i in indices]
        sizes = [sizes_wh.get(image_ids[i], unknown) for i in indices]
        return cls(
            np.array(indices, np.int64),
            np.array(xywh, np.float64).reshape(-1, 4),
            np.array(sizes, np.float64).reshape(-1, 2),
        )

    @property
    def overshoot(self) -> np.ndarray:
        """How far each box reaches outside its image; shape (n,), pixels.

        It is negative for a box that lies inside.
        """
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.maximum(-self.xywh[:, :2], ends - self.sizes_wh).max(1)

    @property
    def visible_wh(self) -> np.ndarray:
        """Width and height of each box's part inside the image; (n, 2)."""
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.minimum(ends, self.sizes_wh) - self.xywh[:, :2].clip(0)

    @property
    def is_inside_as_corners(self) -> np.ndarray:
        """Whether each, read as xyxy, is a box in its image; (n,), bool."""
        start, end = self.xywh[:, :2], self.xywh[:, 2:]
        inside = (start >= -TOLERANCE) & (end <= self.sizes_wh + TOLERANCE)
        return np.all(inside & (end > start), axis=1)


def map_image_sizes(file: CocoFile) -> dict[int, tuple[float, float]]:
    """Return image id -> width and height, where both follow their rules."""
    columns = map(file.images.column, ('id', 'width', 'height'))
    rows = zip(*columns, strict=True)
    return {row[0]: row[1:] for row in rows if None not in row}


# Kind -> what is wrong and what to do. The problem of a box is the first kind
# that holds for it.
BOX_PROBLEMS = {
    'bbox empty': ('is empty', 'remove the annotation'),
    'bbox thin': (
        'is thinner than 1 pixel, so CocoDataset drops it',
        'remove the annotation',
    ),
    'bbox away': ('lies outside {image}', 'remove the annotation'),
    'bbox nearly away': (
        'has less than 1 pixel inside {image}',
        'remove the annotation',
    ),
    'bbox outside': ('reaches outside {image}', 'clip it'),
}


def judge_boxes(boxes: Boxes) -> np.ndarray:
    """Find the kind of problem of every box.

    Args:
        boxes: The boxes, as [x, y, w, h].

    Returns:
        Shape (n,), int: the number of the kind in `BOX_PROBLEMS`, counted from
        1; 0 for a box that is right.
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
    """Find boxes that are empty, thin, or not inside their image.

    If the file seems to hold corners, that is the only problem.
    """
    boxes = Boxes.of(file)
    if are_corners(boxes):
        yield make_corners_problem(file, boxes)
        return
    kinds = judge_boxes(boxes)
    for row in np.flatnonzero(kinds):
        kind = list(BOX_PROBLEMS)[kinds[row] - 1]
        yield make_box_problem(file, boxes, row, kind)


def are_corners(boxes: Boxes) -> bool:
    """Return whether bboxes seem to be xyxy; those of known images decide."""
    is_known = ~np.isnan(boxes.sizes_wh[:, 0])
    num_outside = (boxes.overshoot > TOLERANCE).sum()
    num_inside = boxes.is_inside_as_corners.sum()
    return bool(
        num_outside >= max(FEWEST_OUTSIDE, SHARE_OUTSIDE * is_known.sum())
        and num_inside >= SHARE_INSIDE * is_known.sum()
    )


def make_corners_problem(file: CocoFile, boxes: Boxes) -> Problem:
    """Make the problem of a file whose bboxes seem to be xyxy."""
    return file.make_file_problem(
        'bboxes are corners',
        f'bboxes seem to be [x1, y1, x2, y2]: of {len(boxes.indices)}, '
        f'{(boxes.overshoot > TOLERANCE).sum()} reach outside their image as '
        f'[x, y, w, h], and {boxes.is_inside_as_corners.sum()} lie inside it '
        'as corners',
        'subtract x1 from x2 and y1 from y2, then check again',
    )


def make_box_problem(
    file: CocoFile, boxes: Boxes, row: int, kind: str
) -> Problem:
    """Make the problem of one box.

    Args:
        file: The file.
        boxes: Its boxes.
        row: The row of the box in `boxes`.
        kind: A key of `BOX_PROBLEMS`.
    """
    annotations, index = file.annotations, int(boxes.indices[row])
    width, height = boxes.sizes_wh[row]
    what, advice = BOX_PROBLEMS[kind]
    image_id = annotations.column('image_id')[index]
    image = f'image {image_id} ({width:.0f}x{height:.0f})'
    bbox = annotations.column('bbox')[index]
    return file.make_problem(
        kind,
        annotations,
        index,
        f'bbox {bbox} {what.format(image=image)}',
        advice,
        is_fixable=True,
    )
