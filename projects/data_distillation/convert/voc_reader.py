"""Reads Pascal VOC folders.

A folder has `Annotations/*.xml`, `JPEGImages/` and `ImageSets/Main/`. The
devkit counts pixels from 1, and a box includes its last pixel: a box over an
image of width w goes from 1 to w. In COCO it starts at 0 and is w wide.
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

from ..files.images import list_image_names
from ..text import format_error
from .folders import (
    read_labeled_image,
    read_lines,
)
from .labels import (
    Box,
    FormatError,
    IssueCounter,
    LabeledImage,
    LabelError,
    strip_suffix,
)

# The names of the folders, those of the devkit first; '.' is the folder
# itself.
ANNOTATIONS = ('Annotations', 'annotations', '.')
IMAGES = ('JPEGImages', 'images', '.')
CLASSES = 'classes.txt'
DIFFICULT = ('ignore', 'keep', 'drop')


@dataclass(frozen=True)
class VocReader:
    """Reads a Pascal VOC folder.

    Args:
        folder: The folder. It has `Annotations/` and `JPEGImages/`, or XML
            files and images side by side.
        issues: Counts what is left out or changed.
        split: The name of a list in `ImageSets/Main/`; None for all images.
        zero_based: Whether corners are `x`, `y`, `x + w`, `y + h`, as some
            tools write them, and not pixels counted from 1.
        difficult: What becomes of objects marked `difficult`: regions to
            leave out (`'ignore'`), objects (`'keep'`) or nothing (`'drop'`).
    """

    folder: Path
    issues: IssueCounter
    split: str | None = None
    zero_based: bool = False
    difficult: str = 'ignore'
    missing: ClassVar[str] = 'images left out: no annotation file'
    is_background: ClassVar[bool] = False

    @property
    def annotations(self) -> Path:
        """The folder of the XML files."""
        return find_folder(self.folder, ANNOTATIONS)

    @property
    def image_folder(self) -> Path:
        """The folder that file names are relative to."""
        return find_folder(self.folder, IMAGES)

    @property
    def lists(self) -> Path:
        """The folder of the lists."""
        return self.folder / 'ImageSets' / 'Main'

    def list_classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """Return the lines of `classes.txt`, or the names in use, sorted."""
        file = self.folder / CLASSES
        if file.is_file():
            return read_lines(file)
        return sorted({box.name for i in images for box in i.boxes or ()})

    def read_images(self) -> Iterator[LabeledImage]:
        """Read the images, in the order of the list or sorted by name.

        Yields:
            Each image; `boxes` is None if it has no XML file.

        Raises:
            FormatError: If there is no such folder or list.
        """
        if not self.folder.is_dir():
            raise FormatError(f'folder not found: {self.folder}')
        for name, stem in self.pair_files().items():
            image = read_labeled_image(
                self.image_folder,
                name,
                partial(self.read_boxes, stem),
                self.issues,
            )
            if image is not None:
                yield image

    def pair_files(self) -> dict[str, str | None]:
        """Pair each image with its XML file.

        Returns:
            File name of an image -> name of its XML file without suffix. If
            all images are read, those without an XML file are there with None.
        """
        by_stem = defaultdict(list)
        for name in list_image_names(self.image_folder):
            by_stem[strip_suffix(name)].append(name)
        pairs: dict[str, str | None] = {}
        for stem in self.list_stems():
            found = self.find_image(stem, by_stem)
            if found is None:
                kind = 'names left out: no image of that name, or several'
                self.issues.add(kind, stem)
            elif found in pairs:
                kind = 'names left out: another name has the same image'
                self.issues.add(kind, stem)
            else:
                pairs[found] = stem
        if self.split is not None:
            return pairs
        everything = dict.fromkeys(itertools.chain(*by_stem.values()))
        return dict(sorted((everything | pairs).items()))

    def list_stems(self) -> list[str]:
        """Return the names in the list, or of all XML files without suffix.

        Raises:
            FormatError: If there is no such list.
        """
        if self.split is None:
            for file in sorted(self.lists.glob('*.txt')):
                self.issues.add('lists not used: --split takes one', file)
            files = self.annotations.rglob('*.xml')
            names = (f.relative_to(self.annotations).as_posix() for f in files)
            return sorted(map(strip_suffix, names))
        file = self.lists / f'{self.split}.txt'
        if not file.is_file():
            known = sorted(path.stem for path in self.lists.glob('*.txt'))
            raise FormatError(f'list not found: {file}; there are {known}')
        return read_lines(file)

    def find_image(
        self, stem: str, by_stem: dict[str, list[str]]
    ) -> str | None:
        """Find the image of an XML file by its name, or by what it says.

        Args:
            stem: The name of the XML file, without suffix.
            by_stem: Name without suffix -> the file names of its images.

        Returns:
            The file name of the image; None if there is none, or if several
            images have the name.
        """
        names = by_stem.get(stem, ())
        if len(names) == 1:
            return names[0]
        try:
            root = parse_xml(self.xml_file(stem))
        except LabelError:
            return None
        said = root.findtext('filename', '').strip()
        name = posixpath.join(posixpath.dirname(stem), said)
        return name if name in by_stem.get(strip_suffix(name), ()) else None

    def xml_file(self, stem: str) -> Path:
        """Return the path of an XML file."""
        return self.annotations / f'{stem}.xml'

    def read_boxes(
        self, stem: str | None, size_wh: tuple[int, int]
    ) -> list[Box] | None:
        """Read the boxes of an image.

        Args:
            stem: The name of its XML file, without suffix, or None.
            size_wh: The width and height of the image, pixels.

        Returns:
            The boxes, in the file's order; None if there is no XML file.

        Raises:
            LabelError: If the file is broken.
        """
        if stem is None or not self.xml_file(stem).is_file():
            return None
        file = self.xml_file(stem)
        root = parse_xml(file)
        check_size(root, size_wh, file)
        boxes = []
        for number, element in enumerate(root.findall('object'), 1):
            where = f'{file}: object {number}'
            is_difficult = element.findtext('difficult', '0').strip() == '1'
            if is_difficult and self.difficult == 'drop':
                self.issues.add('boxes left out: difficult', where)
                continue
            is_crowd = is_difficult and self.difficult == 'ignore'
            if is_crowd:
                self.issues.add('difficult boxes: now iscrowd 1', where)
            boxes.append(self.read_box(element, is_crowd, where))
        return boxes

    def read_box(self, element: ET.Element, is_crowd: bool, where: str) -> Box:
        """Read an object.

        Args:
            element: The element `<object>`.
            is_crowd: Whether it is a region to leave out.
            where: The file and the number of the object, for the messages.

        Raises:
            LabelError: If it has no name, or a corner is not a number.
        """
        name = element.findtext('name', '').strip()
        if not name:
            raise LabelError(f'{where} has no <name>')
        first = 0 if self.zero_based else 1
        xmin, ymin, xmax, ymax = (
            read_number(element, f'bndbox/{side}', where)
            for side in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        if min(xmin, ymin) < first:
            kind = 'boxes begin before pixel 1: is the set --zero-based?'
            self.issues.add(kind, where)
        xywh = (
            xmin - first,
            ymin - first,
            xmax - xmin + first,
            ymax - ymin + first,
        )
        score = None
        if element.find('score') is not None:
            score = read_number(element, 'score', where)
        return Box(name, xywh, is_crowd, score)


def find_folder(folder: Path, names: Sequence[str]) -> Path:
    """Return the first of some folders that exists; the last one must."""
    return next(folder / n for n in names if (folder / n).is_dir())


def parse_xml(file: Path) -> ET.Element:
    """Read an XML file of VOC.

    Args:
        file: The path of the file.

    Returns:
        The element `<annotation>`.

    Raises:
        LabelError: If it is not one.
    """
    try:
        root = ET.parse(file).getroot()
    # ValueError and LookupError come from wrong bytes and unknown encodings.
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        raise LabelError(f'{file}: {format_error(error)}') from None
    if root.tag != 'annotation':
        raise LabelError(f'{file}: is <{root.tag}>, not <annotation>')
    return root


def check_size(root: ET.Element, size_wh: tuple[int, int], file: Path) -> None:
    """Check that boxes were drawn on an image of this size.

    Args:
        root: The element `<annotation>`.
        size_wh: The width and height of the image, pixels.
        file: The path of the XML file, for the message.

    Raises:
        LabelError: If the file says another size. A side that is missing or 0
            says nothing.
    """
    said = tuple(
        int(read_number(root, f'size/{side}', str(file)))
        for side in ('width', 'height')
        if root.findtext(f'size/{side}', '').strip() not in ('', '0')
    )
    if len(said) == 2 and said != size_wh:
        raise LabelError(
            f'{file}: is for an image of {said[0]}x{said[1]}, but it is '
            f'decoded as {size_wh[0]}x{size_wh[1]}'
        )


def read_number(element: ET.Element, path: str, where: str) -> float:
    """Read the number in an element.

    Args:
        element: The element that holds it.
        path: The path of the number's element, such as `bndbox/xmin`.
        where: The file and the number of the object, for the message.

    Raises:
        LabelError: If there is no number, or it is not finite.
    """
    text = element.findtext(path, '')
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LabelError(f'{where}: <{path}> is {text!r}, not a number')
    return number
