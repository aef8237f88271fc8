"""Gives converted labels the ids of a COCO file: other formats keep none."""

import posixpath
from collections.abc import Sequence
from pathlib import Path

from ..coco.reading import read_convertible
from ..coco.schema import find_repeated
from .labels import FormatError, IssueCounter


class KnownIds:
    """The ids of the categories and images of a COCO file.

    Args:
        file: The COCO file that the folder was made of, or any other of the
            same experiment.

    Attributes:
        file: The same file.
        categories: Its categories, as they are.
        images: The file name of each image in its shortest form, such as
            `a.jpg` for `./a.jpg` -> its id; of a repeated name, the last one.
            Images that `give_images` gives new ids to are added.
        last: The largest id of an image, at least 0; also of those that
            `give_images` has given.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it cannot be used, see `read_convertible`.
        FormatError: If two of its categories have the same name.
    """

    def __init__(self, file: Path) -> None:
        content = read_convertible(file)
        self.file = file
        self.categories = content['categories']
        self.images = {
            posixpath.normpath(image['file_name']): image['id']
            for image in content['images']
        }
        # Of repeated names, `images` has only one id.
        self.last = max([0, *(image['id'] for image in content['images'])])
        if repeated := find_repeated(self.classes):
            raise FormatError(
                f'two categories of {file} have the same name: '
                f'{repeated[0]!r}. '
                'Labels name their class, so rename one of them'
            )

    @property
    def classes(self) -> list[str]:
        """The names of the categories, in order."""
        return [category['name'] for category in self.categories]

    def give(self, coco: dict, issues: IssueCounter) -> None:
        """Give the ids to a COCO object.

        Args:
            coco: The object as `make_coco` makes it of `classes`, with ids
                from 1. It is changed in place: `categories` become those of
                the file; the ids of annotations stay.
            issues: Counts the images that the file does not have.
        """
        ids = [category['id'] for category in self.categories]
        images = self.give_images(coco['images'], issues)
        for annotation in coco['annotations']:
            annotation['category_id'] = ids[annotation['category_id'] - 1]
            annotation['image_id'] = images[annotation['image_id']]
        coco['categories'] = self.categories

    def give_images(
        self, infos: Sequence[dict], issues: IssueCounter
    ) -> dict[int, int]:
        """Give the ids to images.

        Args:
            infos: The images with other ids; they are changed in place. Those
                that the file does not have get ids above `last`, in order, and
                keep them in later calls.
            issues: Counts the images that get a new id.

        Returns:
            Former id -> id, in the order of `infos`; empty without images.
        """
        given = {}
        for info in infos:
            name = posixpath.normpath(info['file_name'])
            if name not in self.images:
                issues.add(f'images with new ids: not in {self.file}', name)
                self.last += 1
                self.images[name] = self.last
            given[info['id']] = self.images[name]
            info['id'] = given[info['id']]
        return given
