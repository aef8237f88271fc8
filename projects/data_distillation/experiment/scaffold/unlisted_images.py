"""Finds the unlabeled images in a folder where others are labeled."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...files.copies import find_copies
from ...label_files.coco.contents import find_annotated
from ...label_files.coco.reading import read_coco
from ...label_files.coco.schema import find_name_error
from ...pseudo_labels.annotation.unlabeled import list_images
from ...text import format_value

# The value of `--unlabeled` for the images that no file lists.
REST = 'rest'


@dataclass(frozen=True)
class UnlistedImages:
    """The images of a folder that no COCO file lists.

    Args:
        names: Their file names, relative to the folder, sorted.
        notes: Lines for the user about the images that are left out.
    """

    names: list[str]
    notes: tuple[str, ...]


def find_unlisted(
    folder: Path,
    known: Sequence[tuple[Path, Path]],
    may_be_none: bool = False,
) -> UnlistedImages:
    """Find the images of a folder that no COCO file lists.

    Copies of the listed images, under whatever name, are left out too.

    Args:
        folder: The folder, which is searched at any depth.
        known: COCO files of images, each with the folder of its images.
        may_be_none: Whether there may be no other image.

    Returns:
        The other images.

    Raises:
        FileNotFoundError: If a file or the folder does not exist.
        CocoError: If a file cannot be used, or two images have one name.
        ValueError: If no image is left, but one must be; or if the folder has
            no image at all.
    """
    listed = [
        str(images / image['file_name'])
        for file, images in known
        for image in read_coco(file, 'images')['images']
    ]
    paths = {
        image['file_name']: str(folder / image['file_name'])
        for image in list_images(folder)
    }
    # Listed images and links to them are known by their paths. Only the others
    # are read, to find copies.
    real = set(map(os.path.realpath, listed))
    unlisted = {
        name: path
        for name, path in paths.items()
        if os.path.realpath(path) not in real
    }
    copies = find_copies(unlisted.values(), listed)
    names = [name for name, path in unlisted.items() if path not in copies]
    bad = dict.fromkeys(filter(find_name_error, names))  # A set, in order.
    names = [name for name in names if name not in bad]
    if not names and not may_be_none:
        raise ValueError(
            f'--unlabeled {REST}: no image is left, because all '
            f'{len(paths):,} in {folder} are listed in a file. If some of '
            'those in the labeled file have not been annotated yet, take them '
            'with --annotate-empty'
        )
    taken = (
        f'{len(names):,} of the {len(paths):,} images in {folder} are in no '
        'file: they are the unlabeled ones'
    )
    return UnlistedImages(names, (taken, *describe_left_out(bad, copies)))


def describe_left_out(
    bad: Collection[str], copies: Mapping[str, str]
) -> Iterator[str]:
    """Say which images of a folder are left out besides the listed ones.

    Args:
        bad: The names that a COCO file cannot have.
        copies: The path of each copy -> that of the listed image.

    Yields:
        A line for each kind that there is.
    """
    if bad:
        yield (
            f'{len(bad):,} more are left out, because a COCO file cannot have '
            f'such names, for example {format_value(next(iter(bad)))}: '
            'rename them'
        )
    if copies:
        first, original = next(iter(copies.items()))
        yield (
            f'{len(copies):,} more are left out, because they are copies of '
            f'listed images, for example {first} of {original}'
        )


def find_empty(content: dict) -> list[str]:
    """List the labeled images without any object.

    Args:
        content: The content of the labeled file.

    Returns:
        Their file names, in the file's order; those with a crowd are not among
        them.
    """
    annotated = find_annotated(content)
    return [
        image['file_name']
        for image in content['images']
        if image['id'] not in annotated
    ]


def is_share(text: str) -> bool:
    """Return whether a text is meant as a share, such as `90%`.

    Args:
        text: What the user has written.

    Returns:
        Whether it ends with `%`.
    """
    return text.endswith('%')


def parse_share(text: str) -> float:
    """Read a share such as `90%`.

    Args:
        text: What the user has written.

    Returns:
        The fraction, above 0 and below 1.

    Raises:
        ValueError: If the text is no share, or not between 0% and 100%.
    """
    match = re.fullmatch(r'(\d+(?:\.\d+)?)%', text)
    if not match or not 0 < float(match[1]) < 100:
        raise ValueError(
            'the share of images to take the labels off must be between 0% '
            f'and 100%, got {text!r}'
        )
    return float(match[1]) / 100
