"""Writes YOLO folders, as Ultralytics reads them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from ..coco.reading import Categories
from ..coco.schema import TOLERANCE
from .labels import Box, IssueCounter, LabeledImage
from .polygon_masks import bound_polygon
from .writing import link_image, write_text
from .yolo_reader import find_label_path


def write_yolo(
    folder: Path,
    images: Sequence[LabeledImage],
    categories: Categories,
    image_folder: Path,
    issues: IssueCounter,
    with_scores: bool = False,
) -> None:
    """Write a YOLO folder whose images are links.

    It has `data.yaml`, in which all images are of the split `train`.

    Args:
        folder: An empty folder, which exists.
        images: The images; see `read_coco_labels`. One without boxes
            gets an empty label file.
        categories: The classes, which are counted from 0 in their order. All
            boxes are of one of them.
        image_folder: The folder of the images.
        issues: Counts the crowds, which are left out, the scores that are left
            out, and the boxes that are not those around their polygons.
        with_scores: Whether to write scores, as the last column.

    Raises:
        OSError: If a file or a link cannot be written.
    """
    classes = [category['name'] for category in categories]
    content = dict(train='images', names=dict(enumerate(classes)))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / 'data.yaml').write_text(text, 'utf-8')
    labels = {name: label for label, name in enumerate(classes)}
    for image in images:
        path = folder / 'images' / image.file_name
        lines = make_lines(image, labels, issues, with_scores)
        write_text(find_label_path(path), lines)
        link_image(image_folder / image.file_name, path)


def make_lines(
    image: LabeledImage,
    labels: dict[str, int],
    issues: IssueCounter,
    with_scores: bool,
) -> Iterator[str]:
    """Make the lines of an image's label file; see `write_yolo`.

    Args:
        image: The image.
        labels: Name of a class -> its number, from 0; each box has one.
        issues: Counts the crowds and the scores that are left out, and the
            boxes that are not those around their polygons.
        with_scores: Whether to write scores, as the last column.

    Yields:
        A line for each box but crowds, in order: class, center x, center y,
        width and height as parts of the image, or the polygon if there is one,
        and perhaps the score. All but the class have 8 decimals.
    """
    for box in image.boxes or ():
        if box.is_crowd:
            kind = 'boxes left out: iscrowd 1, which YOLO does not have'
            issues.add(kind, image.file_name)
            continue
        if box.polygon is None:
            numbers = scale_box_to_parts(box.xywh, image.size_wh)
        else:
            numbers = scale_polygon_to_parts(box.polygon, image.size_wh)
            count_other_box(box, image.file_name, issues)
        if box.score is not None and with_scores:
            numbers.append(box.score)
        elif box.score is not None:
            kind = 'scores left out (--scores writes them)'
            issues.add(kind, image.file_name)
        # 8 decimals: of 10,000 pixels, the last is 1/10,000 of a pixel.
        words = (f'{number:.8f}' for number in numbers)
        yield ' '.join((str(labels[box.name]), *words))


def scale_box_to_parts(
    xywh: Sequence[float], size_wh: tuple[int, int]
) -> list[float]:
    """Convert a box of COCO to one of YOLO; see `scale_box`.

    Args:
        xywh: Left, top, width and height in pixels.
        size_wh: The width and height of the image in pixels.

    Returns:
        Center x, center y, width and height as parts of the image, neither
        clipped nor rounded.
    """
    (x, y, w, h), (width, height) = xywh, size_wh
    return [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]


def scale_polygon_to_parts(
    polygon: Sequence[float], size_wh: tuple[int, int]
) -> list[float]:
    """Convert a polygon of COCO to one of YOLO; see `scale_polygon`.

    Args:
        polygon: x1, y1, x2, y2, ... in pixels.
        size_wh: The width and height of the image in pixels.

    Returns:
        The same as parts of the image, in order, neither clipped nor rounded.
    """
    return [n / size_wh[i % 2] for i, n in enumerate(polygon)]


def count_other_box(box: Box, where: str, issues: IssueCounter) -> None:
    """Count a box that is not the one around its polygon: YOLO has no other.

    Args:
        box: The box, with a polygon.
        where: The name of the image, for the message.
        issues: Counts it if left, top, width or height differs by more than
            `TOLERANCE` pixels.
    """
    edges = zip(box.xywh, bound_polygon(box.polygon or ()), strict=True)
    x, y, w, h = (abs(one - other) for one, other in edges)
    if max(x, y, w, h) > TOLERANCE:
        kind = 'boxes replaced by those around their polygons'
        issues.add(kind, where)
