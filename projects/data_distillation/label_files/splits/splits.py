"""Splits of a labeled COCO file into labeled and unlabeled images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..coco.contents import find_annotated, take_images
from ..coco.reading import CocoError
from .permutation import Permutation, collect_classes


@dataclass(frozen=True)
class Splits:
    """The folds of a split.

    Args:
        folds: Each fold maps `labeled`, `unlabeled` and `unlabeled_truth` to
            a COCO object. `unlabeled` has nothing but `images`; the others
            also have what else the file has. Images and annotations are those
            of the file (no copies), unchanged and in its order.
        notes: What the user should know, one line each; see `make_notes` and
            `Permutation.keep_classes`.
    """

    folds: list[dict[str, dict]]
    notes: list[str]


def compute_percent(num_images: int, percent: Fraction) -> int:
    """Compute a percentage of a number of images, rounded down.

    Since it is rounded down, folds that add up to 100 % or less never share an
    image.

    Args:
        num_images: The number of all images.
        percent: The percentage, above 0. It may be above 100.

    Returns:
        The number of images, at least 1.

    Raises:
        ValueError: If it is less than one image, as always without images or
            with a percentage below 0.
    """
    # Exact for a `Fraction`; as floats, 0.29 * 100 is below 29.
    count = int(num_images * percent / 100)
    if count < 1:
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
    """Choose the images that stay labeled at random, without replacement.

    Folds share no labeled image if there are enough images; otherwise each
    fold is drawn from all images. The first fold does not depend on the number
    of folds, and it is part of the first fold of a larger `num_labeled`,
    unless images are swapped. The same arguments give the same folds.

    Args:
        coco: The content of the file; see `reading.read_splittable`. It is not
            changed. Annotations of images that are not in it are left out.
        num_labeled: The number of labeled images in each fold, from 1 to one
            less than all images.
        seed: The seed of the random choice by NumPy's `default_rng`, at least
            0.
        num_folds: The number of folds, at least 1.
        keep_classes: Whether to swap images so that each labeled part has an
            instance of each class of the file; see `Permutation.keep_classes`.

    Returns:
        The folds, and notes about what is special.

    Raises:
        ValueError: If a number is out of range, or two folds are the same.
        CocoError: If a labeled part lacks a class that the file has instances
            of, or, with `keep_classes`, the class cannot be swapped in.
    """
    num_images = len(coco['images'])
    check_numbers(num_images, num_labeled, num_folds)
    classes = collect_classes(coco)
    random = np.random.default_rng(seed)
    # Folds of one permutation do not overlap. If the images are too few for
    # that, each fold has a permutation of its own.
    fits = num_labeled * num_folds <= num_images
    folds_at_once = num_folds if fits else 1
    notes = list(make_notes(coco, classes, num_labeled, num_folds))
    folds: list[list[int]] = []
    while len(folds) < num_folds:
        order = random.permutation(num_images).tolist()
        permutation = Permutation(order, num_labeled, folds_at_once, classes)
        if keep_classes:
            notes += permutation.keep_classes(coco)
        folds += permutation.list_folds()
    check_folds(folds)
    check_classes_occur(coco, classes, folds, seed)
    return Splits([take_parts(coco, fold) for fold in folds], notes)


def check_numbers(num_images: int, num_labeled: int, num_folds: int) -> None:
    """Check that the numbers of labeled images and folds are in range.

    Args:
        num_images: The number of all images.
        num_labeled: The number of labeled images in each fold, from 1 to one
            less than `num_images`.
        num_folds: The number of folds, at least 1. They may need more images
            than there are.

    Raises:
        ValueError: If one is not; also if there are fewer than two images.
    """
    if not 0 < num_labeled < num_images:
        raise ValueError(
            f'the labeled images must be 1 to {num_images - 1} of the '
            f'{num_images}, got {num_labeled}'
        )
    if num_folds < 1:
        raise ValueError(f'the folds must be 1 or more, got {num_folds}')


def make_notes(
    coco: dict, classes: list[set], num_labeled: int, num_folds: int
) -> Iterator[str]:
    """Yield what is special about a file that is split, and about its folds.

    Args:
        coco: The content of the file.
        classes: The classes of each image; see `collect_classes`.
        num_labeled: The number of labeled images in each fold.
        num_folds: The number of folds.

    Yields:
        Sentences for the user: on annotations that are left out, on classes
        without instances, and on folds that overlap; none if nothing is
        special.
    """
    ids = {image['id'] for image in coco['images']}
    num_lost = sum(a['image_id'] not in ids for a in coco['annotations'])
    if num_lost:
        yield f'left out: {num_lost} annotations of images not in the file'
    known = set().union(*classes)
    absent = [c['name'] for c in coco['categories'] if c['id'] not in known]
    if absent:
        yield f'no image has an instance of {absent}, so no part has one'
    if num_labeled * num_folds > len(coco['images']):
        yield (
            f'{num_folds} folds of {num_labeled} images are more than the '
            f'{len(coco["images"])} images: they overlap'
        )


def check_folds(folds: Sequence[list[int]]) -> None:
    """Check that no two folds are the same, which can be if they overlap.

    Args:
        folds: The indices of the labeled images of each fold, in any order.

    Raises:
        ValueError: If two folds hold the same images, in whatever order.
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

    Args:
        coco: The content of the file.
        classes: The classes of each image; see `collect_classes`.
        folds: The indices of the labeled images of each fold.
        seed: The seed of the choice, for the message.

    Raises:
        CocoError: If a fold lacks instances of a class that the file has
            instances of. The message names the first such fold and the classes
            that it lacks.
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


def list_annotated(coco: dict) -> list[int]:
    """Find the images that have annotations, be they crowds.

    Args:
        coco: The content of the file, with `images` and `annotations`.

    Returns:
        The indices of these images, ascending.

    Raises:
        ValueError: If all images have annotations, or none has; also if there
            are no images.
    """
    known = find_annotated(coco)
    images = coco['images']
    found = [i for i, image in enumerate(images) if image['id'] in known]
    if len(found) in (0, len(images)):
        raise ValueError(
            f'{len(found)} of {len(images)} images have annotations: there is '
            'nothing to split, use --count or --percent'
        )
    return found


def take_parts(coco: dict, fold: Sequence[int]) -> dict[str, dict]:
    """Take a file apart into its labeled and its unlabeled images.

    Args:
        coco: The content of the file. It is not changed.
        fold: The indices of the labeled images, in any order.

    Returns:
        The parts of the fold; see `Splits.list_folds`.
    """
    chosen = {coco['images'][index]['id'] for index in fold}
    others = {image['id'] for image in coco['images']} - chosen
    truth = take_images(coco, others)
    return dict(
        labeled=take_images(coco, chosen),
        # Without annotations, no training can read it by mistake.
        unlabeled=dict(images=truth['images']),
        unlabeled_truth=truth,
    )
