"""Splits of a labeled COCO file into labeled and unlabeled images."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .reading import CocoError


@dataclass(frozen=True)
class Splits:
    """The folds of a split.

    Args:
        folds: Of each `labeled`, `unlabeled` (no annotations, no categories)
            and `unlabeled_truth`; images and annotations are those of the
            file, unchanged and in its order.
        notes: What to tell the user, a line each.
    """

    folds: list[dict[str, dict]]
    notes: list[str]


def percent_of(num_images: int, percent: Fraction) -> int:
    """Return how many images a percentage is, rounded down.

    Rounded down, as many folds as go into 100 % never share an image.

    Raises:
        ValueError: If it is none.
    """
    count = int(num_images * percent / 100)
    if not count:
        raise ValueError(
            f'{float(percent):g} % of {num_images} images is less than one: '
            'take more'
        )
    return count


def split_coco(
    coco: dict,
    num_labeled: int,
    seed: int,
    num_folds: int = 1,
    keep_classes: bool = False,
) -> Splits:
    """Choose images at random, without replacement, that stay labeled.

    Folds share no labeled image if there are images enough; else each is
    drawn from all images anew. The first fold does not depend on their
    number, and is part of the first fold of a larger `num_labeled`, unless
    images are swapped.

    Args:
        coco: See `reading.read_splittable`.
        num_labeled: How many, from 1 to all images but one, of each fold.
        seed: Of the choice.
        num_folds: How often to choose.
        keep_classes: Whether to swap images so that each labeled part has an
            instance of each class of the file, see `Draw.keep_classes`.

    Returns:
        The folds, and what was special.

    Raises:
        ValueError: If a number is out of range, or two folds are the same.
        CocoError: If a class that the file has is missing in a labeled part,
            or cannot be swapped in.
    """
    num_images = len(coco['images'])
    check_numbers(num_images, num_labeled, num_folds)
    classes = classes_of(coco)
    random = np.random.default_rng(seed)
    fits = num_labeled * num_folds <= num_images
    folds_at_once = num_folds if fits else 1
    notes = list(notes_of(coco, classes, num_labeled, num_folds))
    folds: list[list[int]] = []
    while len(folds) < num_folds:
        order = random.permutation(num_images).tolist()
        draw = Draw(order, num_labeled, folds_at_once, classes)
        if keep_classes:
            notes += draw.keep_classes(coco)
        folds += draw.folds()
    check_folds(folds)
    check_classes_occur(coco, classes, folds, seed)
    return Splits([parts_of(coco, fold) for fold in folds], notes)


def check_numbers(num_images: int, num_labeled: int, num_folds: int) -> None:
    """Check that so many images can be chosen.

    Raises:
        ValueError: If not.
    """
    if not 0 < num_labeled < num_images:
        raise ValueError(
            f'the labeled images must be 1 to {num_images - 1} of the '
            f'{num_images}, got {num_labeled}'
        )
    if num_folds < 1:
        raise ValueError(f'the folds must be 1 or more, got {num_folds}')


def classes_of(coco: dict) -> list[set]:
    """Collect the categories of each image, crowds left out.

    Returns:
        For each image the ids of the categories that it has instances of.
    """
    found: dict = {image['id']: set() for image in coco['images']}
    for annotation in coco['annotations']:
        image_id = annotation['image_id']
        if image_id in found and not annotation.get('iscrowd', 0):
            found[image_id].add(annotation['category_id'])
    return [found[image['id']] for image in coco['images']]


def notes_of(
    coco: dict, classes: list[set], num_labeled: int, num_folds: int
) -> Iterator[str]:
    """Say what is special about a file that is split, and about its folds."""
    ids = {image['id'] for image in coco['images']}
    num_lost = sum(a['image_id'] not in ids for a in coco['annotations'])
    if num_lost:
        yield f'{num_lost} annotations of images not in the file: left out'
    known = set().union(*classes)
    absent = [c['name'] for c in coco['categories'] if c['id'] not in known]
    if absent:
        yield f'no image has an instance of {absent}: nor has any part'
    if num_labeled * num_folds > len(coco['images']):
        yield (
            f'{num_folds} folds of {num_labeled} images are more than the '
            f'{len(coco["images"])} images: they overlap'
        )


@dataclass(frozen=True)
class Draw:
    """Images in random order, of which the first ones are the folds.

    Args:
        order: The index of each image once. Swaps change it.
        num_labeled: The images of a fold.
        num_folds: The first fold is at the start, the others follow.
        classes: Of each image, see `classes_of`.
    """

    order: list[int]
    num_labeled: int
    num_folds: int
    classes: list[set]

    def folds(self) -> list[list[int]]:
        """Return the images of each fold."""
        ends = range(0, self.num_folds * self.num_labeled, self.num_labeled)
        return [self.order[i : i + self.num_labeled] for i in ends]

    def keep_classes(self, coco: dict) -> Iterator[str]:
        """Swap images until each fold has an instance of each class.

        The rarest class first (the fewest images; ties in the file's order),
        the first image in the random order that has it, of those in no fold
        if it can be, for the first one of the fold, such that no fold loses
        a class. So it is random, and the same for the same order.

        Args:
            coco: The file.

        Yields:
            What was swapped.

        Raises:
            CocoError: If no two images can be swapped.
        """
        num_images = Counter(itertools.chain(*self.classes))
        known = [c for c in coco['categories'] if num_images[c['id']]]
        for category in sorted(known, key=lambda c: num_images[c['id']]):
            for number in range(self.num_folds):
                if not self.counts()[number][category['id']]:
                    yield self.swap_in(category, number, coco['images'])

    def counts(self) -> list[Counter]:
        """Count, in each fold, the images that have each class."""
        return [
            Counter(itertools.chain(*(self.classes[i] for i in fold)))
            for fold in self.folds()
        ]

    def swap_in(self, category: dict, number: int, images: list[dict]) -> str:
        """Bring an image of a class into a fold; say which for which.

        Raises:
            CocoError: If no two images can be swapped.
        """
        start = number * self.num_labeled
        inside = range(start, start + self.num_labeled)
        counts = self.counts()
        for pair in itertools.product(self.having(category['id']), inside):
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

    def having(self, category_id: object) -> list[int]:
        """List the places of the images of a class, those in no fold first."""
        num_chosen = self.num_folds * self.num_labeled
        places = [*range(num_chosen, len(self.order)), *range(num_chosen)]
        return [
            p for p in places if category_id in self.classes[self.order[p]]
        ]

    def may_swap(self, one: int, other: int, counts: list[Counter]) -> bool:
        """Whether no fold loses a class if two places are swapped."""
        for leaving, coming in ((one, other), (other, one)):
            number = leaving // self.num_labeled
            lost = (
                self.classes[self.order[leaving]]
                - self.classes[self.order[coming]]
            )
            if number < self.num_folds and any(
                counts[number][category_id] == 1 for category_id in lost
            ):
                return False
        return True

    def swap(self, one: int, other: int) -> None:
        """Swap the images of two places."""
        order = self.order
        order[one], order[other] = order[other], order[one]


def check_folds(folds: Sequence[list[int]]) -> None:
    """Check that no two folds are the same, as may be if they overlap.

    Raises:
        ValueError: If two are.
    """
    if len({frozenset(fold) for fold in folds}) < len(folds):
        raise ValueError(
            f'two of the {len(folds)} folds hold the same '
            f'{len(folds[0])} images: take fewer folds or another seed'
        )


def check_classes_occur(
    coco: dict, classes: list[set], folds: Sequence[list[int]], seed: int
) -> None:
    """Check that a teacher can learn every class that the file has.

    Raises:
        CocoError: With the classes that a labeled part has no instance of.
    """
    known = set().union(*classes)
    for number, fold in enumerate(folds, 1):
        missing = known.difference(*(classes[i] for i in fold))
        names = [c['name'] for c in coco['categories'] if c['id'] in missing]
        if names:
            raise CocoError(
                f'the {len(fold)} labeled images chosen by seed {seed} '
                f'(fold {number}) hold no instance of {names}: take another '
                'seed, more images, or --keep-classes'
            )


def parts_of(coco: dict, fold: Sequence[int]) -> dict[str, dict]:
    """Take a file apart.

    Args:
        coco: The file.
        fold: The indices of the labeled images.

    Returns:
        See `Splits`.
    """
    chosen = {coco['images'][index]['id'] for index in fold}
    others = {image['id'] for image in coco['images']} - chosen
    truth = take_images(coco, others)
    return dict(
        labeled=take_images(coco, chosen),
        unlabeled=dict(images=truth['images']),
        unlabeled_truth=truth,
    )


def take_images(coco: dict, image_ids: set) -> dict:
    """Return a COCO object with these images and their annotations only."""
    return dict(
        coco,
        images=[i for i in coco['images'] if i['id'] in image_ids],
        annotations=[
            a for a in coco['annotations'] if a['image_id'] in image_ids
        ],
    )
