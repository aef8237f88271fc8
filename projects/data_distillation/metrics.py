"""How good are the pseudo labels? Compared with the truth, where known."""

import contextlib
import io
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def pseudo_label_quality(
    pseudo_file: str | Path, truth_file: str | Path, iou: float = 0.5
) -> dict:
    """Match pseudo labels with the truth by COCO's rules and count.

    Highest score first, each pseudo label takes the free object of its class
    that it overlaps most, by at least `iou`. Pseudo labels on crowd regions
    count neither way.

    Args:
        pseudo_file: COCO file with scores.
        truth_file: COCO file with the same image and category ids.
        iou: Overlap from which a label is right, in (0, 1].

    Returns:
        `images`, `instances` (pseudo labels), `precision` and `recall`; both
        are None if there is nothing to divide by.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth, pseudo = COCO(str(truth_file)), COCO(str(pseudo_file))
        matched, num_pseudo, num_truth = count_matches(truth, pseudo, iou)
    return dict(
        images=len(pseudo.imgs),
        instances=len(pseudo.anns),
        precision=matched / num_pseudo if num_pseudo else None,
        recall=matched / num_truth if num_truth else None,
    )


def count_matches(
    truth: COCO, pseudo: COCO, iou: float
) -> tuple[int, int, int]:
    """Count matched pseudo labels, all pseudo labels, and all objects.

    Args:
        truth: The true annotations.
        pseudo: Annotations with scores.
        iou: Overlap from which a label is right.

    Returns:
        The three counts; ignored ones (crowds) are left out.
    """
    evaluation = COCOeval(truth, pseudo, 'bbox')
    evaluation.params.iouThrs = np.array([iou])
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.params.areaRngLbl = ['all']
    evaluation.params.maxDets = [max(len(pseudo.anns), 1)]
    evaluation.evaluate()
    num_matched = num_pseudo = num_truth = 0
    for found in filter(None, evaluation.evalImgs):
        counts = ~found['dtIgnore'][0].astype(bool)
        num_matched += int((counts & (found['dtMatches'][0] > 0)).sum())
        num_pseudo += int(counts.sum())
        num_truth += int((~found['gtIgnore'].astype(bool)).sum())
    return num_matched, num_pseudo, num_truth
