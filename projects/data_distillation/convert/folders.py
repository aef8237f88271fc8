"""What Pascal VOC and YOLO folders have in common when they are converted.

A reader yields images with boxes, a writer takes them; both say in a report
what does not pass.
"""

import posixpath
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from ..annotation.dataset import IMAGE_SUFFIXES, walk_files
from ..coco.checks import TOLERANCE
from ..coco.reading import (
    MIN_SIDE,
    Categories,
    check_category_ids,
    check_entries,
    name_error,
    read_coco,
    repeated,
)
from ..coco.schema import is_number
from ..files.images import (
    FORMATS,
    ImageError,
    check_kind,
    decode,
    one_line,
    read_image_file,
)

EXIF_ORIENTATION = 274
# From here on EXIF swaps width and height.
FIRST_SIDEWAYS = 5


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


def size_of(path: Path) -> tuple[int, int]:
    """Read the width and height that an image has when it is decoded.

    Only the header is read, unless EXIF says that the image lies on its side:
    OpenCV turns some formats and not others.

    Raises:
        ImageError: If it cannot be read.
    """
    try:
        check_kind(path.stat())
        with Image.open(path, formats=FORMATS) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION)
            size = image.size
    except ImageError:
        raise
    # Whatever a broken file makes Pillow raise.
    except Exception as error:
        raise ImageError(f'cannot be read: {one_line(error)}') from None
    if orientation in range(FIRST_SIDEWAYS, 9):
        height, width = decode(read_image_file(str(path))).shape[:2]
        return width, height
    return size


def labeled_image(
    folder: Path,
    file_name: str,
    read_boxes: Callable[[tuple[int, int]], list[Box] | None],
    report: Report,
) -> LabeledImage | None:
    """Read an image's size and boxes.

    An image whose label file is broken is left out as a whole: the objects
    that could not be read would be background.

    Args:
        folder: The image folder.
        file_name: Relative to it.
        read_boxes: Reads the boxes of an image of this width and height.
        report: Is told why the image is left out, and of boxes that do not
            fit: see `fit`.

    Returns:
        The image; None if it is left out.
    """
    error = name_error(file_name)
    if error:
        report.add(f'images left out: the name {error}', repr(file_name))
        return None
    try:
        size_wh = size_of(folder / file_name)
        boxes = read_boxes(size_wh)
    except ImageError as error:
        report.add('images left out: not usable', f'{file_name}: {error}')
        return None
    except LabelError as error:
        report.add('images left out: broken labels', error)
        return None
    if boxes is not None:
        boxes = list(fit(boxes, size_wh, file_name, report))
    return LabeledImage(file_name, size_wh, boxes)


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


class Reader(Protocol):
    """What reads a folder.

    Args:
        folder: That file names are relative to.
        report: What did not pass.
        missing: What to report of an image without a label file.
        is_background: Whether it is an image without objects; else it is
            left out.
    """

    image_folder: Path
    report: Report
    missing: str
    is_background: bool

    def images(self) -> Iterator[LabeledImage]:
        """Yield the images, without boxes if there is no label file."""

    def classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """Return the names of the classes, in order, given the images."""


def read_images(
    reader: Reader, apart: bool
) -> tuple[list[LabeledImage], list[LabeledImage]]:
    """Read a folder.

    Args:
        reader: Of the folder.
        apart: Whether images without a label file are to be listed apart.

    Returns:
        The images with boxes, and those without a label file if they are
        listed apart.

    Raises:
        FormatError: If there is no image with a label file.
    """
    images = list(reader.images())
    unlabeled = [image for image in images if image.boxes is None]
    if len(unlabeled) == len(images):
        raise FormatError(
            f'none of {len(images)} images in {reader.image_folder} has a '
            'label file that can be used'
        )
    if apart:
        return [i for i in images if i.boxes is not None], unlabeled
    for image in unlabeled:
        reader.report.add(reader.missing, image.file_name)
    if reader.is_background:
        images = [replace(image, boxes=image.boxes or []) for image in images]
    return [image for image in images if image.boxes is not None], []


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
    annotations = []
    for image_id, image in enumerate(images, 1):
        for box in image.boxes:
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


def image_names(folder: Path) -> list[str]:
    """List the images in a folder, at any depth, by name."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in walk_files(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES
    )


def lines_of(file: Path) -> list[str]:
    """Read the lines of a list of names, without spaces around them.

    Raises:
        FormatError: If it is not in UTF-8.
    """
    try:
        lines = file.read_text('utf-8-sig').split('\n')
    except UnicodeDecodeError as error:
        raise FormatError(f'{file} is not in UTF-8: {error}') from None
    return [line.strip() for line in lines if line.strip()]


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
    coco = read_coco(path, 'images', 'categories')
    coco.setdefault('annotations', [])
    check_entries(coco, path, 'images', ('width', 'height'))
    keys = ('image_id', 'category_id', 'bbox')
    check_entries(coco, path, 'annotations', keys)
    check_category_ids(coco, path)
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
        twice = repeated(keys)
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


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that takes its place when all is written.

    Args:
        path: Where it will be: nothing, or an empty folder.

    Yields:
        The folder to fill. If that fails, nothing is left of it.

    Raises:
        FormatError: If something is there.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FormatError(f'{path} exists already: delete it, or take another')
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines), 'utf-8')


def link_image(source: Path, path: Path) -> None:
    """Make a link to an image; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(source.resolve())
