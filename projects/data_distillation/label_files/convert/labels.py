"""Labeled images between COCO and other formats."""

import math
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..coco.schema import MIN_SIDE, TOLERANCE
from ..segmentations.polygons import measure_area

# What is counted, and how one of it is called.
SINGULAR = dict(
    boxes='box',
    files='file',
    images='image',
    lines='line',
    lists='list',
    masks='mask',
    names='name',
    objects='object',
    polygons='polygon',
    scores='score',
)


class FormatError(ValueError):
    """A dataset cannot be converted; the message says what to correct."""


class LabelError(ValueError):
    """A label file is broken; the message is the reason, in one line."""


def parse_finite(text: str) -> float | None:
    """Read a text as a number.

    Args:
        text: The text, as `float` takes it: spaces around it do not matter.

    Returns:
        The number; None if it is none, or not finite.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    # `float` takes "nan" and "inf", too.
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Box:
    """A labeled box.

    Args:
        name: The name of its class.
        xywh: Left, top, width and height in pixels of the image.
        is_crowd: Whether it is a region to ignore and not an object.
        score: The score of a pseudo label; None if the box has none.
        polygon: The outline of the object, x1, y1, x2, y2, ... in pixels of
            the image and inside it, with at least one pixel; None if only the
            box is known.
    """

    name: str
    xywh: Sequence[float]
    is_crowd: bool = False
    score: float | None = None
    polygon: Sequence[float] | None = None


@dataclass(frozen=True)
class LabeledImage:
    """An image and its labels.

    Args:
        file_name: The file name relative to the image folder, with `/`.
        size_wh: Width and height in pixels: as it is decoded for training, or
            as the COCO file says that it was read from.
        boxes: The boxes, in the order of their file; None if there is no label
            file, and empty if it says that there is no object.
    """

    file_name: str
    size_wh: tuple[int, int]
    boxes: list[Box] | None


@dataclass
class IssueCounter:
    """Counts what was left out or changed in a conversion, by kind.

    Attributes:
        counts: Kind -> the number of cases.
        first: Kind -> where the first case is.
    """

    counts: Counter = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, where: object) -> None:
        """Count one more case.

        Args:
            kind: What happened, in words that follow the number of cases,
                with a plural of `SINGULAR`.
            where: Where it happened; the text of the first one is kept.
        """
        self.counts[kind] += 1
        self.first.setdefault(kind, str(where))

    def format_lines(self) -> list[str]:
        """Format one line for each kind, with its number and first case.

        Returns:
            The lines, in the order in which the kinds came up; empty without
            any.
        """
        return [
            f'{count:,} {kind if count > 1 else make_singular(kind)} (first: '
            f'{self.first[kind]})'
            for kind, count in self.counts.items()
        ]


def make_singular(text: str) -> str:
    """Put the first plural of a text into the singular.

    Args:
        text: The text; only the plurals of `SINGULAR` are known, in lower
            case, also with a colon behind.

    Returns:
        The text; it is unchanged if no plural is in it.
    """
    for word in text.split():
        if one := SINGULAR.get(word.rstrip(':')):
            return text.replace(word.rstrip(':'), one, 1)
    return text


def fit_to_image(
    boxes: Iterable[Box],
    size_wh: tuple[int, int],
    file_name: str,
    issues: IssueCounter,
) -> Iterator[Box]:
    """Clip boxes to their image, and leave out those that are not in it.

    Args:
        boxes: The boxes of one image, of finite numbers.
        size_wh: The width and height of the image, pixels.
        file_name: The file name of the image, for the messages.
        issues: Counts the boxes thinner than `MIN_SIDE` pixels inside, which
            are left out, because CocoDataset would drop them without a
            message, and the others that reach more than `TOLERANCE` pixels
            outside.

    Yields:
        The boxes, xywh clipped to the image and rounded to 1/100 pixel, in the
        same order. Polygons stay as they are.
    """
    for box in boxes:
        x, y, w, h = box.xywh
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, size_wh[0]), min(y + h, size_wh[1])
        # Of a box outside the image, a side is negative: too thin as well.
        xywh = round_to_hundredths((left, top, right - left, bottom - top))
        where = f'{file_name}: {round_to_hundredths(box.xywh)}'
        # CocoDataset would drop it without a word.
        if min(xywh[2:]) < MIN_SIDE:
            kind = f'boxes left out: thinner than {MIN_SIDE:g} pixel inside'
            issues.add(f'{kind} the image', where)
            continue
        if max(left - x, top - y, x + w - right, y + h - bottom) > TOLERANCE:
            issues.add('boxes clipped: they reached outside the image', where)
        yield replace(box, xywh=xywh)


def round_to_hundredths(values: Iterable[float]) -> list[float]:
    """Round numbers to 1/100.

    Args:
        values: The numbers.

    Returns:
        The rounded ones, in order.
    """
    return [round(value, 2) for value in values]


def make_coco(
    images: Sequence[LabeledImage],
    classes: Sequence[str],
    issues: IssueCounter,
) -> dict:
    """Make a COCO object.

    Args:
        images: The images. One whose `boxes` is None has no annotation.
        classes: The names of the categories, in the order of their ids.
        issues: Counts the boxes of other classes, which are left out.

    Returns:
        `images`, `annotations` (see `describe_box`) and `categories`, in
        order; any of them may be empty. All ids count from 1.

    Raises:
        FormatError: If a class occurs twice.
    """
    if len(set(classes)) < len(classes):
        raise FormatError(
            f'each class must occur once, got {list(classes)}: name each one '
            'once'
        )
    ids = {name: number for number, name in enumerate(classes, 1)}
    annotations: list[dict] = []
    for image_id, image in enumerate(images, 1):
        for box in image.boxes or ():
            if box.name in ids:
                number = len(annotations) + 1
                annotations.append(
                    dict(
                        id=number,
                        image_id=image_id,
                        category_id=ids[box.name],
                        **describe_box(box, image.size_wh),
                    )
                )
            else:
                kind = (
                    f'boxes left out: {box.name!r} is not one of the classes'
                )
                issues.add(kind, image.file_name)
    return dict(
        images=make_image_infos(images),
        annotations=annotations,
        categories=[dict(id=ids[name], name=name) for name in classes],
    )


def describe_box(box: Box, size_wh: tuple[int, int]) -> dict:
    """Describe a box as an annotation of COCO does, without ids.

    Args:
        box: The box, which is written as it is.
        size_wh: The width and height of its image, pixels.

    Returns:
        `bbox` (xywh in pixels), `area`, `iscrowd`, and `score` and
        `segmentation` if the box has them. The area is the number of pixels of
        the mask; without one it is w * h, rounded to 1/100.
    """
    described = dict(
        bbox=list(box.xywh),
        area=round(box.xywh[2] * box.xywh[3], 2),
        iscrowd=int(box.is_crowd),
    )
    if box.score is not None:
        described['score'] = box.score
    if box.polygon is not None:
        described['area'] = measure_area(box.polygon, size_wh)
        described['segmentation'] = [list(box.polygon)]
    return described


def make_image_infos(images: Iterable[LabeledImage]) -> list[dict]:
    """Make COCO's `images`.

    Args:
        images: The images.

    Returns:
        One entry for each, in order, with ids from 1.
    """
    return [
        dict(
            id=number,
            file_name=image.file_name,
            width=image.size_wh[0],
            height=image.size_wh[1],
        )
        for number, image in enumerate(images, 1)
    ]


def strip_suffix(file_name: str) -> str:
    """Remove the suffix of a file name, but not its folders.

    Args:
        file_name: The name, with `/`.

    Returns:
        The name without its last suffix; the name itself if it has none, as
        `.jpg` has none.
    """
    return posixpath.splitext(file_name)[0]
