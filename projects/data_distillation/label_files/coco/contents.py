"""What COCO files hold that were read: counted, compared and taken apart."""

import functools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...arguments import LARGEST
from ...files.copies import find_copies
from ...text import format_value
from ..segmentations.facts import Facts
from .reading import UNCHECKED, Categories, CocoError
from .schema import is_side


def check_classes(
    classes: Sequence[str], categories: Categories, source: str | Path
) -> None:
    """Check that the classes are the categories of a file, in the same order.

    CocoDataset numbers the classes by the order in the file, whatever the
    order in the config is: other orders would swap classes without a message.

    Args:
        classes: `metainfo.classes` of the config, or the classes of a
            checkpoint.
        categories: The categories of the file.
        source: The file, for the message.

    Raises:
        CocoError: If the names or their order differ.
    """
    names = [category['name'] for category in categories]
    if list(classes) == names:
        return
    missing = [name for name in classes if name not in names]
    extra = [name for name in names if name not in classes]
    if missing or extra:
        what = f'classes not in the file: {missing}, in the file only: {extra}'
    else:
        what = f'the order differs, the file has {names}'
    raise CocoError(
        f'the classes must be the categories of {source}, in its order, got '
        f'{list(classes)}: {what}'
    )


# The keys of regions that `merge_labels` or a selection wants to be ignored.
OWN_KEYS = {UNCHECKED, 'views'}


def count_instances(
    annotations: Iterable[dict], categories: Categories
) -> np.ndarray:
    """Count the instances of each category that a training learns from.

    Crowds do not count, nor do annotations with `ignore`, which CocoDataset
    drops.

    Args:
        annotations: COCO annotations. Those of other categories do not count.
        categories: The categories.

    Returns:
        Shape (number of categories,), int64, in the order of `categories`; 0
        for a category without instances.

    Raises:
        KeyError: If an annotation that counts has no `category_id`.
    """
    ids = Counter(
        annotation['category_id']
        for annotation in annotations
        if not (annotation.get('iscrowd', 0) or annotation.get('ignore'))
    )
    return np.array([ids[c['id']] for c in categories], np.int64)


def find_unchecked(annotations: Iterable[dict]) -> set:
    """Find the images of which a person has checked only some objects.

    Args:
        annotations: COCO annotations. Such an image has one with the key
            `UNCHECKED`, a crowd of its size.

    Returns:
        The ids of these images; empty if there are none.
    """
    return {one['image_id'] for one in annotations if one.get(UNCHECKED)}


def collect_labels(annotations: object, source: str | Path) -> list[dict]:
    """Collect the annotations that are labels.

    Args:
        annotations: The COCO annotations, or whatever the file has there.
            Those without a score get the score 1, in place.
        source: Their file, for the message.

    Returns:
        Those that are no crowd, in order, not copied; empty if there are none.

    Raises:
        CocoError: If they are no list, one is no object, one has no image, no
            class or no list as its box, or see `check_label_values`.
    """
    if not isinstance(annotations, list):
        raise CocoError(
            f'{source}: `annotations` must be a list, got '
            f'{format_value(annotations)}: select the labels again'
        )
    # Of millions of labels, a call of a function for each would take long.
    broken = [
        number
        for number, one in enumerate(annotations)
        if not (type(one) is dict and 'image_id' in one)
        or not ('category_id' in one and 'bbox' in one)
        or type(one['bbox']) is not list
    ]
    if broken:
        raise CocoError(
            f'{source}: annotations must have `image_id`, `category_id` and '
            f'`bbox`, but {len(broken):,} lack one of them, the first is '
            f'annotations[{broken[0]}]: tools/check_coco.py lists them'
        )
    for one in annotations:
        one.setdefault('score', 1.0)
    check_label_values(annotations, source)
    return [one for one in annotations if not one.get('iscrowd', 0)]


def check_label_values(labels: Sequence[dict], source: str | Path) -> None:
    """Check the values of labels that are compared with true objects.

    Args:
        labels: COCO annotations with `image_id`, `category_id`, `score` and a
            list as `bbox`.
        source: Their file, for the message.

    Raises:
        CocoError: If an id is no integer, a box has not four sides, or a side
            or a score is no number (see `is_number`).
    """
    # Without a call for each, as in `collect_labels`.
    nums_sides = map(len, [one['bbox'] for one in labels])
    wrong = {
        number: labels[number]
        for number, num_sides in enumerate(nums_sides)
        for value in (*labels[number]['bbox'], labels[number]['score'])
        if num_sides != 4
        or type(labels[number]['image_id']) is not int
        or type(labels[number]['category_id']) is not int
        or (type(value) is not float and type(value) is not int)
        or not -LARGEST <= value <= LARGEST
    }
    if wrong:
        number, first = next(iter(wrong.items()))
        keys = ('image_id', 'category_id', 'bbox', 'score')
        raise CocoError(
            f'{source}: `image_id` and `category_id` must be integers, `bbox` '
            'four finite numbers and `score` a finite number, but '
            f'{len(wrong):,} have others, the first is annotations[{number}]: '
            f'{format_value({key: first[key] for key in keys})}. Correct '
            'them, or select the labels again'
        )


def have_masks(annotations: Sequence[Mapping]) -> bool:
    """Return whether there are annotations, and all have a mask.

    Args:
        annotations: COCO annotations; an empty `segmentation` is no mask.

    Returns:
        Whether all have one; False without annotations.
    """
    masks = [one.get('segmentation') for one in annotations]
    return bool(masks) and all(masks)


def find_sizes(content: Mapping) -> dict[int, tuple]:
    """Map the id of each image to its size.

    Args:
        content: The content of a COCO file.

    Returns:
        Image id -> height and width in pixels, each None if not given.
    """
    return {
        image['id']: (image.get('height'), image.get('width'))
        for image in content['images']
    }


def require_masks(truth: dict, source: str | Path) -> dict[int, tuple]:
    """Return the sizes of images, all of whose objects have masks.

    Args:
        truth: A COCO object with `images` and `annotations`.
        source: The file of the object, for the message.

    Returns:
        Image id -> height and width in pixels.

    Raises:
        CocoError: If an object has no mask, or see `check_masks`.
    """
    maskless = sum(not one.get('segmentation') for one in truth['annotations'])
    if maskless:
        raise CocoError(
            f'{maskless:,} of {len(truth["annotations"]):,} objects in '
            f'{source} have no `segmentation`, so that masks cannot be '
            'compared: compare boxes'
        )
    sizes = find_sizes(truth)
    check_masks(truth['annotations'], sizes, source)
    return sizes


def check_masks(
    annotations: Iterable[dict], sizes: Mapping[int, tuple], source: str | Path
) -> None:
    """Check that pycocotools can compare masks.

    Args:
        annotations: COCO annotations, each with `segmentation`.
        sizes: The sizes of the images, see `find_sizes`. RLE of an image that
            is not in it may have any size.
        source: Their file, for the message.

    Raises:
        CocoError: If an image has no size, or a mask is broken, without a
            point, or RLE of another size than its image.
    """
    check_sizes(sizes, source)
    for one in annotations:
        size_hw = sizes.get(one['image_id'])
        if fault := find_mask_fault(one['segmentation'], size_hw):
            raise CocoError(
                f'`segmentation` of annotation {one.get("id")} in {source} '
                'must be polygons, or RLE as large as the image, got what is '
                f'{fault}: tools/check_coco.py says what to do'
            )


def find_mask_fault(segmentation: object, size_hw: tuple | None) -> str:
    """Find out why a mask cannot be compared with others.

    Args:
        segmentation: The value as JSON has it, of any type.
        size_hw: The height and width of its image, pixels; None if there is
            no such image.

    Returns:
        A kind of fault, see `Facts`, or the size of RLE if it is not that of
        the image; `''` if the mask can be compared.
    """
    facts = Facts.of(segmentation)
    # Nothing overlaps a mask without a pixel. But a list of nothing, which is
    # called empty too, is no mask.
    is_mask = isinstance(segmentation, Iterable) and any(segmentation)
    if facts.fault and not (facts.fault == 'empty' and is_mask):
        return facts.fault
    if not facts.size_hw or size_hw in (None, facts.size_hw):
        return ''
    return f'{facts.size_hw} pixels (height, width) instead of {size_hw}'


def check_sizes(sizes: Mapping[int, tuple], source: str | Path) -> None:
    """Check that images have sizes, which masks need.

    Args:
        sizes: The sizes, see `find_sizes`.
        source: The file of the images, for the message.

    Raises:
        CocoError: If a side is missing, or no positive whole number.
    """
    for image_id, size in sizes.items():
        if not all(map(is_side, size)):
            raise CocoError(
                f'{source} has images without `width` and `height` as whole '
                f'numbers above 0, which masks need: image {image_id} has '
                f'{format_value(size[::-1])}. tools/check_coco.py --fix '
                'writes them'
            )


def find_annotated(coco: dict) -> set:
    """Find the images with an annotation, be it a crowd.

    With `filter_empty_gt`, MMDetection trains on these alone.

    Args:
        coco: The content of a COCO file, with `images` and `annotations`.

    Returns:
        The ids of these images; those that only annotations have are left out.
        Empty if there are none.
    """
    ids = {annotation['image_id'] for annotation in coco['annotations']}
    return ids & {image['id'] for image in coco['images']}


def resolve_paths(
    file_names: Iterable[str], img_prefix: str | Path
) -> dict[str, str]:
    """Map the real path of each image, with links resolved, to its file name.

    Args:
        file_names: The names, relative to `img_prefix`. The files need not
            exist.
        img_prefix: The folder of the images.

    Returns:
        Real path -> file name, in order; the last one of those that lead to
        one file.
    """
    # Of millions of images, few folders are different.
    real_folder = functools.lru_cache(10_000)(os.path.realpath)

    def resolve(path: str) -> str:
        """Return the real path of one image."""
        folder, name = os.path.split(path)
        # A link may lead elsewhere; any other name stays as it is.
        if name in ('', os.curdir, os.pardir) or os.path.islink(path):
            return os.path.realpath(path)
        return os.path.join(real_folder(folder), name)

    return {
        resolve(os.path.join(img_prefix, name)): name for name in file_names
    }


def check_disjoint(
    unlabeled: Mapping[str, str], file_names: Iterable[str], known: dict
) -> None:
    """Check that no unlabeled image is in a labeled or validation set.

    The contents of the files are compared: tools rename what they export. Of
    files that are missing, empty or unreadable only the paths are.

    Args:
        unlabeled: Real path -> file name of the unlabeled images; see
            `resolve_paths`.
        file_names: The file names of the images in the other set.
        known: The other set, `dict(ann_file=..., img_prefix=...)`: its file,
            for the message, and the folder of its images.

    Raises:
        CocoError: If one is. The message has the number of shared images and
            the first five of their unlabeled names in alphabetical order.
    """
    others = resolve_paths(file_names, known['img_prefix'])
    # By path, too: files that are missing or empty have no copies.
    paths = unlabeled.keys() & others | find_copies(unlabeled, others).keys()
    shared = sorted(unlabeled[path] for path in paths)
    if shared:
        raise CocoError(
            f'{len(shared)} of {len(unlabeled)} unlabeled images are in '
            f'{known["ann_file"]} too: {", ".join(shared[:5])}'
            f'{", ..." if len(shared) > 5 else ""}. Take them out of the '
            'unlabeled images: a student must not be trained on pseudo labels '
            'of images that are labeled or that validate it. If all are in '
            'one folder, init_experiment.py --unlabeled rest takes the others'
        )


def take_images(coco: dict, image_ids: set) -> dict:
    """Take some images and their annotations out of a file.

    Args:
        coco: The content of the file; it is not changed. It may have no
            annotations.
        image_ids: The ids of the images; unknown ones have no effect.

    Returns:
        A new object, with everything else of the file, in its order. Its
        entries are those of the file, not copies. It has `annotations` only if
        the file does.
    """
    taken = dict(
        coco, images=[i for i in coco['images'] if i['id'] in image_ids]
    )
    if 'annotations' in coco:
        taken['annotations'] = [
            a for a in coco['annotations'] if a['image_id'] in image_ids
        ]
    return taken
