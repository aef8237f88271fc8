"""The gallery of a report: a sample of images, and boxes as data."""

import base64
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from ..coco.matching import boxes_of
from ..files.images import ImageError, decode, read_image_file
from ..selection.export import shorten
from ..selection.options import list_options
from .labels import LabelSource, StoredLabels

# Images of each group; five groups make 200.
GROUP_SIZE = 40
# Of a thumbnail's longer side, in pixels; halved until the file is small:
# 200 of them, as text, then have 15 MB.
THUMBNAIL_SIDE = 512
MAX_THUMBNAIL_BYTES = 56_000
JPEG_QUALITY = 80


def gallery(
    labels: StoredLabels, source: LabelSource, truth: dict | None
) -> dict:
    """Make all that the page's gallery knows.

    Args:
        labels: The detections and thresholds.
        source: Where they are, for the command.
        truth: A COCO object with the true objects; None where not known.

    Returns:
        A dict that JSON can hold: the classes with their thresholds and
        counts, the groups, the images with their boxes, and the command that
        makes other thresholds real.
    """
    groups = sample_images(labels)
    chosen = np.unique(np.concatenate([*groups.values()]))
    place = {int(index): at for at, index in enumerate(chosen)}
    labeled = labels.labeled
    return dict(
        classes=list(labels.min_scores),
        min_scores=list(labels.min_scores.values()),
        labeled_rates=(labeled.num_instances / labeled.num_images).tolist(),
        counts=labels.counts_on_grid(),
        chosen_counts=labels.num_labels.tolist(),
        num_images=len(labels.table),
        num_views=len(labels.provenance.get('views') or ()) or None,
        groups=[
            dict(name=name, images=[place[int(index)] for index in indices])
            for name, indices in groups.items()
            if len(indices)
        ],
        images=gallery_images(labels, chosen, truth),
        command=command(labels, source),
    )


def sample_images(labels: StoredLabels) -> dict[str, np.ndarray]:
    """Choose the images to look at.

    Args:
        labels: The detections, and which of them are pseudo labels.

    Returns:
        By the name of a group the indices of up to `GROUP_SIZE` images. Of
        equals the first stored comes first. Images without a label are in
        none of the last two groups.
    """
    detections, selection = labels.detections, labels.selection
    num_images = len(labels.table)
    selected = detections[selection.is_selected]
    num_labels = np.bincount(selected.image_index, minlength=num_images)
    margin = selected.scores - selection.min_scores[selected.labels]
    random = np.random.default_rng(0).permutation(num_images)
    return {
        'Random': random[:GROUP_SIZE],
        'Most labels': first(-num_labels),
        'Fewest labels': first(num_labels),
        'Views agree least': first(
            mean_by_image(selected.image_index, selected.num_views, num_labels)
        ),
        'Scores nearest the threshold': first(
            mean_by_image(selected.image_index, margin, num_labels)
        ),
    }


def first(values: np.ndarray) -> np.ndarray:
    """Return the indices of the lowest values, NaN left out."""
    order = np.argsort(values, kind='stable')[:GROUP_SIZE]
    return order[~np.isnan(values[order])]


def mean_by_image(
    image_index: np.ndarray, values: np.ndarray, num_labels: np.ndarray
) -> np.ndarray:
    """Average the labels' values over each image.

    Args:
        image_index: Shape (n,), the image of each label.
        values: Shape (n,).
        num_labels: Shape (m,), the labels of each image.

    Returns:
        Shape (m,); NaN for an image without labels.
    """
    total = np.bincount(image_index, values, minlength=len(num_labels))
    return total / np.where(num_labels, num_labels, np.nan)


def gallery_images(
    labels: StoredLabels, chosen: np.ndarray, truth: dict | None
) -> list[dict]:
    """Make what the page knows of the chosen images.

    Args:
        labels: The detections and thresholds.
        chosen: The indices of the images.
        truth: A COCO object with the true objects; None where not known.
    """
    folder = Path(labels.provenance.get('image_folder', '.'))
    table = labels.table.take(pa.array(chosen))
    objects = true_boxes(truth, table['file_name'].to_pylist())
    return [
        dict(
            name=row['file_name'],
            width=row['width'],
            height=row['height'],
            boxes=list(boxes_with_views(row)),
            truth=objects and objects[row['file_name']],
            **picture(folder / row['file_name']),
        )
        for row in labels.rules.passing_rows(table)
    ]


def boxes_with_views(row: Mapping) -> Iterable[list]:
    """Yield x, y, width, height, label, score and views of each detection.

    Largest first, so that those drawn later lie within reach.
    """
    scores = shorten(np.array(row['scores'], np.float32))
    boxes = [
        [*bbox_xywh, label, score, num_views]
        for (bbox_xywh, _, label), score, num_views in zip(
            boxes_of(row), scores, row['num_views'], strict=True
        )
    ]
    return sorted(boxes, key=lambda box: -box[2] * box[3])


def true_boxes(
    truth: dict | None, names: Iterable[str]
) -> dict[str, list] | None:
    """Return the true objects of some images by file name.

    Args:
        truth: A COCO object; None where the truth is not known.
        names: The images' file names.

    Returns:
        x, y, width, height, label and whether it is a crowd; None for None.
    """
    if truth is None:
        return None
    wanted = set(names)
    name_of = {
        image['id']: image['file_name']
        for image in truth['images']
        if image['file_name'] in wanted
    }
    label_of = {c['id']: n for n, c in enumerate(truth['categories'])}
    objects: dict[str, list] = defaultdict(list)
    for one in truth['annotations']:
        if one['image_id'] in name_of:
            label = label_of[one['category_id']]
            crowd = bool(one.get('iscrowd', 0))
            objects[name_of[one['image_id']]].append(
                [*one['bbox'], label, crowd]
            )
    return objects


def picture(path: Path) -> dict:
    """Return the thumbnail of an image, or why there is none."""
    try:
        return dict(src=thumbnail(decode(read_image_file(str(path)))))
    except ImageError as error:
        return dict(src=None, reason=str(error))


def thumbnail(pixels: np.ndarray) -> str:
    """Return a small JPEG as a `data:` URL.

    Args:
        pixels: Shape (height, width, 3), BGR, uint8. Never enlarged.
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


def command(labels: StoredLabels, source: LabelSource) -> dict:
    """Return the pieces of the command that makes thresholds real.

    Args:
        labels: The detections, and how they were selected.
        source: The files of the command.

    Returns:
        `before` and `after` the thresholds, `names` (the classes as a shell
        takes them), and `unsaid`: what of the selection no option says.
    """
    out = source.pseudo_labels.with_name('chosen_labels.json')
    words = ['python', 'tools/select_labels.py', source.detections]
    words += ['--labeled', source.labeled, '--out', out, '--method', 'fixed']
    options, unsaid = list_options(labels.origin.get('selection', {}))
    if source.images:
        options += ['--images', source.images]
    return dict(
        before=f'{joined(words)} --min-score',
        names=[shlex.quote(name) for name in labels.min_scores],
        after=joined(options),
        unsaid=unsaid,
    )


def joined(words: Iterable) -> str:
    """Write words as a shell takes them."""
    return shlex.join(map(str, words))
