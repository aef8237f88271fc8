"""Checks of the images of COCO files: readable, of that size, in one file.

An image that is in the training and in the validation set makes the figures
of a run worthless. Copies are found by the SHA-256 of their bytes, copies that
were scaled or saved anew by a perceptual hash.
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
from .checks import check_file, check_together
from .problems import CocoFile, Problem
from .reading import name_error

# 256 bits. Measured on the 364 photographs of BCCD, which resemble each other
# (cells on one ground): saved anew as JPEG of quality 30 to 90, scaled by 1/4
# to 2, or made brighter, at most 10 bits differ (18 for quality 10); two shots
# of one scene differ in 24, all other pairs in 90 to 168. With 64 bits the
# nearest different pair is at 14: too near for the pairs of a large set.
HASH_SIDE = 16
MAX_DISTANCE = 40
# Gray levels, standard deviation. Images below, blank ones above all, have
# hashes of noise or all the same; in BCCD the least is 11.
MIN_CONTRAST = 4.0
# Pixels of the side of the image that is hashed; imagehash's own.
THUMBNAIL_SIDE = 4 * HASH_SIDE
# Rows of a part of the matrix of distances; 120,000 columns are 120 MB.
CHUNK = 256


@dataclass(frozen=True)
class ImageFacts:
    """What was found out about an image file.

    Args:
        error: Why it cannot be read; `''` if it can.
        size_wh: As it is decoded for training, EXIF rotation applied.
        digest: SHA-256 of its bytes.
        bits: Its perceptual hash, shape (`HASH_SIDE` ** 2,), +1 or -1,
            float32; None if it has too little contrast for one.
    """

    error: str = ''
    size_wh: tuple[int, int] = (0, 0)
    digest: bytes = b''
    bits: np.ndarray | None = None


def read_image(path: str) -> ImageFacts:
    """Read an image as annotation does, and hash it."""
    try:
        content = read_image_file(path)
        pixels = decode(content)
    except ImageError as error:
        return ImageFacts(str(error))
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(content).digest()
    return ImageFacts('', (width, height), digest, perceptual_bits(pixels))


def perceptual_bits(pixels: np.ndarray) -> np.ndarray | None:
    """Hash what an image shows.

    Args:
        pixels: Shape (height, width, 3), BGR, uint8.

    Returns:
        As in `ImageFacts`.
    """
    gray = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    side = THUMBNAIL_SIDE
    thumbnail = gray.resize((side, side), Image.Resampling.LANCZOS)
    if np.asarray(thumbnail).std() < MIN_CONTRAST:
        return None
    bits = imagehash.phash(thumbnail, HASH_SIDE).hash.ravel()
    return np.where(bits, 1, -1).astype(np.float32)


def read_images(paths: Iterable[str]) -> dict[str, ImageFacts]:
    """Read images, on all cores; a terminal shows how far it is.

    Args:
        paths: Those that occur more than once are read once.

    Returns:
        Path -> what was found out.
    """
    paths = list(dict.fromkeys(paths))
    console = Console(stderr=True)
    with ThreadPool(len(os.sched_getaffinity(0))) as pool:
        facts = track(
            pool.imap(read_image, paths, chunksize=8),
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
        facts: Index of the entry -> what was found out.
    """

    file: CocoFile
    facts: dict[int, ImageFacts]

    def name(self, index: int) -> str:
        """Say which image this is."""
        file_name = self.file.images.columns['file_name'][index]
        return f'{self.file.images.place(index)} ({file_name!r})'


def image_paths(file: CocoFile, folder: Path) -> dict[int, str]:
    """Map the index of each entry to its path, if its name may be opened."""
    names = file.images.columns['file_name']
    return {
        index: os.path.join(folder, name)
        for index, name in enumerate(names)
        if name is not None and not name_error(name)
    }


def check_images(
    files: Sequence[CocoFile], folders: Sequence[Path]
) -> Iterator[Problem]:
    """Find images that cannot be read, of another size, or in two files.

    Args:
        files: The files.
        folders: The folder of the images of each.

    Yields:
        The problems.
    """
    paths = [image_paths(*pair) for pair in zip(files, folders, strict=True)]
    facts = read_images(itertools.chain(*(p.values() for p in paths)))
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
            name = part.file.images.columns['file_name'][index]
            yield part.file.problem(
                'image unreadable',
                part.file.images,
                index,
                f'{name!r} cannot be read ({facts.error})',
                'put it there, or remove the entry and its annotations',
            )


def check_sizes(part: FileImages) -> Iterator[Problem]:
    """Find images whose size is not that in the file."""
    columns = part.file.images.columns
    for index, facts in part.facts.items():
        size = columns['width'][index], columns['height'][index]
        if not facts.error and None not in size and size != facts.size_wh:
            yield size_problem(part.file, index, size, facts.size_wh)


def size_problem(
    file: CocoFile,
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
    return file.problem('image size', file.images, index, what, advice)


def check_leaks(first: FileImages, second: FileImages) -> Iterator[Problem]:
    """Find the images of a file that an earlier one has as well.

    One problem per image of the second file: the same bytes if there are
    such, else the image that looks most alike, if it looks alike enough.
    """
    digests = {f.digest: i for i, f in first.facts.items() if not f.error}
    others = {}
    for index, facts in second.facts.items():
        if facts.digest in digests:
            yield copy_problem(first, second, digests[facts.digest], index)
        else:
            others[index] = facts
    for match in nearest(hashed(first.facts), hashed(others)):
        yield near_problem(first, second, *match)


def copy_problem(
    first: FileImages, second: FileImages, known: int, index: int
) -> Problem:
    """Make the problem of an image that is in two files."""
    return second.file.problem(
        f'copies from {first.file.path}',
        second.file.images,
        index,
        f'{second.file.images.columns["file_name"][index]!r} is '
        f'{first.name(known)} of {first.file.path}, byte for byte',
        'take it out of one of the files',
    )


def near_problem(
    first: FileImages,
    second: FileImages,
    known: int,
    index: int,
    distance: int,
) -> Problem:
    """Make the problem of an image that looks like one of another file."""
    return second.file.problem(
        f'near-duplicates from {first.file.path}',
        second.file.images,
        index,
        f'{second.file.images.columns["file_name"][index]!r} looks like '
        f'{first.name(known)} of {first.file.path} ({distance} of '
        f'{HASH_SIDE**2} bits of their perceptual hashes differ)',
        'look at both; if they show the same, take one out',
    )


def hashed(facts: dict[int, ImageFacts]) -> tuple[list[int], np.ndarray]:
    """List the images that have a perceptual hash, and the hashes."""
    bits = {i: f.bits for i, f in facts.items() if f.bits is not None}
    rows = np.array(list(bits.values()), np.float32)
    return list(bits), rows.reshape(-1, HASH_SIDE**2)


def nearest(
    known: tuple[list[int], np.ndarray], asked: tuple[list[int], np.ndarray]
) -> Iterator[tuple[int, int, int]]:
    """Find the most similar image for each, if it is similar enough.

    Args:
        known: Indices and hashes, shape (n, bits), +1 or -1.
        asked: The same of the images to find something for.

    Yields:
        Known index, asked index, and how many bits differ.
    """
    if not known[0]:
        return
    for start in range(0, len(asked[0]), CHUNK):
        # Bits that agree minus bits that differ.
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
        files: COCO files; the first is what the others are compared with.
        folders: Of the images, one for all files or one for each; None to
            leave the images alone.

    Yields:
        The problems of each, then those of all together.
    """
    for file in files:
        yield from check_file(file)
    yield from check_together(files, has_images=bool(folders))
    if folders:
        folders = [*folders] * len(files) if len(folders) == 1 else folders
        yield from check_images(files, folders)
