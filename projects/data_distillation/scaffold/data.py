"""The data that a new experiment is made for."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..annotation.dataset import check_unique, find_images
from ..coco.reading import CocoError, read_coco
from ..coco.schema import find_name_error
from ..coco.splits import split_coco
from ..convert.folders import read_lines
from ..files.atomic import write_json
from .plan import Data, Images


@dataclass(frozen=True)
class Sources:
    """Where the data of a new experiment is.

    Args:
        labeled: COCO file of the images with labels.
        labeled_images: Their folder.
        val: COCO file of the validation images.
        val_images: Their folder.
        unlabeled: A folder of images, a list of image files (`.txt`, one a
            line, absolute or relative to their folder), a COCO file whose
            image infos are read (`.json`), or a share of the labeled images
            to take the labels off, such as `90%`.
        unlabeled_images: The folder of listed images; None for the one that
            `listed` finds, or that of the labeled images in the case of a
            COCO file.
        unlabeled_truth: COCO file of their true labels, if known: of these
            images and no others.
        seed: Of the choice of images that lose their labels.
    """

    labeled: Path
    labeled_images: Path
    val: Path
    val_images: Path
    unlabeled: str
    unlabeled_images: Path | None = None
    unlabeled_truth: Path | None = None
    seed: int = 0

    def gather(self, folder: Path) -> Data:
        """Read the files, and write those that are missing.

        Args:
            folder: Where to write what a list or a share makes necessary.

        Returns:
            The data.

        Raises:
            FileNotFoundError: If a file or folder does not exist.
            CocoError: If a COCO file cannot be used.
            ValueError: If the share or a list cannot be used.
        """
        content = read_coco(
            self.labeled, 'images', 'annotations', 'categories'
        )
        val = read_coco(self.val, 'images', 'annotations', 'categories')
        self._check_options()
        if is_share(self.unlabeled):
            parts = self._split(content, folder)
        else:
            parts = dict(
                labeled=Images(
                    str(self.labeled),
                    prefix(self.labeled_images),
                    len(content['images']),
                ),
                unlabeled=self._unlabeled(folder),
                truth_file=self.unlabeled_truth and str(self.unlabeled_truth),
            )
        return Data(
            tuple(category['name'] for category in content['categories']),
            val=Images(
                str(self.val), prefix(self.val_images), len(val['images'])
            ),
            **parts,
        )

    def _split(self, content: dict, folder: Path) -> dict:
        """Take the labels off a share of the labeled images."""
        num_images = len(content['images'])
        share = parse_share(self.unlabeled)
        num_labeled = num_images - round(share * num_images)
        if not 0 < num_labeled < num_images:
            raise ValueError(
                f'--unlabeled {self.unlabeled} of {num_images} images leaves '
                f'{num_labeled} labeled and {num_images - num_labeled} '
                'unlabeled ones: at least one of each is needed'
            )
        splits = split_coco(content, num_labeled, self.seed, keep_classes=True)
        (parts,) = splits.folds
        for name, part in parts.items():
            write_json(folder / f'{name}.json', part)
        images = {
            name: Images(
                str(folder / f'{name}.json'),
                prefix(self.labeled_images),
                len(parts[name]['images']),
            )
            for name in ('labeled', 'unlabeled')
        }
        truth = str(folder / 'unlabeled_truth.json')
        return dict(images, truth_file=truth, notes=tuple(splits.notes))

    def _check_options(self) -> None:
        """Check that no option is given that would not be used.

        Raises:
            ValueError: If one is.
        """
        given = self.unlabeled
        if is_share(given) and self.unlabeled_truth:
            raise ValueError(
                f'--unlabeled {given}: the true labels are those of the '
                'labeled images, leave --unlabeled-truth out'
            )
        is_named = Path(given).suffix.lower() in ('.json', '.txt')
        if self.unlabeled_images and not is_named:
            raise ValueError(
                f'--unlabeled {given}: --unlabeled-images is the folder of a '
                'list (.txt) or of a COCO file (.json), leave it out'
            )

    def _unlabeled(self, folder: Path) -> Images:
        """Find the images to annotate, and write down those of a list."""
        source = Path(self.unlabeled)
        if source.suffix.lower() == '.json':
            file, images_folder = source, self.unlabeled_images
            images_folder = images_folder or self.labeled_images
            names = [
                i['file_name'] for i in read_coco(file, 'images')['images']
            ]
        elif source.suffix.lower() == '.txt':
            names, images_folder = listed(source, self.unlabeled_images)
            file = folder / 'unlabeled.json'
            infos = [dict(id=i, file_name=n) for i, n in enumerate(names, 1)]
            write_json(file, dict(images=infos))
        else:
            file, images_folder = '', source
            names = [image['file_name'] for image in find_images(source)]
        check_any_is_there(names, images_folder)
        if self.unlabeled_truth:
            check_truth(self.unlabeled_truth, names)
        return Images(str(file), prefix(images_folder), len(names))


def prefix(folder: Path) -> str:
    """Write a folder as MMDetection's configs do, with a slash at the end."""
    return f'{folder}/'


def is_share(text: str) -> bool:
    """Say whether a text is meant as a share, such as `90%`."""
    return text.endswith('%')


def parse_share(text: str) -> float:
    """Return a share such as `90%` as a fraction.

    Raises:
        ValueError: If it is not between 0% and 100%.
    """
    match = re.fullmatch(r'(\d+(?:\.\d+)?)%', text)
    if not match or not 0 < float(match[1]) < 100:
        raise ValueError(
            'the share of images to take the labels off must be between 0% '
            f'and 100%, got {text!r}'
        )
    return float(match[1]) / 100


def listed(source: Path, folder: Path | None) -> tuple[list[str], Path]:
    """Read a list of image files, one a line; empty lines are left out.

    Args:
        source: The list.
        folder: Of the images; None for that of the list, or of files with
            absolute names for the one that holds them all.

    Returns:
        The names relative to the folder, in order, and the folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, not in UTF-8, or names a file outside of
            the folder, or one twice.
    """
    if not source.is_file():
        raise FileNotFoundError(
            f'list of unlabeled images not found: {source}'
        )
    names = read_lines(source)
    if not names:
        raise ValueError(f'{source} lists no image')
    if folder is None and all(map(os.path.isabs, names)):
        folder = Path(os.path.commonpath(map(os.path.dirname, names)))
    folder = folder or source.parent
    names = [relative(name, folder) for name in names]
    for name in names:
        if error := find_name_error(name):
            raise ValueError(
                f'{source}: {name!r} {error} ({folder}): name their folder '
                'with --unlabeled-images'
            )
    check_unique(names, 'file_name', str(source))
    return names, folder


def relative(name: str, folder: Path) -> str:
    """Write an absolute file name relative to a folder; others stay."""
    if not os.path.isabs(name):
        return name
    return os.path.relpath(name, os.path.abspath(folder))


def check_any_is_there(names: Sequence[str], folder: Path) -> None:
    """Check that not all images are missing: then the folder is wrong.

    Raises:
        FileNotFoundError: If they are.
    """
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(
            f'none of the {len(names)} unlabeled images is in {folder}/, such '
            f'as {names[0]}: name their folder with --unlabeled-images'
        )


def check_truth(file: Path, names: Sequence[str]) -> None:
    """Check that true labels are those of the unlabeled images.

    Args:
        file: The COCO file with the true labels.
        names: The unlabeled images.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it cannot be used, lacks an image, or has others.
    """
    content = read_coco(file, 'images', 'annotations', 'categories')
    true_names = {image['file_name'] for image in content['images']}
    missing, more = set(names) - true_names, true_names - set(names)
    if missing or more:
        raise CocoError(
            f'{file} must hold the unlabeled images, no others: '
            f'{len(missing)} are missing {sorted(missing)[:3]}, {len(more)} '
            f'are not among them {sorted(more)[:3]}'
        )
