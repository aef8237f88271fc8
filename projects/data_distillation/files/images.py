"""Image files: which can be decoded to what they show, and why others cannot.

OpenCV decodes many a damaged file without a word, and fills with gray what is
not there: labels of such an image would be wrong. So each file is checked
before; the pixels are OpenCV's own, as in training.
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

# Those that Pillow checks. It knows more, but starts programs for some (EPS).
FORMATS = ('BMP', 'GIF', 'JPEG', 'PNG', 'TIFF', 'WEBP')


# What OpenCV can take.
MAX_BYTES = 2**31 - 1


# What libjpeg says of data that is not what was written.
JPEG_DAMAGE = re.compile(
    'Premature end of JPEG file|Corrupt JPEG data(?!: bad ICC marker)'
)


class ImageError(ValueError):
    """An image that cannot be used; the message is the reason, in a line."""


def read_image_file(path: str) -> bytes:
    """Read an image file and check that it is whole.

    What is found: files of another kind (pipes are not opened), more than
    `MAX_BYTES`, more pixels than Pillow takes (`2 * Image.MAX_IMAGE_PIXELS`,
    178,956,970 unless changed), missing and broken data. Changed bytes are
    found in PNG, mostly in JPEG and GIF, hardly in the others, which have no
    checksums.

    Args:
        path: The file, or a link to it.

    Returns:
        Its content. A format that is not in `FORMATS` has not been checked:
        `decode` will show.

    Raises:
        ImageError: If it cannot be used.
    """
    try:
        check_kind(os.stat(path))
        with open(path, 'rb') as file:
            content = file.read()
    except (OSError, MemoryError) as error:
        reason = getattr(error, 'strerror', None) or type(error).__name__
        raise ImageError(f'cannot be opened: {reason}') from None
    check_whole(content)
    return content


def check_kind(status: os.stat_result) -> None:
    """Check, before it is opened, that a file can be read.

    Raises:
        ImageError: If it is a folder, say, or too large.
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
    """Check the size of an image, then that all its data is there.

    Raises:
        ImageError: If there are too many pixels, or data is missing.
    """
    try:
        # Reads the header only.
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            is_jpeg = image.format in ('JPEG', 'MPO')
            if not (is_jpeg and is_whole_jpeg(content)):
                image.load()
    except UnidentifiedImageError:
        return
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f'too many pixels: {format_error(error)}') from None
    # Whatever a broken file makes a decoder raise.
    except Exception as error:
        raise ImageError(f'damaged: {format_error(error)}') from None


def is_whole_jpeg(content: bytes) -> bool:
    """Whether libjpeg finds nothing to complain about.

    Pillow and OpenCV do not hand on its warnings. Bytes of a photograph
    (640x480) were changed at random; of 140 files that then showed another
    image in more than 1 % of the pixels, Pillow found 13 and this 132.

    Returns:
        True if the file is whole; False if it is not known, since libjpeg's
        interface does not take such files (unusual subsampling, say).

    Raises:
        ImageError: If the file is damaged.
    """
    try:
        # An eighth of each side: all data is read, few pixels are made.
        simplejpeg.decode_jpeg(
            content, 'GRAY', min_height=1, min_width=1, min_factor=8
        )
    except ValueError as error:
        if JPEG_DAMAGE.search(str(error)):
            raise ImageError(f'damaged: {format_error(error)}') from None
        return False
    return True


def decode(content: bytes) -> np.ndarray:
    """Decode an image as `LoadImageFromFile` does.

    Args:
        content: Of the file.

    Returns:
        Shape (height, width, 3), BGR, uint8, EXIF rotation applied.

    Raises:
        ImageError: If OpenCV cannot decode it.
    """
    try:
        pixels = mmcv.imfrombytes(content, backend='cv2')
    # Whatever a broken file makes a decoder raise.
    except Exception:
        pixels = None
    if pixels is None:
        raise ImageError('OpenCV cannot decode it')
    return pixels


IMAGE_SUFFIXES = {'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, through linked folders too.

    Args:
        folder: Where to look. A folder that is reached twice (a link that
            points up, say) is searched once.

    Yields:
        Files, in no order.
    """
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(parent, name) for name in names)


def as_utf8(name: str) -> str:
    r"""Write the bytes of a file name that are no UTF-8 as `\xe9`.

    Arrow and JSON take UTF-8 only; Python has surrogates for such bytes.
    """
    content = name.encode(errors='surrogateescape')
    return content.decode(errors='backslashreplace')
