"""How much better the student is, with an interval, and what to ship."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..coco.matching import ImageMatches, match_images
from ..coco.reading import read_coco
from ..quality.average_precision import draw_images, mean_average_precision
from ..quality.expectation import Estimate

# Of an evaluation: the detections as COCO results.
RESULTS = 'results.bbox.json'
IOUS = tuple(n / 100 for n in range(50, 100, 5))
NUM_DRAWS = 500
BEST_MODEL = 'best_model.pth'


def find_truth(cfg: Config) -> str | None:
    """Find the COCO file that a model is evaluated with.

    Args:
        cfg: The config of the model.

    Returns:
        The file; None if no evaluator is a `CocoMetric`.
    """
    evaluators = cfg.get('test_evaluator') or []
    if isinstance(evaluators, Mapping):
        evaluators = [evaluators]
    for evaluator in evaluators:
        if evaluator['type'].endswith('CocoMetric'):
            return evaluator['ann_file']
    return None


def measure_gains(
    student: Path, others: Mapping[str, Path], truth_file: str | Path
) -> dict[str, Estimate]:
    """Measure how much better a student is than other models.

    Args:
        student: The folder of the evaluation of the student.
        others: The name and the folder of the evaluation of each other model.
        truth_file: The COCO file of the validation images.

    Returns:
        The name of each other model, and the difference in box mAP, from -1 to
        1; above 0 if the student is better. The intervals are by paired
        bootstrap over the images: the same images are drawn for both models.
        A model whose detections are not there is left out.
    """
    truth = read_coco(truth_file, 'images', 'categories', 'annotations')
    num_images = len(truth['images'])
    weights = np.concatenate(
        [np.ones((1, num_images)), draw_images(num_images, NUM_DRAWS)]
    )
    folders = {'student': student, **others}
    mean_aps = {
        name: mean_average_precision(read_matches(folder, truth), weights)
        for name, folder in folders.items()
        if (folder / RESULTS).is_file()
    }
    of_student = mean_aps.pop('student', None)
    if of_student is None:
        return {}
    gains = {
        name: of_student - of_other for name, of_other in mean_aps.items()
    }
    return {
        name: Estimate.of(float(gain[0]), gain[1:])
        for name, gain in gains.items()
    }


def read_matches(folder: Path, truth: dict) -> ImageMatches:
    """Read the detections of an evaluation, matched with the truth."""
    results = json.loads((folder / RESULTS).read_bytes())
    image_ids = [image['id'] for image in truth['images']]
    return match_images(truth, results, image_ids, IOUS)


def format_gain(name: str, gain: Estimate) -> str:
    """Return a line about the difference between the student and a model."""
    value, low, high = (
        f'{100 * n:+.1f}' for n in (gain.value, gain.low, gain.high)
    )
    return f'student - {name}: {value} mAP, 95 % between {low} and {high}'


def link_best_model(
    work_dir: Path, mean_aps: Mapping[str, float], checkpoints: Mapping
) -> str:
    """Link the best model as `best_model.pth`.

    Args:
        work_dir: The folder of the link.
        mean_aps: The box mAP of each model on the validation images.
        checkpoints: The checkpoint of each model.

    Returns:
        The name of the best model; of equally good ones, the first.
    """
    best = max(mean_aps, key=lambda name: mean_aps[name])
    link = work_dir / BEST_MODEL
    with suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(os.path.relpath(checkpoints[best], work_dir))
    return best
