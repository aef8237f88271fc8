"""Image files: which can be decoded to what they show, and why others cannot.

OpenCV decodes many damaged files without a message and fills the missing part
with gray: labels of such an image would be wrong. So each file is checked
before it is decoded. The pixels are those of OpenCV, as in training.
"""

import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import mmcv
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from ..text import format_error

# The formats that Pillow checks. It knows more, but it starts programs for
# some of them (EPS).
FORMATS = ('BMP', 'GIF', 'JPEG', 'PNG', 'TIFF', 'WEBP')
# The formats of which Pillow reads the header alone, for the number of pixels.
SIZED_FORMATS = ('JPEG2000', 'PPM', 'SUN')
# The most bytes that OpenCV takes.
MAX_BYTES = 2**31 - 1
# The warnings of libjpeg about data that is not what was written.
JPEG_DAMAGE = re.compile(
    'Premature end of JPEG file|Corrupt JPEG data(?!: bad ICC marker)'
)
# The endings of the files in a folder that are taken for images: those of the
# formats that OpenCV decodes, and `.jfif`, as some browsers save JPEG.
IMAGE_SUFFIXES = {
    '.avif', '.bmp', '.dib', '.gif', '.hdr', '.jfif', '.jp2', '.jpe', '.jpeg',
    '.jpg', '.pam', '.pbm', '.pfm', '.pgm', '.pic', '.png', '.pnm', '.ppm',
    '.ras', '.sr', '.tif', '.tiff', '.webp',
}  # fmt: skip
# A folder that archives made on macOS have, with a shadow of each file.
MACOS_FOLDER = '__MACOSX'


class ImageError(ValueError):
    """An image cannot be used; the message is the reason, in one line."""


def read_image_file(path: str) -> bytes:
    """Read an image file and check that it is whole.

    These files are refused: what is not a file (pipes are not opened), no
    bytes, more than `MAX_BYTES`, more pixels than Pillow takes (`2 *
    Image.MAX_IMAGE_PIXELS`, 178,956,970 unless changed), and missing or broken
    data. Changed bytes are found in PNG, mostly in JPEG and GIF, and hardly
    ever in the other formats, which have no checksums.

    Args:
        path: The path of the file, or of a link to it.

    Returns:
        The content of the file. If its format is not in `FORMATS`, its data
        has not been checked, and only `decode_image` shows whether it is an
        image.

    Raises:
        ImageError: If the file cannot be used, or the path has a null byte.
    """
    try:
        # Before it is opened: `open` waits at a pipe until somebody writes.
        check_kind(os.stat(path))
        with open(path, 'rb') as file:
            content = file.read()
    # It is a ValueError, which the next clause would catch.
    except ImageError:
        raise
    except (OSError, MemoryError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or format_error(error)
        raise ImageError(f'cannot be opened: {reason}') from None
    check_whole(content)
    return content


def check_kind(status: os.stat_result) -> None:
    """Check, before a file is opened, that it can be read.

    Args:
        status: The status of the file, or of what a link to it leads to.

    Raises:
        ImageError: If it is a folder, pipe, socket or device, empty, or larger
            than `MAX_BYTES`.
    """
    if not stat.S_ISREG(status.st_mode):
        is_folder = stat.S_ISDIR(status.st_mode)
        kind = 'folder' if is_folder else 'pipe, socket or device'
        raise ImageError(f'not a file but a {kind}')
    if status.st_size == 0:
        raise ImageError('empty: 0 bytes')
    if status.st_size > MAX_BYTES:
        raise ImageError(
            f'too large: {status.st_size:,} bytes, the most is {MAX_BYTES:,}'
        )


def check_whole(content: bytes) -> None:
    """Check the number of pixels, and then that all data is there.

    Args:
        content: The content of an image file. Of `SIZED_FORMATS`, only the
            number of pixels is checked; what is of no known format passes.

    Raises:
        ImageError: If there are too many pixels, or data is missing or broken.
    """
    try:
        # Opening reads only the header.
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            # Pillow calls a JPEG file with several images MPO.
            is_jpeg = image.format in ('JPEG', 'MPO')
            if not (is_jpeg and is_checked_jpeg(content)):
                image.load()
    except UnidentifiedImageError:
        check_size(content)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f'too many pixels: {format_error(error)}') from None
    # A broken file may make a decoder raise anything.
    except Exception as error:
        raise ImageError(f'damaged: {format_error(error)}') from None


def check_size(content: bytes) -> None:
    """Check the number of pixels of an image of `SIZED_FORMATS`.

    A JPEG 2000 of a few kilobytes may have a billion pixels.

    Args:
        content: The content of the file. Any other format passes.

    Raises:
        ImageError: If there are too many pixels.
    """
    try:
        # Opening reads only the header.
        Image.open(io.BytesIO(content), formats=SIZED_FORMATS).close()
    except Image.DecompressionBombError as error:
        raise ImageError(f'too many pixels: {format_error(error)}') from None
    # OpenCV may still decode what Pillow does not know.
    except Exception:
        return


def is_checked_jpeg(content: bytes) -> bool:
    """Return whether libjpeg finds nothing to complain about.

    Pillow and OpenCV do not pass on the warnings of libjpeg. Bytes of a
    photograph (640x480) were changed at random: of 140 files that then showed
    another image in more than 1 % of the pixels, Pillow found 13, and this
    function found 132.

    Args:
        content: The content of a JPEG file.

    Returns:
        True if the file is whole; False if it is unknown, because simplejpeg
        does not take such files (unusual subsampling, for example).

    Raises:
        ImageError: If the file is damaged.
    """
    try:
        # At an eighth of each side all data is read and few pixels are made.
        simplejpeg.decode_jpeg(
            content, 'GRAY', min_height=1, min_width=1, min_factor=8
        )
    except ValueError as error:
        if JPEG_DAMAGE.search(str(error)):
            raise ImageError(f'damaged: {format_error(error)}') from None
        return False
    return True


def decode_image(content: bytes) -> np.ndarray:
    """Decode an image as MMDetection's `LoadImageFromFile` does.

    Args:
        content: The content of the file.

    Returns:
        Shape (height, width, 3), BGR, uint8, of the first frame. Gray becomes
        three equal channels, 16 bits become 8, and alpha is dropped. EXIF
        rotation is applied in the formats for which OpenCV does so, such as
        JPEG.

    Raises:
        ImageError: If OpenCV cannot decode it, or makes no colors of it, as of
            a gray PFM.
    """
    try:
        # The backend is named: mmcv's `use_backend` changes the default.
        pixels = mmcv.imfrombytes(content, backend='cv2')
    # A broken file may make a decoder raise anything.
    except Exception:
        pixels = None
    if pixels is None or pixels.ndim != 3:  # Gray PFM has no colors.
        raise ImageError('OpenCV cannot decode it')
    return pixels


def walk_files(folder: Path, with_hidden: bool = False) -> Iterator[Path]:
    """Yield the files below a folder, also those in linked folders.

    What is no folder counts as a file, also a pipe or a broken link. Folders
    that cannot be read are skipped without a message.

    Args:
        folder: The folder to search, which may be hidden itself. A folder that
            is reached twice (by a link that points upward, for example) is
            searched once.
        with_hidden: Whether to yield hidden files, and those in hidden folders
            and in `__MACOSX`. They are copies and thumbnails (`._a.jpg`,
            `.ipynb_checkpoints/`), not data.

    Yields:
        The paths of the files, which begin with `folder`, in no particular
        order; none if there is no such folder.
    """
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        # A link may lead to a folder that it lies in.
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if not with_hidden:
            # In place: `os.walk` goes on into what is left in its own list.
            folders[:] = [name for name in folders if not is_hidden(name)]
            names = [name for name in names if not is_hidden(name)]
        yield from (Path(parent, name) for name in names)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is no data.

    Args:
        name: The name alone, without its folders.

    Returns:
        True if it begins with a dot, or is `__MACOSX`.
    """
    return name.startswith('.') or name == MACOS_FOLDER


def glob_shown(folder: Path, pattern: str) -> list[Path]:
    """Find the files that fit a pattern and are data, see `is_hidden`.

    Args:
        folder: The folder, which may be hidden itself.
        pattern: The pattern, such as `*.txt`; `**/*.txt` for any depth, but
            not in linked folders.

    Returns:
        Their paths, which begin with `folder`, sorted; empty if there are
        none, or no such folder. Folders that fit are among them.
    """
    return sorted(
        file
        for file in folder.glob(pattern)
        if not any(map(is_hidden, file.relative_to(folder).parts))
    )


def list_image_names(folder: Path) -> list[str]:
    """List the images below a folder, by `IMAGE_SUFFIXES` in any case.

    Hidden files and folders are left out, see `walk_files`.

    Args:
        folder: The folder, which may be hidden itself.

    Returns:
        Paths relative to the folder, with `/`, sorted; empty if there are
        none, or no such folder. Nothing is opened: they need not be images.
    """
    return sorted(
        path.relative_to(folder).as_posix()
        for path in walk_files(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES
    )


def escape_non_utf8(name: str) -> str:
    r"""Return a file name in which bytes that are not UTF-8 are escaped.

    Arrow and JSON hold only UTF-8; Python has surrogates for such bytes.

    Args:
        name: A file name, as Python lists it.

    Returns:
        The name with `\xe9` (for example) in place of each such byte.
    """
    content = name.encode(errors='surrogateescape')
    return content.decode(errors='backslashreplace')
