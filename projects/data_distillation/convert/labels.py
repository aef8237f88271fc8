"""Labeled images between COCO and other formats."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..coco.boxes import MIN_SIDE, TOLERANCE
from ..coco.reading import Categories, read_convertible
from ..coco.schema import find_repeated, is_number


class FormatError(ValueError):
    """A data set that cannot be converted; the message says what to mend."""


class LabelError(ValueError):
    """A label file that is broken; the message is the reason, in a line."""


@dataclass(frozen=True)
class Box:
    """A labeled box.

    Args:
        name: Of its class.
        xywh: Left, top, width, height in pixels.
        is_crowd: Whether it is a region to leave out, not an object.
        score: Of a pseudo label; None if there is none.
    """

    name: str
    xywh: Sequence[float]
    is_crowd: bool = False
    score: float | None = None


@dataclass(frozen=True)
class LabeledImage:
    """An image and what is known about it.

    Args:
        file_name: Relative to the image folder, with `/`.
        size_wh: As it is decoded for training.
        boxes: None if there is no label file.
    """

    file_name: str
    size_wh: tuple[int, int]
    boxes: list[Box] | None


@dataclass
class Report:
    """What did not pass as it was, counted by kind."""

    counts: Counter = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, where: object) -> None:
        """Count one more case."""
        self.counts[kind] += 1
        self.first.setdefault(kind, str(where))

    def lines(self) -> list[str]:
        """Write it down: a line for each kind, with its first case."""
        return [
            f'{count:,} {kind} (first: {self.first[kind]})'
            for kind, count in self.counts.items()
        ]


def fit(
    boxes: Iterable[Box],
    size_wh: tuple[int, int],
    file_name: str,
    report: Report,
) -> Iterator[Box]:
    """Clip boxes to their image, and leave out those that are not in it.

    Args:
        boxes: Of one image.
        size_wh: The image's.
        file_name: The image's.
        report: Is told of boxes that reach more than `TOLERANCE` pixels
            outside, and of those thinner than `MIN_SIDE` pixels inside, which
            CocoDataset would drop without a word.

    Yields:
        The boxes, rounded to 1/100 pixel.
    """
    for box in boxes:
        x, y, w, h = box.xywh
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, size_wh[0]), min(y + h, size_wh[1])
        xywh = rounded((left, top, right - left, bottom - top))
        if min(xywh[2:]) < MIN_SIDE:
            report.add(
                f'boxes left out: thinner than {MIN_SIDE:g} pixel inside of '
                'the image',
                f'{file_name}: {rounded(box.xywh)}',
            )
            continue
        if max(left - x, top - y, x + w - right, y + h - bottom) > TOLERANCE:
            report.add(
                'boxes clipped, that reached outside of the image',
                f'{file_name}: {rounded(box.xywh)}',
            )
        yield replace(box, xywh=xywh)


def rounded(values: Iterable[float]) -> list[float]:
    """Round to 1/100 pixel."""
    return [round(value, 2) for value in values]


def to_coco(
    images: Sequence[LabeledImage], classes: Sequence[str], report: Report
) -> dict:
    """Make a COCO object.

    Args:
        images: Those with boxes; ids count them from 1.
        classes: The categories, in this order; ids count from 1.
        report: Is told of boxes of other classes, which are left out.

    Returns:
        `images`, `annotations` (with `score`, where a box has one) and
        `categories`.

    Raises:
        FormatError: If a class is there twice.
    """
    if len(set(classes)) < len(classes):
        raise FormatError(f'a class is there twice: {list(classes)}')
    ids = {name: number for number, name in enumerate(classes, 1)}
    annotations: list[dict] = []
    for image_id, image in enumerate(images, 1):
        for box in image.boxes or ():
            if box.name not in ids:
                kind = f'boxes left out: {box.name!r} is none of the classes'
                report.add(kind, image.file_name)
                continue
            score = {} if box.score is None else dict(score=box.score)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=ids[box.name],
                    bbox=list(box.xywh),
                    area=round(box.xywh[2] * box.xywh[3], 2),
                    iscrowd=int(box.is_crowd),
                    **score,
                )
            )
    return dict(
        images=image_infos(images),
        annotations=annotations,
        categories=[dict(id=ids[name], name=name) for name in classes],
    )


def image_infos(images: Iterable[LabeledImage]) -> list[dict]:
    """List images as COCO does; ids count them from 1."""
    return [
        dict(
            id=number,
            file_name=image.file_name,
            width=image.size_wh[0],
            height=image.size_wh[1],
        )
        for number, image in enumerate(images, 1)
    ]


def stem_of(file_name: str) -> str:
    """Return a name without its suffix, with the folders."""
    return posixpath.splitext(file_name)[0]


def read_labels(
    path: Path, folder: Path, report: Report
) -> tuple[list[LabeledImage], Categories]:
    """Read a COCO file that is to be written in another format.

    Args:
        path: The file; `annotations` may be missing.
        folder: Of the images, which must all be there.
        report: Is told of boxes that do not fit, see `fit`, that are not
            finite, and of images that the file does not have.

    Returns:
        The images, and the categories, in the file's order.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If an entry is broken.
        FormatError: If a label file would be that of two images, a name
            cannot be written, or an image is missing.
    """
    coco = dict(annotations=[]) | read_convertible(path)
    check_writable(coco, folder, path)
    boxes = boxes_by_image(coco, report)
    images = []
    for image in coco['images']:
        size_wh = int(image['width']), int(image['height'])
        name = posixpath.normpath(image['file_name'])
        fitting = fit(boxes[image['id']], size_wh, name, report)
        images.append(LabeledImage(name, size_wh, list(fitting)))
    return images, coco['categories']


def boxes_by_image(coco: dict, report: Report) -> dict[int, list[Box]]:
    """Collect the boxes of each image of a COCO object.

    Args:
        coco: Of which images, annotations and categories were checked.
        report: Is told of boxes that are not finite or of no image.

    Returns:
        Image id -> boxes, in the file's order.
    """
    names = {c['id']: c['name'] for c in coco['categories']}
    boxes: dict[int, list[Box]] = {i['id']: [] for i in coco['images']}
    for index, annotation in enumerate(coco['annotations']):
        where = f'annotations[{index}]'
        if annotation['image_id'] not in boxes:
            report.add('boxes left out: of no image of the file', where)
        elif not all(map(is_number, annotation['bbox'])):
            report.add('boxes left out: not finite', where)
        else:
            score = annotation.get('score')
            if score is not None and not is_number(score):
                report.add('scores left out: not a number', where)
                score = None
            box = Box(
                names[annotation['category_id']],
                annotation['bbox'],
                bool(annotation.get('iscrowd', 0)),
                score,
            )
            boxes[annotation['image_id']].append(box)
    return boxes


# Not in XML, or the end of a line in lists of names.
UNWRITABLE = re.compile('[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]')


def check_writable(coco: dict, folder: Path, source: Path) -> None:
    """Check that each image and class can have a place of its own.

    Raises:
        FormatError: If a label file would be that of two images, a name is
            there twice or cannot be written, or an image is missing.
    """
    classes = [category['name'] for category in coco['categories']]
    files = [posixpath.normpath(i['file_name']) for i in coco['images']]
    for name in (*classes, *files):
        if UNWRITABLE.search(name) or name != name.strip():
            raise FormatError(
                f'{source}: the name {name!r} has control characters or '
                'spaces around it, which lists of names cannot hold: rename it'
            )
    for kind, keys in (
        ('category names', classes),
        ('image names without suffix', [stem_of(file) for file in files]),
    ):
        twice = find_repeated(keys)
        if twice:
            raise FormatError(
                f'{source}: {len(twice)} {kind} are there more than once, the '
                f'first is {twice[0]!r}: rename, so that each has labels of '
                'its own'
            )
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise FormatError(
            f'{len(missing)} of {len(files)} images of {source} are not in '
            f'{folder}, the first is {missing[0]}: correct --images'
        )
