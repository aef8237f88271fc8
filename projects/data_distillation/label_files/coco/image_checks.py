"""Checks of the images of COCO files.

They find images that are unreadable or have another size, and with
`joint_checks` those that are in two files.
"""

import itertools
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..segmentations.facts import Facts
from .box_checks import FileBoxes
from .checks import NAME_OUTSIDE, check_file
from .image_files import (
    FileImages,
    ImageFacts,
    Places,
    check_places,
    locate_images,
)
from .joint_checks import check_leaks, check_together
from .problems import Problem
from .schema import TOLERANCE
from .tables import CocoFile


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
        Without boxes, `UNCLEAR` if there are polygons or masks, or `DECODED`.
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
        # Whatever polygons say of the size, boxes are made of them.
        return UNCLEAR if have_outlines(part.file, index_of) else DECODED
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


def have_outlines(file: CocoFile, image_ids: Container[int]) -> bool:
    """Return whether objects of some images have polygons or masks.

    Args:
        file: The file.
        image_ids: The ids of the images.

    Returns:
        Whether one has; False if the polygons have not been read.
    """
    columns = (
        file.annotations.column('image_id'),
        file.annotations.values('segmentation'),
    )
    for image_id, value in zip(*columns, strict=True):
        if value is not None and image_id in image_ids:
            # Checks have the facts in place of the polygons.
            facts = value if isinstance(value, Facts) else Facts.of(value)
            if facts.fault != 'empty':
                return True
    return False


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
