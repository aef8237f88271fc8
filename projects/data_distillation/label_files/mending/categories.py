"""Categories: equal ones become one, and another file gives their order."""

from collections import Counter

from ...text import format_value
from ..coco.class_checks import find_equal_categories
from ..coco.joint_checks import list_categories
from ..coco.tables import CocoFile
from .choices import Choices, MendingError
from .entries import Mended, iterate_free_ids, replace_entries
from .ids import collect_references


def join_categories(file: CocoFile) -> Mended:
    """Make one category of those that differ in nothing but the id.

    The first one stays, and gets the annotations of the others. Two categories
    of the same name that differ in something else, such as the supercategory,
    stay as they are.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many categories were dropped.
    """
    ids, equal = file.categories.column('id'), find_equal_categories(file)
    content = replace_entries(
        file, 'categories', lambda i, e: None if i in equal else e
    )
    numbers = {ids[index]: ids[other] for index, other in equal.items()}
    counts = Counter({'repeated categories dropped': len(equal)})
    return renumber_categories(file.with_content(content), numbers), counts


def renumber_categories(file: CocoFile, numbers: dict[int, int]) -> dict:
    """Give the annotations of a file other categories.

    Args:
        file: The file. It is not changed.
        numbers: Id of a category -> the id that takes its place. All change at
            once.

    Returns:
        The new content. Annotations stay whose category has no new id, or is
        no id; `categories` itself is not changed.
    """

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with the new id of its category."""
        old = ids[index]
        if old is None or numbers.get(old, old) == old:
            return entry
        return dict(entry, category_id=numbers[old])

    ids = file.annotations.column('category_id')
    return replace_entries(file, 'annotations', change)


def take_categories(file: CocoFile, choices: Choices) -> Mended:
    """Take the categories of another file, with their ids and their order.

    Names say which category is which, to the letter. Those that only the other
    file has are added. An id that no category of the file has stays unknown:
    if the other file has it, an id that neither has takes its place.

    Args:
        file: The file. It is not changed.
        choices: `like` is the other file; without it nothing is done. With
            `drop_others`, objects of categories that it lacks are left out.

    Returns:
        The new content, and how many categories were taken and objects
        dropped; nothing is done or counted if both have the same ids and
        names in the same order.

    Raises:
        MendingError: If the categories of a file are broken, see `list_clean`,
            or if there are objects of a category that the other file does not
            have, without `drop_others`.
    """
    if choices.like is None:
        return file.content, Counter()
    # By name: ids of two exports of one project may differ.
    numbers = {n: i for i, n in list_clean(choices.like)}
    names = dict(list_clean(file))
    # After `list_clean`, which refuses broken ones even if they are equal.
    if list_categories(file) == list_categories(choices.like):
        return file.content, Counter()
    ids = file.annotations.column('category_id')
    lost = Counter(names[i] for i in ids if i in names)
    lost = Counter({n: c for n, c in lost.items() if n not in numbers})
    if lost and not choices.drop_others:
        raise MendingError(
            f'{lost.total()} objects are of categories that '
            f'{choices.like.path} does not have: {format_value(dict(lost))}. '
            'Give that file these categories too, or leave the objects out '
            'with --drop-others'
        )
    content = replace_entries(
        file,
        'annotations',
        lambda i, e: None if names.get(ids[i]) in lost else e,
    )
    moved = {i: numbers[n] for i, n in names.items() if n in numbers}
    moved |= part_unknown(file, set(numbers.values()))
    content = renumber_categories(file.with_content(content), moved)
    categories = choices.like.content['categories']
    counts = Counter(
        {
            f'categories taken from {choices.like.path}': len(categories),
            'objects of other categories dropped': lost.total(),
        }
    )
    return dict(content, categories=categories), counts


def part_unknown(file: CocoFile, taken: set[int]) -> dict[int, int]:
    """Find other numbers for unknown categories that would become known.

    Args:
        file: The file.
        taken: The ids of the categories that it will have.

    Returns:
        Id in `taken` to which annotations refer, but which no category of the
        file has -> an id to which nothing refers and that is not in `taken`.
    """
    known = set(file.categories.column('id'))
    references = collect_references(file, 'categories')
    free = iterate_free_ids(taken | references)
    unknown = sorted((references & taken) - known)
    return dict(zip(unknown, free, strict=False))


def list_clean(file: CocoFile) -> list[tuple[int, str]]:
    """List the id and the name of each category, all of which are right.

    Args:
        file: The file.

    Returns:
        Pairs, in the file's order.

    Raises:
        MendingError: If there are none, one is broken, or an id or a name
            occurs twice.
    """
    pairs = list_categories(file)
    for values in zip(*pairs, strict=True):
        if None in values or len(set(values)) < len(values):
            break
    else:
        if pairs:
            return pairs
    raise MendingError(
        f'the categories of {file.path} must each have an id and a name of '
        'their own for --like: correct them first'
    )
