"""Writes Pascal VOC folders, as the devkit has them."""

import math
import posixpath
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from ..coco.reading import Categories
from .labels import LabeledImage, strip_suffix
from .voc_reader import ANNOTATIONS, CLASSES, IMAGES
from .writing import link_image, write_text


def write_voc(
    folder: Path,
    images: Sequence[LabeledImage],
    categories: Categories,
    image_folder: Path,
) -> None:
    """Write a Pascal VOC folder whose images are links.

    Crowds become `difficult`. Scores are written to `<score>`, which readers
    of VOC skip. Polygons are left out. `classes.txt` keeps the order of the
    classes, for which VOC has no place, and `train.txt` lists all images.

    Args:
        folder: An empty folder; it is made if it does not exist.
        images: The images; see `read_coco_labels`. One without boxes gets an
            XML file without objects.
        categories: The classes, in order.
        image_folder: The folder of the images.

    Raises:
        OSError: If a file or a link cannot be written.
    """
    write_text(folder / CLASSES, (c['name'] for c in categories))
    stems = [strip_suffix(image.file_name) for image in images]
    write_text(folder / 'ImageSets' / 'Main' / 'train.txt', stems)
    for image, stem in zip(images, stems, strict=True):
        path = folder / ANNOTATIONS[0] / f'{stem}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        element = make_xml(image)
        ET.indent(element)
        ET.ElementTree(element).write(path, 'utf-8')
        link_image(
            image_folder / image.file_name,
            folder / IMAGES[0] / image.file_name,
        )


def make_xml(image: LabeledImage) -> ET.Element:
    """Make the element `<annotation>` of an image.

    Args:
        image: The image with its boxes; without any, it has no `<object>`.

    Returns:
        The element, not indented, with objects in the order of the boxes. The
        corners are whole pixels, count from 1 and include the last one, and
        `difficult` is 1 for regions to leave out. It has no polygons.
    """
    width, height = image.size_wh
    root = ET.Element('annotation')
    add_texts(root, filename=posixpath.basename(image.file_name))
    add_texts(ET.SubElement(root, 'size'), width=width, height=height, depth=3)
    for box in image.boxes or ():
        element = ET.SubElement(root, 'object')
        add_texts(
            element,
            name=box.name,
            pose='Unspecified',
            truncated=0,
            # Evaluations ignore difficult objects, as COCO does crowds.
            difficult=int(box.is_crowd),
        )
        xmin, xmax = to_pixels(box.xywh[0], box.xywh[2], width)
        ymin, ymax = to_pixels(box.xywh[1], box.xywh[3], height)
        corners = dict(xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
        add_texts(ET.SubElement(element, 'bndbox'), **corners)
        if box.score is not None:
            add_texts(element, score=box.score)
    return root


def add_texts(parent: ET.Element, **texts: object) -> None:
    """Add an element for each keyword, which holds the value as text.

    Args:
        parent: The element to add to; it is changed in place.
        **texts: Name -> value, in order.
    """
    for name, text in texts.items():
        ET.SubElement(parent, name).text = str(text)


def to_pixels(start: float, length: float, size: int) -> tuple[int, int]:
    """Convert one side of a box to its first and last pixel.

    Args:
        start: The left or top edge in pixels, from 0.
        length: The width or height in pixels, above 0.
        size: The width or height of the image, in which the side lies.

    Returns:
        The first and the last pixel, counted from 1 and both part of the box.
        Edges are rounded to whole pixels, halves up; the side has at least one
        pixel, which is in the image.
    """
    # Not `round`, which takes halves to the even number.
    first = min(math.floor(start + 0.5), size - 1)
    last = max(math.floor(start + length + 0.5), first + 1)
    # Pascal VOC counts pixels from 1, and the last one is a part of the box.
    return first + 1, last
