"""Corrected labels, as annotation tools give them back.

| tool | what it gives back |
|---|---|
| CVAT, FiftyOne, Roboflow | a COCO file |
| Label Studio | its JSON: a list of tasks |
| X-AnyLabeling | a folder of JSON files, one for each image |
"""

import json
from pathlib import Path

from ...text import format_value
from ..coco.entry_checks import read_rotation
from ..coco.reading import CocoError, read_coco
from .corrected_image import CorrectedImage, read_size
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
        The images in its order, with boxes xywh in pixels, which may be NaN or
        infinite. `iscrowd` is kept as 1 if it is set, and `segmentation` if it
        is not empty. Their size is None without a width or height.

    Raises:
        CocoError: If the file cannot be used, see `read_coco`, a box is
            rotated or has not four numbers, or see `read_size`.
        FileNotFoundError: If there is no such file.
        AttributeError, KeyError, TypeError, ValueError: If an annotation is no
            object, lacks a key, is of no image or category of the file, or its
            box is no list of numbers.
        OverflowError: If a number of a box is too large for a float.
    """
    coco = read_coco(path, 'images', 'categories')
    names = {c['id']: c['name'] for c in coco['categories']}
    images = {
        image['id']: CorrectedImage(
            find_original_name(image),
            read_size(image.get('width'), image.get('height'), path),
            renamed=image['file_name'],
        )
        for image in coco['images']
    }
    for one in coco.get('annotations', ()):
        extra = {'iscrowd': 1} if one.get('iscrowd') else {}
        if one.get('segmentation'):
            extra['segmentation'] = one['segmentation']
        check_upright(one, path)
        bbox_xywh = list(map(float, one['bbox']))
        if len(bbox_xywh) != 4:
            raise CocoError(
                f'{path}: `bbox` must be four numbers, got '
                f'{format_value(one["bbox"])}: correct the box, and export '
                'again'
            )
        images[one['image_id']].boxes.append(
            (bbox_xywh, names[one['category_id']], extra)
        )
    return list(images.values())


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
