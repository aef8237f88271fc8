"""The gallery of a report: a sample of the images, with boxes as data."""

import base64
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from ..files.decoding import ImageError, decode_image, read_image_file
from ..label_files.coco.contents import find_mask_fault
from ..label_files.coco.matching import iter_boxes
from ..label_files.column_matching.mask_ious import read_mask
from ..label_files.segmentations.svg_paths import make_path
from ..pseudo_labels.quality.label_quality import Quality
from ..pseudo_labels.review.calibration import count_views
from ..pseudo_labels.selection.rule_options import list_options
from ..pseudo_labels.selection.short_scores import shorten_scores
from .shown_labels import (
    LabelSource,
    StoredLabels,
    count_right_on_grid,
    count_wrong,
)

# The number of images in each group; the first five groups have 200.
GROUP_SIZE = 40
# The longer side of a thumbnail, in pixels, halved until the file is small
# enough: in Base64, 200 of them take at most 200 * 56,000 * 4 / 3 = 15 MB.
THUMBNAIL_SIDE = 512
MAX_THUMBNAIL_BYTES = 56_000
# A usual compromise between the size of a picture and its artifacts.
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Tab:
    """A group of images that were chosen for a reason each.

    Args:
        name: The name of the group.
        images: The numbers of the images, the first to look at first.
        reasons: Why each was chosen, in words; empty if all are for the same.
        marks: For each image the boxes to look at, xywh in pixels of the
            original image, and what is said of each; empty if all count alike.
        total: The number of images, also of those not shown; None if unsaid.
    """

    name: str
    images: list[int]
    reasons: list[str]
    marks: list[list] = field(default_factory=list)
    total: int | None = None


def make_gallery(
    labels: StoredLabels,
    source: LabelSource,
    truth: dict | None,
    quality: Quality | None = None,
    tab: Tab | None = None,
    is_trained_on: bool = True,
) -> dict:
    """Make the data of the page's gallery.

    Args:
        labels: The detections and their `min_score` values.
        source: The files of the labels, which the command names.
        truth: A COCO object with the true objects; None if they are unknown.
        quality: The labels, matched with them; None if they are unknown.
        tab: Another group of images; None without one.
        is_trained_on: Whether a stage of an experiment reads the labels.

    Returns:
        A dict that can be written as JSON: the classes with their `min_score`
        and counts, the groups, the images with their boxes, and the command
        that selects with other scores.

    Raises:
        CocoError, ValueError: If the truth does not fit, see `count_wrong`.
    """
    groups = sample_images(labels)
    if truth and source.truth:
        wrong = count_wrong(labels, truth, source.truth)
        groups['Wrong against the truth'] = find_lowest(-wrong)
    if tab:
        groups[tab.name] = np.array(tab.images, int)
    chosen = np.unique(np.concatenate([*groups.values()]))
    place = {int(index): at for at, index in enumerate(chosen)}
    labeled = labels.labeled
    return dict(
        classes=list(labels.min_scores),
        min_scores=list(labels.min_scores.values()),
        labeled_rates=labeled.per_image.tolist(),
        labeled_name=labeled.name,
        counts=labels.count_on_grid(),
        chosen_counts=labels.num_labels.tolist(),
        quality=quality and count_right_on_grid(quality),
        num_images=len(labels.table),
        num_views=count_views(labels.provenance) or None,
        groups=[
            dict(
                name=name,
                images=[place[int(index)] for index in indices],
                reasons=tab.reasons if tab and tab.name == name else [],
            )
            for name, indices in groups.items()
            if len(indices)
        ],
        images=make_images(labels, chosen, truth),
        command=make_command(labels, source, is_trained_on),
    )


def sample_images(labels: StoredLabels) -> dict[str, np.ndarray]:
    """Choose the images to show.

    Args:
        labels: The detections, and the selection of pseudo labels.

    Returns:
        Group name -> the indices of up to `GROUP_SIZE` images. Ties keep the
        order of the store. Of random images, those with labels come first.
        Images without a label are not in the last two groups.
    """
    detections, selection = labels.detections, labels.selection
    num_images = len(labels.table)
    selected = detections[selection.is_selected]
    num_labels = np.bincount(selected.image_index, minlength=num_images)
    margin = selected.scores - selection.min_scores[selected.labels]
    # The same images each time, so that two pages can be compared.
    random = np.random.default_rng(0).permutation(num_images)[:GROUP_SIZE]
    return {
        # The page begins with them, and an image without labels shows nothing.
        'Random': random[np.argsort(num_labels[random] == 0, kind='stable')],
        'Most labels': find_lowest(-num_labels),
        'Fewest labels': find_lowest(num_labels),
        'Views agree least': find_lowest(
            average_by_image(
                selected.image_index, selected.num_views, num_labels
            )
        ),
        'Scores nearest to min_score': find_lowest(
            average_by_image(selected.image_index, margin, num_labels)
        ),
    }


def find_lowest(values: np.ndarray) -> np.ndarray:
    """Find the lowest values.

    Args:
        values: Shape (n,), numbers or NaN.

    Returns:
        The indices of up to `GROUP_SIZE` of them, in ascending order of value;
        ties keep their order, and NaN is left out.
    """
    # NaN comes last, so cutting before dropping it loses no value.
    order = np.argsort(values, kind='stable')[:GROUP_SIZE]
    return order[~np.isnan(values[order])]


def average_by_image(
    image_index: np.ndarray, values: np.ndarray, num_labels: np.ndarray
) -> np.ndarray:
    """Average the values of the labels of each image.

    Args:
        image_index: The image of each label, shape (n,).
        values: The value of each label, shape (n,).
        num_labels: The number of labels of each image, shape (m,).

    Returns:
        The averages, shape (m,); NaN for an image without labels.
    """
    total = np.bincount(image_index, values, minlength=len(num_labels))
    return total / np.where(num_labels, num_labels, np.nan)


def make_images(
    labels: StoredLabels, chosen: np.ndarray, truth: dict | None
) -> list[dict]:
    """Make the data of the chosen images.

    Args:
        labels: The detections and their `min_score` values.
        chosen: The indices of the images, shape (n,).
        truth: A COCO object with the true objects; None if they are unknown.

    Returns:
        A dict for each image, in order, for the script of the page. It has
        what may become a label, see `SelectionRules.filter_rows`.
    """
    folder = Path(labels.provenance.get('image_folder', '.'))
    table = labels.table.take(pa.array(chosen))
    objects = collect_true_boxes(truth, table['file_name'].to_pylist())
    return [
        dict(
            name=row['file_name'],
            width=row['width'],
            height=row['height'],
            boxes=list_boxes(row),
            truth=None if objects is None else objects[row['file_name']],
            **make_picture(folder / row['file_name']),
        )
        for row in labels.rules.filter_rows(table)
    ]


def list_boxes(row: Mapping) -> list[list]:
    """List the detections of an image, largest first.

    The page draws them in this order, so that small ones can be pointed at.

    Args:
        row: A row with the columns of `shards.SCHEMA`.

    Returns:
        x, y, width, height (in pixels of the original image, see `iter_boxes`
        for rounding), label, score and number of views of each detection, and
        the path around its mask if there are masks. Ties keep their order.
    """
    scores = shorten_scores(np.array(row['scores'], np.float32))
    boxes = [
        [*bbox_xywh, label, score, num_views]
        for (bbox_xywh, _, label), score, num_views in zip(
            iter_boxes(row), scores, row['num_views'], strict=True
        )
    ]
    if 'masks' in row:
        size = [row['height'], row['width']]
        for box, counts in zip(boxes, row['masks'], strict=True):
            rle = dict(size=size, counts=counts)
            box.append(make_path(rle, THUMBNAIL_SIDE))
    # Small boxes are drawn last, so that no large one covers them.
    return sorted(boxes, key=lambda box: -box[2] * box[3])


def collect_true_boxes(
    truth: dict | None, names: Iterable[str]
) -> dict[str, list] | None:
    """Collect the true objects of some images.

    Args:
        truth: A COCO object with the true objects; None if they are unknown.
        names: The file names of the images.

    Returns:
        File name -> x, y, width, height (in pixels) and label of each object,
        whether it is a crowd, and the path around its mask if it has one, in
        the order of the truth; an empty list for other names. None for None.

    Raises:
        KeyError: If an object has a category that the truth lacks.
    """
    if truth is None:
        return None
    wanted = set(names)
    images = {
        image['id']: image
        for image in truth['images']
        if image['file_name'] in wanted
    }
    label_of = {c['id']: n for n, c in enumerate(truth['categories'])}
    objects: dict[str, list] = defaultdict(list)
    for one in truth['annotations']:
        if one['image_id'] in images:
            image = images[one['image_id']]
            label = label_of[one['category_id']]
            crowd = bool(one.get('iscrowd', 0))
            objects[image['file_name']].append(
                [*one['bbox'], label, crowd, *draw_true_mask(one, image)]
            )
    return objects


def draw_true_mask(annotation: Mapping, image: Mapping) -> list[str]:
    """Draw the path around the mask of a true object.

    Args:
        annotation: The COCO annotation of the object.
        image: The COCO image that it is on.

    Returns:
        One path, see `make_path`; none without a mask or a size, or if the
        mask is broken.
    """
    mask = annotation.get('segmentation')
    if not mask or not {'height', 'width'} <= image.keys():
        return []
    size_hw = image['height'], image['width']
    if find_mask_fault(mask, size_hw):
        return []
    return [make_path(read_mask(mask, size_hw), THUMBNAIL_SIDE)]


def make_picture(path: Path) -> dict:
    """Make the thumbnail of an image, or tell why there is none.

    Args:
        path: The path of the image.

    Returns:
        `src`, the thumbnail as a URL; None if the image cannot be read, with
        the `reason`.
    """
    try:
        return dict(
            src=make_thumbnail(decode_image(read_image_file(str(path))))
        )
    except ImageError as error:
        return dict(src=None, reason=str(error))


def make_thumbnail(pixels: np.ndarray) -> str:
    """Make a small JPEG as a `data:` URL; the image is never enlarged.

    Args:
        pixels: The pixels, shape (height, width, 3), BGR, uint8.

    Returns:
        The URL, at most `MAX_THUMBNAIL_BYTES` of JPEG.
    """
    side = THUMBNAIL_SIDE
    while True:
        scale = min(side / max(pixels.shape[:2]), 1)
        size_wh = [max(round(n * scale), 1) for n in pixels.shape[1::-1]]
        small = cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        content = cv2.imencode('.jpg', small, quality)[1].tobytes()
        if len(content) <= MAX_THUMBNAIL_BYTES:
            text = base64.b64encode(content).decode()
            return f'data:image/jpeg;base64,{text}'
        side //= 2


def make_command(
    labels: StoredLabels, source: LabelSource, is_trained_on: bool = True
) -> dict:
    """Make the parts of the command that selects with other scores.

    Args:
        labels: The detections, and the rules of their selection.
        source: The files that the command names.
        is_trained_on: Whether a stage of an experiment reads the labels.

    Returns:
        `before` and `after`, the parts around the scores; `names`, the
        classes, quoted for a shell; `unsaid`, the rules of the selection for
        which there is no option; and `then`, the command that puts the new
        labels where a student finds them, None if none looks there.
    """
    out = source.pseudo_labels.with_name('chosen_labels.json')
    words = ['python', 'tools/select_labels.py', source.detections]
    words += ['--labeled', source.labeled, '--out', out, '--method', 'fixed']
    options, unsaid = list_options(labels.origin.get('selection', {}))
    listed = source.images or (labels.num_left and source.pseudo_labels)
    if listed:
        options += ['--images', listed]
    return dict(
        before=f'{join_words(words)} --min-score',
        names=[shlex.quote(name) for name in labels.min_scores],
        after=join_words(options),
        unsaid=unsaid,
        then=join_words(['cp', out, source.pseudo_labels])
        if is_trained_on
        else None,
    )


def join_words(words: Iterable) -> str:
    """Join words to a command, quoted for a shell.

    Args:
        words: The words, of any type.

    Returns:
        The command on one line.
    """
    return shlex.join(map(str, words))
