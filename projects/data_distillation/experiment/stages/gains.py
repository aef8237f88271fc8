"""How much better the student is, with an interval, and what to ship."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mmdet.registry import METRICS
from mmengine.config import Config

from ...base_configs.config_reading import get_type
from ...label_files.coco.matching import ImageMatches, match_images
from ...label_files.coco.reading import read_truth
from ...pseudo_labels.quality.bootstrap import (
    compute_mean_ap,
    weigh_images,
)
from ...pseudo_labels.quality.expectation import Estimate
from ..processes.log import say

# Of an evaluation: the detections as COCO results.
RESULTS = 'results.bbox.json'
# Those of COCO's mAP, so that a gain is one of the mAP in the comparison.
IOUS = tuple(n / 100 for n in range(50, 100, 5))
# With so many draws, 12 lie beyond each end of a 95 % interval. Each draw
# computes the mAP of every model once.
NUM_DRAWS = 500
BEST_MODEL = 'best_model.pth'


def check_evaluator(cfg: Config, where: str | Path) -> None:
    """Check that an evaluator gives what models are compared by.

    Args:
        cfg: The config of a model.
        where: Its file, for the message.

    Raises:
        ValueError: If none of its evaluators gives `coco/bbox_mAP`.
    """
    evaluators = list_evaluators(cfg)
    if not any(map(gives_box_map, evaluators.values())):
        raise ValueError(
            f'`test_evaluator` of {where} must give coco/bbox_mAP, by which '
            f'models are compared, got {list(evaluators.values())}: add a '
            "CocoMetric whose `metric` has 'bbox'"
        )


def gives_box_map(evaluator: Mapping) -> bool:
    """Return whether an evaluator gives `coco/bbox_mAP`.

    Args:
        evaluator: Its config; its type may be a name or a class.

    Returns:
        Whether it does, if the detections have boxes.
    """
    kind = evaluator.get('type')
    kind = METRICS.get(kind) if isinstance(kind, str) else kind
    prefix = evaluator.get('prefix') or getattr(kind, 'default_prefix', None)
    items = evaluator.get('metric_items') or ['mAP']
    is_for_boxes = 'bbox' in (evaluator.get('metric', 'bbox') or ())
    return prefix == 'coco' and is_for_boxes and 'mAP' in items


def list_evaluators(cfg: Config) -> dict[str, Mapping]:
    """List the evaluators in the config of a model.

    Args:
        cfg: The config of the model.

    Returns:
        The key of each, with dots as for `--cfg-options`, and its config.
    """
    found, key = cfg.get('test_evaluator') or [], 'test_evaluator'
    # MMEngine's `Evaluator` written out.
    if isinstance(found, Mapping) and 'metrics' in found:
        found, key = found['metrics'], f'{key}.metrics'
    if isinstance(found, Mapping):
        return {key: found}
    return {f'{key}.{n}': one for n, one in enumerate(found)}


def find_coco_metric(cfg: Config) -> tuple[str, Mapping] | None:
    """Find the evaluator of boxes in the config of a model.

    Args:
        cfg: The config of the model.

    Returns:
        The key of the first `CocoMetric`, with dots as for `--cfg-options`,
        and its config; None if there is none.

    Raises:
        KeyError: If an evaluator before it has no `type`.
    """
    for key, evaluator in list_evaluators(cfg).items():
        if get_type(evaluator).endswith('CocoMetric'):
            return key, evaluator
    return None


def find_truth(cfg: Config) -> str | None:
    """Find the COCO file that a model is evaluated with.

    Args:
        cfg: The config of the model.

    Returns:
        The path as the config has it; None if it has no `CocoMetric`, or one
        that takes the truth from the dataset.

    Raises:
        KeyError: If an evaluator before it has no `type`.
    """
    found = find_coco_metric(cfg)
    return found and found[1].get('ann_file')


def find_results_key(cfg: Config) -> str | None:
    """Find where the evaluator takes the name of the file of detections.

    Args:
        cfg: The config of a model.

    Returns:
        A key with dots, for `--cfg-options`; None without `CocoMetric`.

    Raises:
        KeyError: If an evaluator before it has no `type`.
    """
    found = find_coco_metric(cfg)
    return found and f'{found[0]}.outfile_prefix'


def measure_gains(
    student: Path, others: Mapping[str, Path], truth_file: str | Path
) -> dict[str, Estimate]:
    """Measure how much better a student is than other models.

    Args:
        student: The folder of the evaluation of the student.
        others: The name and the folder of the evaluation of each other model.
        truth_file: The COCO file of the validation images.

    Returns:
        The name of each other model, in order, and the difference in box mAP
        (as COCO computes it), from -1 to 1; above 0 if the student is better.
        The 95 % intervals are by paired bootstrap over the images: the same
        images are drawn for both models, `NUM_DRAWS` times. A model whose
        detections are not there is left out; without those of the student, the
        result is empty.

    Raises:
        FileNotFoundError: If the file of the truth does not exist.
        CocoError: If the truth cannot be used, see `read_truth`.
        ValueError: If a file of detections is no JSON.
    """
    truth = read_truth(truth_file)
    weights = weigh_images(np.ones(len(truth['images']), bool), NUM_DRAWS)
    folders = {'student': student, **others}
    mean_aps = {
        name: compute_mean_ap(read_matches(folder, truth), weights)
        for name, folder in folders.items()
        if (folder / RESULTS).is_file()
    }
    of_student = mean_aps.pop('student', None)
    if of_student is None:
        return {}
    gains = {
        name: of_student - of_other for name, of_other in mean_aps.items()
    }
    # The first weights are those of all images once, the others the draws.
    return {
        name: Estimate.of(float(gain[0]), gain[1:])
        for name, gain in gains.items()
    }


def read_matches(folder: Path, truth: dict) -> ImageMatches:
    """Read the detections of an evaluation, matched with the truth.

    Detections on images that the truth does not have are left out, and a
    warning in the log says how many.

    Args:
        folder: The folder of the evaluation.
        truth: The content of the COCO file of the validation images.

    Returns:
        The matches at the IoUs of `IOUS`.

    Raises:
        FileNotFoundError: If the folder has no `RESULTS`.
        ValueError: If `RESULTS` is no JSON.
    """
    results = json.loads((folder / RESULTS).read_bytes())
    image_ids = [image['id'] for image in truth['images']]
    known = set(image_ids)
    num_unknown = sum(one['image_id'] not in known for one in results)
    if num_unknown:
        say(
            f'warning: {num_unknown:,} of {len(results):,} detections in '
            f'{folder / RESULTS} are on images that the truth does not have, '
            'and are left out: were the validation images exchanged?'
        )
    return match_images(truth, results, image_ids, IOUS)


def format_gain(name: str, gain: Estimate) -> str:
    """Format a line about the difference between the student and a model.

    Args:
        name: The name of the model.
        gain: The difference in box mAP, from -1 to 1.

    Returns:
        The line, in points of mAP (0 to 100).
    """
    value, low, high = (
        f'{100 * n:+.1f}' for n in (gain.value, gain.low, gain.high)
    )
    return f'student - {name}: {value} mAP, 95 % between {low} and {high}'


def link_best_model(
    work_dir: Path, mean_aps: Mapping[str, float], checkpoints: Mapping
) -> str:
    """Link the best model as `best_model.pth`, in place of an older link.

    Args:
        work_dir: The folder of the link, which must exist.
        mean_aps: The box mAP of each model on the validation images; at least
            one.
        checkpoints: The checkpoint of each model.

    Returns:
        The name of the best model; of equally good ones, the first. If there
        is no link, because a file of the user has its name or the file system
        has no links, a warning names the checkpoint.

    Raises:
        ValueError: If there are no models.
    """
    best = max(mean_aps, key=lambda name: mean_aps[name])
    link = work_dir / BEST_MODEL
    try:
        if link.is_symlink():
            link.unlink()
        # A relative link, so that the work folder can be moved.
        link.symlink_to(os.path.relpath(checkpoints[best], work_dir))
    # The models are trained: a link is not worth losing their comparison.
    except OSError as error:
        say(
            f'warning: {link} cannot be a link to the best model, which is '
            f'{checkpoints[best]}: {error}'
        )
    return best
