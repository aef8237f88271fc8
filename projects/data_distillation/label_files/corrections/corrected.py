"""Corrected labels, as annotation tools give them back.

| tool | what it gives back |
|---|---|
| CVAT, FiftyOne, Roboflow | a COCO file |
| Label Studio | its JSON: a list of tasks |
| X-AnyLabeling | a folder of JSON files, one for each image |
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...text import format_value
from ..coco.contents import OWN_KEYS
from ..coco.entry_checks import is_deleted, read_rotation
from ..coco.reading import CocoError, read_coco
from .corrected_image import CorrectedBox, CorrectedImage, read_size
from .label_studio import read_task
from .x_anylabeling import read_folder, read_shapes


def read_corrected(path: Path) -> list[CorrectedImage]:
    """Read corrected labels; the content tells which tool wrote them.

    Args:
        path: A COCO file, a JSON export of Label Studio, or a JSON file of
            X-AnyLabeling or a folder of them.

    Returns:
        The images, in the order of the file, or of the names of the files;
        also those without a box.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        CocoError: If it is none of these, or something in it cannot be read.
    """
    try:
        return read_any(path)
    # It is a ValueError, which the next clause would catch.
    except CocoError:
        raise
    # None of the formats has a schema to check against, so that what is
    # missing shows when it is read.
    except (
        AttributeError, KeyError, OverflowError, RecursionError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise CocoError(
            f'{path} is not what a tool exports: {type(error).__name__} '
            f'{error}. Export it again as COCO'
        ) from error


def read_any(path: Path) -> list[CorrectedImage]:
    """Read corrected labels; see `read_corrected`.

    Args:
        path: A file, or a folder with the files of X-AnyLabeling.

    Returns:
        The images, in the order of the file or of the names. A list is read as
        one of Label Studio, an object with `shapes` as one of X-AnyLabeling,
        and all else as COCO.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: If a part is missing,
            or has another type or length.
        OverflowError: If a number is too large for a float.
        RecursionError: If it is nested too deeply.
        FileNotFoundError: If there is no such file or folder.
        CocoError: If it is no JSON, or holds what cannot become labels.
    """
    if path.is_dir():
        return list(read_folder(path))
    if not path.is_file():
        raise FileNotFoundError(f'corrected labels not found: {path}')
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise CocoError(f'{path} is not JSON: {error}') from None
    if isinstance(content, list):
        return [read_task(task, path) for task in content]
    if isinstance(content, dict) and 'shapes' in content:
        return [read_shapes(content, path)]
    return read_coco_images(path)


def read_coco_images(path: Path) -> list[CorrectedImage]:
    """Read a COCO file of any tool.

    Args:
        path: The file.

    Returns:
        The images in its order, with boxes xywh in pixels, see
        `read_coco_box`. Their size is None without a width or height.
        Annotations that are marked as deleted, or are of images that are, are
        left out.

    Raises:
        CocoError: If the file cannot be used, see `read_coco`, `check_masks`
            and `read_coco_box`, or see `read_size`.
        FileNotFoundError: If there is no such file.
        AttributeError, KeyError, TypeError, ValueError: If an annotation is no
            object, lacks a key, is of no image or category of the file, or its
            box is no list of numbers.
        OverflowError: If a number of a box is too large for a float.
    """
    coco = read_coco(path, 'images', 'categories')
    names = {c['id']: c['name'] for c in coco['categories']}
    given = coco.get('annotations', ())
    deleted = Counter(one['image_id'] for one in given if is_deleted(one))
    images = {
        image['id']: CorrectedImage(
            find_original_name(image),
            read_size(image.get('width'), image.get('height'), path),
            renamed=image['file_name'],
            is_deleted=is_deleted(image),
            num_deleted=deleted[image['id']],
        )
        for image in coco['images']
    }
    kept = [
        (images[one['image_id']], one) for one in given if not is_deleted(one)
    ]
    kept = [(image, one) for image, one in kept if not image.is_deleted]
    check_masks([one for _, one in kept], path)
    for image, one in kept:
        image.boxes.append(read_coco_box(one, names, path))
    return list(images.values())


def read_coco_box(
    annotation: dict, names: dict[int, str], path: Path
) -> CorrectedBox:
    """Read an annotation of a COCO file.

    Args:
        annotation: The annotation.
        names: Id of a category -> its name.
        path: The file, for the message.

    Returns:
        The box, which may be NaN or infinite, the name of its class, and what
        is kept: `iscrowd` as 1 and `ignore` as it is, if they are set, and
        `segmentation` if it is not empty.

    Raises:
        CocoError: If the box is rotated or has not four numbers.
        AttributeError, KeyError, TypeError, ValueError: If a key is missing,
            there is no such category, or the box is no list of numbers.
        OverflowError: If a number is too large for a float.
    """
    extra: dict = {'iscrowd': 1} if annotation.get('iscrowd') else {}
    # Without it, what CocoDataset leaves out would become an object.
    for key in ('ignore', 'segmentation'):
        if annotation.get(key):
            extra[key] = annotation[key]
    check_upright(annotation, path)
    bbox_xywh = list(map(float, annotation['bbox']))
    if len(bbox_xywh) != 4:
        raise CocoError(
            f'{path}: `bbox` must be four numbers, got '
            f'{format_value(annotation["bbox"])}: correct the box, and export '
            'again'
        )
    return bbox_xywh, names[annotation['category_id']], extra


def check_masks(annotations: Sequence[dict], path: Path) -> None:
    """Check that no mask of an object is a region to ignore.

    CVAT writes `iscrowd: 1` for each mask of its brush, as COCO has it for a
    crowd. The two cannot be told apart.

    Args:
        annotations: The COCO annotations. Those that a selection or
            `merge_labels` has made regions to ignore are passed over.
        path: The file, for the message.

    Raises:
        CocoError: If one is a region to ignore and has a mask as RLE.
    """
    num_masks = sum(
        bool(one.get('iscrowd')) and isinstance(one.get('segmentation'), dict)
        for one in annotations
        if not OWN_KEYS & one.keys()
    )
    if num_masks:
        raise CocoError(
            f'{path} has {num_masks} masks (RLE) with `iscrowd` 1, as CVAT '
            'writes those of its brush. If they are objects, make them so '
            f'with tools/check_coco.py {path} --fix OUT --no-crowds; outline '
            'regions to ignore with polygons'
        )


def check_upright(annotation: dict, path: Path) -> None:
    """Check that a box is not rotated, as CVAT says it in `attributes`.

    Args:
        annotation: The COCO annotation.
        path: The file, for the message.

    Raises:
        CocoError: If it is rotated by anything but half turns.
    """
    if turn := read_rotation(annotation.get('attributes')):
        raise CocoError(
            f'{path} has a box that is rotated by {turn} degrees: draw it '
            'without rotation, or make it upright with tools/check_coco.py '
            '--fix'
        )


def find_original_name(image: dict) -> str:
    """Find the name that an image had before Roboflow renamed it.

    Args:
        image: The COCO entry of the image.

    Returns:
        The name that Roboflow tells, in `extra`; that of the entry if it tells
        none.
    """
    extra = image.get('extra')
    if isinstance(extra, dict) and isinstance(extra.get('name'), str):
        return extra['name']
    return image['file_name']
