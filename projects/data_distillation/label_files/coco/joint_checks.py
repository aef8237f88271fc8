"""Checks of COCO files that are used together."""

import itertools
from collections.abc import Iterator, Sequence

from ...text import format_value
from .checks import normalize_names
from .problems import Problem
from .tables import CocoFile


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
