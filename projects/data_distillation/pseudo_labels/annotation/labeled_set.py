"""The labeled set, as far as an annotation has to know it."""

from dataclasses import dataclass

from ...label_files.coco.reading import Categories, read_labeled
from ..selection.selectors import LabeledCounts


@dataclass(frozen=True)
class LabeledSet:
    """What an annotation needs to know of the labeled images.

    Args:
        categories: The categories of the file, in its order.
        counts: The number of images, and of the instances of each class.
        file_names: The names of the images, relative to their folder.
    """

    categories: Categories
    counts: LabeledCounts
    file_names: list[str]

    @classmethod
    def read(cls, ann_file: str) -> 'LabeledSet':
        """Read a COCO file of labeled images.

        Args:
            ann_file: The path of the file.

        Returns:
            What selection needs of the file, in its order; 0 images if it has
            categories alone.

        Raises:
            FileNotFoundError: If there is no such file.
            CocoError: If the file cannot be used, see `read_labeled`.
        """
        content = read_labeled(ann_file)
        return cls(
            categories=content['categories'],
            counts=LabeledCounts.of(content),
            file_names=[image['file_name'] for image in content['images']],
        )
