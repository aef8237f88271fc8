"""Checks of the images of COCO files.

They find images that are unreadable, have another size, or are in two files.
An image that is both in the training set and in the validation set makes the
figures of a run worthless. Copies are found by the SHA-256 of their bytes,
copies that were scaled or saved again by a perceptual hash.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import imagehash
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from ..files.images import ImageError, decode, read_image_file
from .checks import check_file
from .joint_checks import check_together
from .problems import Problem
from .schema import find_name_error
from .tables import CocoFile

# 256 bits. Measured on the 364 photographs of BCCD, which resemble each other
# (cells on the same background): at most 10 bits differ between an image and a
# copy that is saved as JPEG of quality 30 to 90, scaled by 1/4 to 2, or made
# brighter (18 for quality 10). Two shots of one scene differ in 24 bits, all
# other pairs in 90 to 168. With 64 bits the nearest different pair would be at
# 14: too near for the pairs of a large set.
HASH_SIDE = 16
MAX_DISTANCE = 40
# The least standard deviation in gray levels. The hash of an image below it is
# noise, and all blank images have the same one. The least in BCCD is 11.
MIN_CONTRAST = 4.0
# The side in pixels of the image that is hashed, as imagehash sets it.
THUMBNAIL_SIDE = 4 * HASH_SIDE
# The rows of one part of the matrix of distances; with 120,000 columns a part
# takes 120 MB.
CHUNK = 256


@dataclass(frozen=True)
class ImageFacts:
    """What was found out about an image file.

    Args:
        error: Why the file cannot be read; `''` if it can.
        size_wh: Width and height in pixels as it is decoded for training, with
            EXIF rotation applied.
        digest: The SHA-256 of its bytes.
        bits: Its perceptual hash, shape (`HASH_SIDE` ** 2,), +1 or -1,
            float32; None if its contrast is too low for one.
    """

    error: str = ''
    size_wh: tuple[int, int] = (0, 0)
    digest: bytes = b''
    bits: np.ndarray | None = None


def read_facts(path: str) -> ImageFacts:
    """Read an image file as annotation does, and hash it."""
    try:
        content = read_image_file(path)
        pixels = decode(content)
    except ImageError as error:
        return ImageFacts(str(error))
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(content).digest()
    return ImageFacts('', (width, height), digest, hash_pixels(pixels))


def hash_pixels(pixels: np.ndarray) -> np.ndarray | None:
    """Compute the perceptual hash of an image.

    Args:
        pixels: Shape (height, width, 3), BGR, uint8.

    Returns:
        See `ImageFacts.bits`.
    """
    gray = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    side = THUMBNAIL_SIDE
    thumbnail = gray.resize((side, side), Image.Resampling.LANCZOS)
    if np.asarray(thumbnail).std() < MIN_CONTRAST:
        return None
    bits = imagehash.phash(thumbnail, HASH_SIDE).hash.ravel()
    return np.where(bits, 1, -1).astype(np.float32)


def read_all_facts(paths: Iterable[str]) -> dict[str, ImageFacts]:
    """Read image files on all cores; a terminal shows the progress.

    Args:
        paths: The paths. One that occurs more than once is read once.

    Returns:
        Path -> what was found out.
    """
    paths = list(dict.fromkeys(paths))
    console = Console(stderr=True)
    with ThreadPool(len(os.sched_getaffinity(0))) as pool:
        facts = track(
            pool.imap(read_facts, paths, chunksize=8),
            'reading images',
            len(paths),
            console=console,
            disable=not console.is_terminal,
        )
        return dict(zip(paths, facts, strict=True))


@dataclass(frozen=True)
class FileImages:
    """The images of a COCO file.

    Args:
        file: The file.
        facts: Index of the entry -> what was found out about its image. It
            lacks the entries whose file name must not be opened.
    """

    file: CocoFile
    facts: dict[int, ImageFacts]

    def file_name(self, index: int) -> str:
        """Return the quoted file name of an entry."""
        return repr(self.file.images.column('file_name')[index])

    def describe(self, index: int) -> str:
        """Return which image of the file this is, for a message."""
        place = self.file.images.describe_place(index)
        return f'{place} ({self.file_name(index)})'

    def make_problem(
        self, kind: str, index: int, what: str, advice: str
    ) -> Problem:
        """Make the problem of an image."""
        images = self.file.images
        return self.file.make_problem(kind, images, index, what, advice)


def join_paths(file: CocoFile, folder: Path) -> dict[int, str]:
    """Return index of an entry -> path, where its file name may be opened."""
    names = file.images.column('file_name')
    return {
        index: os.path.join(folder, name)
        for index, name in enumerate(names)
        if name is not None and not find_name_error(name)
    }


def check_images(
    files: Sequence[CocoFile], folders: Sequence[Path]
) -> Iterator[Problem]:
    """Find images that are unreadable, of another size, or in two files.

    Args:
        files: The files.
        folders: The image folder of each file.

    Yields:
        The problems of each file, then those of each pair of files.
    """
    paths = [join_paths(*pair) for pair in zip(files, folders, strict=True)]
    facts = read_all_facts(itertools.chain(*(p.values() for p in paths)))
    parts = [
        FileImages(file, {i: facts[path] for i, path in file_paths.items()})
        for file, file_paths in zip(files, paths, strict=True)
    ]
    for part in parts:
        yield from check_readable(part)
        yield from check_sizes(part)
    for first, second in itertools.combinations(parts, 2):
        yield from check_leaks(first, second)


def check_readable(part: FileImages) -> Iterator[Problem]:
    """Find images that are missing or cannot be decoded."""
    for index, facts in part.facts.items():
        if facts.error:
            yield part.make_problem(
                'image unreadable',
                index,
                f'{part.file_name(index)} cannot be read ({facts.error})',
                'put it there, or remove the entry and its annotations',
            )


def check_sizes(part: FileImages) -> Iterator[Problem]:
    """Find images whose size is not the size in the file."""
    columns = map(part.file.images.column, ('width', 'height'))
    sizes = list(zip(*columns, strict=True))
    for index, facts in part.facts.items():
        size = sizes[index]
        if not facts.error and None not in size and size != facts.size_wh:
            yield make_size_problem(part, index, size, facts.size_wh)


def make_size_problem(
    part: FileImages,
    index: int,
    size_wh: tuple[float, float],
    decoded_wh: tuple[int, int],
) -> Problem:
    """Make the problem of an image of another size."""
    what = (
        f'{size_wh[0]}x{size_wh[1]} in the file, but the image is decoded as '
        f'{decoded_wh[0]}x{decoded_wh[1]}'
    )
    advice = 'write the size of the image, and see whether its boxes fit'
    if size_wh == decoded_wh[::-1]:
        what += ', transposed by EXIF (or width and height are confused)'
        advice = 'swap them, and turn the boxes if they do not fit the image'
    return part.make_problem('image size', index, what, advice)


def check_leaks(first: FileImages, second: FileImages) -> Iterator[Problem]:
    """Find images that are in two files.

    Args:
        first: The images of one file.
        second: The images of another file.

    Yields:
        At most one problem for each image of the second file: its exact copy
        if there is one, else the image that looks most like it, if the two
        look alike enough.
    """
    digests = {f.digest: i for i, f in first.facts.items() if not f.error}
    others = {}
    for index, facts in second.facts.items():
        if facts.digest in digests:
            known = digests[facts.digest]
            yield make_copy_problem(first, second, known, index)
        else:
            others[index] = facts
    for match in find_nearest(stack_hashes(first.facts), stack_hashes(others)):
        yield make_near_problem(first, second, *match)


def make_copy_problem(
    first: FileImages, second: FileImages, known: int, index: int
) -> Problem:
    """Make the problem of an image that is an exact copy of a known one."""
    return second.make_problem(
        f'copies from {first.file.path}',
        index,
        f'{second.file_name(index)} is {first.describe(known)} of '
        f'{first.file.path}, byte for byte',
        'take it out of one of the files',
    )


def make_near_problem(
    first: FileImages,
    second: FileImages,
    known: int,
    index: int,
    distance: int,
) -> Problem:
    """Make the problem of an image that looks like a known one."""
    return second.make_problem(
        f'near-duplicates from {first.file.path}',
        index,
        f'{second.file_name(index)} looks like {first.describe(known)} of '
        f'{first.file.path} ({distance} of {HASH_SIDE**2} bits of their '
        'perceptual hashes differ)',
        'look at both; if they show the same, take one out',
    )


def stack_hashes(facts: dict[int, ImageFacts]) -> tuple[list[int], np.ndarray]:
    """Return the indices of the images that have a hash, and the hashes."""
    bits = {i: f.bits for i, f in facts.items() if f.bits is not None}
    rows = np.array(list(bits.values()), np.float32)
    return list(bits), rows.reshape(-1, HASH_SIDE**2)


def find_nearest(
    known: tuple[list[int], np.ndarray], asked: tuple[list[int], np.ndarray]
) -> Iterator[tuple[int, int, int]]:
    """Find the most similar known image for each image that is similar enough.

    Args:
        known: The indices of the known images and their hashes, shape
            (n, bits), +1 or -1.
        asked: The indices and the hashes of the images to find something for.

    Yields:
        The index of the known image, the index of the other one, and the
        number of bits that differ, which is at most `MAX_DISTANCE`.
    """
    if not known[0]:
        return
    for start in range(0, len(asked[0]), CHUNK):
        # The number of bits that agree minus the number of bits that differ.
        products = asked[1][start : start + CHUNK] @ known[1].T
        best = products.argmax(1)
        agreement = np.take_along_axis(products, best[:, None], 1)[:, 0]
        distances = ((HASH_SIDE**2 - agreement) / 2).round().astype(int)
        for row in np.flatnonzero(distances <= MAX_DISTANCE):
            index = asked[0][start + row]
            yield known[0][best[row]], index, int(distances[row])


def find_problems(
    files: Sequence[CocoFile], folders: Sequence[Path] | None
) -> Iterator[Problem]:
    """Yield the problems of files that are used together.

    Args:
        files: The files; all others are compared with the first one.
        folders: The image folders: one for all files, or one for each file.
            None leaves the images unchecked.

    Yields:
        The problems of each file, then those of all files together.
    """
    for file in files:
        yield from check_file(file)
    yield from check_together(files, has_images=bool(folders))
    if folders:
        folders = [*folders] * len(files) if len(folders) == 1 else folders
        yield from check_images(files, folders)
