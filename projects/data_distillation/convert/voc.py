"""Pascal VOC folders: `Annotations/*.xml`, `JPEGImages/`, `ImageSets/Main/`.

The devkit counts pixels from 1, and a box includes its last one: a box over an
image of width w goes from 1 to w. In COCO that is from 0, w wide.
"""

import itertools
import math
import posixpath
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from ..coco.reading import Categories
from ..text import format_error
from .folders import (
    image_names,
    labeled_image,
    lines_of,
    link_image,
    write_text,
)
from .labels import Box, FormatError, LabeledImage, LabelError, Report, stem_of

# The devkit's names first; '.' is the folder itself.
ANNOTATIONS = ('Annotations', 'annotations', '.')
IMAGES = ('JPEGImages', 'images', '.')
CLASSES = 'classes.txt'
DIFFICULT = ('ignore', 'keep', 'drop')


@dataclass(frozen=True)
class VocReader:
    """Reads a Pascal VOC folder.

    Args:
        folder: It has `Annotations/` and `JPEGImages/`, or XML files and
            images side by side.
        report: Is told what does not pass.
        split: The name of a list in `ImageSets/Main/`; None for all images.
        zero_based: Whether corners are `x`, `y`, `x + w`, `y + h`, as some
            tools write them, and not pixels counted from 1.
        difficult: What becomes of objects marked `difficult`: regions to
            leave out (`'ignore'`), objects (`'keep'`) or nothing (`'drop'`).
    """

    folder: Path
    report: Report
    split: str | None = None
    zero_based: bool = False
    difficult: str = 'ignore'
    missing: ClassVar[str] = 'images left out: no annotation file'
    is_background: ClassVar[bool] = False

    @property
    def annotations(self) -> Path:
        """The folder of the XML files."""
        return first_folder(self.folder, ANNOTATIONS)

    @property
    def image_folder(self) -> Path:
        """The folder that file names are relative to."""
        return first_folder(self.folder, IMAGES)

    @property
    def lists(self) -> Path:
        """The folder of the lists."""
        return self.folder / 'ImageSets' / 'Main'

    def classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """Return the lines of `classes.txt`, or the names in use, sorted."""
        file = self.folder / CLASSES
        if file.is_file():
            return lines_of(file)
        return sorted({box.name for i in images for box in i.boxes or ()})

    def images(self) -> Iterator[LabeledImage]:
        """Read the images, in the order of the list, or by name.

        Yields:
            Each; without boxes if it has no XML file.

        Raises:
            FormatError: If there is no such folder or list.
        """
        if not self.folder.is_dir():
            raise FormatError(f'folder not found: {self.folder}')
        for name, stem in self.pairs().items():
            image = labeled_image(
                self.image_folder,
                name,
                partial(self.boxes, stem),
                self.report,
            )
            if image is not None:
                yield image

    def pairs(self) -> dict[str, str | None]:
        """Map the name of each image to that of its XML file, unsuffixed.

        Without a list the images that no XML file is for come too, with None.
        """
        by_stem = defaultdict(list)
        for file_name in image_names(self.image_folder):
            by_stem[stem_of(file_name)].append(file_name)
        pairs: dict[str, str | None] = {}
        for stem in self.stems():
            name = self.image_of(stem, by_stem)
            if name is None:
                kind = 'names left out: no image of that name, or several'
                self.report.add(kind, stem)
            elif name in pairs:
                self.report.add('names left out: image is there twice', stem)
            else:
                pairs[name] = stem
        if self.split is not None:
            return pairs
        everything = dict.fromkeys(itertools.chain(*by_stem.values()))
        return dict(sorted((everything | pairs).items()))

    def stems(self) -> list[str]:
        """List the names of the split, or of all XML files."""
        if self.split is None:
            for file in sorted(self.lists.glob('*.txt')):
                self.report.add('lists not used: --split takes one', file)
            files = self.annotations.rglob('*.xml')
            names = (f.relative_to(self.annotations).as_posix() for f in files)
            return sorted(map(stem_of, names))
        file = self.lists / f'{self.split}.txt'
        if not file.is_file():
            known = sorted(path.stem for path in self.lists.glob('*.txt'))
            raise FormatError(f'list not found: {file}; there are {known}')
        return lines_of(file)

    def image_of(self, stem: str, by_stem: dict[str, list[str]]) -> str | None:
        """Find an image: by the name of the XML file, or else by what it says.

        Returns:
            Its name; None if there is none, or several are called so.
        """
        names = by_stem.get(stem, ())
        if len(names) == 1:
            return names[0]
        try:
            said = parse(self.xml_file(stem)).findtext('filename', '').strip()
        except LabelError:
            return None
        name = posixpath.join(posixpath.dirname(stem), said)
        return name if name in by_stem.get(stem_of(name), ()) else None

    def xml_file(self, stem: str) -> Path:
        """Return where the labels of an image are."""
        return self.annotations / f'{stem}.xml'

    def boxes(
        self, stem: str | None, size_wh: tuple[int, int]
    ) -> list[Box] | None:
        """Read the boxes of an image; None if there is no XML file.

        Raises:
            LabelError: If the file is broken.
        """
        if stem is None or not self.xml_file(stem).is_file():
            return None
        file = self.xml_file(stem)
        root = parse(file)
        check_size(root, size_wh, file)
        boxes = []
        for number, element in enumerate(root.findall('object'), 1):
            where = f'{file}: object {number}'
            is_difficult = element.findtext('difficult', '0').strip() == '1'
            if is_difficult and self.difficult == 'drop':
                self.report.add('boxes left out: difficult', where)
                continue
            is_crowd = is_difficult and self.difficult == 'ignore'
            if is_crowd:
                self.report.add('difficult boxes: now iscrowd 1', where)
            boxes.append(self.box(element, is_crowd, where))
        return boxes

    def box(self, element: ET.Element, is_crowd: bool, where: str) -> Box:
        """Read an object.

        Raises:
            LabelError: If it has no name, or a corner is no number.
        """
        name = element.findtext('name', '').strip()
        if not name:
            raise LabelError(f'{where} has no <name>')
        first = 0 if self.zero_based else 1
        xmin, ymin, xmax, ymax = (
            number_in(element, f'bndbox/{side}', where)
            for side in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        if min(xmin, ymin) < first:
            kind = 'boxes begin before pixel 1: is the set --zero-based?'
            self.report.add(kind, where)
        xywh = (
            xmin - first,
            ymin - first,
            xmax - xmin + first,
            ymax - ymin + first,
        )
        score = None
        if element.find('score') is not None:
            score = number_in(element, 'score', where)
        return Box(name, xywh, is_crowd, score)


def first_folder(folder: Path, names: Sequence[str]) -> Path:
    """Return the first of some folders that exists; the last one does."""
    return next(folder / n for n in names if (folder / n).is_dir())


def parse(file: Path) -> ET.Element:
    """Read an XML file of VOC.

    Raises:
        LabelError: If it is none.
    """
    try:
        root = ET.parse(file).getroot()
    # The others are of wrong bytes and of unknown encodings.
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        raise LabelError(f'{file}: {format_error(error)}') from None
    if root.tag != 'annotation':
        raise LabelError(f'{file}: is <{root.tag}>, not <annotation>')
    return root


def check_size(root: ET.Element, size_wh: tuple[int, int], file: Path) -> None:
    """Check that boxes were drawn on an image of this size.

    Raises:
        LabelError: If the file says another one. 0 or nothing is no size.
    """
    said = tuple(
        int(number_in(root, f'size/{side}', str(file)))
        for side in ('width', 'height')
        if root.findtext(f'size/{side}', '').strip() not in ('', '0')
    )
    if len(said) == 2 and said != size_wh:
        raise LabelError(
            f'{file}: is for an image of {said[0]}x{said[1]}, but it is '
            f'decoded as {size_wh[0]}x{size_wh[1]}'
        )


def number_in(element: ET.Element, path: str, where: str) -> float:
    """Read a number.

    Raises:
        LabelError: If there is none, or it is not finite.
    """
    text = element.findtext(path, '')
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LabelError(f'{where}: <{path}> is {text!r}, not a number')
    return number


def write_voc(
    folder: Path,
    images: Sequence[LabeledImage],
    categories: Categories,
    image_folder: Path,
) -> None:
    """Write a Pascal VOC folder, whose images are links.

    Crowds become `difficult`; scores are in `<score>`, which readers of VOC
    skip. `classes.txt` keeps the order of the classes, for which VOC has no
    place.

    Args:
        folder: An empty folder.
        images: See `formats.read_labels`.
        categories: The classes.
        image_folder: Where the images are.
    """
    write_text(folder / CLASSES, (c['name'] for c in categories))
    stems = [stem_of(image.file_name) for image in images]
    write_text(folder / 'ImageSets' / 'Main' / 'train.txt', stems)
    for image, stem in zip(images, stems, strict=True):
        path = folder / ANNOTATIONS[0] / f'{stem}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        element = as_xml(image)
        ET.indent(element)
        ET.ElementTree(element).write(path, 'utf-8')
        link_image(
            image_folder / image.file_name,
            folder / IMAGES[0] / image.file_name,
        )


def as_xml(image: LabeledImage) -> ET.Element:
    """Make the content of an XML file."""
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
            difficult=int(box.is_crowd),
        )
        xmin, xmax = pixels_of(box.xywh[0], box.xywh[2], width)
        ymin, ymax = pixels_of(box.xywh[1], box.xywh[3], height)
        corners = dict(xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
        add_texts(ET.SubElement(element, 'bndbox'), **corners)
        if box.score is not None:
            add_texts(element, score=box.score)
    return root


def add_texts(parent: ET.Element, **texts: object) -> None:
    """Add elements that hold nothing but a text."""
    for name, text in texts.items():
        ET.SubElement(parent, name).text = str(text)


def pixels_of(start: float, length: float, size: int) -> tuple[int, int]:
    """Return the first and the last pixel of a side, counted from 1.

    Args:
        start: In pixels, from 0.
        length: In pixels, more than 0.
        size: The image's side, which the box does not leave.

    Returns:
        Edges rounded to whole pixels, halves up; at least one pixel.
    """
    first = min(math.floor(start + 0.5), size - 1)
    last = max(math.floor(start + length + 0.5), first + 1)
    return first + 1, last
