"""Gathers the data of a new experiment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...files.atomic import write_json
from ...label_files.coco.contents import find_annotated, take_images
from ...label_files.coco.reading import CocoError, read_coco
from ...label_files.coco.schema import find_name_error
from ...label_files.convert.folder_reading import read_lines
from ...label_files.splits.splits import split_coco
from ...pseudo_labels.annotation.unlabeled import (
    check_unique,
    list_images,
)
from .plan import Data, Images
from .trained_images import TrainedImages
from .unlisted_images import (
    REST,
    find_empty,
    find_unlisted,
    is_share,
    parse_share,
)


@dataclass(frozen=True)
class Sources:
    """The files and folders with the data of a new experiment.

    Args:
        labeled: The COCO file of the images with labels.
        labeled_images: The folder of these images.
        val: The COCO file of the validation images.
        val_images: The folder of these images.
        unlabeled: A folder of images, a list of image files (`.txt`, with one
            name on each line, absolute or relative to their folder), a COCO
            file of which only `images` is read (`.json`), a share of the
            labeled images whose labels are taken off, such as `90%`, or
            `rest`, the images in the folder of the labeled ones that no file
            lists.
        unlabeled_images: The folder of the images in a list or in a COCO
            file. If it is None, `read_image_list` finds that of a list, and
            that of a COCO file is the folder of the labeled images.
        unlabeled_truth: The COCO file of the true labels of exactly these
            images; None if they are unknown.
        seed: The seed of the choice of images that lose their labels.
        left_out: COCO files of images in the folder of the labeled ones that
            must stay unseen, for `rest`.
        annotates_empty: Whether labeled images without any object are
            unlabeled ones, for `rest`.
    """

    labeled: Path
    labeled_images: Path
    val: Path
    val_images: Path
    unlabeled: str
    unlabeled_images: Path | None = None
    unlabeled_truth: Path | None = None
    seed: int = 0
    left_out: Sequence[Path] = ()
    annotates_empty: bool = False

    def gather(self, folder: Path, filters: Mapping | None = None) -> Data:
        """Read the files, and write COCO files for a list, a share or `rest`.

        Args:
            folder: The folder for the files that are written.
            filters: The `filter_cfg` of the detector's training images; None
                for no filter.

        Returns:
            The data. The number of labeled images is that of those that pass
            the filter.

        Raises:
            FileNotFoundError: If a file or folder does not exist, or no
                unlabeled image is there.
            CocoError: If a COCO file cannot be used, no labeled image passes
                the filter, a class cannot stay among the labeled images, or
                the true labels are those of other images.
            ValueError: If the share or a list cannot be used, no unlabeled
                image is left, or an option would have no effect.
            OSError: If a file cannot be written.
        """
        content = read_coco(
            self.labeled, 'images', 'annotations', 'categories'
        )
        val = read_coco(self.val, 'images', 'annotations', 'categories')
        self._check_options()
        trained = TrainedImages.find(content, filters or {})
        if is_share(self.unlabeled):
            parts = self._split(trained, folder, filters or {})
        elif self.unlabeled == REST:
            parts = self._take_rest(content, folder, filters or {})
        else:
            parts = dict(
                labeled=Images(
                    str(self.labeled),
                    add_slash(self.labeled_images),
                    trained.count,
                ),
                unlabeled=find_unlabeled(
                    self.unlabeled,
                    self.unlabeled_images,
                    self.labeled_images,
                    folder,
                    self.unlabeled_truth,
                ),
                truth_file=self.unlabeled_truth and str(self.unlabeled_truth),
                notes=trained.notes,
            )
        return Data(
            tuple(category['name'] for category in content['categories']),
            val=Images(
                str(self.val), add_slash(self.val_images), len(val['images'])
            ),
            **parts,
        )

    def _split(
        self, trained: TrainedImages, folder: Path, filters: Mapping
    ) -> dict:
        """Take the labels off a share of the labeled images."""
        content = trained.content
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
        counts = dict(
            labeled=TrainedImages.find(parts['labeled'], filters).count,
            unlabeled=len(parts['unlabeled']['images']),
        )
        images = {
            name: Images(
                str(folder / f'{name}.json'),
                add_slash(self.labeled_images),
                count,
            )
            for name, count in counts.items()
        }
        return dict(
            images,
            truth_file=str(folder / 'unlabeled_truth.json'),
            notes=(*trained.notes, *splits.notes),
        )

    def _take_rest(
        self, content: dict, folder: Path, filters: Mapping
    ) -> dict:
        """Take the images that no file lists as unlabeled ones."""
        images = self.labeled_images
        known = [
            (self.labeled, images),
            (self.val, self.val_images),
            *((file, images) for file in self.left_out),
        ]
        empty = find_empty(content) if self.annotates_empty else []
        rest = find_unlisted(images, known, may_be_none=bool(empty))
        names, notes, labeled_file = rest.names, rest.notes, str(self.labeled)
        if empty:
            # Nobody may have looked at images without any object, so the user
            # can have them annotated.
            names = sorted([*names, *empty])
            content = take_images(content, find_annotated(content))
            labeled_file = str(folder / 'labeled.json')
            write_json(Path(labeled_file), content)
            notes += (
                f'{len(empty):,} labeled images without any object are '
                'unlabeled ones too',
            )
        trained = TrainedImages.find(content, filters)
        check_truth_if_any(self.unlabeled_truth, names)
        return dict(
            labeled=Images(labeled_file, add_slash(images), trained.count),
            unlabeled=Images(
                write_names(folder, names), add_slash(images), len(names)
            ),
            truth_file=self.unlabeled_truth and str(self.unlabeled_truth),
            notes=(*trained.notes, *notes),
        )

    def _check_options(self) -> None:
        """Check that every given option would be used.

        Raises:
            ValueError: If an option would not be used.
        """
        given = self.unlabeled
        if given != REST and (self.left_out or self.annotates_empty):
            raise ValueError(
                '--leave-out and --annotate-empty go only with --unlabeled '
                f'{REST}, got --unlabeled {given}'
            )
        if is_share(given) and self.unlabeled_truth:
            raise ValueError(
                f'--unlabeled {given}: the true labels are those of the '
                'labeled images; leave --unlabeled-truth out'
            )
        is_named = Path(given).suffix.lower() in ('.json', '.txt')
        if self.unlabeled_images and not is_named:
            raise ValueError(
                f'--unlabeled {given}: --unlabeled-images goes only with a '
                'list (.txt) or a COCO file (.json); leave it out'
            )


def find_unlabeled(
    given: str,
    images_folder: Path | None,
    default_folder: Path,
    folder: Path,
    truth: Path | None,
) -> Images:
    """Find the images to annotate, and write a COCO file of a list.

    Args:
        given: A folder, a list (`.txt`) or a COCO file (`.json`).
        images_folder: The folder of the images in a list or in a COCO file;
            None if the user names none.
        default_folder: That of a COCO file, if the user names none.
        folder: The folder for the file that is written.
        truth: The COCO file of their true labels; None if they are unknown.

    Returns:
        The images, with the number of their names.

    Raises:
        FileNotFoundError: If a file or folder does not exist, or no image is
            there.
        CocoError: If a COCO file cannot be used, or the true labels are those
            of other images.
        ValueError: If a list cannot be used, or a folder has no image.
        OSError: If the COCO file cannot be written.
    """
    source = Path(given)
    file: Path | str
    if source.suffix.lower() == '.json':
        file, images_folder = source, images_folder or default_folder
        names = [i['file_name'] for i in read_coco(file, 'images')['images']]
    elif source.suffix.lower() == '.txt':
        names, images_folder = read_image_list(source, images_folder)
        file = write_names(folder, names)
    else:
        file, images_folder = '', source
        names = [image['file_name'] for image in list_images(source)]
    check_any_is_there(names, images_folder)
    check_truth_if_any(truth, names)
    return Images(str(file), add_slash(images_folder), len(names))


def add_slash(folder: Path) -> str:
    """Write a folder with a slash at the end, as MMDetection's configs do.

    Args:
        folder: The folder.

    Returns:
        The path.
    """
    return f'{folder}/'


def read_image_list(
    source: Path, folder: Path | None
) -> tuple[list[str], Path]:
    """Read a list of image files, one on each line, without empty lines.

    Args:
        source: The list.
        folder: The folder of the images. If it is None and all names are
            absolute, it is the innermost folder that holds all images; if some
            are relative, it is the folder of the list.

    Returns:
        The names relative to the folder, in order, and the folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the list is empty or not in UTF-8, or if it names a
            file outside of the folder or the same file twice.
    """
    if not source.is_file():
        raise FileNotFoundError(
            f'list of unlabeled images not found: {source}'
        )
    names = read_lines(source)
    if not names:
        raise ValueError(
            f'{source} lists no image: write one file name on each line'
        )
    if folder is None and all(map(os.path.isabs, names)):
        # Names are stored relative to one folder, so that it can be moved.
        folder = Path(os.path.commonpath(map(os.path.dirname, names)))
    folder = folder or source.parent
    names = [make_relative(name, folder) for name in names]
    for name in names:
        if error := find_name_error(name):
            raise ValueError(
                f'{source}: {name!r} {error} ({folder}): name the folder of '
                'the images with --unlabeled-images'
            )
    check_unique(names, 'file_name', str(source))
    return names, folder


def make_relative(name: str, folder: Path) -> str:
    """Write an absolute name relative to a folder; a relative one stays.

    Args:
        name: The path of a file.
        folder: The folder; it need not be absolute.

    Returns:
        The path.
    """
    if not os.path.isabs(name):
        return name
    return os.path.relpath(name, os.path.abspath(folder))


def check_any_is_there(names: Sequence[str], folder: Path) -> None:
    """Check that at least one image exists; otherwise the folder is wrong.

    Args:
        names: The file names of the images, at least one, relative to the
            folder.
        folder: The folder of the images.

    Raises:
        FileNotFoundError: If all images are missing.
    """
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(
            f'none of the {len(names)} unlabeled images is in {folder}/ (the '
            f'first one is {names[0]}): name their folder with '
            '--unlabeled-images'
        )


def write_names(folder: Path, names: Sequence[str]) -> str:
    """Write a COCO file of unlabeled images.

    Args:
        folder: The folder of the file `unlabeled.json`.
        names: The file names of the images; their ids count from 1.

    Returns:
        The path of the file.

    Raises:
        OSError: If the file cannot be written.
    """
    file = folder / 'unlabeled.json'
    infos = [dict(id=i, file_name=n) for i, n in enumerate(names, 1)]
    write_json(file, dict(images=infos))
    return str(file)


def check_truth_if_any(file: Path | None, names: Sequence[str]) -> None:
    """Check that the true labels are those of exactly the unlabeled images.

    Args:
        file: The COCO file with the true labels; None if they are unknown.
        names: The file names of the unlabeled images.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the file cannot be used, lacks an image, or has other
            images.
    """
    if file is None:
        return
    content = read_coco(file, 'images', 'annotations', 'categories')
    true_names = {image['file_name'] for image in content['images']}
    missing, more = set(names) - true_names, true_names - set(names)
    if missing or more:
        raise CocoError(
            f'{file} must hold the unlabeled images and no others: '
            f'{len(missing)} are missing {sorted(missing)[:3]}, {len(more)} '
            f'are not among them {sorted(more)[:3]}'
        )
