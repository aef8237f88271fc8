"""The errors of the models on the validation images: tables and gallery."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..pseudo_labels.quality.counts import Counts
from ..pseudo_labels.quality.curves import MAX_NAMED
from ..pseudo_labels.quality.label_quality import format_share
from ..pseudo_labels.review.errors import KINDS, MISSED, SIZES, group_rare
from ..pseudo_labels.selection.short_scores import shorten_scores
from .gallery import Tab, make_picture
from .shown_labels import GRID
from .validation import JudgedModel, Validation, compare_images

# The number of images in each group. There are up to five groups, and the
# thumbnails of 100 images take 7.5 MB.
GROUP_SIZE = 20
# Boxes with lower scores are not on the page: most detectors do not keep them
# either, and others find hundreds on each image.
LOWEST = 0.05
# Between the figures of the models.
ARROW = ' → '


@dataclass(frozen=True)
class Groups:
    """The rows of a table of errors.

    Args:
        names: The name of each of the g groups.
        of_objects: Shape (m,), int, the group of each of the m objects.
        of_found: For each model, shape (n,), int, the group of each of its n
            detections.
    """

    names: list[str]
    of_objects: np.ndarray
    of_found: list[np.ndarray]


def make_errors(validation: Validation) -> dict | None:
    """Make what the page shows of the errors on the validation images.

    Args:
        validation: The models, and what each has found.

    Returns:
        The names of the models with their scores, the number of images, of
        objects without crowds, and of classes if they are too many to name (0
        otherwise), the comparison in sentences, the tables, the confusion
        matrices, and as `data` what the script of the gallery needs; None
        without a model.

    Raises:
        KeyError: If an image that is shown has no `width` or `height`.
    """
    models = validation.models
    if not models:
        return None
    objects = models[0].judged.objects
    return dict(
        names=[model.name for model in models],
        min_scores=[(model.name, model.min_score) for model in models],
        num_images=len(validation.images),
        num_objects=int(np.count_nonzero(~objects.is_crowd)),
        num_grouped=len(validation.classes)
        if len(validation.classes) > MAX_NAMED
        else 0,
        compared=compare_images(validation),
        kinds=make_kind_rows(models),
        tables=make_tables(validation),
        matrices=[make_matrix(model, validation.classes) for model in models],
        data=make_data(validation),
    )


def make_kind_rows(models: Sequence[JudgedModel]) -> list[dict]:
    """Make the table of the kinds of errors.

    Args:
        models: The models, at least one.

    Returns:
        For each kind its `name`, its `text`, and as `bars` the number of
        errors of each model as text, and its share (0 to 1) of the largest
        number in the table.
    """
    # Shape (number of models, number of kinds): all are in the one group 0.
    numbers = np.concatenate(
        [
            model.judged.count_errors(
                model.is_shown,
                np.zeros(len(model.judged.kinds), int),
                np.zeros(len(model.judged.objects.labels), int),
                1,
            )
            for model in models
        ]
    )
    highest = numbers.max() or 1
    return [
        dict(
            name=name,
            text=text,
            bars=[(f'{n:,}', float(n / highest)) for n in of_kind],
        )
        for (name, text), of_kind in zip(KINDS.items(), numbers.T, strict=True)
    ]


def make_tables(validation: Validation) -> list[list[list[str]]]:
    """Make the tables of errors by class and by size.

    Args:
        validation: The models, at least one, and what each has found.

    Returns:
        The rows of all boxes together, by class and by size; see `make_rows`.
    """
    models = validation.models
    # All models of a page were evaluated with the same truth.
    objects = models[0].judged.objects
    sizes = [model.judged.find_sizes() for model in models]
    tables = (
        Groups(
            ['all'],
            np.zeros(len(objects.labels), int),
            [np.zeros(len(one.judged.kinds), int) for one in models],
        ),
        Groups(
            validation.classes,
            objects.labels,
            [one.judged.found.labels for one in models],
        ),
        Groups(
            [f'{name} ({text})' for name, (_, text) in SIZES.items()],
            sizes[0][1],
            [of_found for of_found, _ in sizes],
        ),
    )
    return [list(make_rows(groups, models)) for groups in tables]


def make_rows(
    groups: Groups, models: Sequence[JudgedModel]
) -> Iterator[list[str]]:
    """Make the rows of some groups.

    Args:
        groups: The groups.
        models: The models, at least one.

    Yields:
        For each group its name, the number of objects without crowds, the
        errors of each kind, precision and recall. Where there are several
        models, a cell has the figures of each.
    """
    num_groups = len(groups.names)
    cells = [
        list(count_cells(model, groups.of_objects, of_found, num_groups))
        for model, of_found in zip(models, groups.of_found, strict=True)
    ]
    to_find = groups.of_objects[~models[0].judged.objects.is_crowd]
    num_objects = np.bincount(to_find, minlength=num_groups)
    for name, number, of_models in zip(
        groups.names, num_objects, zip(*cells, strict=True), strict=True
    ):
        figures = map(ARROW.join, zip(*of_models, strict=True))
        yield [name, f'{number:,}', *figures]


def count_cells(
    model: JudgedModel,
    of_objects: np.ndarray,
    of_found: np.ndarray,
    num_groups: int,
) -> Iterator[list[str]]:
    """Count the errors of a model in groups.

    Args:
        model: The model.
        of_objects: Shape (m,), int, the group of each object.
        of_found: Shape (n,), int, the group of each detection.
        num_groups: The number of groups.

    Yields:
        For each group, as texts, the errors of each kind, precision and
        recall; a dash for a share of nothing.
    """
    judged = model.judged
    errors = judged.count_errors(
        model.is_shown, of_found, of_objects, num_groups
    )
    right = np.bincount(of_found[model.is_right], minlength=num_groups)
    to_find = of_objects[~judged.objects.is_crowd]
    objects = np.bincount(to_find, minlength=num_groups)
    for of_group, num_right, num_objects in zip(
        errors.tolist(), right.tolist(), objects.tolist(), strict=True
    ):
        # MISSED is the last kind, and the only one that is no detection.
        num_found = num_right + sum(of_group[:MISSED])
        counts = Counts(num_objects, num_found, num_right)
        shares = counts.precision, counts.recall
        yield [*(f'{n:,}' for n in of_group), *map(format_share, shares)]


def make_matrix(model: JudgedModel, classes: Sequence[str]) -> dict:
    """Make the confusion matrix of a model.

    Args:
        model: The model.
        classes: The names of the classes.

    Returns:
        The `name` of the model, the `header`, and `rows` with the name of the
        true class and for each cell its number and its share (0 to 1) of the
        row. The last row and column are the background. Of more than
        `MAX_NAMED` classes, those that are confused most often are named, and
        the others are one row and one column.
    """
    counts = model.judged.confuse(model.is_shown, len(classes))
    counts, named = group_rare(counts, MAX_NAMED)
    names = [classes[label] for label in named]
    if len(named) < len(classes):
        names.append(f'{len(classes) - len(named)} other classes')
    names.append('background')
    # A class without objects has a row of zeros, not of NaN.
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return dict(
        name=model.name,
        header=names,
        rows=[
            dict(name=name, cells=[*zip(numbers, shares, strict=True)])
            for name, numbers, shares in zip(
                names,
                counts.tolist(),
                (counts / totals).tolist(),
                strict=True,
            )
        ],
    )


def make_data(validation: Validation) -> dict:
    """Make what the script of the gallery needs.

    Args:
        validation: The models, at least one, and what each has found.

    Returns:
        A dict that can be written as JSON: the classes and kinds; the models
        with the numbers of right and of all detections from each score of
        `GRID` on; the groups that have images; and the images with their
        objects and boxes.

    Raises:
        KeyError: If an image that is shown has no `width` or `height`.
    """
    groups = list(sample_groups(validation))
    if validation.suspicious:
        groups.append(validation.suspicious)
    chosen = np.unique(np.concatenate([one.images for one in groups]))
    # An empty group makes numpy concatenate all of them to floats.
    chosen = chosen.astype(int)
    lowest = min(LOWEST, *(one.min_score for one in validation.models))
    objects = validation.models[0].judged.objects
    return dict(
        classes=validation.classes,
        kinds=list(KINDS),
        lowest=lowest,
        num_objects=int(np.count_nonzero(~objects.is_crowd)),
        models=[
            dict(
                name=one.name,
                min_score=one.min_score,
                counts=one.judged.count_from(GRID).tolist(),
            )
            for one in validation.models
        ],
        # `chosen` is sorted and has all of these images, so that the place at
        # which one would be inserted is its own.
        groups=[
            dict(
                asdict(group),
                images=np.searchsorted(chosen, group.images).tolist(),
            )
            for group in groups
            if group.images
        ],
        images=[make_image(validation, n, lowest) for n in chosen.tolist()],
    )


def sample_groups(validation: Validation) -> Iterator[Tab]:
    """Sort the images into groups.

    Args:
        validation: The models, at least one, and what each has found.

    Yields:
        The first `GROUP_SIZE` images of each group, without reasons: better
        and worse than the model before the last one, if there is one; those
        with the most errors of the last model; and random ones. Ties keep the
        order of the images. A group may be empty.
    """
    groups = {}
    if len(validation.models) > 1:
        gains = validation.compare_by_image(-2)
        other = validation.models[-2].name
        for name, change in (('Better', gains), ('Worse', -gains)):
            order = np.argsort(-change, kind='stable')
            groups[f'{name} than {other}'] = order[change[order] > 0]
    errors = validation.count_by_image()[-1].sum(axis=1)
    order = np.argsort(-errors, kind='stable')
    groups['Wrong against the truth'] = order[errors[order] > 0]
    # The same images each time, so that two pages can be compared.
    groups['Random'] = np.random.default_rng(0).permutation(len(order))
    for name, order in groups.items():
        shown = order[:GROUP_SIZE].tolist()
        yield Tab(name, shown, [], total=len(order))


def make_image(validation: Validation, index: int, lowest: float) -> dict:
    """Make the data of an image.

    Args:
        validation: The models, and what each has found.
        index: The number of the image.
        lowest: The score from which on boxes are kept, itself included.

    Returns:
        The name, the size and the picture (see `make_picture`); the `objects`
        as x, y, width, height, label and whether it is a crowd; and as `boxes`
        for each model those of `list_error_boxes`. Boxes are in pixels of the
        original image, rounded to 1/10.

    Raises:
        KeyError: If the image has no `width` or `height`.
    """
    image = validation.images[index]
    objects = validation.models[0].judged.objects
    mine = np.flatnonzero(objects.image_index == index)
    return dict(
        name=image['file_name'],
        width=image['width'],
        height=image['height'],
        objects=[
            [*bbox_xywh, label, crowd]
            for bbox_xywh, label, crowd in zip(
                objects.bbox_xywh[mine].round(1).tolist(),
                objects.labels[mine].tolist(),
                objects.is_crowd[mine].tolist(),
                strict=True,
            )
        ],
        boxes=[
            list_error_boxes(model, index, mine, lowest)
            for model in validation.models
        ],
        **make_picture(validation.folder / image['file_name']),
    )


def list_error_boxes(
    model: JudgedModel, index: int, objects: np.ndarray, lowest: float
) -> list[list]:
    """List what a model has found on an image, largest first.

    Args:
        model: The model.
        index: The number of the image.
        objects: The numbers of the objects of the image, ascending.
        lowest: The score from which on boxes are kept, itself included.

    Returns:
        x, y, width, height (in pixels of the original image, rounded to 1/10),
        label, score, kind of error and object (its place among those of the
        image, -1 for none) of each box. Small boxes are drawn last, so that no
        large one covers them; equal ones keep their order.
    """
    judged = model.judged
    kept = judged.find_shown(lowest) & (judged.found.image_index == index)
    found = judged.found[kept]
    targets = judged.targets[kept]
    # `objects` ascends and has all targets but -1, which is replaced below.
    places = np.searchsorted(objects, targets)
    columns = zip(
        found.bbox_xywh.round(1).tolist(),
        found.labels.tolist(),
        shorten_scores(found.scores.astype(np.float32)),
        judged.kinds[kept].tolist(),
        np.where(targets >= 0, places, -1).tolist(),
        strict=True,
    )
    boxes = [[*bbox_xywh, *others] for bbox_xywh, *others in columns]
    return sorted(boxes, key=lambda box: -box[2] * box[3])
