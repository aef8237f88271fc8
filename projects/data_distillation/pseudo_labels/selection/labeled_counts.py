"""Counts what is labeled."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...label_files.coco.contents import (
    count_instances,
    find_annotated,
    find_unchecked,
)


@dataclass(frozen=True)
class LabeledCounts:
    """The numbers of images and instances in the labeled file.

    Args:
        num_images: The number of images, including those without instances; 0
            if nothing is labeled.
        num_instances: The number of instances of each class, without crowds,
            shape (number of classes,).
        classes: The names of the classes.
        num_empty: The number of images without any annotation, be it a crowd.
        num_ignored: The number of annotations with `ignore`, which are not
            counted because CocoDataset drops them.
        name: What is counted, such as `labeled and validation`.
    """

    num_images: int
    num_instances: np.ndarray
    classes: tuple[str, ...]
    num_empty: int = 0
    num_ignored: int = 0
    name: str = 'labeled'

    @classmethod
    def of(cls, coco: dict) -> 'LabeledCounts':
        """Count the images and instances of a labeled file, without crowds.

        Images that were checked only in part do not count, because nobody
        knows how many objects they have. Neither do annotations of images
        that the file does not have.

        Args:
            coco: The content of the file, with images, annotations and
                categories.

        Returns:
            The counts, with the classes in the order of the categories.
        """
        categories, labels = coco['categories'], coco['annotations']
        checked = {one['id'] for one in coco['images']}
        checked -= find_unchecked(labels)
        labels = [one for one in labels if one['image_id'] in checked]
        known = dict(coco, annotations=labels)
        num_images = len(checked)
        return cls(
            num_images,
            count_instances(labels, categories),
            tuple(category['name'] for category in categories),
            num_images - len(find_annotated(known)),
            sum(bool(one.get('ignore')) for one in labels),
        )

    @property
    def per_image(self) -> np.ndarray:
        """The mean number of instances of each class on an image.

        Shape (number of classes,), float64; zeros without any image.
        """
        return self.num_instances / max(self.num_images, 1)

    def without_empty(self) -> 'LabeledCounts':
        """Count only the images with an annotation.

        Returns:
            New counts, with `num_empty` 0.
        """
        num_images = self.num_images - self.num_empty
        return replace(self, num_images=num_images, num_empty=0)

    def __add__(self, other: 'LabeledCounts') -> 'LabeledCounts':
        """Count the images and instances of two files together.

        Args:
            other: The counts of other images, with the same classes.

        Returns:
            New counts, with the name of the first ones.
        """
        return LabeledCounts(
            self.num_images + other.num_images,
            self.num_instances + other.num_instances,
            self.classes,
            self.num_empty + other.num_empty,
            self.num_ignored + other.num_ignored,
            self.name,
        )


def name_counted(selection: Mapping) -> str:
    """Name what a selection counts, for headings of counts.

    Args:
        selection: The config of the selection, see `SelectionRules`; empty if
            nothing was selected.

    Returns:
        `labeled`, and what is counted besides: `validation`, or `other` for
        files that are not those of the validation.
    """
    counted = selection.get('counted')
    if not counted:
        return 'labeled'
    validation = selection.get('validation') or {}
    is_validation = list(counted) == [validation.get('ann_file')]
    return f'labeled and {"validation" if is_validation else "other"}'
