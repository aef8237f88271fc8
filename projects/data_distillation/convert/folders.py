"""What Pascal VOC and YOLO folders have in common when they are converted.

A reader yields images with boxes, a writer takes them; both say in a report
what does not pass.
"""

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Protocol

from PIL import Image

from ..coco.schema import find_name_error
from ..files.images import (
    FORMATS,
    IMAGE_SUFFIXES,
    ImageError,
    check_kind,
    decode,
    read_image_file,
    walk_files,
)
from ..text import format_error
from .labels import Box, FormatError, LabeledImage, LabelError, Report, fit

EXIF_ORIENTATION = 274


# From here on EXIF swaps width and height.
FIRST_SIDEWAYS = 5


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
        raise ImageError(f'cannot be read: {format_error(error)}') from None
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
    error = find_name_error(file_name)
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


class Reader(Protocol):
    """What reads a folder.

    Args:
        folder: That file names are relative to.
        report: What did not pass.
        missing: What to report of an image without a label file.
        is_background: Whether it is an image without objects; else it is
            left out.
    """

    missing: ClassVar[str]
    is_background: ClassVar[bool]

    @property
    def image_folder(self) -> Path:
        """The folder that file names are relative to."""

    @property
    def report(self) -> Report:
        """What did not pass."""

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
