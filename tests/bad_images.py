"""Image files of every kind, good and bad, and how annotation ends on each.

What can be decoded shows the red and the green rectangle that the toy
detector of `builders.py` finds; gray images show a white one, which is both.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import digit_version
from PIL import Image

SIZE_WH = (128, 96)
# In blocks of 16 pixels, which JPEG does not blur; x, y, width, height.
COLORED = dict(red=(16, 16, 32, 32), green=(80, 32, 32, 48))
WHITE = dict(red=(16, 16, 32, 48), green=(16, 16, 32, 48))
RGB = dict(red=(255, 0, 0), green=(0, 255, 0))
ORIENTATION = 0x0112
# How a turned image is stored, by the value of the tag.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Kind:
    """A file, and how it must end.

    Args:
        file_name: As annotation names it.
        write: Writes it, given the path.
        reason: A regular expression that the reason is searched for with; ''
            if the image is labeled.
        boxes: Of a labeled image, class -> x, y, width, height in pixels.
        size_wh: Of a labeled image.
        disk_name: Its name on disk.
        vanishes: It is to be removed once it was listed.
        is_found: A search of the folder finds it, not only a list of names.
    """

    file_name: str
    write: Callable[[Path], object]
    reason: str
    boxes: dict[str, tuple]
    size_wh: tuple[int, int]
    disk_name: str
    vanishes: bool = False
    is_found: bool = True

    def path(self, folder: Path) -> Path:
        return folder / self.disk_name


KINDS: list[Kind] = []


def labeled(
    name: str,
    boxes: dict = COLORED,
    size_wh: tuple = SIZE_WH,
    reported: str = '',
    **options,
) -> Callable:
    """Register what writes a file whose labels must be these boxes."""

    def register(write: Callable) -> Callable:
        reported_name = reported or name
        kind = Kind(reported_name, write, '', boxes, size_wh, name, **options)
        KINDS.append(kind)
        return write

    return register


def listed(name: str, reason: str, reported: str = '', **options) -> Callable:
    """Register what writes a file that must be listed with this reason."""

    def register(write: Callable) -> Callable:
        reported_name = reported or name
        kind = Kind(reported_name, write, reason, {}, (), name, **options)
        KINDS.append(kind)
        return write

    return register


def write_all(folder: Path) -> list[Kind]:
    """Write every kind into a folder."""
    for kind in KINDS:
        path = kind.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind.write(path)
    return KINDS


def remove_vanishing(folder: Path) -> None:
    """Remove what disappears between listing and reading."""
    for kind in KINDS:
        if kind.vanishes:
            kind.path(folder).unlink()


def drawing(boxes: dict = COLORED, size_wh: tuple = SIZE_WH) -> Image.Image:
    image = Image.new('RGB', size_wh)
    for name, (x, y, w, h) in boxes.items():
        image.paste(RGB[name], (x, y, x + w, y + h))
    return image


def white_drawing() -> np.ndarray:
    """Gray levels, shape (height, width)."""
    pixels = np.zeros(SIZE_WH[::-1], np.uint8)
    x, y, w, h = WHITE['red']
    pixels[y : y + h, x : x + w] = 255
    return pixels


def photo() -> Image.Image:
    """The drawing under noise: more data, of which parts can be spoiled."""
    pixels = np.asarray(drawing()) // 2
    noise = np.random.default_rng(0).integers(0, 100, pixels.shape)
    return Image.fromarray((pixels + noise).astype(np.uint8))


def encoded(image: Image.Image, file_format: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, file_format, **options)
    return content.getvalue()


def drawn_jpeg() -> bytes:
    return encoded(drawing(), 'JPEG', quality=95)


def spoiled(content: bytes) -> bytes:
    """Overwrite 16 bytes in the middle."""
    middle = len(content) // 2
    # In JPEG so many ones are no code.
    return content[:middle] + b'\xff\0' * 8 + content[middle + 16 :]


def with_frame_header(content: bytes, offset: int, value: bytes) -> bytes:
    """Change the frame header of a JPEG file."""
    start = content.index(b'\xff\xc0') + offset
    return content[:start] + value + content[start + len(value) :]


def png_chunk(name: bytes, data: bytes) -> bytes:
    checked = name + data
    return (
        struct.pack('>I', len(data))
        + checked
        + struct.pack('>I', zlib.crc32(checked))
    )


# --- Whole images, of all sorts

for _name, _format, _options in [
    ('plain.jpg', 'JPEG', dict(quality=95)),
    ('progressive.jpg', 'JPEG', dict(quality=95, progressive=True)),
    ('rgb_not_ycbcr.jpg', 'JPEG', dict(quality=95, keep_rgb=True)),
    ('broken_exif.jpg', 'JPEG', dict(quality=95, exif=b'Exif\0\0MM\0*\xff')),
    ('broken_profile.jpg', 'JPEG', dict(quality=95, icc_profile=b'no')),
    ('plain.PNG', 'PNG', {}),
    ('png_named.jpg', 'PNG', {}),
    ('jpg_named.png', 'JPEG', dict(quality=95)),
    # Of some cameras: two JPEG images, the first counts.
    (
        'multi_picture.jpg',
        'MPO',
        dict(
            quality=95,
            save_all=True,
            append_images=[Image.new('RGB', SIZE_WH, 'blue')],
        ),
    ),
    ('plain.webp', 'WEBP', {}),
    ('lossless.webp', 'WEBP', dict(lossless=True)),
    ('plain.tif', 'TIFF', {}),
    ('lzw.tiff', 'TIFF', dict(compression='tiff_lzw')),
    ('deflated.tif', 'TIFF', dict(compression='tiff_deflate')),
    ('jpeg_in.tif', 'TIFF', dict(compression='jpeg', quality=95)),
    ('plain.bmp', 'BMP', {}),
    ('gif_named.png', 'GIF', {}),
    # Names, all of which are fine.
    ('ünïcödé 日本 🐱.png', 'PNG', {}),
    (' two  spaces .png', 'PNG', {}),
    ('new\nline\ttab.png', 'PNG', {}),
    ('quo\'te "d" `$(x)`.png', 'PNG', {}),
    ('back\\slash.png', 'PNG', {}),
    ('12:30.png', 'PNG', {}),
    ('-rf %20 #?&*.png', 'PNG', {}),
    ('.hidden.png', 'PNG', {}),
    ('..png', 'PNG', {}),
    ('x' * 251 + '.png', 'PNG', {}),
    ('a folder.png/in it.png', 'PNG', {}),
]:
    # A search of the folder takes no hidden files.
    @labeled(_name, is_found=not _name.startswith('.'))
    def save(path: Path, file_format=_format, options=_options) -> None:
        path.write_bytes(encoded(drawing(), file_format, **options))


for _tag, _stored in STORED.items():

    @labeled(f'exif_{_tag}.jpg')
    def turned_jpeg(path: Path, tag=_tag, stored=_stored) -> None:
        image = drawing() if stored is None else drawing().transpose(stored)
        exif = Image.Exif()
        exif[ORIENTATION] = tag
        image.save(path, quality=95, exif=exif)


@labeled('exif_6.png')
def turned_png(path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    drawing().transpose(STORED[6]).save(path, exif=exif)


@labeled('unknown_orientation.jpg')
def unknown_orientation(path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 99
    drawing().save(path, quality=95, exif=exif)


for _name, _options in [
    ('gray.jpg', dict(quality=95)),
    ('gray.png', {}),
    ('gray.webp', dict(lossless=True)),
    ('gray.tif', {}),
]:

    @labeled(_name, WHITE)
    def gray(path: Path, options=_options) -> None:
        Image.fromarray(white_drawing()).save(path, **options)


for _name, _options in [
    ('one_bit.png', {}),
    ('one_bit.bmp', {}),
    ('fax.tif', dict(compression='group4')),
]:

    @labeled(_name, WHITE)
    def one_bit(path: Path, options=_options) -> None:
        Image.fromarray(white_drawing()).convert('1').save(path, **options)


@labeled('gray_alpha.png', WHITE)
def gray_alpha(path: Path) -> None:
    Image.fromarray(white_drawing()).convert('LA').save(path)


for _suffix in ('png', 'tif'):

    @labeled(f'gray_16_bit.{_suffix}', WHITE)
    def gray_16_bit(path: Path) -> None:
        Image.fromarray(white_drawing().astype(np.uint16) * 257).save(path)

    @labeled(f'rgb_16_bit.{_suffix}')
    def rgb_16_bit(path: Path) -> None:
        pixels = np.asarray(drawing()).astype(np.uint16) * 257
        assert cv2.imwrite(str(path), pixels[..., ::-1])


@labeled('adobe_cmyk.jpg')
def cmyk_jpeg(path: Path) -> None:
    drawing().convert('CMYK').save(path, quality=95)


@labeled('cmyk.tif')
def cmyk_tiff(path: Path) -> None:
    drawing().convert('CMYK').save(path)


for _suffix in ('png', 'tif', 'bmp'):

    @labeled(f'palette.{_suffix}')
    def palette(path: Path) -> None:
        drawing().quantize(4).save(path)


@labeled('transparent_palette.png')
def transparent_palette(path: Path) -> None:
    image = drawing().quantize(4)
    image.save(path, transparency=image.getpixel((0, 0)))


for _name in ('rgba.png', 'rgba.webp', 'rgba.tif'):
    # A search of the folder takes no hidden files.
    @labeled(_name, is_found=not _name.startswith('.'))
    def rgba(path: Path) -> None:
        """Transparent where it is black."""
        image = drawing()
        image.putalpha(Image.fromarray(np.asarray(image).max(2)))
        image.save(
            path, **(dict(lossless=True) if 'webp' in path.name else {})
        )


for _name, _format in [
    ('pages.tif', 'TIFF'),
    ('moving.webp', 'WEBP'),
    ('moving.png', 'PNG'),
    ('moving_gif.png', 'GIF'),
]:
    # A search of the folder takes no hidden files.
    @labeled(_name, is_found=not _name.startswith('.'))
    def several_frames(path: Path, file_format=_format) -> None:
        """The first one counts."""
        others = [Image.new('RGB', SIZE_WH, 'blue')]
        drawing().save(path, file_format, save_all=True, append_images=others)


@labeled('trailing.jpg')
def trailing_garbage(path: Path) -> None:
    path.write_bytes(drawn_jpeg() + bytes(range(256)) * 10)


def with_bad_profile(content: bytes) -> bytes:
    """Say that a color profile has five parts, of which none is there."""
    marker = b'\xff\xe2' + struct.pack('>H', 16) + b'ICC_PROFILE\0\5\2'
    return content[:2] + marker + content[2:]


@labeled('bad_profile.jpg')
def bad_profile(path: Path) -> None:
    path.write_bytes(with_bad_profile(drawn_jpeg()))


for _name, _size, _boxes in [
    ('dot.png', (1, 1), dict(red=(0, 0, 1, 1))),
    ('1x5000.png', (1, 5000), dict(red=(0, 1000, 1, 2000))),
    ('5000x1.png', (5000, 1), dict(green=(1000, 0, 2000, 1))),
    (
        'huge.jpg',
        (12000, 9000),
        dict(red=(1600, 1600, 4000, 4000), green=(6400, 3200, 4000, 4000)),
    ),
]:

    @labeled(_name, _boxes, _size)
    def sized(path: Path, boxes=_boxes, size_wh=_size) -> None:
        drawing(boxes, size_wh).save(path)


@labeled('link.png')
def link(path: Path) -> None:
    target = path.with_name('target of a link')
    target.write_bytes(encoded(drawing(), 'PNG'))
    path.symlink_to(target.name)


# --- Damaged images

for _format, _suffix, _options in [
    ('JPEG', 'jpg', {}),
    ('JPEG', 'jpeg', dict(progressive=True)),
    ('PNG', 'png', {}),
    ('WEBP', 'webp', {}),
    ('TIFF', 'tif', {}),
    ('TIFF', 'tiff', dict(compression='tiff_lzw')),
    ('BMP', 'bmp', {}),
    ('GIF', 'gif.png', {}),
]:

    @listed(
        f'truncated.{_suffix}',
        '^damaged: .*truncated|^damaged: Prem|^damaged: could|^OpenCV',
    )
    def truncated(path: Path, file_format=_format, options=_options) -> None:
        content = encoded(photo(), file_format, **options)
        path.write_bytes(content[: len(content) // 2])


for _name, _format, _options in [
    ('spoiled.jpg', 'JPEG', {}),
    ('spoiled_progressive.jpg', 'JPEG', dict(progressive=True)),
    ('spoiled.png', 'PNG', {}),
    ('spoiled_gif.png', 'GIF', {}),
    ('spoiled_lzw.tif', 'TIFF', dict(compression='tiff_lzw')),
]:

    @listed(_name, '^damaged: ')
    def spoil(path: Path, file_format=_format, options=_options) -> None:
        path.write_bytes(spoiled(encoded(photo(), file_format, **options)))


@listed('spoiled_multi_picture.jpg', '^damaged: Corrupt JPEG data')
def spoil_first_picture(path: Path) -> None:
    both = encoded(photo(), 'MPO', save_all=True, append_images=[drawing()])
    half = both.index(b'\xff\xd9') // 2  # the first one's end
    path.write_bytes(both[:half] + b'\xff\0' * 8 + both[half + 16 :])


@listed('half_gray.jpg', '^damaged: Corrupt JPEG data: premature end')
def half_gray(path: Path) -> None:
    """Truncated, then closed: OpenCV fills up with gray without a word."""
    content = encoded(photo(), 'JPEG')
    path.write_bytes(content[: len(content) // 2] + b'\xff\xd9')


@listed('truncated_bad_profile.jpg', '^damaged: image file is truncated')
def truncated_with_bad_profile(path: Path) -> None:
    content = with_bad_profile(encoded(photo(), 'JPEG'))
    path.write_bytes(content[: len(content) // 2])


@listed('no_end.jpg', '^damaged: Premature end of JPEG file')
def no_end(path: Path) -> None:
    path.write_bytes(drawn_jpeg()[:-2])


@listed('12_bit.jpg', 'OpenCV cannot decode it')
def twelve_bits(path: Path) -> None:
    path.write_bytes(with_frame_header(drawn_jpeg(), 4, b'\x0c'))


@listed('too_high.jpg', '^damaged: Corrupt JPEG data')
def too_high(path: Path) -> None:
    """The header promises more rows than there are."""
    path.write_bytes(with_frame_header(drawn_jpeg(), 5, b'\x01\0'))


@listed(
    'header_only.png',
    '^damaged: .*truncated|^damaged: Prem|^damaged: could|^OpenCV',
)
def header_only(path: Path) -> None:
    path.write_bytes(encoded(drawing(), 'PNG')[:33])


# --- Too large


@listed('bomb.png', '^too many pixels: .*3600000000')
def png_bomb(path: Path) -> None:
    header = struct.pack('>IIBBBBB', 60_000, 60_000, 1, 0, 0, 0, 0)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + png_chunk(b'IHDR', header)
        + png_chunk(b'IDAT', zlib.compress(bytes(10_000_000)))
        + png_chunk(b'IEND', b'')
    )


@listed('bomb.jpg', '^too many pixels: .*4225000000')
def jpeg_bomb(path: Path) -> None:
    size = struct.pack('>HH', 65_000, 65_000)
    path.write_bytes(with_frame_header(drawn_jpeg(), 5, size))


@listed('bomb_ppm.jpg', '^too many pixels')
def ppm_bomb(path: Path) -> None:
    path.write_bytes(b'P6 60000 60000 255\n' + bytes(100))


@listed('sparse.png', '^too large: 8,589,934,592 bytes')
def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**33)


# --- No images

for _name, _content in [
    ('text.jpg', b'no image\n'),
    ('page.jpg', b'<!DOCTYPE html>\n<html><body>404</body></html>\n'),
    ('vector.png', b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ('archive.jpg', b'PK\3\4' + bytes(100)),
    ('noise.jpg', np.random.default_rng(0).bytes(5000)),
    # Pillow would start Ghostscript.
    ('script.jpg', b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n'),
]:

    @listed(_name, '^OpenCV cannot decode it$')
    def no_image(path: Path, content=_content) -> None:
        path.write_bytes(content)


@listed('document.jpg', '^OpenCV cannot decode it$')
def pdf(path: Path) -> None:
    path.write_bytes(encoded(drawing(), 'PDF'))


@listed('icon.png', '^OpenCV cannot decode it$')
def other_format(path: Path) -> None:
    path.write_bytes(encoded(drawing(), 'PCX'))


@listed('float.tif', '^OpenCV cannot decode it$')
def float_tiff(path: Path) -> None:
    Image.fromarray((white_drawing() / 255).astype(np.float32)).save(path)


@listed('empty.jpg', '^empty: 0 bytes')
def empty(path: Path) -> None:
    path.touch()


# --- What the file system has


@listed('pipe.jpg', '^not a file but a pipe')
def pipe(path: Path) -> None:
    os.mkfifo(path)


@listed('device.jpg', '^not a file but a pipe, socket or device')
def device(path: Path) -> None:
    path.symlink_to('/dev/zero')


@listed('a folder.png', '^not a file but a folder', is_found=False)
def folder(path: Path) -> None:
    path.mkdir(exist_ok=True)


@listed('nowhere.png', '^cannot be opened: No such file', is_found=False)
def nowhere(path: Path) -> None:
    pass


@listed(
    'y' * 300 + '.png', '^cannot be opened: File name too long', is_found=False
)
def too_long(path: Path) -> None:
    pass


@listed('vanished.png', '^cannot be opened: No such file', vanishes=True)
def vanished(path: Path) -> None:
    drawing().save(path)


@listed('broken_link.png', '^cannot be opened: No such file')
def broken_link(path: Path) -> None:
    path.symlink_to('nothing')


@listed('loop.png', '^cannot be opened: Too many levels')
def loop(path: Path) -> None:
    path.symlink_to(path.name)


if os.geteuid():  # root may read everything

    @listed('secret.png', '^cannot be opened: Permission denied')
    def secret(path: Path) -> None:
        drawing().save(path)
        path.chmod(0)


# --- Names that no COCO file may have


@listed(os.fsdecode(b'caf\xe9.png'), 'is not valid Unicode', 'caf\\xe9.png')
def latin_1_name(path: Path) -> None:
    path.write_bytes(encoded(drawing(), 'PNG'))


for _name in ('C:drive.png', '..\\up.png', '\\\\server\\share.png'):

    @listed(
        _name,
        'leads outside the folder',
        is_found=not _name.startswith('.'),
    )
    def name_of_another_system(path: Path) -> None:
        path.write_bytes(encoded(drawing(), 'PNG'))


if digit_version(cv2.__version__) < digit_version('4.12'):
    # Older ones decode neither GIF nor animated WebP.
    KINDS[:] = [
        kind
        for kind in KINDS
        if 'gif' not in kind.file_name and kind.file_name != 'moving.webp'
    ]
