"""Reading folders of labeled images, in whatever format the labels are.

A reader yields images with boxes, and counts what it leaves out or changes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from PIL import Image, UnidentifiedImageError

from ...files.decoding import (
    FORMATS,
    ImageError,
    check_kind,
    decode_image,
    read_image_file,
)
from ...text import format_error
from ..coco.schema import find_name_error
from .labels import (
    Box,
    FormatError,
    IssueCounter,
    LabeledImage,
    LabelError,
    fit_to_image,
)

# The number of EXIF's tag, and its values that swap width and height.
EXIF_ORIENTATION = 274
SIDEWAYS = range(5, 9)


def read_size(path: Path) -> tuple[int, int]:
    """Read the width and height that an image has when it is decoded.

    Only the header is read, so that broken data is not noticed, unless EXIF
    says that the image lies on its side: then it is decoded, because OpenCV
    rotates some formats and not others. So are formats that are not in
    `FORMATS`, such as PGM and JPEG 2000.

    Args:
        path: The path of the image file.

    Returns:
        Width and height in pixels.

    Raises:
        ImageError: If the file is missing, empty, no file or too large, or
            cannot be read.
    """
    try:
        check_kind(path.stat())
        with Image.open(path, formats=FORMATS) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION)
            size = image.size
    # The clauses below would catch it, too.
    except ImageError:
        raise
    except UnidentifiedImageError:
        return read_decoded_size(path)
    # A broken file may make Pillow raise anything.
    except Exception as error:
        raise ImageError(f'cannot be read: {format_error(error)}') from None
    # Not every format is turned when it is decoded.
    return read_decoded_size(path) if orientation in SIDEWAYS else size


def read_decoded_size(path: Path) -> tuple[int, int]:
    """Decode an image as annotation does, and return its size.

    Args:
        path: The path of the image file.

    Returns:
        Width and height in pixels.

    Raises:
        ImageError: If the file cannot be read or decoded.
    """
    height, width = decode_image(read_image_file(str(path))).shape[:2]
    return width, height


def read_labeled_image(
    folder: Path,
    file_name: str,
    read_boxes: Callable[[tuple[int, int]], list[Box] | None],
    issues: IssueCounter,
) -> LabeledImage | None:
    """Read the size and the boxes of an image.

    An image whose label file is broken is left out as a whole: its objects
    that could not be read would be background.

    Args:
        folder: The image folder.
        file_name: The file name of the image, relative to the folder.
        read_boxes: Takes the width and height of the image and returns its
            boxes, xywh in pixels; None if there is no label file. It raises
            `LabelError` if that is broken; other errors are passed on.
        issues: Counts the images that are left out, and the boxes that do not
            fit (see `fit_to_image`).

    Returns:
        The image, with its boxes clipped to it and rounded to 1/100 pixel;
        `boxes` is None without a label file. None if the image is left out,
        because its name must not be opened, its size cannot be read, or its
        labels are broken.
    """
    error = find_name_error(file_name)
    if error:
        issues.add(f'images left out: the name {error}', repr(file_name))
        return None
    try:
        size_wh = read_size(folder / file_name)
        boxes = read_boxes(size_wh)
    except ImageError as error:
        issues.add('images left out: not usable', f'{file_name}: {error}')
        return None
    except LabelError as error:
        issues.add('images left out: broken labels', error)
        return None
    if boxes is not None:
        boxes = list(fit_to_image(boxes, size_wh, file_name, issues))
    return LabeledImage(file_name, size_wh, boxes)


class Reader(Protocol):
    """Reads a folder of labeled images.

    Attributes:
        image_folder: The folder that file names are relative to.
        issues: Counts what is left out or changed.
        missing: The kind of issue that an image without a label file is.
        is_background: Whether such an image is one without objects; otherwise
            it is left out.
    """

    missing: ClassVar[str]
    is_background: ClassVar[bool]

    @property
    def image_folder(self) -> Path:
        """The folder that file names are relative to."""

    @property
    def issues(self) -> IssueCounter:
        """What is left out or changed."""

    def read_images(self) -> Iterator[LabeledImage]:
        """Read the images and their labels, one by one.

        Yields:
            Each image that can be used; its `boxes` is None without a label
            file.

        Raises:
            FormatError: If the folder is not one of this format.
            OSError: If a list cannot be read.
        """

    def list_classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """List the names of the classes.

        Args:
            images: All images, whose labels may be all that is known.

        Returns:
            The names, in the order in which categories count them.

        Raises:
            FormatError: If the list of the names cannot be used.
            OSError: If it cannot be read.
        """


def read_folder(
    reader: Reader, apart: bool
) -> tuple[list[LabeledImage], list[LabeledImage]]:
    """Read a folder of labeled images.

    Args:
        reader: The reader of the folder.
        apart: Whether images without a label file are to be returned apart.

    Returns:
        The images with boxes, and the images without a label file if they are
        to be apart, both in the order of the reader. Otherwise the second list
        is empty, and those images are counted: they have no boxes, or are left
        out, as `is_background` says.

    Raises:
        FormatError: If there is no image, none has a label file that can be
            used, or the reader raises it.
        OSError: If the reader raises it.
    """
    images = list(reader.read_images())
    unlabeled = [image for image in images if image.boxes is None]
    if len(unlabeled) == len(images):
        raise FormatError(
            f'none of {len(images)} images in {reader.image_folder} has a '
            'label file that can be used'
        )
    if apart:
        return [i for i in images if i.boxes is not None], unlabeled
    for image in unlabeled:
        reader.issues.add(reader.missing, image.file_name)
    if reader.is_background:
        images = [replace(image, boxes=image.boxes or []) for image in images]
    return [image for image in images if image.boxes is not None], []


def read_lines(file: Path) -> list[str]:
    """Read a list of names, one a line.

    Args:
        file: The path of the list.

    Returns:
        The lines as `read_all_lines` reads them, without empty ones.

    Raises:
        FormatError: If the file is not in UTF-8.
        OSError: If it cannot be read.
    """
    return [line for line in read_all_lines(file) if line]


def read_all_lines(file: Path) -> list[str]:
    """Read a list of which the numbers of the lines matter.

    Args:
        file: The path of the list.

    Returns:
        The lines, in order and without spaces around them, also empty ones;
        what occurs twice stays.

    Raises:
        FormatError: If the file is not in UTF-8.
        OSError: If it cannot be read.
    """
    try:
        # `splitlines` ends a line at other characters too.
        lines = file.read_text('utf-8-sig').split('\n')
    except UnicodeDecodeError as error:
        raise FormatError(
            f'{file} is not in UTF-8: {error}. Save it in UTF-8'
        ) from None
    return [line.strip() for line in lines]


def list_tails(name: str, fewest: int) -> list[str]:
    r"""Return what a path of another machine may be called here.

    Args:
        name: The path, with `/` or `\`.
        fewest: The least number of parts that is left of a longer path.

    Returns:
        The path without its first 0, 1, ... parts, with `/`, so that the
        longest is first. `.`, `..` and the root are no parts; without any
        part, there is one text, which is empty.
    """
    parts = PurePosixPath(name.replace('\\', '/')).parts
    # A root may be two slashes, of Windows' \\server\share.
    parts = tuple(p for p in parts if p.strip('/') not in ('..', ''))
    last = max(len(parts) - fewest, 0)
    return ['/'.join(parts[start:]) for start in range(last + 1)]


def find_folder(
    folder: Path, names: Sequence[str], holds: Callable[[Path], object]
) -> Path:
    """Return the first of some folders that holds what is looked for.

    Args:
        folder: The folder of the set.
        names: The names of folders in it, the likeliest first.
        holds: Returns whether a folder holds it, or what it holds.

    Returns:
        The folder; the first one that exists if none holds it.

    Raises:
        IndexError: If none of them exists.
    """
    there = [folder / name for name in names if (folder / name).is_dir()]
    return next(filter(holds, there), there[0])
