"""Corrected labels, as annotation tools give them back.

| tool | what it gives back |
|---|---|
| CVAT, FiftyOne, Roboflow | a COCO file |
| Label Studio | its JSON: a list of tasks |
| X-AnyLabeling | a folder of JSON files, one for each image |
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...files.decoding import glob_shown
from ...text import format_value
from ..coco.reading import CocoError, read_coco
from ..coco.schema import is_side, is_text


@dataclass(frozen=True)
class CorrectedImage:
    """An image that came back.

    Args:
        name: The name of its file, as the tool writes it; also a path or URL.
        size_wh: Width and height in pixels, as the tool says; None if it does
            not say.
        boxes: The boxes in the tool's order: left, top, width and height in
            pixels of an image of this size (neither clipped nor rounded), the
            name of the class, and the other keys of the annotation to keep.
        is_annotated: Whether the tool says that somebody has looked at it;
            None if it does not say.
    """

    name: str
    size_wh: tuple[int, int] | None
    boxes: list[tuple[list[float], str, dict]] = field(default_factory=list)
    is_annotated: bool | None = None


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
        CocoError: If the file cannot be used, see `read_coco`, a box has not
            four numbers, or see `read_size`.
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
        )
        for image in coco['images']
    }
    for one in coco.get('annotations', ()):
        extra = {'iscrowd': 1} if one.get('iscrowd') else {}
        if one.get('segmentation'):
            extra['segmentation'] = one['segmentation']
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


def read_size(
    width: object, height: object, path: Path
) -> tuple[int, int] | None:
    """Read the size of an image.

    Args:
        width: The width in pixels, as JSON has it.
        height: The height in pixels, as JSON has it.
        path: The file, for the message.

    Returns:
        Both; None if one of them is null, 0 or empty.

    Raises:
        CocoError: If one is something else than a whole number above 0.
    """
    if not (width and height):
        return None
    if not (is_side(width) and is_side(height)):
        raise CocoError(
            f'{path}: the width and height of an image must be positive whole '
            f'numbers, got {format_value((width, height))}: correct them'
        )
    return int(width), int(height)


def check_text(what: str, value: object, path: Path) -> None:
    """Check that a name in an export is a text.

    Args:
        what: What the name is, for the message.
        value: The name, as JSON has it.
        path: The file, for the message.

    Raises:
        CocoError: If it is no text, or an empty one.
    """
    if not is_text(value):
        raise CocoError(
            f'{path}: {what} must be a text that is not empty, got '
            f'{format_value(value)}: correct it'
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


def read_task(task: object, path: Path) -> CorrectedImage:
    """Read a task of Label Studio.

    Of several annotations, the last one counts that was not cancelled. Only
    its rectangles are read; other shapes are left out.

    Args:
        task: The task, as JSON has it.
        path: The file, for the message.

    Returns:
        The image with boxes xywh in pixels, in the order of the task; without
        an annotation it has none, and `is_annotated` is False. Its name is the
        URL or path in the task. Its size is None if it has no box.

    Raises:
        CocoError: If it is no task with an image (see `find_url`), a box is
            rotated or has not one class, or a class is no text.
        AttributeError, KeyError, TypeError: If a part is missing, or has
            another type.
        OverflowError: If a number is too large for a float.
    """
    task = task if isinstance(task, dict) else {}
    url = find_url(task.get('data'))
    if url is None:
        raise CocoError(
            f'{path} is a list, but not of tasks of Label Studio with an '
            'image in `data`: export the project as JSON'
        )
    done = [
        one
        for one in task.get('annotations') or ()
        # Label Studio keeps skipped annotations, with this mark.
        if not one.get('was_cancelled')
    ]
    if not done:
        return CorrectedImage(url, None, is_annotated=False)
    boxes, size_wh = [], None
    # An annotation that corrects another one comes after it.
    for result in done[-1].get('result', ()):
        # Choices and texts about the image stand in the same list.
        if result.get('type') != 'rectanglelabels':
            continue
        size_wh = result['original_width'], result['original_height']
        boxes.append(read_rectangle(result['value'], size_wh, path))
    return CorrectedImage(url, size_wh, boxes, is_annotated=True)


def find_url(data: object) -> str | None:
    """Find the image of a task.

    The labeling config of the project says which key the image has; `image`
    is the usual one. A task may have other texts too.

    Args:
        data: The `data` of the task, as JSON has it.

    Returns:
        The URL or path: the text under `image`, otherwise the only text. None
        if there are several texts, or none, or `data` is no object.
    """
    if not isinstance(data, dict):
        return None
    if isinstance(data.get('image'), str):
        return data['image']
    texts = [value for value in data.values() if isinstance(value, str)]
    return texts[0] if len(texts) == 1 else None


def read_rectangle(
    value: dict, size_wh: tuple[int, int], path: Path
) -> tuple[list[float], str, dict]:
    """Read a rectangle of Label Studio, whose numbers are percentages.

    Args:
        value: The `value` of the result.
        size_wh: The width and height of the image in pixels.
        path: The file, for the message.

    Returns:
        The box (xywh in pixels, neither clipped nor rounded), the name of the
        class, and an empty dict: there is nothing else to keep.

    Raises:
        CocoError: If it is rotated or has not one class, or that is no text.
        AttributeError, KeyError, TypeError: If a part is missing, or has
            another type.
        OverflowError: If a number is too large for a float.
    """
    if value.get('rotation'):
        raise CocoError(
            f'{path} has a box that is rotated by {value["rotation"]} '
            'degrees: draw it without rotation'
        )
    classes = value.get('rectanglelabels') or []
    if len(classes) != 1:
        raise CocoError(
            f'{path} has a box with the classes {classes}: each needs one'
        )
    check_text('the class of a box', classes[0], path)
    keys = ('x', 'y', 'width', 'height')
    sides = (value[key] for key in keys)
    # Percent of (w, h, w, h).
    bbox_xywh = [v * n / 100 for v, n in zip(sides, size_wh * 2, strict=True)]
    return bbox_xywh, classes[0], {}


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
        box around the corners of its rectangle. Without a path of the image,
        its name is that of the file with `.jpg`. Its size is None without a
        width or height. `is_annotated` is what `checked` is if that is true,
        otherwise None.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: If a part is missing,
            or has another type or length.
        OverflowError: If a number is too large for a float.
        CocoError: If a shape is no rectangle, its class or the path is no
            text, or see `read_size`.
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
        if shape.get('shape_type') != 'rectangle':
            raise CocoError(
                f'{file} has a {shape.get("shape_type")}: only rectangles can '
                'become labels'
            )
        check_text('`label` of a shape', shape['label'], file)
        # LabelMe writes two corners, X-AnyLabeling four, and any may be first.
        xs, ys = zip(*shape['points'], strict=True)
        bbox_xywh = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        image.boxes.append((list(map(float, bbox_xywh)), shape['label'], {}))
    return image
