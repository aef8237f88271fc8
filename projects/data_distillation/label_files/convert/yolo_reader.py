"""Reads YOLO folders as Ultralytics does: `data.yaml`, `images/`, `labels/`.

A label file has one line for each object: the class, counted from 0, and as
parts of the image's width and height the center, width and height of the box,
or the points of a polygon.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import yaml

from ...arguments import check_is_one_of
from ...files.decoding import glob_shown, list_image_names
from ...text import format_error, format_value
from ..coco.schema import MIN_SIDE
from ..segmentations.polygons import as_one_polygon, bound_pixels
from .folder_reading import list_tails, read_labeled_image, read_lines
from .labels import Box, FormatError, IssueCounter, LabeledImage, LabelError
from .polygon_masks import bound_polygon
from .yolo_folder import (
    SPLIT_NAMES,
    describe_folder,
    find_tail,
    find_yaml,
    rename_split,
)
from .yolo_lines import read_line, scale_box, scale_polygon

# Text files in the folders of labels that belong to no image.
NO_LABELS = ('classes.txt', 'train.txt', 'val.txt', 'valid.txt', 'test.txt')
SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class YoloReader:
    """Reads a YOLO folder.

    What needs `data.yaml` or a list raises a `FormatError` if that is broken
    or names what does not exist, and an `OSError` if a list cannot be read.

    Args:
        file: The path of `data.yaml`, or of the folder of the set, which may
            have none.
        issues: Counts what is left out or changed.
        split: One of `SPLITS`; `data.yaml` may call it by another name.
        boxes_only: Whether only the boxes of polygons are kept.

    Raises:
        ValueError: If `split` is another.
    """

    file: Path
    issues: IssueCounter
    split: str
    boxes_only: bool = False
    missing: ClassVar[str] = (
        'images without label file: background, as for Ultralytics'
    )
    is_background: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_is_one_of('split', self.split, SPLITS)

    @cached_property
    def content(self) -> dict:
        """The content of `data.yaml`, or what it would be for the folder.

        Raises:
            FormatError: If the file is missing or broken, or of poses.
        """
        file = find_yaml(self.file)
        if file is None:
            return describe_folder(self.file, self.split)
        try:
            content = yaml.safe_load(file.read_text('utf-8-sig'))
        except OSError as error:
            raise FormatError(f'{self.file}: {error.strerror}') from None
        # ValueError: wrong bytes. RecursionError: lists nested too deeply.
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
        """The classes, by their number; integers become texts.

        Raises:
            FormatError: If they are missing, not numbered from 0, neither
                texts nor integers, or one occurs twice.
        """
        names = self.content.get('names')
        if isinstance(names, dict) and sorted(map(str, names)) == sorted(
            map(str, range(len(names)))
        ):
            names = [names[key] for key in sorted(names, key=int)]
        if not isinstance(names, list) or not names:
            raise FormatError(
                f'{self.file}: `names` must be a list of the classes, or '
                f'number them starting with 0, got {format_value(names)}'
            )
        texts = [str(name) for name in names if type(name) in (str, int)]
        for name in names:
            # 1 is meant as a text; `yes` and `no` are true and false in YAML.
            if type(name) not in (str, int) or texts.count(str(name)) > 1:
                raise FormatError(
                    f'{self.file}: `names` must be different texts, got '
                    f'{format_value(name)}: write it in quotes, once'
                )
        return texts

    def list_classes(self, images: Sequence[LabeledImage]) -> list[str]:
        """Return the names of the classes in `data.yaml`; see `names`.

        Args:
            images: They are not used.

        Returns:
            The names, by number; `names` may raise a `FormatError`.
        """
        return self.names

    @property
    def root(self) -> Path:
        """The folder that paths in the file are relative to.

        Ultralytics also looks for `path` in a folder of its settings, which is
        not known here. If `path` is not found, the folder of the file is
        taken.
        """
        path = self.content.get('path')
        folder = self.file if self.file.is_dir() else self.file.parent
        if isinstance(path, str) and os.path.isdir(folder / path):
            return folder / path
        return folder

    @cached_property
    def sources(self) -> list[Path]:
        """The folders and lists of the split, absolute and in order.

        Raises:
            FormatError: If the split has none, or one does not exist.
        """
        names = SPLIT_NAMES[self.split]
        found = next(filter(None, map(self.content.get, names)), None)
        if not found:
            known = [key for key in SPLITS if self.content.get(key)]
            raise FormatError(
                f'{self.file}: `{self.split}` is missing, there are {known}'
            )
        entries = found if isinstance(found, list) else [found]
        return [self.find_source(entry) for entry in entries]

    def find_source(self, entry: object) -> Path:
        """Find a folder or list that `data.yaml` names.

        Args:
            entry: The value in `data.yaml`, of any type.

        Returns:
            The absolute path, which exists. One of another machine is counted.

        Raises:
            FormatError: If it is not a path, or does not exist.
        """
        if not isinstance(entry, str):
            raise FormatError(
                f'{self.file}: `{self.split}` must be a path or a list of '
                f'paths, got {format_value(entry)}'
            )
        # Roboflow writes `../train/images` for `train/images`, and its API
        # the name of the folder before it. Of a path of another machine, the
        # end is looked for, of two parts: any set has a folder `images`.
        path = Path(os.path.abspath(self.root / entry))
        if os.path.exists(path):
            return path
        for name in (entry, *rename_split(entry, self.split)):
            found = find_tail(name, [self.root, self.root.parent], fewest=2)
            if found is not None:
                if found.parts[-2:] != path.parts[-2:] or '..' not in entry:
                    kind = 'paths of another machine: found by their end'
                    self.issues.add(kind, f'{entry}: {found}')
                return Path(os.path.abspath(found))
        tails = ', '.join(list_tails(entry, 2))
        raise FormatError(
            f'{self.file}: `{self.split}` {entry!r} not found in {self.root}: '
            f'looked for {tails}'
        )

    @cached_property
    def files(self) -> list[Path]:
        """The images, each once: a folder's by name, a list's in order."""
        files: list[Path] = []
        for source in self.sources:
            if source.is_dir():
                files += [source / name for name in list_image_names(source)]
            else:
                files += self.read_list(source)
        return list(dict.fromkeys(files))

    def read_list(self, source: Path) -> Iterator[Path]:
        """Find the images in a list; paths are relative to it or to `root`.

        Other paths are found by their end. What is not found is counted.

        Args:
            source: The list.

        Yields:
            The absolute path of each image, in order and as often as listed.

        Raises:
            FormatError, OSError: If the list is not readable UTF-8.
        """
        for line in read_lines(source):
            folders = [source.parent, self.root, source.parent.parent]
            paths = [Path(os.path.abspath(f / line)) for f in folders[:2]]
            found = next(filter(os.path.isfile, paths), None)
            found = found or find_tail(line, folders)
            if found is not None and found.is_file():
                yield found.absolute()
                continue
            kind = f'lines left out: image not found in {self.root}'
            self.issues.add(kind, f'{source}: {line}')

    @cached_property
    def image_folder(self) -> Path:
        """The folder that file names are relative to: it holds all images."""
        folders = {source for source in self.sources if source.is_dir()}
        folders |= {file.parent for file in self.files}
        return Path(os.path.commonpath(folders or [self.root.absolute()]))

    def read_images(self) -> Iterator[LabeledImage]:
        """Read the images, in the order of `files`.

        Yields:
            Each image that can be used; `boxes` is None without a label file.
            All others are counted, and at last the labels without an image.

        Raises:
            FormatError, OSError: If `data.yaml`, a list or a source is broken.
        """
        for file in self.files:
            labels = self.find_labels(file)
            image = read_labeled_image(
                self.image_folder,
                file.relative_to(self.image_folder).as_posix(),
                partial(self.read_boxes, labels),
                self.issues,
            )
            if image is not None:
                yield image
        self.count_lone_labels()

    def find_labels(self, image: Path) -> Path:
        """Find the label file of an image.

        If there is none where Ultralytics looks for it, it may be beside the
        image. This is counted, since Ultralytics does not find it.

        Args:
            image: The path of the image.

        Returns:
            The path of the label file, which need not exist.
        """
        labels, beside = find_label_path(image), image.with_suffix('.txt')
        if not labels.is_file() and beside.is_file():
            self.issues.add('label files beside their image', beside)
            return beside
        return labels

    def count_lone_labels(self) -> None:
        """Count the label files of the folders that belong to no image."""
        known = {find_label_path(file) for file in self.files}
        known |= {file.with_suffix('.txt') for file in self.files}
        for source in self.sources:
            if source.is_dir():
                # The folder in which an image of this one has its labels.
                labels = find_label_path(source / 'x.jpg').parent
                found = glob_shown(labels, '**/*.txt')
                for file in (one for one in found if one not in known):
                    if file.name not in NO_LABELS and file not in self.sources:
                        self.issues.add('label files without an image', file)

    def read_boxes(
        self, file: Path, size_wh: tuple[int, int]
    ) -> list[Box] | None:
        """Read the boxes of an image.

        Args:
            file: The path of its label file.
            size_wh: The width and height of the image, pixels.

        Returns:
            The boxes, in the file's order, xywh in pixels and not clipped;
            None without the file. Repeated lines are left out and counted.

        Raises:
            LabelError: If the file is not readable UTF-8, or a line is broken.
            FormatError: As `names` does.
        """
        if not file.is_file():
            return None
        try:
            lines = file.read_text('utf-8-sig').splitlines()
        except (OSError, ValueError) as error:
            raise LabelError(f'{file}: {format_error(error)}') from None
        rows = [tuple(line.split()) for line in lines]
        have_scores = all(len(words) % 2 == 0 for words in rows)
        boxes: dict[tuple, Box | None] = {}
        for number, words in enumerate(rows, 1):
            where = f'{file}:{number}'
            if words in boxes:  # Ultralytics leaves them out too.
                self.issues.add('repeated lines left out', where)
            elif words:
                line = read_line(words, self.names, where, have_scores)
                boxes[words] = self.make_box(*line, size_wh, where)
        return [box for box in boxes.values() if box]

    def make_box(
        self,
        name: str,
        numbers: list[float],
        score: float | None,
        size_wh: tuple[int, int],
        where: str,
    ) -> Box | None:
        """Make a box of what `read_line` returns.

        Args:
            name: The name of its class.
            numbers: A box or a polygon, as parts of the image.
            score: The score; None without one.
            size_wh: The width and height of the image, pixels.
            where: The file and the number of the line, for the messages.

        Returns:
            The box, xywh in pixels, not clipped; with the polygon, clipped to
            the image, unless `boxes_only`. None for a polygon without a pixel.
            This, a polygon's score, and one cut to its box are counted.
        """
        if len(numbers) == 4:
            return Box(name, scale_box(numbers, size_wh), score=score)
        polygon = scale_polygon(numbers, size_wh)
        box = Box(name, bound_polygon(polygon), score=score)
        if score is not None:
            kind = 'polygons with a score: an even number of columns'
            self.issues.add(kind, where)
        if self.boxes_only:
            self.issues.add('polygons: only their boxes were kept', where)
            return box
        fitting = as_one_polygon([polygon], size_wh)
        if not fitting:
            kind = 'polygons left out: no pixel of the image is inside'
            self.issues.add(kind, where)
            return None
        # The outline of a line of pixels is thinner than the pixels.
        if min(box.xywh[2:]) < MIN_SIDE:
            box = replace(box, xywh=bound_pixels(fitting, size_wh))
        return replace(box, polygon=fitting)


def find_label_path(image: Path) -> Path:
    """Derive the path of an image's label file, by the rule of Ultralytics.

    The last folder `images` in the path becomes `labels`; if there is none,
    the label file is beside the image.

    Args:
        image: The absolute path: `images` at the start of another is no match.

    Returns:
        The path, with the suffix `.txt`; the file need not exist.
    """
    head, images, tail = str(image).rpartition(f'{os.sep}images{os.sep}')
    labels = f'{os.sep}labels{os.sep}' if images else ''
    return Path(f'{head}{labels}{tail}').with_suffix('.txt')
