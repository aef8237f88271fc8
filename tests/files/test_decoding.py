"""Which image files are whole."""

import os

import cv2
import numpy as np
import pytest
from bad_images import encoded, photo
from builders import run
from mmengine.utils import digit_version

from projects.data_distillation.files.decoding import (
    IMAGE_SUFFIXES,
    MAX_BYTES,
    ImageError,
    check_kind,
    check_whole,
    decode_image,
    escape_non_utf8,
    list_image_names,
    read_image_file,
    walk_files,
)

NEEDS_GIF = pytest.mark.skipif(
    digit_version(cv2.__version__) < digit_version('4.12'),
    reason='OpenCV older than 4.12 decodes no GIF',
)
FORMATS = [
    ('JPEG', {}),
    ('JPEG', dict(progressive=True)),
    ('PNG', {}),
    ('WEBP', {}),
    ('WEBP', dict(lossless=True)),
    ('TIFF', {}),
    ('TIFF', dict(compression='tiff_lzw')),
    ('TIFF', dict(compression='tiff_deflate')),
    ('BMP', {}),
    pytest.param('GIF', {}, marks=NEEDS_GIF),
    # OpenCV alone decides on these.
    ('JPEG2000', {}),
    ('PPM', {}),
]


def read(content: bytes) -> np.ndarray:
    check_whole(content)
    return decode_image(content)


@pytest.mark.parametrize(('file_format', 'options'), FORMATS)
def test_truncated_image_is_refused_wherever_it_ends(file_format, options):
    whole = encoded(photo(), file_format, **options)
    assert read(whole).shape == (96, 128, 3)
    lengths = np.linspace(1, len(whole) - 2, 12).astype(int)

    for length in lengths:
        with pytest.raises(ImageError, match=r'\A.+\Z'):
            read(whole[:length])


def test_changed_jpeg_that_opencv_decodes_is_refused():
    whole = encoded(photo(), 'JPEG')
    half = len(whole) // 2
    changed = whole[:half] + b'\xff\xd3' + whole[half:]

    assert decode_image(changed).shape == (96, 128, 3)
    with pytest.raises(ImageError, match='^damaged: Corrupt JPEG data'):
        check_whole(changed)


@pytest.mark.parametrize(
    'hidden',
    [
        '._a.jpg',
        '.a.jpg',
        '.ipynb_checkpoints/a-checkpoint.jpg',
        'sub/.thumbnails/a.jpg',
        '__MACOSX/a.jpg',
        'sub/__MACOSX/sub/._a.jpg',
    ],
)
def test_what_is_hidden_is_no_image(tmp_path, hidden):
    folder = tmp_path / '.hidden'
    for name in ('a.jpg', 'sub/b.JPG', hidden):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()

    assert list_image_names(folder) == ['a.jpg', 'sub/b.JPG']
    assert len(list(walk_files(folder, with_hidden=True))) == 3


# All that the documentation of `cv2.imread` names, and `.jfif`.
@pytest.mark.parametrize(
    'suffix',
    [
        'bmp',
        'dib',
        'jpeg',
        'jpg',
        'jpe',
        'jp2',
        'png',
        'webp',
        'avif',
        'pbm',
        'pgm',
        'ppm',
        'pnm',
        'pam',
        'pfm',
        'sr',
        'ras',
        'tif',
        'tiff',
        'hdr',
        'pic',
        'gif',
    ],
)
def test_suffix_of_each_format_that_opencv_decodes_is_found(suffix):
    assert f'.{suffix}' in IMAGE_SUFFIXES
    if not cv2.haveImageWriter(f'a.{suffix}'):
        return
    gray = np.full((1, 1), 90, np.uint8)
    color = np.dstack([gray] * 3)
    for image in (color, gray, np.float32(color)):
        done, content = try_to_encode(suffix, image)
        if done:
            assert decode_image(content.tobytes()).shape == (1, 1, 3)
            return


def test_image_without_colors_is_refused():
    _, content = try_to_encode('pfm', np.ones((2, 2), np.float32))

    with pytest.raises(ImageError, match='OpenCV cannot decode it'):
        decode_image(content.tobytes())


def try_to_encode(suffix: str, image: np.ndarray) -> tuple:
    """Encode an image; some formats take only numbers of one kind."""
    try:
        return cv2.imencode(f'.{suffix}', image)
    except cv2.error:
        return False, None


# With 1 GB more than what is in use.
READ_WITH_LITTLE_MEMORY = """
import resource, sys
from projects.data_distillation.files.decoding import read_image_file
with open('/proc/self/statm') as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 10**9,) * 2)
read_image_file(sys.argv[1])
"""


@pytest.mark.slow
def test_file_that_does_not_fit_into_memory_is_refused(tmp_path):
    file = tmp_path / 'large.png'
    file.touch()
    os.truncate(file, 2**31 - 1)

    done = run('python', '-c', READ_WITH_LITTLE_MEMORY, file)

    assert done.stderr.endswith('ImageError: cannot be opened: MemoryError\n')


def test_path_with_a_null_byte_is_refused():
    with pytest.raises(ImageError, match='cannot be opened: .*null byte'):
        read_image_file('a\0.png')


@pytest.mark.parametrize('name', ['huge.jp2', 'huge.jpg', 'huge.ppm'])
def test_pixels_of_every_format_are_counted_before_it_is_decoded(name):
    if name == 'huge.ppm':
        content = b'P6 20000 20000 255\n' + bytes(9)
    else:
        small = cv2.imencode('.jp2', np.zeros((99, 99, 3), np.uint8))[1]
        # Width, height, and their tiles, in the header.
        sides = [int.to_bytes(n, 4, 'big') for n in (99, 20_000)]
        content = small.tobytes().replace(sides[0], sides[1])

    with pytest.raises(ImageError, match='too many pixels: .*400000000'):
        check_whole(content)


def test_small_image_of_a_sized_format_passes():
    for suffix in ('.jp2', '.ppm'):
        content = cv2.imencode(suffix, np.zeros((99, 99, 3), np.uint8))[1]
        assert check_whole(content.tobytes()) is None


def test_file_that_is_too_large_is_not_read(tmp_path):
    file = tmp_path / 'a.png'
    file.touch()
    os.truncate(file, MAX_BYTES)
    check_kind(file.stat())

    # It has no block on the disk.
    os.truncate(file, MAX_BYTES + 1)
    with pytest.raises(ImageError, match=f'too large: {MAX_BYTES + 1:,} byte'):
        check_kind(file.stat())


def test_bytes_of_a_file_name_that_are_not_utf8_are_escaped():
    assert (
        escape_non_utf8(os.fsdecode(b'caf\xe9/\xc3\xbc.png'))
        == r'caf\xe9/ü.png'
    )
    assert escape_non_utf8('ü.png') == 'ü.png'
