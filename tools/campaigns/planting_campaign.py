"""Plant errors in labels, and count how many of them are found.

Of the labels, 5 % are removed, 5 % are shifted by 0.3 to 0.6 of their sides,
and 5 % get another class. All methods rank what looks wrong, and precision is
the share of planted errors among the first ones, as many as were planted. The
figures are in docs/results.md. Needs the package cleanlab for its column.

Example:
    pip install --target CLEANLAB --no-deps cleanlab==2.9.0
    PYTHONPATH=CLEANLAB python tools/campaigns/planting_campaign.py \
        work_dirs/digits/validate/detections data/digits/annotations/val.json
"""

import copy
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.pseudo_labels.review.signals import (
    compute_pairwise_ious_xywh,
)
from projects.data_distillation.report.suspicious_labels import (
    LabelReview,
    review_labels,
)

SHARE = 0.05
KINDS = 'missing', 'box', 'class'
# cleanlab gets detections from this score on: it compares each with each.
LOWEST = 0.05


def plant(coco: dict, seed: int) -> tuple[dict, dict, list[dict]]:
    """Plant errors in labels.

    Args:
        coco: The COCO object; it is not changed.
        seed: The seed of what is chosen.

    Returns:
        The changed object, the id of each changed label -> what was done, and
        the labels that were removed.

    Raises:
        ValueError: If there are too few labels to plant an error of each kind.
    """
    random = np.random.default_rng(seed)
    coco = copy.deepcopy(coco)
    labels = [one for one in coco['annotations'] if not one.get('iscrowd')]
    ids = [category['id'] for category in coco['categories']]
    number = round(SHARE * len(labels))
    if not number:
        raise ValueError(
            f'planting needs at least 11 labels, got {len(labels)}: take a '
            'file with more'
        )
    kinds = KINDS if len(ids) > 1 else KINDS[:2]
    chosen = random.permutation(len(labels))[: number * len(kinds)]
    changed, removed = {}, []
    for place, index in enumerate(chosen.tolist()):
        label, kind = labels[index], kinds[place // number]
        if kind == 'missing':
            removed.append(label)
            coco['annotations'].remove(label)
            continue
        changed[label['id']] = kind
        if kind == 'box':
            x, y, w, h = label['bbox']
            by = random.uniform(0.3, 0.6, 2) * random.choice([-1, 1], 2)
            label['bbox'] = [x + by[0] * w, y + by[1] * h, w, h]
        else:
            others = [one for one in ids if one != label['category_id']]
            label['category_id'] = int(random.choice(others))
    return coco, changed, removed


# A suspicion: the id of its image, the id of its label or None, and its box.
Suspicious = tuple[int, int | None, list[float]]


def count_hits(
    ranked: list[Suspicious], changed: dict, removed: list[dict]
) -> int:
    """Count the planted errors among suspicions.

    Args:
        ranked: The suspicions that count.
        changed: The ids of the labels that were changed.
        removed: The labels that were removed.

    Returns:
        The number of suspicions of a changed label, or, without a label, of
        the place of a removed one (IoU 0.5), each of which counts once.
    """
    hits, left = 0, list(removed)
    for image, label, box in ranked:
        if label is not None:
            hits += label in changed
            continue
        for one in left:
            # Unpacked below to two arrays of shape (1, 4).
            boxes = np.array([one['bbox'], box], float)
            if (
                one['image_id'] == image
                and compute_pairwise_ious_xywh(*boxes[:, None]) >= 0.5
            ):
                hits += 1
                left.remove(one)
                break
    return hits


def list_suspicions(review: LabelReview) -> list[Suspicious]:
    """List what a review suspects.

    Args:
        review: The review.

    Returns:
        The suspicions, the most likely first.
    """
    ids = {one['file_name']: one['id'] for one in review.coco['images']}
    found = review.detections.bbox_xywh
    ranked = []
    for one in review.suspicions:
        label = None
        if one.label is not None:
            label = review.annotations[one.label]['id']
        image = ids[review.rows[one.image]['file_name']]
        box = [] if one.detection is None else found[one.detection].tolist()
        ranked.append((image, label, box))
    return ranked


def convert(review: LabelReview) -> tuple[list, list[dict], list[np.ndarray]]:
    """Make of labels and detections what cleanlab takes.

    Args:
        review: The labels and the detections.

    Returns:
        For each image the labels, as COCO has them and as cleanlab does, and
        the detections of each class.
    """
    numbers = {one['id']: n for n, one in enumerate(review.coco['categories'])}
    ids = {one['file_name']: one['id'] for one in review.coco['images']}
    annotations, labels, predictions = [], [], []
    for row in review.rows:
        image = ids[row['file_name']]
        mine = [one for one in review.annotations if one['image_id'] == image]
        boxes = np.array([one['bbox'] for one in mine], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        classes = np.array([numbers[one['category_id']] for one in mine], int)
        annotations.append((image, mine))
        labels.append(dict(bboxes=boxes, labels=classes))
        xyxy = np.array(row['bboxes_xyxy'], float).reshape(-1, 4)
        found = np.column_stack([xyxy, row['scores']])
        is_kept = found[:, 4] >= LOWEST
        # np.array would join arrays of equal shapes to one.
        by_class = np.empty(len(numbers), object)
        for n in range(len(numbers)):
            by_class[n] = found[is_kept & (np.array(row['labels']) == n)]
        predictions.append(by_class)
    return annotations, labels, predictions


def rank_by_cleanlab(review: LabelReview) -> list[Suspicious]:
    """Rank by the three scores of cleanlab, with its default settings.

    Args:
        review: The labels and the detections.

    Returns:
        The suspicions by ascending score. Of the two scores of a label, the
        lower one counts.
    """
    from cleanlab.object_detection import rank

    annotations, labels, predictions = convert(review)
    given = dict(labels=labels, predictions=predictions)
    scores = zip(
        rank.compute_overlooked_box_scores(**given),
        rank.compute_badloc_box_scores(**given),
        rank.compute_swap_box_scores(**given),
        strict=True,
    )
    scored = []
    for (image, mine), found, (overlooked, off, swapped) in zip(
        annotations, predictions, scores, strict=True
    ):
        boxes = np.concatenate([*found])[:, :4]
        boxes[:, 2:] -= boxes[:, :2]
        for box, score in zip(boxes.tolist(), overlooked, strict=True):
            scored.append((score, (image, None, box)))
        for one, score in zip(mine, np.minimum(off, swapped), strict=True):
            scored.append((score, (image, one['id'], [])))
    known = [one for one in scored if not np.isnan(one[0])]
    return [what for _, what in sorted(known, key=lambda one: one[0])]


def format_precision(
    review: LabelReview, changed: dict, removed: list[dict]
) -> str:
    """Format the precision of each method at the number of planted errors.

    Args:
        review: The review of the labels with errors.
        changed: The ids of the labels that were changed.
        removed: The labels that were removed.

    Returns:
        The number of planted errors, and the precision of guesses, of
        `tools/suspicious_labels.py` and of cleanlab.
    """
    number = len(changed) + len(removed)
    share = number / (len(review.annotations) + len(removed))
    ranked = dict(
        ours=list_suspicions(review), cleanlab=rank_by_cleanlab(review)
    )
    cells = [f'{number} planted, random {share:.2f}']
    for name, suspicions in ranked.items():
        hits = count_hits(suspicions[:number], changed, removed)
        cells.append(f'{name} {hits / number:.2f}')
    return ', '.join(cells)


def main() -> None:
    """Plant with three seeds, and print the precision of each method."""
    parser = make_parser(__doc__)
    parser.add_argument('detections', type=Path, help='detections/*.parquet')
    parser.add_argument(
        'labels', type=Path, help='the COCO file of the labels'
    )
    args = parser.parse_args()
    coco = json.loads(args.labels.read_text())
    for seed in range(3):
        planted, changed, removed = plant(coco, seed)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / 'planted.json'
            file.write_text(json.dumps(planted))
            review = review_labels(args.detections, file)
        precision = format_precision(review, changed, removed)
        print(f'seed {seed}: {precision}')


if __name__ == '__main__':
    main()
