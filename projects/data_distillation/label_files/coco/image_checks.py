"""Checks of the images of COCO files.

They find images that are unreadable, have another size, or are in two files.
An image that is both in the training set and in the validation set makes the
figures of a run worthless. Copies are found by the SHA-256 of their bytes,
copies that were scaled or saved again by a perceptual hash.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .box_checks import FileBoxes
from .checks import NAME_OUTSIDE, check_file
from .image_files import (
    HASH_SIDE,
    MAX_DISTANCE,
    FileImages,
    ImageFacts,
    Places,
    check_places,
    locate_images,
)
from .joint_checks import check_together
from .problems import Problem
from .schema import TOLERANCE
from .tables import CocoFile

# The rows of one part of the matrix of distances; with 120,000 columns a part
# takes 120 MB.
CHUNK = 256


def check_images(
    places: Sequence[Places], known: dict[str, ImageFacts] | None = None
) -> Iterator[Problem]:
    """Find images that are elsewhere, unreadable, or in two files.

    Also images of another size are found.

    Args:
        places: Where the images of each file are.
        known: Path -> what is known of an image already; what is read is added
            to it. None if nothing is known.

    Yields:
        The problems of names, file by file, then those of unreadable images
        and of sizes, file by file, then those of each pair of files.
    """
    for place in places:
        yield from check_places(place)
    parts = FileImages.read(places, {} if known is None else known)
    for part, place in zip(parts, places, strict=True):
        yield from check_readable(part, place)
        yield from check_sizes(part)
    for first, second in itertools.combinations(parts, 2):
        yield from check_leaks(first, second)


def check_readable(part: FileImages, places: Places) -> Iterator[Problem]:
    """Find images that are missing or cannot be decoded.

    Args:
        part: The file with what is known of its images.
        places: Where the images of the file are.

    Yields:
        A problem for each that `check_places` does not tell of, in the file's
        order.
    """
    for index, facts in part.facts.items():
        is_named = index in places.found and index not in places.renamed
        if facts.error and not is_named:
            yield part.make_problem(
                'image unreadable',
                index,
                f'{part.quote_file_name(index)} cannot be read '
                f'({facts.error})',
                f'put it into {places.folder}, or remove the entry and its '
                'annotations (--fix does, with --drop-unreadable)',
            )


def check_sizes(part: FileImages) -> Iterator[Problem]:
    """Find images whose size is not the size in the file.

    Args:
        part: The file with what is known of its images.

    Yields:
        A problem for each, in the file's order.
    """
    verdicts = judge_sizes(part)
    for index, size in find_wrong_sizes(part).items():
        yield make_size_problem(part, index, size, verdicts[index])


def find_wrong_sizes(part: FileImages) -> dict[int, tuple[float, float]]:
    """Find the entries whose image has another size.

    Args:
        part: The file with what is known of its images.

    Returns:
        Index of an entry -> width and height in the file, pixels. Images that
        cannot be read, and entries without a size, are left out.
    """
    columns = map(part.file.images.column, ('width', 'height'))
    sizes = list(zip(*columns, strict=True))
    return {
        index: sizes[index]
        for index, facts in part.facts.items()
        if not facts.error
        and None not in sizes[index]
        and sizes[index] != facts.size_wh
    }


# What the boxes say of images whose size in the file is wrong: they are in
# pixels of the image as it is decoded, of the size in the file, or of either.
DECODED, WRITTEN, UNCLEAR = 'decoded', 'written', 'unclear'
# The share of boxes that may contradict what all others say.
SHARE_AGAINST = 0.01


def judge_sizes(part: FileImages) -> dict[int, str]:
    """Find what the boxes of images of a wrong size were drawn on.

    All images with swapped sides are judged together, and all others too: one
    tool has written them. An image that is off by at most `TOLERANCE` pixels
    is `DECODED`.

    Args:
        part: The file with what is known of its images.

    Returns:
        Index of an entry -> `DECODED`, `WRITTEN` or `UNCLEAR`.
    """
    groups: dict[bool, list[int]] = {True: [], False: []}
    verdicts = {}
    for index, size in find_wrong_sizes(part).items():
        decoded = part.facts[index].size_wh
        if max(abs(np.subtract(size, decoded))) <= TOLERANCE:
            verdicts[index] = DECODED
        else:
            # The key: whether the sides are swapped.
            groups[size == decoded[::-1]].append(index)
    for group in groups.values():
        verdicts |= dict.fromkeys(group, judge_group(part, group))
    return verdicts


def judge_group(part: FileImages, group: Sequence[int]) -> str:
    """Find what most boxes of these images say; see `judge_sizes`.

    Args:
        part: The file with what is known of its images.
        group: The indices of the entries.

    Returns:
        `DECODED` or `WRITTEN`, if some boxes fit only this size, and at most
        the share `SHARE_AGAINST` fits only the other; otherwise `UNCLEAR`.
        `DECODED` without boxes.
    """
    ids = part.file.images.column('id')
    index_of = {ids[index]: index for index in group if ids[index] is not None}
    boxes = FileBoxes.of(part.file)
    image_ids = part.file.annotations.column('image_id')
    rows = [
        row
        for row, index in enumerate(boxes.indices)
        if image_ids[index] in index_of
    ]
    if not rows:
        return DECODED
    own = boxes.take(np.array(rows))
    decoded = own.of_sizes(
        [
            part.facts[index_of[image_ids[i]]].size_wh
            for i in own.indices.tolist()
        ]
    )
    fits_written = own.overshoot <= TOLERANCE
    fits_decoded = decoded.overshoot <= TOLERANCE
    num_decoded = (fits_decoded & ~fits_written).sum()
    num_written = (fits_written & ~fits_decoded).sum()
    if num_decoded and num_written <= SHARE_AGAINST * len(rows):
        return DECODED
    if num_written and num_decoded <= SHARE_AGAINST * len(rows):
        return WRITTEN
    return UNCLEAR


def make_size_problem(
    part: FileImages, index: int, size_wh: tuple[float, float], verdict: str
) -> Problem:
    """Make the problem of an image of another size.

    Args:
        part: The file with what is known of its images.
        index: The index of the entry.
        size_wh: The width and height in the file, pixels.
        verdict: `DECODED`, `WRITTEN` or `UNCLEAR`.

    Returns:
        A problem of the image; it can be mended if the verdict is `DECODED`.
    """
    decoded_wh = part.facts[index].size_wh
    what = (
        f'{size_wh[0]}x{size_wh[1]} in the file, but the image is decoded as '
        f'{decoded_wh[0]}x{decoded_wh[1]}'
    )
    advice = {
        DECODED: 'its boxes fit the image: write the size of the image',
        WRITTEN: 'its boxes fit the size in the file: if the image was '
        'resized, --fix with --unit resized scales them',
        UNCLEAR: 'look at its boxes: if they fit, --fix with --unit pixel '
        'writes the size of the image; if the image was resized, --unit '
        'resized scales them',
    }[verdict]
    if size_wh == decoded_wh[::-1]:
        what += ', transposed by EXIF (or width and height are confused)'
        if verdict != DECODED:
            advice = 'look at its boxes: if they fit, --fix with --unit pixel '
            advice += 'writes the size of the image; otherwise turn them'
    return part.make_problem(
        'image size', index, what, advice, verdict == DECODED
    )


def check_leaks(first: FileImages, second: FileImages) -> Iterator[Problem]:
    """Find images that are in two files.

    Args:
        first: The images of one file.
        second: The images of another file.

    Yields:
        At most one problem for each image of the second file: its exact copy
        (of several the last one) if there is one, else the image that looks
        most like it (of equal ones the first), if at most `MAX_DISTANCE` bits
        of their hashes differ. First come all copies, each in the file's
        order. Images that cannot be read are passed over.
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
    """Make the problem of an image that is an exact copy of a known one.

    Args:
        first: The file that has the known image.
        second: The file that has the copy.
        known: The index of the known image in the first file.
        index: The index of the copy in the second file.

    Returns:
        A problem of the copy.
    """
    return second.make_problem(
        f'copies from {first.file.path}',
        index,
        f'{second.quote_file_name(index)} is {first.describe(known)} of '
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
    """Make the problem of an image that looks like a known one.

    Args:
        first: The file that has the known image.
        second: The file that has the other one.
        known: The index of the known image in the first file.
        index: The index of the other one in the second file.
        distance: The number of bits of their hashes that differ.

    Returns:
        A problem of the other one.
    """
    return second.make_problem(
        f'near-duplicates from {first.file.path}',
        index,
        f'{second.quote_file_name(index)} looks like '
        f'{first.describe(known)} of {first.file.path} ({distance} of '
        f'{HASH_SIDE**2} bits of their perceptual hashes differ)',
        'look at both; if they show the same, take one out',
    )


def stack_hashes(facts: dict[int, ImageFacts]) -> tuple[list[int], np.ndarray]:
    """Collect the perceptual hashes of images.

    Args:
        facts: Index of an entry -> what is known of its image.

    Returns:
        The n indices of the images that have a hash, in order, and their bits,
        shape (n, `HASH_SIDE` ** 2), float32, +1 or -1.
    """
    bits = {i: f.bits for i, f in facts.items() if f.bits is not None}
    rows = np.array(list(bits.values()), np.float32)
    return list(bits), rows.reshape(-1, HASH_SIDE**2)  # (0, 256) without any.


def find_nearest(
    known: tuple[list[int], np.ndarray], asked: tuple[list[int], np.ndarray]
) -> Iterator[tuple[int, int, int]]:
    """Find the most similar known image for each image that is similar enough.

    Args:
        known: The indices of the known images and their hashes; see
            `stack_hashes`. Without any, nothing is found.
        asked: The same of the images to find something for.

    Yields:
        The index of the known image (the first one of those that are equally
        similar), the index of the other one, and the number of bits that
        differ, which is at most `MAX_DISTANCE`; in the order of `asked`.
    """
    if not known[0]:
        return
    for start in range(0, len(asked[0]), CHUNK):
        # The number of bits that agree minus the number of bits that differ.
        # float32 is exact: these are whole numbers from -256 to 256.
        products = asked[1][start : start + CHUNK] @ known[1].T
        best = products.argmax(1)
        agreement = np.take_along_axis(products, best[:, None], 1)[:, 0]
        distances = ((HASH_SIDE**2 - agreement) / 2).round().astype(int)
        for row in np.flatnonzero(distances <= MAX_DISTANCE):
            index = asked[0][start + row]
            yield known[0][best[row]], index, int(distances[row])


def find_problems(
    files: Sequence[CocoFile],
    folders: Sequence[Path] | None,
    known: dict[str, ImageFacts] | None = None,
) -> Iterator[Problem]:
    """Yield the problems of files that are used together.

    Args:
        files: The files; all others are compared with the first one.
        folders: The image folders: one for all files, or one for each file.
            None leaves the images unchecked.
        known: Path -> what is known of an image already; what is read is added
            to it. None if nothing is known.

    Yields:
        The problems of the entries, file by file, then those of all files
        together, then those of images, see `check_images`.

    Raises:
        ValueError: If there are several folders, but not one for each file.
    """
    folders = list(folders or ())
    if len(folders) not in (0, 1, len(files)):
        raise ValueError(
            f'there must be one image folder, or one for each of the '
            f'{len(files)} files, got {len(folders)}'
        )
    if len(folders) == 1:
        folders *= len(files)
    places = list(map(locate_images, files, folders))
    for number, file in enumerate(files):
        found = places[number].found if places else {}
        for problem in check_file(file):
            # Where the image is says more than that it is elsewhere.
            if problem.kind != NAME_OUTSIDE or problem.index not in found:
                yield problem
    yield from check_together(files, has_images=bool(places))
    yield from check_images(places, known)
