"""The image files of a COCO file: where they are, and what they hold."""

import hashlib
import itertools
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import imagehash
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from ...files.decoding import ImageError, decode_image, read_image_file
from ...files.image_names import ImageFinder
from ...files.versions import is_other_version
from ...text import format_value
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


@dataclass(frozen=True)
class ImageFacts:
    """What was found out about an image file.

    Args:
        error: Why the file cannot be read; `''` if it can.
        size_wh: Width and height in pixels as it is decoded for training, see
            `decode_image`; (0, 0) if it cannot be read.
        digest: The SHA-256 of its bytes, 32 bytes.
        bits: Its perceptual hash, shape (`HASH_SIDE` ** 2,), +1 or -1,
            float32; None if its contrast is too low for one.
    """

    error: str = ''
    size_wh: tuple[int, int] = (0, 0)
    digest: bytes = b''
    bits: np.ndarray | None = None


def read_facts(path: str) -> ImageFacts:
    """Read an image file as annotation does, and hash it.

    Args:
        path: The path of the image file.

    Returns:
        Size, SHA-256 and perceptual hash; only the error if it cannot be read
        or decoded.
    """
    try:
        content = read_image_file(path)
        pixels = decode_image(content)
    except ImageError as error:
        return ImageFacts(str(error))
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(content).digest()
    return ImageFacts('', (width, height), digest, hash_pixels(pixels))


def hash_pixels(pixels: np.ndarray) -> np.ndarray | None:
    """Compute the perceptual hash of an image.

    It is the `phash` of imagehash, of a thumbnail in gray.

    Args:
        pixels: Shape (height, width, 3), BGR, uint8.

    Returns:
        See `ImageFacts.bits`; None if the contrast is below `MIN_CONTRAST`.
    """
    gray = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    side = THUMBNAIL_SIDE
    # `phash` would do it too, but does not tell the contrast.
    thumbnail = gray.resize((side, side), Image.Resampling.LANCZOS)
    if np.asarray(thumbnail).std() < MIN_CONTRAST:
        return None
    bits = imagehash.phash(thumbnail, HASH_SIDE).hash.ravel()
    # With +1 and -1, a matrix product compares all pairs of hashes.
    return np.where(bits, 1, -1).astype(np.float32)


def read_all_facts(paths: Iterable[str]) -> dict[str, ImageFacts]:
    """Read image files on all cores; a terminal shows the progress.

    Args:
        paths: The paths. One that occurs more than once is read once.

    Returns:
        Path -> what was found out, in the order of `paths`; empty without any.
    """
    paths = list(dict.fromkeys(paths))
    console = Console(stderr=True)
    # Threads: OpenCV and hashlib release the lock of the interpreter. A job
    # may have fewer cores than `cpu_count` counts.
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
class Places:
    """Where the images of a COCO file are.

    Args:
        file: The file.
        folder: The image folder.
        names: Index of the entry -> the name of its image, relative to the
            folder: the file name, or that of the image that it clearly means.
            It lacks the entries without a file name, and those whose file name
            must not be opened and means no image clearly.
        found: Index of an entry whose file name leads nowhere, or must not be
            opened -> the images of the folder that it may mean, at least one,
            see `ImageFinder.find`.
        rivals: Index of an entry -> the place of another one that means the
            same image. Only one of the two can have it.
    """

    file: CocoFile
    folder: Path
    names: dict[int, str]
    found: dict[int, list[str]]
    rivals: dict[int, str]

    @property
    def renamed(self) -> dict[int, str]:
        """Index of an entry -> the name that it is clear to mean."""
        written = self.file.images.column('file_name')
        return {
            index: name
            for index, name in find_clear(self.found, written).items()
            if index not in self.rivals
        }

    @property
    def paths(self) -> dict[int, str]:
        """Index of the entry -> the path of its image; see `names`."""
        return {
            index: os.path.join(self.folder, name)
            for index, name in self.names.items()
        }


def locate_images(file: CocoFile, folder: Path) -> Places:
    """Find the images of a file by their names, as tools write them.

    The folder is searched only if a file name leads nowhere, or must not be
    opened.

    Args:
        file: The file.
        folder: The image folder. If it does not exist, no image is found.

    Returns:
        Where each image is; see `Places`.
    """
    column = enumerate(file.images.column('file_name'))
    written = {index: name for index, name in column if name is not None}
    names = {i: n for i, n in written.items() if not find_name_error(n)}
    there = {i for i, n in names.items() if exists(os.path.join(folder, n))}
    if len(there) == len(written):
        return Places(file, folder, names, {}, {})
    finder = ImageFinder.of(folder)
    found = {
        index: images
        for index, name in written.items()
        if index not in there and (images := finder.find(name))
    }
    clear = find_clear(found, written)
    # In the form of the finder, where `./a.jpg` is `a.jpg`.
    taken = {posixpath.normpath(names[index]): index for index in there}
    rivals = find_rivals(file, clear, taken)
    names |= {i: name for i, name in clear.items() if i not in rivals}
    return Places(file, folder, names, found, rivals)


def find_clear(
    found: Mapping[int, list[str]],
    written: Mapping[int, str] | Sequence[str],
) -> dict[int, str]:
    """Find the entries that may mean one image only.

    Args:
        found: Index of an entry -> the images that it may mean.
        written: Index of an entry -> its file name.

    Returns:
        Index of an entry -> its image. The labels of one version of an image
        do not fit another: these are left out.
    """
    return {
        index: images[0]
        for index, images in found.items()
        if len(images) == 1 and not is_other_version(written[index], images[0])
    }


def exists(path: str) -> bool:
    """Return whether a path leads to something, or to a broken link.

    Args:
        path: The path; it may be a text that cannot be a path.

    Returns:
        Whether it does; False if the text cannot be a path.
    """
    try:
        return os.path.lexists(path)
    except ValueError:  # It cannot be a path.
        return False


def find_rivals(
    file: CocoFile, clear: Mapping[int, str], taken: Mapping[str, int]
) -> dict[int, str]:
    """Find entries that mean an image which another entry has or means.

    Args:
        file: The file.
        clear: Index of an entry -> the image that it means.
        taken: Name of an image -> index of the entry that has it.

    Returns:
        Index of an entry of `clear` -> the place of the other one, such as
        `image 7`. If one has the image, only the other is in it; if both only
        mean it, both are.
    """
    first: dict[str, int] = dict(taken)
    rivals = {}
    for index, name in clear.items():
        other = first.setdefault(name, index)
        if other != index:
            rivals[index] = file.images.describe_place(other)
            # The other one only means the image as well: neither gets it.
            if other in clear:
                rivals[other] = file.images.describe_place(index)
    return rivals


def check_places(places: Places) -> Iterator[Problem]:
    """Find images that have another name in the folder than in the file.

    Args:
        places: Where the images of a file are.

    Yields:
        A problem for each, in the file's order; it can be mended for those in
        `Places.renamed`. Images that are not in the folder at all are none.
    """
    images, folder = places.file.images, places.folder
    for index, found in places.found.items():
        name = images.column('file_name')[index]
        what = f'`file_name` {name!r} is not in {folder}, but {found[0]!r} is'
        advice, kind = 'write that name', 'file_name elsewhere'
        if len(found) > 1:
            kind = 'file_name unclear'
            what = (
                f'`file_name` {name!r} is not in {folder}, and '
                f'it may mean {format_value(found)}'
            )
            advice = 'write the one that it is'
        elif is_other_version(name, found[0]):
            kind = 'file_name of another version'
            what += ', another version of this image from Roboflow'
            advice = (
                'take the images of the same export: versions may be scaled, '
                'turned or cut'
            )
        elif index in places.rivals:
            kind = 'file_name of two images'
            what += f', which {places.rivals[index]} is too'
            advice = 'put both images there, under names of their own'
        yield places.file.make_problem(
            kind, images, index, what, advice, index in places.renamed
        )


@dataclass(frozen=True)
class FileImages:
    """The images of a COCO file.

    Args:
        file: The file.
        facts: Index of the entry -> what was found out about its image. It
            lacks the entries that `Places.names` lacks.
    """

    file: CocoFile
    facts: dict[int, ImageFacts]

    @classmethod
    def read(
        cls, places: Sequence[Places], known: dict[str, ImageFacts]
    ) -> list['FileImages']:
        """Read the images of some files.

        Args:
            places: Where the images of each file are.
            known: Path -> what is known already; what is read is added to it.

        Returns:
            The images of each file, in order.
        """
        wanted = itertools.chain(*(p.paths.values() for p in places))
        known |= read_all_facts(path for path in wanted if path not in known)
        return [
            cls(p.file, {i: known[path] for i, path in p.paths.items()})
            for p in places
        ]

    def quote_file_name(self, index: int) -> str:
        """Quote the file name of an entry.

        Args:
            index: The index of the entry.

        Returns:
            The name in quotes; `None` without one.
        """
        return repr(self.file.images.column('file_name')[index])

    def describe(self, index: int) -> str:
        """Say which image of the file this is, for a message.

        Args:
            index: The index of the entry.

        Returns:
            Its id, or its place without an id, and its file name.
        """
        place = self.file.images.describe_place(index)
        return f'{place} ({self.quote_file_name(index)})'

    def make_problem(
        self,
        kind: str,
        index: int,
        what: str,
        advice: str,
        is_fixable: bool = False,
    ) -> Problem:
        """Make the problem of an image.

        Args:
            kind: What kind of problem it is, see `Problem`.
            index: The index of the entry.
            what: What is wrong.
            advice: What the user can do.
            is_fixable: Whether `--fix` solves it.

        Returns:
            A problem of that entry.
        """
        return self.file.make_problem(
            kind, self.file.images, index, what, advice, is_fixable
        )
