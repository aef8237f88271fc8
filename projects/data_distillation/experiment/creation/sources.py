"""Gathers the data of an experiment without labeled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...files.atomic import write_json
from ...label_files.coco.reading import read_coco
from ..given_teachers.teacher import GivenTeacher
from ..scaffold.data import add_slash, find_unlabeled
from ..scaffold.plan import Data, Images
from ..scaffold.unlisted_images import REST, is_share


@dataclass(frozen=True)
class LabelFreeSources:
    """The files and folders with the data, none of which is trained on.

    Args:
        unlabeled: A folder of images, a list of image files (`.txt`), or a
            COCO file of which only `images` is read (`.json`).
        unlabeled_images: The folder of the images in a list or in a COCO
            file. If it is None, it is that of a COCO file, and
            `scaffold.data.read_image_list` finds that of a list.
        unlabeled_truth: The COCO file of the true labels of exactly these
            images; None if they are unknown.
        val: The COCO file of the validation images; None if there are none.
        val_images: The folder of these images.
        classes: The names of the classes; empty for those of the validation
            file, of the texts that the teacher looks for, or of the teacher.

    Raises:
        ValueError: If the options do not fit together.
    """

    unlabeled: str
    unlabeled_images: Path | None = None
    unlabeled_truth: Path | None = None
    val: Path | None = None
    val_images: Path | None = None
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.unlabeled == REST or is_share(self.unlabeled):
            raise ValueError(
                f'--unlabeled {self.unlabeled} takes some of the labeled '
                'images, so it needs --labeled: without it, name a folder, a '
                'list or a COCO file'
            )
        if (self.val is None) != (self.val_images is None):
            raise ValueError('--val and --val-images go together')
        if self.val and self.classes:
            raise ValueError(
                f'--classes goes only without --val: {self.val} has the '
                'classes already'
            )
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(
                f'--classes takes each class once, got {list(self.classes)}'
            )

    def gather(self, folder: Path, teachers: Sequence[GivenTeacher]) -> Data:
        """Read the files, and write COCO files of the categories and a list.

        Args:
            folder: The folder for the files that are written: `classes.json`,
                and `unlabeled.json` for a list.
            teachers: The teachers, at least one.

        Returns:
            The data. The file of labeled images is the one with the
            categories, and has no images. Without validation images, a note
            for the user says what is left out.

        Raises:
            FileNotFoundError: If a file or folder does not exist, or no
                unlabeled image is there.
            CocoError: If a COCO file cannot be used, or the true labels are
                those of other images.
            ValueError: If a list cannot be used, a folder has no image, or it
                is not known which classes are wanted.
            OSError: If a file cannot be written.
        """
        categories, val = self._read_val()
        notes = []
        if not self.val:
            categories = number_classes(self.classes or list_classes(teachers))
            notes.append(
                'without validation images, views are not chosen, and no '
                'model is evaluated'
            )
        file = folder / 'classes.json'
        write_json(file, dict(categories=categories))
        truth = self.unlabeled_truth
        unlabeled = find_unlabeled(
            self.unlabeled,
            self.unlabeled_images,
            Path(self.unlabeled).parent,
            folder,
            truth,
        )
        return Data(
            tuple(category['name'] for category in categories),
            labeled=Images(str(file), '', 0),
            unlabeled=unlabeled,
            val=val,
            truth_file=str(truth) if truth else None,
            notes=notes,
        )

    def _read_val(self) -> tuple[list[dict], Images]:
        """Return the categories of the validation file, and its images."""
        if not (self.val and self.val_images):
            return [], Images('', '', 0)
        content = read_coco(self.val, 'images', 'annotations', 'categories')
        folder, number = add_slash(self.val_images), len(content['images'])
        return content['categories'], Images(str(self.val), folder, number)


def number_classes(names: Sequence[str]) -> list[dict]:
    """Make COCO categories of the names of classes.

    Args:
        names: The names.

    Returns:
        The categories, in order, with ids from 1.
    """
    return [dict(id=i, name=name) for i, name in enumerate(names, 1)]


def list_classes(teachers: Sequence[GivenTeacher]) -> list[str]:
    """List the classes that teachers are meant for.

    Args:
        teachers: The teachers, at least one.

    Returns:
        Those of the first teacher that says some: its classes, under the names
        that the user has given them; if it has none, the classes for which
        the user has given it texts, up to the first equals sign. Each is there
        once, in its order.

    Raises:
        ValueError: If there are none.
    """
    for teacher in teachers:
        renamed = teacher.names.renamed or {}
        names = [renamed.get(name, name) for name in teacher.classes or ()]
        if not names:
            names = [text.partition('=')[0] for text in teacher.prompt]
        if names:  # Several of its classes may become one.
            return list(dict.fromkeys(names))
    raise ValueError(
        'which classes are wanted? No --val, no --labeled, no --prompt and no '
        'checkpoint says it: name them, with --classes'
    )
