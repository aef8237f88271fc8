"""Reads the JSON export of Label Studio: a list of tasks."""

from pathlib import Path

from ...text import format_value
from ..coco.reading import CocoError
from .corrected_image import (
    CorrectedBox,
    CorrectedImage,
    check_text,
    read_polygon,
)

# What Label Studio calls regions that cannot become labels. Choices and texts
# about an image are no regions. Of two tags, one for shapes and one for
# classes, the class is in a result of its own (`labels`).
UNREADABLE_REGIONS = {
    *('rectangle', 'polygon', 'brush', 'ellipse', 'keypoint', 'vector'),
    *('labels', 'brushlabels', 'ellipselabels', 'keypointlabels'),
    'vectorlabels',
}


def read_task(task: object, path: Path) -> CorrectedImage:
    """Read a task of Label Studio.

    Of several annotations, the last one counts that was not cancelled. Its
    rectangles and polygons are read.

    Args:
        task: The task, as JSON has it.
        path: The file, for the message.

    Returns:
        The image with boxes xywh in pixels, in the order of the task; without
        an annotation it has none, and `is_annotated` is False. Its name is the
        URL or path in the task. Its size is None if it has no box.

    Raises:
        CocoError: If it is no task with an image (see `find_url`), or a region
            is neither a rectangle nor a polygon, or see `read_region`.
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
        kind = result.get('type')
        if kind in UNREADABLE_REGIONS:
            raise CocoError(
                f'{path} has a region of the type {format_value(kind)}: only '
                'rectanglelabels and polygonlabels can become labels'
            )
        # Choices and texts about the image stand in the same list.
        if kind in ('rectanglelabels', 'polygonlabels'):
            size_wh = result['original_width'], result['original_height']
            boxes.append(read_region(result['value'], kind, size_wh, path))
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


def read_region(
    value: dict, kind: str, size_wh: tuple[int, int], path: Path
) -> CorrectedBox:
    """Read a region of Label Studio, whose numbers are percentages.

    Args:
        value: The `value` of the result.
        kind: The type of the result, `rectanglelabels` or `polygonlabels`.
        size_wh: The width and height of the image in pixels.
        path: The file, for the message.

    Returns:
        The box, neither clipped nor rounded, the name of the class, and for a
        polygon its `segmentation`.

    Raises:
        CocoError: If it is rotated or has not one class, that is no text, or
            see `read_polygon`.
        AttributeError, KeyError, TypeError, ValueError: If a part is missing,
            or has another type or length.
        OverflowError: If a number is too large for a float.
    """
    if value.get('rotation'):
        raise CocoError(
            f'{path} has a box that is rotated by {value["rotation"]} '
            'degrees: draw it without rotation'
        )
    classes = value.get(kind) or []
    if len(classes) != 1:
        raise CocoError(
            f'{path} has a box with the classes {classes}: each needs one'
        )
    check_text('the class of a box', classes[0], path)
    if kind == 'polygonlabels':
        width, height = size_wh
        points = [
            (x * width / 100, y * height / 100) for x, y in value['points']
        ]
        return read_polygon(points, classes[0], path)
    keys = ('x', 'y', 'width', 'height')
    sides = (value[key] for key in keys)
    # Percent of (w, h, w, h).
    bbox_xywh = [v * n / 100 for v, n in zip(sides, size_wh * 2, strict=True)]
    return bbox_xywh, classes[0], {}
