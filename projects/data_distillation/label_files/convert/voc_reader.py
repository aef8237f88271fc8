"""Reads Pascal VOC folders.

A folder has `Annotations/*.xml`, `JPEGImages/` and `ImageSets/Main/`. The
devkit counts pixels from 1, and a box includes its last pixel: a box over an
image of width w goes from 1 to w. In COCO it starts at 0 and is w wide.
"""

import itertools
import posixpath
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

from ...arguments import check_is_one_of
from ...files.decoding import IMAGE_SUFFIXES, glob_shown, list_image_names
from .folder_reading import (
    find_folder,
    list_tails,
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
from .voc_xml import (
    check_size,
    has_flag,
    has_labels,
    make_bndbox,
    parse_number,
    parse_xml,
    read_image_name,
    read_number,
)

# The names of the folders, the devkit's first; '.' is the folder itself.
ANNOTATIONS = (
    'Annotations', 'annotations', 'labels', 'Labels', 'xml', 'XML', 'xmls', '.'
)  # fmt: skip
IMAGES = (
    'JPEGImages', 'images', 'Images', 'img', 'imgs', 'image', 'Image', '.'
)  # fmt: skip
# The last word of a line in the list of a class: whether the image has one.
FLAG = re.compile(r'\s+(-1|0|1)$')
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

    Raises:
        ValueError: If `difficult` is another.
    """

    folder: Path
    issues: IssueCounter
    split: str | None = None
    zero_based: bool = False
    difficult: str = 'ignore'
    missing: ClassVar[str] = 'images left out: no annotation file'
    is_background: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_is_one_of('difficult', self.difficult, DIFFICULT)

    @cached_property  # It is read for each image, and searches the folder.
    def annotations(self) -> Path:
        """The folder of the XML files, see `find_folder`."""
        return find_folder(self.folder, ANNOTATIONS, has_labels)

    @cached_property
    def image_folder(self) -> Path:
        """The folder that file names are relative to, see `find_folder`."""
        return find_folder(self.folder, IMAGES, list_image_names)

    @property
    def lists(self) -> Path:
        """The folder of the lists."""
        return self.folder / 'ImageSets' / 'Main'

    def list_classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """List the lines of `classes.txt`, or the names in use, sorted.

        Args:
            images: All images with their boxes.

        Returns:
            The names of the classes; a line that occurs twice is there twice.

        Raises:
            FormatError, OSError: If `classes.txt` is not readable UTF-8.
        """
        file = self.folder / CLASSES
        if file.is_file():
            return read_lines(file)
        return sorted({box.name for i in images for box in i.boxes or ()})

    def read_images(self) -> Iterator[LabeledImage]:
        """Read the images, in the order of the list or sorted by name.

        Yields:
            Each image that can be used, see `read_labeled_image`; `boxes` is
            None if it has no XML file. All others are counted.

        Raises:
            FormatError: If the folder or list is missing, or not in UTF-8.
            OSError: If the list cannot be read.
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
        """Pair each image with its XML file; names left over are counted.

        Returns:
            File name of an image -> name of its XML file without suffix, in
            the order of the list, where this file need not exist. If all
            images are read, they are sorted, and those without an XML file are
            there with None.

        Raises:
            FormatError, OSError: If the list is missing or not readable UTF-8.
        """
        by_stem, by_last = defaultdict(list), defaultdict(list)
        for name in list_image_names(self.image_folder):
            by_stem[strip_suffix(name)].append(name)
            by_last[strip_suffix(posixpath.basename(name))].append(name)
        pairs: dict[str, str | None] = {}
        for stem in self.list_stems(by_last):
            found = self.find_image(stem, by_stem, by_last)
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
        return dict(sorted((everything | pairs).items()))  # Pairs win.

    def list_stems(self, images: Container[str]) -> list[str]:
        """List the names in the list, or of all XML files without suffix.

        Args:
            images: The names of the images, without folder and suffix.

        Returns:
            The names, in the list's order as `find_stem` finds them. Without a
            list they are sorted, and the lists that are there are counted.

        Raises:
            FormatError, OSError: If the list is missing or not readable UTF-8.
        """
        if self.split is None:
            for file in glob_shown(self.lists, '*.txt'):
                self.issues.add('lists not used: --split takes one', file)
            files = glob_shown(self.annotations, '**/*.xml')
            names = (f.relative_to(self.annotations).as_posix() for f in files)
            return sorted(map(strip_suffix, names))
        file = self.lists / f'{self.split}.txt'
        if not file.is_file():
            known = [path.stem for path in glob_shown(self.lists, '*.txt')]
            raise FormatError(f'list not found: {file}; there are {known}')
        return [self.read_line(line, images) for line in read_lines(file)]

    def read_line(self, line: str, images: Container[str]) -> str:
        """Find the XML file for a line of a list, which may have a flag.

        Args:
            line: The line. What looks like a flag belongs to the name if
                there is an XML file or an image of this name.
            images: The names of the images, without folder and suffix.

        Returns:
            See `find_stem`.
        """
        stem = self.find_stem(line)
        is_name = posixpath.basename(stem) in images
        if is_name or self.find_xml_file(stem).is_file():
            return stem
        return self.find_stem(FLAG.sub('', line))

    def find_stem(self, name: str) -> str:
        """Find the XML file for a name in a list.

        Some tools write the image with its suffix and its folder.

        Args:
            name: A line of the list, without a flag, with `/` or a backslash.

        Returns:
            The path of the XML file below `annotations`, without suffix. If
            there is none, the name, without the suffix of an image. A root and
            `..` are left out: they would lead out of the folder.
        """
        tails = list_tails(name, 1)
        for tail in tails:
            for stem in (tail, strip_suffix(tail)):
                if self.find_xml_file(stem).is_file():
                    return stem
        is_image = Path(name).suffix.lower() in IMAGE_SUFFIXES
        return strip_suffix(tails[0]) if is_image else tails[0]

    def find_image(
        self,
        stem: str,
        by_stem: dict[str, list[str]],
        by_last: dict[str, list[str]],
    ) -> str | None:
        """Find the image of an XML file by its name, or by its `<filename>`.

        Args:
            stem: The name of the XML file, without suffix.
            by_stem: Name without suffix -> the file names of its images.
            by_last: The same, but without folders, too.

        Returns:
            The file name of the image; None if there is none, or if there are
            several and the XML file does not say which it is.
        """
        # Folders may be divided otherwise. An image with its own file stays.
        names = by_stem.get(stem) or [
            name
            for name in by_last.get(posixpath.basename(stem), [])
            if not self.find_xml_file(strip_suffix(name)).is_file()
        ]
        if len(names) == 1:
            return names[0]
        said = read_image_name(self.find_xml_file(stem))
        name = posixpath.join(posixpath.dirname(stem), said)
        return name if name in by_stem.get(strip_suffix(name), ()) else None

    def find_xml_file(self, stem: str) -> Path:
        """Return where an XML file is.

        Args:
            stem: The path below `annotations`, without suffix.

        Returns:
            The path; the file need not exist.
        """
        return self.annotations / f'{stem}.xml'

    def read_boxes(
        self, stem: str | None, size_wh: tuple[int, int]
    ) -> list[Box] | None:
        """Read the boxes of an image.

        Args:
            stem: The name of its XML file, without suffix, or None.
            size_wh: The width and height of the image, pixels.

        Returns:
            The boxes, in the file's order, xywh in pixels from 0, not clipped;
            None if there is no XML file. Difficult objects are counted, and
            so are deleted ones, which are left out.

        Raises:
            LabelError: If the file is broken, or for an image of another size.
        """
        if stem is None or not self.find_xml_file(stem).is_file():
            return None
        file = self.find_xml_file(stem)
        root = parse_xml(file)
        check_size(root, size_wh, file)
        boxes: list[Box] = []
        for number, element in enumerate(root.findall('object'), 1):
            where = f'{file}: object {number}'
            if has_flag(element, 'deleted'):  # LabelMe keeps such objects.
                self.issues.add('boxes left out: marked as deleted', where)
                continue
            is_difficult = has_flag(element, 'difficult')
            if is_difficult and self.difficult == 'drop':
                self.issues.add('boxes left out: difficult', where)
                continue
            is_crowd = is_difficult and self.difficult == 'ignore'
            if is_crowd:
                self.issues.add('difficult boxes: now iscrowd 1', where)
            boxes += self.read_object(element, is_crowd, where)
        return boxes

    def read_object(
        self, element: ET.Element, is_crowd: bool, where: str
    ) -> Iterator[Box]:
        """Read the boxes of an object: one, or several of the same name.

        An object without a box gets the box around its polygon.

        Args:
            element: The element `<object>`.
            is_crowd: Whether it is a region to ignore.
            where: The file and the number of the object, for the messages.

        Yields:
            A box for each `<bndbox>`, in order; both other cases are counted.

        Raises:
            LabelError: If it has no name, neither a box nor a polygon, or if a
                corner, a point or the score is not a finite number.
        """
        corners = element.findall('bndbox')
        if len(corners) > 1:
            self.issues.add('objects of several boxes: now one each', where)
        if not corners and (bounds := make_bndbox(element, where)):
            self.issues.add('polygons: only their boxes were kept', where)
            corners = [bounds]
        if not corners and element.findtext('name', '').strip():
            raise LabelError(f'{where} has neither <bndbox> nor <polygon>')
        for bndbox in corners or [ET.Element('bndbox')]:  # `read_box` raises.
            yield self.read_box(element, bndbox, is_crowd, where)

    def read_box(
        self,
        element: ET.Element,
        bndbox: ET.Element,
        is_crowd: bool,
        where: str,
    ) -> Box:
        """Read a box of an object.

        Args:
            element: The element `<object>`.
            bndbox: The element `<bndbox>`. Swapped corners are put in order;
                they are counted, like those before the first pixel.
            is_crowd: Whether it is a region to ignore.
            where: The file and the number of the object, for the messages.

        Returns:
            The box, xywh in pixels from 0, not clipped.

        Raises:
            LabelError: If it has no name, or a corner or the score is not a
                finite number.
        """
        name = element.findtext('name', '').strip()
        if not name:
            raise LabelError(f'{where} has no <name>')
        first = 0 if self.zero_based else 1
        xmin, ymin, xmax, ymax = (
            parse_number(bndbox.findtext(side, ''), f'bndbox/{side}', where)
            for side in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        # One pixel less is an empty box.
        if max(xmin - xmax, ymin - ymax) > 1:
            self.issues.add('boxes of swapped corners: now in order', where)
            xmin, xmax = sorted((xmin, xmax))
            ymin, ymax = sorted((ymin, ymax))
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
