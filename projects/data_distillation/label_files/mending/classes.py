"""Ids of classes, for files that have only their names."""

from collections import Counter

from ..coco.class_checks import find_class_name, find_ids, with_categories
from ..coco.tables import CocoFile
from .entries import Mended, replace_entries


def write_classes(file: CocoFile) -> Mended:
    """Write categories as objects with ids, and ids for names of classes.

    Categories that are as COCO has them, or not clear, stay. So do annotations
    that have an id, or a name that not exactly one category has.

    Args:
        file: The file. It is not changed.

    Returns:
        The new content, and how many categories and ids were written. The ids
        are as the categories have them, perhaps as texts.
    """
    counts: Counter = Counter()
    mended = with_categories(file)
    if mended is not file:
        counts['categories written with ids'] = len(mended.categories.entries)
    found: dict[str, list] = {}

    def change(index: int, entry: dict) -> dict:
        """Return an annotation with the id of the class that it names."""
        name = find_class_name(entry)
        if name is None:
            return entry
        # Once for each name: many objects are of few classes.
        if name not in found:
            found[name] = find_ids(mended, name)
        if len(found[name]) != 1:
            return entry
        counts['ids written for the names of classes'] += 1
        return dict(entry, category_id=found[name][0])

    return replace_entries(mended, 'annotations', change), counts
