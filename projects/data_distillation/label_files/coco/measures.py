"""How good are detections and pseudo labels, where the truth is known?

`pseudo_labels/quality/label_quality.py` has the figures of each class.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools.cocoeval import Params

from ...text import format_value
from ..column_matching.greedy import (
    DetectionColumns,
    Limits,
    Objects,
    match_columns,
)
from ..column_matching.numbering import Numbering
from .contents import check_masks, collect_labels, find_sizes, have_masks
from .matching import find_image_ids, make_results, match_classes
from .reading import CocoError, read_boxes, read_coco, read_truth

METRICS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75')
MASK_METRICS = ('segm_mAP', 'segm_mAP_50', 'segm_mAP_75')


def measure_pseudo_labels(
    pseudo_file: str | Path, truth_file: str | Path, iou: float = 0.5
) -> dict:
    """Match pseudo labels with the truth by COCO's rules and count them.

    `matching.py` says how they are matched. Crowds in the file of pseudo
    labels are regions that the student ignores. They are not labels and count
    nowhere.

    Args:
        pseudo_file: The COCO file of the pseudo labels. A label without a
            score, which a person may have added, has the score 1.
        truth_file: A COCO file with the same category ids and with the same
            images by file name. Objects on other images count as not found.
        iou: The least IoU at which a pseudo label is right, in (0, 1].

    Returns:
        `images`, `instances` (all pseudo labels, also those on crowd regions
        of the truth), `precision` and `recall`, both in [0, 1] or None if
        there is nothing to divide by. If all labels and all objects have
        masks, also `mask_precision` and `mask_recall`, by the IoU of masks.

    Raises:
        FileNotFoundError: If a file does not exist.
        CocoError: If a file cannot be used, the truth lacks an image or a
            category of the pseudo labels, a label is of no image of its file,
            or masks are compared and `check_masks` refuses those of a file.
        ValueError: If `iou` is out of range, or masks of an image have other
            sizes in the truth.
    """
    # One file at a time: as Python objects, both may not fit into memory.
    images, labels, objects = collect_truth(truth_file)
    pseudo = dict(annotations=[]) | read_coco(pseudo_file, 'images')
    chosen = collect_labels(pseudo['annotations'], pseudo_file)
    check_category_ids(chosen, labels)
    numbering = Numbering(adopt_images(images, pseudo), labels)
    num_images, num_labels = len(pseudo['images']), len(chosen)
    compares_masks = objects.masks is not None and have_masks(chosen)
    sizes_hw = find_sizes(pseudo) if compares_masks else None
    if sizes_hw:
        check_masks(chosen, sizes_hw, pseudo_file)
    found = numbering.collect_found(chosen, sizes_hw)
    del pseudo, chosen  # From here on, only the columns are needed.
    quality = dict(
        images=num_images,
        instances=num_labels,
        **measure_shares(objects, replace(found, masks=None), labels, iou),
    )
    if compares_masks:
        shares = measure_shares(objects, found, labels, iou)
        quality |= {f'mask_{name}': value for name, value in shares.items()}
    return quality


def measure_shares(
    objects: Objects, found: DetectionColumns, labels: Mapping, iou: float
) -> dict[str, float | None]:
    """Compute the precision and the recall of labels.

    Masks are compared if both have them, otherwise boxes.

    Args:
        objects: The true objects.
        found: The labels.
        labels: Category id -> number of the class; only their count matters.
        iou: The least overlap at which a label is right, in (0, 1].

    Returns:
        `precision` and `recall`, from 0 to 1; None without labels or without
        objects.

    Raises:
        ValueError: If `iou` is out of range.
    """
    matches = match_classes(objects, found, len(labels), iou)
    num_right = sum(int(m.is_right.sum()) for m in matches)
    num_found = sum(len(m.scores) for m in matches)
    num_truth = sum(m.num_truth for m in matches)
    return dict(
        precision=num_right / num_found if num_found else None,
        recall=num_right / num_truth if num_truth else None,
    )


def collect_truth(
    truth_file: str | Path,
) -> tuple[dict[str, int], dict[int, int], Objects]:
    """Read true objects as columns.

    Args:
        truth_file: The COCO file of the true objects.

    Returns:
        File name -> number of the image (from 0, by ascending id), category id
        -> label, and the objects, with masks if all have one and all images
        have a size.

    Raises:
        FileNotFoundError: If the file does not exist.
        CocoError: If the file cannot be used, see `read_boxes`, or
            `check_masks` refuses the masks.
    """
    truth = read_boxes(truth_file)
    ids = [image['id'] for image in truth['images']]
    numbering = Numbering.of(ids, truth['categories'])
    objects = truth['annotations']
    sizes_hw = find_sizes(truth)
    is_sized = not any(None in size for size in sizes_hw.values())
    known_hw = sizes_hw if have_masks(objects) and is_sized else None
    if known_hw:
        check_masks(objects, known_hw, truth_file)
    columns = numbering.collect_objects(objects, known_hw)
    names = (image['file_name'] for image in truth['images'])
    images = dict(zip(names, map(numbering.images.get, ids), strict=True))
    return images, numbering.labels, columns


def check_category_ids(
    labels: Sequence[Mapping], categories: Mapping[int, int]
) -> None:
    """Check that pseudo labels are of categories of the truth.

    Args:
        labels: COCO annotations.
        categories: The categories of the truth, by id.

    Raises:
        CocoError: If one is of another category.
    """
    unknown = [a for a in labels if a['category_id'] not in categories]
    if unknown:
        raise CocoError(
            f'{len(unknown):,} pseudo labels are of categories that the truth '
            f'does not have, the first is of {unknown[0]["category_id"]}, it '
            f'has {format_value(list(categories))}: give the truth of the '
            'same classes'
        )


def check_truth(
    file: str, names: Iterable[str], category_ids: Iterable[int], where: str
) -> None:
    """Check that a file can be the truth of pseudo labels, before they exist.

    Args:
        file: The COCO file with the true objects.
        names: The file names of the unlabeled images.
        category_ids: The ids of the categories that pseudo labels will have.
        where: What names the file, for the messages.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If it lacks an image or a category, or cannot be read.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(
            f'{where} not found: {file}, relative to the current folder '
            f'{Path.cwd()}; set it to None if the truth is not known'
        )
    truth = read_coco(file, 'images', 'categories')
    known = {image['file_name'] for image in truth['images']}
    if missing := [name for name in names if name not in known]:
        raise CocoError(
            f'{where} must have all unlabeled images: {file} lacks '
            f'{len(missing):,}, the first is {missing[0]}. Name the file with '
            'their true objects, or set it to None if the truth is not known'
        )
    there = {category['id'] for category in truth['categories']}
    if lost := [number for number in category_ids if number not in there]:
        raise CocoError(
            f'{where} must have the categories of the labeled file: {file} '
            f'lacks the ids {format_value(lost)}. Add them to it, or set it '
            'to None if the truth is not known'
        )


def adopt_images(images: dict[str, int], pseudo: dict) -> dict[int, int]:
    """Return the truth's number of each image of the pseudo labels.

    The images of a folder were given ids of their own when they were
    annotated.

    Args:
        images: File name -> number of the image in the truth.
        pseudo: A COCO object with pseudo labels.

    Returns:
        Image id in `pseudo` -> number in the truth.

    Raises:
        CocoError: If an image is not in the truth, or a label is of no image.
    """
    names = {image['id']: image['file_name'] for image in pseudo['images']}
    unknown = sorted(set(names.values()) - images.keys())
    if unknown:
        raise CocoError(
            f'{len(unknown)} pseudo-labeled images are not in the truth, the '
            f'first is {unknown[0]}'
        )
    lost = [a for a in pseudo['annotations'] if a['image_id'] not in names]
    if lost:
        raise CocoError(
            f'{len(lost)} pseudo labels are of images that their file does '
            f'not list, the first is of image {lost[0]["image_id"]}: select '
            'the labels again'
        )
    return {id: images[name] for id, name in names.items()}


def compute_detection_metrics(
    rows: Iterable[Mapping], truth_file: str | Path
) -> dict[str, float]:
    """Evaluate detections, before any selection, by COCO's rules.

    Of each image and class, the 100 best detections count, as in pycocotools.

    Args:
        rows: One row for each image to evaluate, with the names and values of
            `shards.SCHEMA`; labels number the truth's categories.
        truth_file: The COCO file of the true objects.

    Returns:
        `bbox_mAP`, `bbox_mAP_50` and `bbox_mAP_75`, from 0 to 1; -1 if these
        images have no object.

    Raises:
        FileNotFoundError: If there is no such file.
        CocoError: If the truth cannot be used, or lacks an image or a class.
    """
    truth = read_truth(truth_file)
    rows = list(rows)
    image_ids = find_image_ids(rows, truth, truth_file)
    numbering = Numbering.of(image_ids, truth['categories'])
    return compute_coco_metrics(
        numbering.collect_objects(truth['annotations']),
        numbering.collect_found(make_results(rows, truth, truth_file)),
        list(numbering.labels),
    )


def compute_coco_metrics(
    objects: Objects, found: DetectionColumns, category_ids: Sequence[int]
) -> dict[str, float]:
    """Evaluate detections as pycocotools does with its own settings.

    Args:
        objects: The true objects.
        found: The detections.
        category_ids: The id of each class, in the order of the labels.

    Returns:
        See `compute_detection_metrics`; all 0 if there are objects and no
        detection. If objects and detections have masks, these are compared,
        and the names are those of `MASK_METRICS`.
    """
    params = Params('bbox')
    # Its first range of areas is that of all objects.
    limits = Limits(params.maxDets[-1], params.areaRng[0][1])
    matched = match_columns(objects, found, params.iouThrs, limits)
    num_truth = limits.count(objects, len(category_ids))
    bounds = np.searchsorted(  # Ordered by class, see `Matched`.
        found.labels[matched.order], np.arange(len(category_ids) + 1)
    )
    precision = np.full(
        (len(params.iouThrs), len(params.recThrs), len(category_ids)), -1.0
    )
    # pycocotools takes the mean in this order, which decides the last bit.
    for place, label in enumerate(np.argsort(category_ids)):
        if num_truth[label]:
            of_class = slice(bounds[label], bounds[label + 1])
            precision[:, :, place] = read_precision(
                found.scores[matched.order[of_class]],
                matched.is_matched[of_class],
                matched.is_ignored[of_class],
                int(num_truth[label]),
                params.recThrs,
            )
    chosen = [
        precision,
        *(precision[params.iouThrs == iou] for iou in (0.5, 0.75)),
    ]
    has_masks = objects.masks is not None and found.masks is not None
    names = MASK_METRICS if has_masks else METRICS
    return dict(zip(names, map(compute_mean_of_known, chosen), strict=True))


def read_precision(
    scores: np.ndarray,
    is_matched: np.ndarray,
    is_ignored: np.ndarray,
    num_truth: int,
    recalls: np.ndarray,
) -> np.ndarray:
    """Read off the precision of one class, as `COCOeval.accumulate` does.

    Args:
        scores: Shape (n,), in the order of `Matched`.
        is_matched: Shape (n, t), bool.
        is_ignored: Shape (n, t), bool.
        num_truth: The number of objects, at least 1.
        recalls: Shape (r,), where the precision is read off.

    Returns:
        Shape (t, r), float64, the highest precision at each recall or a higher
        one; 0 if that recall is not reached.
    """
    order = np.argsort(-scores, kind='stable')  # As in pycocotools.
    rows = []
    for took, ignored in zip(is_matched.T, is_ignored.T, strict=True):
        is_right = took[order] & ~ignored[order]
        is_wrong = ~took[order] & ~ignored[order]
        num_right = is_right.cumsum(dtype=float)
        num_wrong = is_wrong.cumsum(dtype=float)
        # With the small number of pycocotools, so that all bits are equal.
        precision = num_right / (num_wrong + num_right + np.spacing(1))
        rows.append(read_highest(precision, num_right / num_truth, recalls))
    return np.array(rows)


def read_highest(
    precision: np.ndarray, recall: np.ndarray, recalls: np.ndarray
) -> np.ndarray:
    """Read off the highest precision at some recalls or higher ones.

    Args:
        precision: Shape (n,), by descending score.
        recall: Shape (n,), that of the same detections, ascending.
        recalls: Shape (r,), where the precision is read off.

    Returns:
        Shape (r,), float64; 0 where the recall is not reached.
    """
    highest = np.maximum.accumulate(precision[::-1])[::-1]  # From the right.
    # The index past the end, for a recall that is not reached, reads the 0.
    return np.append(highest, 0)[np.searchsorted(recall, recalls)]


def compute_mean_of_known(precision: np.ndarray) -> float:
    """Average the precisions that are defined.

    Args:
        precision: Any shape; -1 where there is no object.

    Returns:
        The mean of what is not -1; -1 if all is.
    """
    known = precision[precision > -1]
    return float(known.mean()) if len(known) else -1.0
