"""Which image files are whole."""

import os

import numpy as np
import pytest
from bad_images import encoded, photo
from builders import run

from projects.data_distillation.files.images import (
    ImageError,
    check_whole,
    decode,
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
    ('GIF', {}),
    # OpenCV alone decides on these.
    ('JPEG2000', {}),
    ('PPM', {}),
]


def read(content: bytes) -> np.ndarray:
    check_whole(content)
    return decode(content)


@pytest.mark.parametrize(('file_format', 'options'), FORMATS)
def test_truncated_image_is_refused_wherever_it_ends(file_format, options):
    whole = encoded(photo(), file_format, **options)
    assert read(whole).shape == (96, 128, 3)
    lengths = np.linspace(1, len(whole) - 2, 12).astype(int)

    for length in lengths:
        with pytest.raises(ImageError) as error:
            read(whole[:length])
        assert '\n' not in str(error.value)


def test_changed_jpeg_that_opencv_decodes_is_refused():
    whole = encoded(photo(), 'JPEG')
    half = len(whole) // 2
    changed = whole[:half] + b'\xff\xd3' + whole[half:]

    assert decode(changed).shape == (96, 128, 3)
    with pytest.raises(ImageError, match='^damaged: Corrupt JPEG data'):
        check_whole(changed)


# With 1 GB more than what is in use.
READ_WITH_LITTLE_MEMORY = """
import resource, sys
from projects.data_distillation.files.images import read_image_file
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
