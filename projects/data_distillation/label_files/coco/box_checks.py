"""Checks of the boxes of a COCO file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...arguments import is_number
from ...text import format_value
from .box_formats import LAYOUTS, UNITS, BoxFormat
from .problems import Problem
from .schema import MIN_SIDE, TOLERANCE
from .tables import CocoFile

# Bboxes are taken for boxes of another format if at least this number of them,
# and this share, reach outside their image as [x, y, w, h], and nearly all lie
# inside it in the other format. About 3 in 4 corners reach outside if they are
# placed at random; a few boxes are broken in any file. Right boxes hardly ever
# do both: each would have to be longer than its distance from the left and
# from the top.
ANOTHER_FORMAT = 'bboxes of another format'
FEWEST_OUTSIDE, SHARE_OUTSIDE = 5, 0.1
# Not all: some boxes of any file are broken in any format.
SHARE_INSIDE = 0.99
# Numbers are taken for percent, or for thousandths, if the largest of at least
# this number of boxes end at 100 (or 1000) both to the right and below, though
# all images are larger: objects at the borders of the images end there.
FEWEST_IN_UNIT = 20
# Such boxes end a little before the border or, by rounding, past it.
ENDS_AT = (0.97, 1.005)
# In an image of about 100 pixels, boxes end at 100 pixels too.
LARGER_BY = 1.1


def check_finite(file: CocoFile) -> Iterator[Problem]:
    """Find bboxes with NaN, infinity or a number beyond `LARGEST`.

    Args:
        file: The file.

    Yields:
        A problem for each, in the file's order.
    """
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
class FileBoxes:
    """The boxes of a file that are four finite numbers.

    Args:
        indices: Shape (n,), the indices of their annotations, ascending.
        xywh: Shape (n, 4), float64, the numbers in the file: xywh in pixels of
            the image, if they are as COCO has them.
        sizes_wh: Shape (n, 2), float64, width and height of each box's image
            in the file, pixels; NaN if they are not known, so that no
            comparison holds.
    """

    indices: np.ndarray
    xywh: np.ndarray
    sizes_wh: np.ndarray

    @classmethod
    def of(cls, file: CocoFile) -> 'FileBoxes':
        """Collect the boxes of a file that have four finite numbers.

        Args:
            file: The file.

        Returns:
            The boxes in the file's order; NaN for sizes that are not known.
        """
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
            np.array(xywh, np.float64).reshape(-1, 4),  # (0, 4) without boxes.
            np.array(sizes, np.float64).reshape(-1, 2),
        )

    def take(self, rows: np.ndarray) -> 'FileBoxes':
        """Choose some of the boxes.

        Args:
            rows: Their rows, shape (m,), int; or whether to take each, shape
                (n,), bool.

        Returns:
            The boxes, in the order of `rows` if these are numbers.
        """
        return FileBoxes(
            self.indices[rows], self.xywh[rows], self.sizes_wh[rows]
        )

    def of_sizes(self, sizes_wh: Sequence[tuple[int, int]]) -> 'FileBoxes':
        """Put the same boxes into images of other sizes.

        Args:
            sizes_wh: Width and height of each of the n boxes' image, pixels.

        Returns:
            New boxes; the numbers are the same.
        """
        return FileBoxes(
            self.indices, self.xywh, np.array(sizes_wh, np.float64)
        )

    @property
    def overshoot(self) -> np.ndarray:
        """How far each box reaches outside its image; shape (n,), pixels.

        It is 0 or less for a box inside, and NaN for one of unknown size.
        """
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.maximum(-self.xywh[:, :2], ends - self.sizes_wh).max(1)

    @property
    def visible_wh(self) -> np.ndarray:
        """Width and height of each box's part inside its image, pixels.

        Shape (n, 2); 0 or less if nothing is inside, NaN without a size.
        """
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.minimum(ends, self.sizes_wh) - self.xywh[:, :2].clip(0)

    def share_inside(self, box_format: BoxFormat) -> float:
        """Compute the share that, in a format, are boxes inside their image.

        A box inside has a width and height above 0, and reaches at most
        `TOLERANCE` pixels outside. One of an unknown image is not inside.

        Args:
            box_format: What the four numbers are taken for.

        Returns:
            From 0 to 1; NaN if there is no box.
        """
        xywh = box_format.to_xywh(self.xywh, self.sizes_wh)
        start, sides = xywh[:, :2], xywh[:, 2:]
        inside = (start >= -TOLERANCE) & (
            start + sides <= self.sizes_wh + TOLERANCE
        )
        return float(np.all(inside & (sides > 0), axis=1).mean())


def map_image_sizes(file: CocoFile) -> dict[int, tuple[float, float]]:
    """Map the id of each image to its size, where both follow their rules.

    Args:
        file: The file.

    Returns:
        Image id -> width and height in pixels; of equal ids, the last one.
    """
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


def judge_boxes(boxes: FileBoxes) -> np.ndarray:
    """Find the kind of problem of every box.

    Args:
        boxes: The boxes, as [x, y, w, h].

    Returns:
        Shape (n,), int: the number of the kind in `BOX_PROBLEMS`, counted from
        1; 0 for a box that is right. One of unknown size is never outside.
    """
    is_outside = boxes.overshoot > TOLERANCE  # False for NaN.
    sides, visible = boxes.xywh[:, 2:].min(1), boxes.visible_wh.min(1)
    holds = (
        sides <= 0,
        sides < MIN_SIDE,
        visible <= 0,
        is_outside & (visible < MIN_SIDE),
        is_outside,
    )
    return np.select(holds, range(1, len(holds) + 1), 0)  # First that holds.


def check_boxes(file: CocoFile) -> Iterator[Problem]:
    """Find boxes that are empty, thin, or not inside their image.

    If the boxes of the file seem to be in another format, that is the only
    problem, unless the user has said what they are.

    Args:
        file: The file.

    Yields:
        One problem for each, the first in `BOX_PROBLEMS`, in the file's order.
    """
    boxes = FileBoxes.of(file)
    formats = [] if file.has_known_boxes else recognize_formats(boxes)
    if formats:
        yield make_format_problem(file, boxes, formats)
        return
    kinds = judge_boxes(boxes)
    for row in np.flatnonzero(kinds):
        kind = list(BOX_PROBLEMS)[kinds[row] - 1]
        yield make_box_problem(file, boxes, row, kind)


def recognize_formats(boxes: FileBoxes) -> list[BoxFormat]:
    """Find the formats in which the boxes of a file may be.

    The boxes are judged together, and only those of known images.

    Args:
        boxes: The boxes of a file.

    Returns:
        The formats, the likeliest first; empty if the boxes seem to be those
        of COCO, or if no format makes sense of them.
    """
    known = boxes.take(~np.isnan(boxes.sizes_wh[:, 0]))
    if not len(known.indices):
        return []
    # Boxes of one pixel are parts of 1 too.
    is_thin = known.xywh[:, 2:].min(1) < MIN_SIDE
    if has_parts(known, 1) and is_thin.mean() > 0.5:
        return find_fitting(known, ['fraction'])
    for unit in ('percent', 'thousandth'):
        formats = [
            found
            for found in find_fitting(known, [unit])
            if ends_at_unit(known, found) and are_larger(known, found)
        ]
        if formats:
            return formats
    num_outside = (known.overshoot > TOLERANCE).sum()
    share = SHARE_OUTSIDE * len(known.indices)
    if num_outside < max(FEWEST_OUTSIDE, share):
        return []
    return find_fitting(known, ['pixel']) or [
        found
        for found in find_fitting(known, ['percent', 'thousandth'])
        if ends_at_unit(known, found)
    ]


def has_parts(boxes: FileBoxes, whole: float) -> bool:
    """Return whether nearly all numbers of boxes are parts of a whole.

    Args:
        boxes: The boxes, at least one.
        whole: The number that stands for the whole side, such as 1 or 100.

    Returns:
        Whether, of at least the share `SHARE_INSIDE`, all four numbers are
        from 0 to `whole`, give or take 1/200.
    """
    slack = (ENDS_AT[1] - 1) * whole
    parts = (boxes.xywh >= -slack) & (boxes.xywh <= whole + slack)  # (n, 4)
    return bool(parts.all(axis=1).mean() >= SHARE_INSIDE)


def find_fitting(boxes: FileBoxes, units: Iterable[str]) -> list[BoxFormat]:
    """Find the formats, except COCO's, in which nearly all boxes fit.

    Args:
        boxes: The boxes, at least one.
        units: The units to try, keys of `UNITS`.

    Returns:
        The formats, unit by unit and in the order of `LAYOUTS`.
    """
    formats = [BoxFormat(layout, u) for u in units for layout in LAYOUTS]
    return [
        one
        for one in formats
        if one != BoxFormat() and boxes.share_inside(one) >= SHARE_INSIDE
    ]


def ends_at_unit(boxes: FileBoxes, box_format: BoxFormat) -> bool:
    """Return whether the largest boxes end at 100 (say) on both sides.

    Args:
        boxes: The boxes, at least one.
        box_format: The format, whose unit is a part of the side.

    Returns:
        Whether the largest right end and the largest lower end are both within
        `ENDS_AT` of the whole; False for less than `FEWEST_IN_UNIT` boxes.
    """
    whole = UNITS[box_format.unit]
    xywh = box_format.arrange(boxes.xywh)
    ends = (xywh[:, :2] + xywh[:, 2:]).max(0) / whole  # (2,)
    return bool(
        len(xywh) >= FEWEST_IN_UNIT
        and np.all((ends >= ENDS_AT[0]) & (ends <= ENDS_AT[1]))
    )


def are_larger(boxes: FileBoxes, box_format: BoxFormat) -> bool:
    """Return whether all images are larger than 100 (say) on both sides.

    Args:
        boxes: The boxes, at least one, with the sizes of their images.
        box_format: The format, whose unit is a part of the side.

    Returns:
        Whether each side is at least `LARGER_BY` times as long.
    """
    smallest = boxes.sizes_wh.min()
    return bool(smallest >= LARGER_BY * UNITS[box_format.unit])


def make_format_problem(
    file: CocoFile, boxes: FileBoxes, formats: Sequence[BoxFormat]
) -> Problem:
    """Make the problem of a file whose bboxes seem to be of another format.

    Args:
        file: The file.
        boxes: The boxes of the file.
        formats: The formats in which they fit, at least one; the first one is
            advised.

    Returns:
        A problem of the whole file.
    """
    num_outside = (boxes.overshoot > TOLERANCE).sum()
    advice = f'--fix with {formats[0].options} converts them'
    if len(formats) > 1:
        advice = f'look at some: {advice}, if they are the first'
    return file.make_file_problem(
        ANOTHER_FORMAT,
        f'bboxes seem to be {" or ".join(map(str, formats))}: of '
        f'{len(boxes.indices)}, {num_outside} reach outside their image as '
        f'[x, y, w, h] in pixels, and nearly all fit as what they seem to be',
        f'{advice}; if they are in pixels, give {BoxFormat().options}',
    )


def make_box_problem(
    file: CocoFile, boxes: FileBoxes, row: int, kind: str
) -> Problem:
    """Make the problem of one box.

    Args:
        file: The file.
        boxes: The boxes of the file.
        row: The row of the box in `boxes`.
        kind: A key of `BOX_PROBLEMS`.

    Returns:
        A problem of the annotation that has the box.
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
