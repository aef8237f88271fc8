"""Checks of the classes of a COCO file, and of whether they have objects."""

from collections import Counter
from collections.abc import Iterator

from ..text import format_value
from .problems import Problem
from .tables import CocoFile

# A few images without objects are usual; if they are more, images that are
# not labeled yet may be among them.
NOTED_SHARE = 0.1
NO_OBJECT_AT_ALL = 'no object at all'


def find_equal_categories(file: CocoFile) -> dict[int, int]:
    """Find categories that differ from an earlier one in nothing but the id.

    Tools that merge files write them. A category whose id another one has too
    is not among them, unless the two are the same: it is not clear which one
    is meant by the id.

    Args:
        file: The file.

    Returns:
        Index of a category -> index of the first one that is equal.
    """
    entries, ids = file.categories.entries, file.categories.column('id')
    first: dict[str, int] = {}
    equal: dict[int, int] = {}
    for index, name in enumerate(file.categories.column('name')):
        if name is None or ids[index] is None:
            continue
        other = first.setdefault(name, index)
        if other != index and differ_in_id(entries[index], entries[other]):
            equal[index] = other
    others = {ids[i] for i in range(len(ids)) if i not in equal}
    return {
        index: other
        for index, other in equal.items()
        if ids[index] == ids[other] or ids[index] not in others
    }


def differ_in_id(entry: dict, other: dict) -> bool:
    """Return whether nothing but the id is different.

    Args:
        entry: A category.
        other: Another one; if both are nested too deeply, the answer is no.
    """
    try:
        return dict(entry, id=0) == dict(other, id=0)
    except RecursionError:  # They are nested nearly too deeply to be read.
        return False


def count_objects(file: CocoFile) -> Counter:
    """Count the objects of each class that a model can learn from.

    Regions to leave out (`iscrowd` 1) and annotations with `ignore` are none.

    Args:
        file: The file.

    Returns:
        Id of a category -> number of its objects.
    """
    annotations = file.annotations
    columns = (
        annotations.column('category_id'),
        annotations.column('iscrowd'),
        annotations.values('ignore'),
    )
    return Counter(
        category_id
        for category_id, iscrowd, ignore in zip(*columns, strict=True)
        if category_id is not None and not iscrowd and not ignore
    )


def check_any_object(file: CocoFile) -> Iterator[Problem]:
    """Find a file with annotations of which none is an object.

    Args:
        file: The file.

    Yields:
        At most one problem.
    """
    num_annotations = len(file.annotations.entries)
    # Categories that are no ids are a problem of their own.
    has_categories = any(
        i is not None for i in file.annotations.column('category_id')
    )
    if not has_categories or count_objects(file):
        return
    num_crowds = sum(map(bool, file.annotations.column('iscrowd')))
    others = '' if num_crowds == num_annotations else ', or have `ignore`'
    yield file.make_file_problem(
        NO_OBJECT_AT_ALL,
        f'none of {num_annotations:,} annotations is an object: {num_crowds:,}'
        f' have iscrowd 1, as regions to leave out have it{others}',
        'if they are objects (CVAT exports masks with iscrowd 1), write '
        'iscrowd 0 (--fix does, with --no-crowds)',
    )


def check_trainable_objects(file: CocoFile) -> Iterator[Problem]:
    """Find a file from which no detector can learn: it has no object.

    Args:
        file: The file.

    Yields:
        At most one problem.
    """
    yield from check_any_object(file)
    if not file.annotations.entries:
        yield file.make_file_problem(
            'no annotation',
            'has no annotation: there is nothing to learn or to validate by',
            'give the file with the labels',
        )


def describe_objects(file: CocoFile) -> Iterator[str]:
    """Describe what is no error, but may not be meant so.

    Args:
        file: The file.

    Yields:
        A sentence about the classes without objects, and one about the images
        without annotations.
    """
    yield from describe_classes(file)
    yield from describe_bare_images(file)


def describe_classes(file: CocoFile) -> Iterator[str]:
    """Name the classes without objects, if there are objects of others.

    Args:
        file: The file.

    Yields:
        At most one sentence.
    """
    counts = count_objects(file)
    columns = map(file.categories.column, ('id', 'name'))
    empty = [n for i, n in zip(*columns, strict=True) if not counts[i]]
    if empty and counts:
        yield (
            f'{file.path}: {len(empty)} of {len(file.categories.entries)} '
            f'classes have no object: {format_value(empty)}'
        )


def describe_bare_images(file: CocoFile) -> Iterator[str]:
    """Count the images without annotations, if they are more than a few.

    Args:
        file: The file.

    Yields:
        At most one sentence.
    """
    image_ids = set(file.annotations.column('image_id'))
    num_images = len(file.images.entries)
    num_bare = sum(i not in image_ids for i in file.images.column('id'))
    if num_bare > NOTED_SHARE * num_images and count_objects(file):
        yield (
            f'{file.path}: {num_bare:,} of {num_images:,} images have no '
            'annotation: they count as images without objects. If they are '
            'not labeled yet, move them to the unlabeled images: '
            'tools/split_coco.py --annotated'
        )
