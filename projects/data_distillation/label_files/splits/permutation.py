"""Images in random order, the first of which are the folds of a split."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..coco.reading import CocoError


def collect_classes(coco: dict) -> list[set]:
    """Return the ids of the categories that each image has instances of.

    Args:
        coco: The content of the file; see `reading.read_splittable`. Crowds
            and annotations with `ignore` are not instances, and those of
            images that are not in the file are passed over.

    Returns:
        One set for each image, in the file's order; empty for an image without
        instances.
    """
    found: dict = {image['id']: set() for image in coco['images']}
    for annotation in coco['annotations']:
        image_id = annotation['image_id']
        # CocoDataset ignores crowds and drops what has `ignore`, so that no
        # class can be learned from them.
        if image_id in found and not (
            annotation.get('iscrowd', 0) or annotation.get('ignore')
        ):
            found[image_id].add(annotation['category_id'])
    return [found[image['id']] for image in coco['images']]


@dataclass(frozen=True)
class Permutation:
    """All images in random order; the first ones are the folds.

    The first `num_labeled` places are the first fold, the next ones the second
    fold, and so on. The images at the places after the last fold are in none.

    Args:
        order: The index of the image at each place; every image occurs once.
            Swaps change this list.
        num_labeled: The number of images in a fold, at least 1.
        num_folds: The number of folds; together they have at most all images.
        classes: The classes of each image, in the file's order; see
            `collect_classes`.
    """

    order: list[int]
    num_labeled: int
    num_folds: int
    classes: list[set]

    def list_folds(self) -> list[list[int]]:
        """List the images of each fold.

        Returns:
            The indices of the images of each fold, as they stand in `order`.
        """
        ends = range(0, self.num_folds * self.num_labeled, self.num_labeled)
        return [self.order[i : i + self.num_labeled] for i in ends]

    def keep_classes(self, coco: dict) -> Iterator[str]:
        """Swap images until each fold has an instance of each class.

        A class without instances in the whole file is passed over. The class
        with the fewest images comes first (ties are in the file's order), and
        of each class the first fold. See `swap_in` for which images are
        swapped. The result is random, and the same for the same order. Each
        swap changes `order`, and is made when its sentence is asked for.

        Args:
            coco: The content of the file that `classes` are of.

        Yields:
            A sentence about each swap; none if each fold has all classes.

        Raises:
            CocoError: If no two images can be swapped.
        """
        num_images = Counter(itertools.chain(*self.classes))
        known = [c for c in coco['categories'] if num_images[c['id']]]
        # Rare classes first: they have the fewest images to choose from.
        for category in sorted(known, key=lambda c: num_images[c['id']]):
            for number in range(self.num_folds):
                # Counted anew: each swap may change several folds.
                if not self.count_classes()[number][category['id']]:
                    yield self.swap_in(category, number, coco['images'])

    def count_classes(self) -> list[Counter]:
        """Count the images of each class in each fold.

        Returns:
            For each fold, category id -> its number of images; 0 for a class
            that the fold lacks.
        """
        return [
            Counter(itertools.chain(*(self.classes[i] for i in fold)))
            for fold in self.list_folds()
        ]

    def swap_in(self, category: dict, number: int, images: list[dict]) -> str:
        """Swap an image of a class into a fold that lacks the class.

        The first image of `find_places` that can come takes the first place in
        the fold that it can take without any fold losing a class.

        Args:
            category: The category, as the file has it.
            number: The number of the fold, counted from 0.
            images: The images of the file, in its order.

        Returns:
            A sentence about the swap, with the number of the fold counted from
            1.

        Raises:
            CocoError: If no two images can be swapped.
        """
        start = number * self.num_labeled
        inside = range(start, start + self.num_labeled)
        counts = self.count_classes()
        for pair in itertools.product(
            self.find_places(category['id']), inside
        ):
            if self.may_swap(*pair, counts):
                came, left = (images[self.order[place]] for place in pair)
                self.swap(*pair)
                return (
                    f'fold {number + 1}: {came["file_name"]} instead of '
                    f'{left["file_name"]}, for {category["name"]!r}'
                )
        raise CocoError(
            f'no image with an instance of {category["name"]!r} can be '
            f'swapped into {self.num_labeled} labeled images without losing '
            'another class there or in another fold: take more images, fewer '
            'folds or another seed'
        )

    def find_places(self, category_id: object) -> list[int]:
        """Find the places in `order` of a class's images.

        Args:
            category_id: The id of the category.

        Returns:
            The places, counted from 0: those in no fold first, ascending
            otherwise. Empty if no image has the class.
        """
        num_chosen = self.num_folds * self.num_labeled
        # Images outside the folds first: they take nothing from another fold.
        places = [*range(num_chosen, len(self.order)), *range(num_chosen)]
        return [
            p for p in places if category_id in self.classes[self.order[p]]
        ]

    def may_swap(self, one: int, other: int, counts: list[Counter]) -> bool:
        """Return whether no fold loses a class if two places are swapped.

        Args:
            one: A place in `order`.
            other: Another place, which is not in the same fold.
            counts: The result of `count_classes` for the order as it is.

        Returns:
            Whether each fold still has all its classes afterwards.
        """
        for leaving, coming in ((one, other), (other, one)):
            number = leaving // self.num_labeled
            lost = (
                self.classes[self.order[leaving]]
                - self.classes[self.order[coming]]
            )
            # Places after the last fold are in none.
            if number < self.num_folds and any(
                counts[number][category_id] == 1 for category_id in lost
            ):
                return False
        return True

    def swap(self, one: int, other: int) -> None:
        """Swap the images of two places; `order` is changed in place.

        Args:
            one: A place in `order`, counted from 0.
            other: The place that it changes images with.
        """
        order = self.order
        order[one], order[other] = order[other], order[one]
