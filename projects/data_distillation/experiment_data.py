"""The data that a new experiment is made for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .coco import read_coco, write_json
from .datasets import find_images
from .formats import lines_of
from .new_experiment import Data, Images
from .splits import split_coco


@dataclass(frozen=True)
class Sources:
    """Where the data of a new experiment is.

    Args:
        labeled: COCO file of the images with labels.
        labeled_images: Their folder.
        val: COCO file of the validation images.
        val_images: Their folder.
        unlabeled: A folder of images, a list of image files (`.txt`, one a
            line, relative to their folder), a COCO file whose image infos
            are read (`.json`), or a share of the labeled images to take the
            labels off, such as `90%`.
        unlabeled_images: The folder of listed images; None for that of the
            list, or of the labeled images in the case of a COCO file.
        unlabeled_truth: COCO file of their true labels, if known.
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

    def _unlabeled(self, folder: Path) -> Images:
        source = Path(self.unlabeled)
        if source.suffix == '.json':
            images = read_coco(source, 'images')['images']
            images_folder = self.unlabeled_images or self.labeled_images
            return Images(str(source), prefix(images_folder), len(images))
        if source.suffix == '.txt':
            names = read_list(source)
            file = folder / 'unlabeled.json'
            infos = [dict(id=i, file_name=n) for i, n in enumerate(names, 1)]
            write_json(file, dict(images=infos))
            images_folder = self.unlabeled_images or source.parent
            return Images(str(file), prefix(images_folder), len(names))
        return Images('', prefix(source), len(find_images(source)))


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


def read_list(path: Path) -> Sequence[str]:
    """Read a list of image files, one a line; empty lines are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, or not in UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f'list of unlabeled images not found: {path}')
    names = lines_of(path)
    if not names:
        raise ValueError(f'{path} lists no image')
    return names
