"""Checks of COCO files that are used together.

An image that is both in the training set and in the validation set makes the
figures of a run worthless. Copies are found by the SHA-256 of their bytes,
copies that were scaled or saved again by a perceptual hash.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ...text import format_value
from .checks import normalize_names
from .image_files import HASH_SIDE, MAX_DISTANCE, FileImages, ImageFacts
from .problems import Problem
from .tables import CocoFile

# The rows of one part of the matrix of distances; with 120,000 columns a part
# takes 120 MB.
CHUNK = 256


def check_same_categories(files: Sequence[CocoFile]) -> Iterator[Problem]:
    """Find files whose categories are not those of the first file.

    CocoDataset numbers the classes by the order in the file: if two files have
    different orders, classes are swapped without a message.

    Args:
        files: The files, at least one.

    Yields:
        At most one problem for each file but the first, in order; see
        `describe_difference`.
    """
    for file in files[1:]:
        what = describe_difference(*map(list_categories, (files[0], file)))
        if what:
            yield file.make_file_problem(
                'other categories',
                f'the categories are not those of {files[0].path}: {what}',
                'write the same ids and names in the same order, or take them '
                f'with --fix and --like {files[0].path}',
            )


def list_categories(file: CocoFile) -> list[tuple]:
    """List the id and the name of each category.

    Args:
        file: The file.

    Returns:
        Pairs in the file's order; None in place of an id or a name that is
        missing or breaks its rule.
    """
    categories = file.categories
    ids, names = categories.column('id'), categories.column('name')
    return list(zip(ids, names, strict=True))


def describe_difference(expected: list[tuple], found: list[tuple]) -> str:
    """Return how two lists of categories differ.

    Args:
        expected: The id and the name of each category.
        found: The id and the name of each category of the other file.

    Returns:
        A difference in words: the names that only one list has; if there are
        none, the first place with another name; otherwise the first other id.
        `''` if there is none, or if one of the lists is empty.
    """
    if expected == found or not expected or not found:
        return ''
    names = [name for _, name in expected], [name for _, name in found]
    if set(names[0]) != set(names[1]):
        more, less = (set(a) - set(b) for a, b in (names[::-1], names))
        extra, missing = (
            format_value(sorted(map(str, s))) for s in (more, less)
        )
        return f'missing: {missing}, only here: {extra}'
    if names[0] != names[1]:
        # Names may occur twice: lists of equal sets may differ in length.
        pairs = itertools.zip_longest(*names, fillvalue='nothing')
        number, pair = next(p for p in enumerate(pairs, 1) if len({*p[1]}) > 1)
        return f'number {number} is {pair[1]!r} instead of {pair[0]!r}'
    # The names are the same here, so that an id differs.
    both = zip(expected, found, strict=True)
    (expected_id, name), (found_id, _) = next(p for p in both if p[0] != p[1])
    return f'{name!r} has id {found_id} instead of {expected_id}'


def check_shared_names(files: Sequence[CocoFile]) -> Iterator[Problem]:
    """Find file names that two files have.

    They are problems only as long as the images themselves are not compared.
    `normalize_names` says which names are the same.

    Args:
        files: The files.

    Yields:
        A problem for each such image of the later file of a pair, pair by pair
        and in the file's order.
    """
    for first, second in itertools.combinations(files, 2):
        known = set(normalize_names(first)) - {None}
        for index, name in enumerate(normalize_names(second)):
            if name in known:
                yield second.make_problem(
                    f'names of {first.path}',
                    second.images,
                    index,
                    f'same file_name {name!r} in {first.path}',
                    'is it the same image? give --images to be sure',
                )


def check_together(
    files: Sequence[CocoFile], has_images: bool
) -> Iterator[Problem]:
    """Yield the problems of files that are used together.

    Args:
        files: The files; all others are compared with the first one.
        has_images: Whether the images themselves are compared elsewhere, so
            that equal file names say nothing.

    Yields:
        The problems of categories, then those of file names.
    """
    yield from check_same_categories(files)
    # The contents of images say more: see `check_leaks`.
    if not has_images:
        yield from check_shared_names(files)


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
