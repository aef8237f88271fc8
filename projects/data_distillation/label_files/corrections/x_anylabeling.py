"""Reads the JSON files of X-AnyLabeling and LabelMe, one for each image."""

import json
from collections.abc import Iterator
from pathlib import Path

from ...files.decoding import glob_shown
from ...text import format_value
from ..coco.reading import CocoError
from .corrected_image import (
    CorrectedImage,
    check_text,
    read_polygon,
    read_size,
)


def read_folder(folder: Path) -> Iterator[CorrectedImage]:
    """Read the JSON files of X-AnyLabeling (or LabelMe) in a folder.

    Args:
        folder: The folder; folders in it, and hidden files, are not read.

    Yields:
        The image of each file, sorted by the name of the file.

    Raises:
        CocoError: If there is no file, or one of them is something else.
        AttributeError, KeyError, OverflowError, TypeError, ValueError: See
            `read_shapes`.
        RecursionError: If a file is nested too deeply.
    """
    files = glob_shown(folder, '*.json')
    if not files:
        raise CocoError(
            f'{folder} has no *.json: give the folder that X-AnyLabeling '
            'saves its labels to'
        )
    for file in files:
        try:
            content = json.loads(file.read_bytes())
        except ValueError as error:
            raise CocoError(f'{file} is not JSON: {error}') from None
        if not isinstance(content, dict) or 'shapes' not in content:
            raise CocoError(
                f'{file} is not of X-AnyLabeling: it must have `shapes`, got '
                f'{format_value(content)}. Take the folder that it saves to'
            )
        yield read_shapes(content, file)


def read_shapes(content: dict, file: Path) -> CorrectedImage:
    """Read a JSON file of X-AnyLabeling.

    Args:
        content: The content of the file.
        file: The file, for the message.

    Returns:
        The image with boxes xywh in pixels, in the file's order: each is the
        box around the points of its rectangle or polygon. Without a path of
        the image, its name is that of the file with `.jpg`. Its size is None
        without a width or height. `is_annotated` is what `checked` is if that
        is true, otherwise None.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: If a part is missing,
            or has another type or length.
        OverflowError: If a number is too large for a float.
        CocoError: If a shape is neither, its class or the path is no text, or
            see `read_size` and `read_polygon`.
    """
    name = content.get('imagePath') or file.with_suffix('.jpg').name
    check_text('`imagePath`', name, file)
    image = CorrectedImage(
        name,
        read_size(content['imageWidth'], content['imageHeight'], file),
        # false is what X-AnyLabeling writes by default: it says nothing.
        is_annotated=content.get('checked') or None,
    )
    for shape in content['shapes']:
        kind = shape.get('shape_type')
        if kind not in ('rectangle', 'polygon'):
            raise CocoError(
                f'{file} has a {kind}: only rectangles and polygons can '
                'become labels'
            )
        check_text('`label` of a shape', shape['label'], file)
        if kind == 'polygon':
            box = read_polygon(shape['points'], shape['label'], file)
            image.boxes.append(box)
            continue
        # LabelMe writes two corners, X-AnyLabeling four, and any may be first.
        xs, ys = zip(*shape['points'], strict=True)
        bbox_xywh = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        image.boxes.append((list(map(float, bbox_xywh)), shape['label'], {}))
    return image
