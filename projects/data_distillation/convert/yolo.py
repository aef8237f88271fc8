"""YOLO folders: `data.yaml`, `images/`, `labels/`, as Ultralytics reads them.

A label file has a line for each object: the class, counted from 0, and the
box's center, width and height in parts of the image's width and height.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import yaml

from ..coco.reading import Categories
from ..text import format_error, format_value
from .folders import (
    image_names,
    labeled_image,
    lines_of,
    link_image,
    write_text,
)
from .labels import Box, FormatError, LabeledImage, LabelError, Report

SPLITS = ('train', 'val', 'test')
# How far coordinates may be outside of 0 to 1; Ultralytics takes as much.
SLACK = 0.01


@dataclass(frozen=True)
class YoloReader:
    """Reads a YOLO folder.

    Args:
        file: `data.yaml`.
        report: Is told what does not pass.
        split: The key of `data.yaml` with the images, such as `'train'`.
    """

    file: Path
    report: Report
    split: str
    missing: ClassVar[str] = (
        'images without label file: background, as for Ultralytics'
    )
    is_background: ClassVar[bool] = True

    @cached_property
    def content(self) -> dict:
        """What the file says.

        Raises:
            FormatError: If it is missing or broken.
        """
        try:
            content = yaml.safe_load(self.file.read_text('utf-8-sig'))
        except OSError as error:
            raise FormatError(f'{self.file}: {error.strerror}') from None
        # The others are of wrong bytes and of too deep lists.
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise FormatError(f'{self.file}: {format_error(error)}') from None
        if not isinstance(content, dict):
            raise FormatError(f'{self.file} has no keys: is it data.yaml?')
        if 'kpt_shape' in content:
            raise FormatError(
                f'{self.file}: labels of poses (`kpt_shape`) are not read: '
                'write boxes, 5 columns, and remove `kpt_shape`'
            )
        return content

    @cached_property
    def names(self) -> list[str]:
        """The classes, in order.

        Raises:
            FormatError: If they are missing, not counted from 0, or no texts.
        """
        names = self.content.get('names')
        if isinstance(names, dict) and sorted(map(str, names)) == sorted(
            map(str, range(len(names)))
        ):
            names = [names[key] for key in sorted(names, key=int)]
        if not isinstance(names, list) or not names:
            raise FormatError(
                f'{self.file}: `names` must be a list of the classes, or '
                f'number them from 0 on, got {format_value(names)}'
            )
        for name in names:
            # 1 is meant as a text; `yes` and `no` are true and false in YAML.
            if type(name) not in (str, int) or names.count(name) > 1:
                raise FormatError(
                    f'{self.file}: `names` must be different texts, got '
                    f'{format_value(name)}: write it in quotes, once'
                )
        return [str(name) for name in names]

    def classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """Return the classes, whatever the images hold."""
        return self.names

    @property
    def root(self) -> Path:
        """The folder that paths in the file are relative to.

        Ultralytics looks for `path` in its settings' folder too, which is not
        known here: the folder of the file stands for what is not found.
        """
        path = self.content.get('path')
        if isinstance(path, str) and os.path.isdir(self.file.parent / path):
            return self.file.parent / path
        return self.file.parent

    @cached_property
    def sources(self) -> list[Path]:
        """The folders and lists of the split.

        Raises:
            FormatError: If there are none, or one is not there.
        """
        found = self.content.get(self.split)
        if not found:
            known = [key for key in SPLITS if self.content.get(key)]
            raise FormatError(
                f'{self.file}: `{self.split}` is missing, there are {known}'
            )
        entries = found if isinstance(found, list) else [found]
        return [self.find(entry) for entry in entries]

    def find(self, entry: object) -> Path:
        """Find a folder or a list.

        Raises:
            FormatError: If it is not there.
        """
        if not isinstance(entry, str):
            raise FormatError(
                f'{self.file}: `{self.split}` must be a path or a list of '
                f'paths, got {format_value(entry)}'
            )
        # Roboflow writes `../train/images` for `train/images`.
        for name in (entry, entry.removeprefix('../')):
            path = Path(os.path.abspath(self.root / name))
            if os.path.exists(path):
                return path
        raise FormatError(
            f'{self.file}: `{self.split}` {entry!r} not found in {self.root}'
        )

    @cached_property
    def files(self) -> list[Path]:
        """The image files: of a folder by name, of a list as they are."""
        files: list[Path] = []
        for source in self.sources:
            if source.is_dir():
                files += [source / name for name in image_names(source)]
            else:
                files += self.listed(source)
        return list(dict.fromkeys(files))

    def listed(self, source: Path) -> Iterator[Path]:
        """Yield the images of a list, relative to it or to `root`."""
        for line in lines_of(source):
            for folder in (source.parent, self.root):
                path = Path(os.path.abspath(folder / line))
                if os.path.isfile(path):
                    yield path
                    break
            else:
                kind = 'lines left out: image not found'
                self.report.add(kind, f'{source}: {line}')

    @cached_property
    def image_folder(self) -> Path:
        """The folder that file names are relative to: what all are in."""
        folders = {source for source in self.sources if source.is_dir()}
        folders |= {file.parent for file in self.files}
        return Path(os.path.commonpath(folders or [self.root.absolute()]))

    def images(self) -> Iterator[LabeledImage]:
        """Read the images.

        Yields:
            Each; without boxes if it has no label file.

        Raises:
            FormatError: If `data.yaml` is broken, or the images not there.
        """
        for file in self.files:
            labels = label_file(file)
            image = labeled_image(
                self.image_folder,
                file.relative_to(self.image_folder).as_posix(),
                partial(self.boxes, labels),
                self.report,
            )
            if image is not None:
                yield image
        self.report_lone_labels()

    def report_lone_labels(self) -> None:
        """Report the label files in the folders that belong to no image."""
        known = {label_file(file) for file in self.files}
        for source in self.sources:
            if source.is_dir():
                # As that of an image in the folder.
                labels = label_file(source / 'x.jpg').parent
                for file in sorted({*labels.rglob('*.txt')} - known):
                    if file.name != 'classes.txt':
                        self.report.add('label files without an image', file)

    def boxes(self, file: Path, size_wh: tuple[int, int]) -> list[Box] | None:
        """Read the boxes of an image; None if there is no label file.

        Raises:
            LabelError: If a line is broken.
        """
        if not file.is_file():
            return None
        try:
            lines = file.read_text('utf-8-sig').splitlines()
        except (OSError, ValueError) as error:
            raise LabelError(f'{file}: {format_error(error)}') from None
        return [
            self.box(line.split(), size_wh, f'{file}:{number}')
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]

    def box(
        self, words: list[str], size_wh: tuple[int, int], where: str
    ) -> Box:
        """Read a line: a box, a box with its score, or a polygon.

        Raises:
            LabelError: If it is none of them.
        """
        label, *numbers = numbers_in(words, where)
        if label not in range(len(self.names)):
            raise LabelError(
                f'{where}: class {words[0]} is none of 0 to '
                f'{len(self.names) - 1}'
            )
        is_polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
        if not is_polygon and len(numbers) not in (4, 5):
            raise LabelError(
                f'{where}: {len(words)} columns are no box (5, with a score '
                '6) and no polygon'
            )
        score = numbers.pop() if len(numbers) == 5 else None
        if not all(-SLACK <= number <= 1 + SLACK for number in numbers):
            raise LabelError(f'{where}: a coordinate is not within 0 to 1')
        if is_polygon:
            self.report.add('polygons: only their boxes were kept', where)
            numbers = center_box(numbers)
        name = self.names[int(label)]
        return Box(name, in_pixels(numbers, size_wh), score=score)


def label_file(image: Path) -> Path:
    """Return where the labels of an image are: as Ultralytics does.

    The last folder `images` in the path becomes `labels`; if there is none,
    the labels are beside the image.
    """
    head, images, tail = str(image).rpartition(f'{os.sep}images{os.sep}')
    labels = f'{os.sep}labels{os.sep}' if images else ''
    return Path(f'{head}{labels}{tail}').with_suffix('.txt')


def numbers_in(words: Iterable[str], where: str) -> list[float]:
    """Read numbers.

    Raises:
        LabelError: If a word is none, or not finite.
    """
    numbers = []
    for word in words:
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise LabelError(f'{where}: {word!r} is not a number')
        numbers.append(number)
    return numbers


def center_box(polygon: Sequence[float]) -> list[float]:
    """Return the box of a polygon `x, y, x, y, ...` as center and size."""
    xs, ys = polygon[::2], polygon[1::2]
    return [
        (min(xs) + max(xs)) / 2,
        (min(ys) + max(ys)) / 2,
        max(xs) - min(xs),
        max(ys) - min(ys),
    ]


def in_pixels(
    center_box: Sequence[float], size_wh: tuple[int, int]
) -> list[float]:
    """Turn center and size, in parts of an image, to left, top, size."""
    (x, y, w, h), (width, height) = center_box, size_wh
    return [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]


def write_yolo(
    folder: Path,
    images: Sequence[LabeledImage],
    categories: Categories,
    image_folder: Path,
    report: Report,
    with_scores: bool = False,
) -> None:
    """Write a YOLO folder, whose images are links.

    Args:
        folder: An empty folder.
        images: See `formats.read_labels`. One without boxes gets an empty
            label file.
        categories: The classes, counted from 0 in their order.
        image_folder: Where the images are.
        report: Is told of crowds, which are left out, and of scores.
        with_scores: Whether to write scores, as a sixth column.
    """
    classes = [category['name'] for category in categories]
    content = dict(train='images', names=dict(enumerate(classes)))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / 'data.yaml').write_text(text, 'utf-8')
    labels = {name: label for label, name in enumerate(classes)}
    for image in images:
        path = folder / 'images' / image.file_name
        lines = []
        for box in image.boxes or ():
            if box.is_crowd:
                kind = 'boxes left out: iscrowd 1, which YOLO does not have'
                report.add(kind, image.file_name)
                continue
            numbers = in_parts(box.xywh, image.size_wh)
            if box.score is not None and with_scores:
                numbers.append(box.score)
            elif box.score is not None:
                report.add(
                    'scores left out (--scores writes them)', image.file_name
                )
            words = (f'{number:.8f}' for number in numbers)
            lines.append(' '.join((str(labels[box.name]), *words)))
        write_text(label_file(path), lines)
        link_image(image_folder / image.file_name, path)


def in_parts(xywh: Sequence[float], size_wh: tuple[int, int]) -> list[float]:
    """Turn left, top, size in pixels to center and size in parts."""
    (x, y, w, h), (width, height) = xywh, size_wh
    return [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
