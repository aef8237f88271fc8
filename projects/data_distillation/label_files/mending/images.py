"""Mendings for which the images themselves are read."""

import math
from collections import Counter
from collections.abc import Collection

import numpy as np

from ...arguments import is_number
from ..coco.image_checks import (
    DECODED,
    find_wrong_sizes,
    judge_sizes,
)
from ..coco.image_files import FileImages, Places, locate_images
from ..coco.schema import is_bbox
from ..coco.tables import CocoFile
from ..segmentations.facts import nest_polygons
from .choices import Choices
from .entries import Mended, replace_entries
from .limits import check_share
from .segmentations import MENDINGS


def mend_images(file: CocoFile, choices: Choices) -> Mended:
    """Mend the names and sizes of images, and leave out what is not wanted.

    Images that cannot be read are left out with `drop_unreadable`, and copies
    of images of `apart_from` always, both with their annotations.

    Args:
        file: The file. It is not changed.
        choices: Without `folder`, nothing is done. What is read is added to
            `known`.

    Returns:
        The new content, and how often each mending was done.

    Raises:
        MendingError: If too many images would be left out as unreadable.
    """
    if choices.folder is None:
        return file.content, Counter()
    places = locate_images(file, choices.folder)
    # The names come first: by a wrong one, no image would be found below.
    file = file.with_content(rename_images(places))
    counts = Counter({'file names corrected': len(places.renamed)})
    (part,) = FileImages.read(
        [locate_images(file, choices.folder)], choices.known
    )
    unwanted = find_unreadable(part, choices)
    counts['unreadable images dropped'] = len(unwanted)
    copies = find_shared_images(part, choices)
    counts['images dropped that are in another file'] = len(copies)
    sizes = choose_sizes(part, choices)
    content = write_sizes(file, part, sizes, counts)
    content = drop_images(
        file.with_content(content), unwanted | copies, counts
    )
    return content, counts


def rename_images(places: Places) -> dict:
    """Give the images of a file their right names.

    Args:
        places: Where the images of the file are.

    Returns:
        The new content; only `places.renamed` have other names.
    """
    names = places.renamed
    return replace_entries(
        places.file,
        'images',
        lambda i, e: dict(e, file_name=names[i]) if i in names else e,
    )


def find_unreadable(part: FileImages, choices: Choices) -> set[int]:
    """Find the images to leave out as unreadable.

    Args:
        part: The file with what is known of its images.
        choices: Without `drop_unreadable`, there are none.

    Returns:
        The indices of their entries. Entries whose name leads to no file are
        among them, but not those that have no name, or one that must not be
        opened.

    Raises:
        MendingError: If these are too many (see `check_share`): the folder may
            be another one.
    """
    if not choices.drop_unreadable:
        return set()
    num_images = len(part.file.images.entries)
    unreadable = {index for index, f in part.facts.items() if f.error}
    check_share(
        {'unreadable images dropped': len(unreadable)},
        num_images,
        f'images: is {choices.folder} their folder?',
        choices,
    )
    return unreadable


def find_shared_images(part: FileImages, choices: Choices) -> set[int]:
    """Find the images that are in files to keep apart.

    Args:
        part: The file with what is known of its images.
        choices: `apart_from` has the other files. What is read is added to
            `known`.

    Returns:
        The indices of the entries whose files have the same SHA-256 as one of
        the others; empty without other files. Scaled copies are not found.
    """
    others = FileImages.read(choices.apart_from, choices.known)
    digests = {
        f.digest for o in others for f in o.facts.values() if not f.error
    }
    # Of what cannot be read, the digest is empty, and not among these.
    return {i for i, f in part.facts.items() if f.digest in digests}


def choose_sizes(part: FileImages, choices: Choices) -> dict[int, bool]:
    """Choose the images that get the size that they are decoded with.

    Args:
        part: The file with what is known of its images.
        choices: What the user says of the boxes, and whether images were
            resized.

    Returns:
        Index of an entry -> whether its boxes are scaled to that size. Boxes
        stay if the size is missing, if they fit the decoded one (see
        `judge_sizes`), or if the user has named their format. They are scaled
        if neither holds, and the user says that images were resized, unless
        the sides are exchanged. All other entries keep their size.
    """
    missing = find_missing_sizes(part)
    chosen = dict.fromkeys(missing, False)
    verdicts = judge_sizes(part)
    for index, size in find_wrong_sizes(part).items():
        verdict = verdicts[index]
        # Exchanged sides mean that the image was turned, not resized.
        is_turned = size == part.facts[index].size_wh[::-1]
        if verdict == DECODED or choices.box_format is not None:
            chosen[index] = False
        elif choices.are_resized and not is_turned:
            chosen[index] = True
    return chosen


def find_missing_sizes(part: FileImages) -> list[int]:
    """Find the readable images with no right width or height in the file.

    Args:
        part: The file with what is known of its images.

    Returns:
        The indices of their entries, ascending.
    """
    columns = map(part.file.images.column, ('width', 'height'))
    return [
        index
        for index, size in enumerate(zip(*columns, strict=True))
        if None in size and index in part.facts and not part.facts[index].error
    ]


def write_sizes(
    file: CocoFile, part: FileImages, sizes: dict[int, bool], counts: Counter
) -> dict:
    """Write the decoded sizes of images into a file.

    Args:
        file: The file. It is not changed.
        part: The file with what is known of its images.
        sizes: The result of `choose_sizes`.
        counts: The numbers of sizes, of scaled boxes, of nested polygons and
            of what `scale_annotation` leaves out are added to it.

    Returns:
        The new content, in which the annotations of resized images are scaled,
        see `scale_annotation`; those without a box and polygons stay.
    """
    factors: dict[int, np.ndarray] = {}

    def change(index: int, entry: dict) -> dict:
        """Return an image with its size."""
        if index not in sizes:
            return entry
        width, height = part.facts[index].size_wh
        if sizes[index] and ids[index] is not None:
            said = entry['width'], entry['height']
            # (2,), for x and y.
            factors[ids[index]] = np.divide((width, height), said)
        counts['sizes of images corrected'] += 1
        return dict(entry, width=width, height=height)

    def scale(index: int, entry: dict) -> dict:
        """Return an annotation in the size of its image."""
        factor = factors.get(image_ids[index])
        has_box = is_bbox(entry.get('bbox'))
        # A missing box will be made of the polygons. Masks as RLE are of the
        # size before, so that without a box nothing can be made of them.
        has_polygons = isinstance(entry.get('segmentation'), list)
        if factor is None or not (has_box or has_polygons):
            return entry
        counts['boxes scaled to their resized image'] += has_box
        entry = nest_segmentation(entry, counts)
        new = scale_annotation(entry, factor)
        count_lost(entry, new, counts)
        return new

    ids = file.images.column('id')
    image_ids = file.annotations.column('image_id')
    # First the images: this fills `factors`, which `scale` reads.
    content = replace_entries(file, 'images', change)
    if not factors:
        return content
    return replace_entries(file.with_content(content), 'annotations', scale)


def nest_segmentation(entry: dict, counts: Counter) -> dict:
    """Write the polygons of an annotation as lists of numbers.

    Args:
        entry: The annotation; it is not changed.
        counts: It is counted there if it has polygons in another form.

    Returns:
        A copy with the polygons, see `nest_polygons`; the annotation itself if
        there is nothing to change, or a polygon is broken.
    """
    value = entry.get('segmentation')
    if not isinstance(value, list) or not value:
        return entry
    nested = nest_polygons(value)
    if nested is None or nested == value:
        return entry
    counts[MENDINGS['not nested'][0]] += 1
    return dict(entry, segmentation=nested)


def scale_annotation(entry: dict, factor: np.ndarray) -> dict:
    """Scale an annotation of an image that was resized.

    A mask as RLE is left out: it is of the size before.

    Args:
        entry: The annotation, with a box of four numbers or a segmentation; it
            is not changed.
        factor: Shape (2,): the new width and height, divided by the old ones.

    Returns:
        A copy with box (xywh) and polygons in pixels of the new size, rounded
        to 1/100. The area is scaled too, or w * h if there is none. Only lists
        of finite numbers are kept as polygons: one that is not in a list of
        its own is lost. What is no box stays as it is.
    """
    new, area = dict(entry), entry.get('area')
    area = area * factor.prod() if is_number(area) else None
    if is_bbox(entry.get('bbox')):
        bbox_xywh = np.array(entry['bbox'], float) * np.tile(factor, 2)
        new['bbox'] = bbox_xywh.round(2).tolist()
        area = math.prod(new['bbox'][2:]) if area is None else area
    if area is not None:
        new['area'] = round(float(area), 2)
    polygons = new.pop('segmentation', None)
    if isinstance(polygons, list):
        new['segmentation'] = [
            [
                round(float(number * factor[place % 2]), 2)
                for place, number in enumerate(polygon)
            ]
            for polygon in polygons
            if isinstance(polygon, list) and all(map(is_number, polygon))
        ]
    return new


def count_lost(entry: dict, new: dict, counts: Counter) -> None:
    """Count what is left out of an annotation that is scaled.

    Args:
        entry: The annotation before.
        new: The annotation after, see `scale_annotation`.
        counts: The masks and polygons that are gone are added to it.
    """
    before = entry.get('segmentation')
    if isinstance(before, list):
        num_lost = len(before) - len(new['segmentation'])
        counts['polygons dropped that are no finite numbers'] += num_lost
    else:
        kind = 'masks dropped that have the size before the resizing'
        counts[kind] += bool(before)


def drop_images(
    file: CocoFile, unwanted: Collection[int], counts: Counter
) -> dict:
    """Leave out some images and their annotations.

    Args:
        file: The file. It is not changed.
        unwanted: The indices of the images.
        counts: The number of dropped annotations is added to it, if an image
            is unwanted.

    Returns:
        The new content, or that of the file if no image is unwanted.
        Annotations of an id that another image keeps stay.
    """
    if not unwanted:
        return file.content
    ids = file.images.column('id')
    kept = {ids[i] for i in range(len(ids)) if i not in unwanted}
    lost = {ids[i] for i in unwanted} - kept - {None}
    content = replace_entries(
        file, 'images', lambda i, e: None if i in unwanted else e
    )
    image_ids = file.annotations.column('image_id')
    counts['annotations of dropped images dropped'] += sum(
        i in lost for i in image_ids
    )
    return replace_entries(
        file.with_content(content),
        'annotations',
        lambda i, e: None if image_ids[i] in lost else e,
    )
