"""Detects on labeled images with teachers that were not trained on them.

The labeled images are dealt out to folds. For each fold, a teacher is trained
on the images of all others, and detects on those of the fold.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ...base_configs.config_reading import list_mappings
from ...files.atomic import replacing, write_json
from ...label_files.coco.contents import take_images
from ...label_files.coco.reading import CocoError, read_splittable
from ..processes.log import say
from .definition import Experiment
from .detection import DETECTIONS
from .stages import Stages

# The configs that a fold has of its own.
FOLD_STAGES = ('teacher', 'annotate', 'validate')


@dataclass(frozen=True)
class Fold:
    """What a teacher detects on images that it was not trained on.

    Args:
        labels: The COCO file of the labels of these images.
        detections: The folder of the store.
    """

    labels: Path
    detections: Path


def detect_by_folds(
    stages: Stages, folder: Path, num_folds: int
) -> list[Fold]:
    """Detect on each labeled image with a teacher that has not seen it.

    What is finished is not run again, unless the labels, the number of folds
    or a config have changed.

    Args:
        stages: The stages of the experiment, which needs `validate.py`. Their
            seed also deals out the images; without one, it is 0.
        folder: The folder of the results, with a folder for each fold.
        num_folds: The number of folds, at least 2.

    Returns:
        The folds; each labeled image is in one of them.

    Raises:
        ValueError: If there are fewer than 2 folds, or the config of the
            teacher does not name exactly one annotation file.
        CocoError: If the labeled file cannot be used, or has fewer images than
            there are folds.
        StageError: If a stage fails.
        SystemExit: If a signal stops this process.
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        StoreError: If shards in a fold differ in what made them.
        OSError: If a file in the folder cannot be written.
    """
    experiment = stages.experiment
    if experiment.teachers:
        raise ValueError(
            f'the teacher of {experiment.folder} is given, so that no other '
            'can be trained on the images of other folds: give the detections '
            'of a teacher that was not trained on these labels'
        )
    configs = {stage: experiment.load(stage) for stage in FOLD_STAGES}
    labeled = find_labeled(configs['teacher'])
    file = Path(labeled.get('data_root') or '', labeled['ann_file'])
    parts = split_folds(read_splittable(file), num_folds, stages.seed or 0)
    found = []
    for number, (held_out, others) in enumerate(parts, 1):
        say(
            f'\nfold {number} of {num_folds}: '
            f'{len(others["images"]):,} labeled images to train on, '
            f'{len(held_out["images"]):,} to look at'
        )
        own = folder / f'fold_{number}'
        labels, trained = own / 'held_out.json', own / 'labeled.json'
        write_json(labels, held_out)
        write_json(trained, others)
        write_configs(own / 'configs', configs, labels, trained)
        found.append(run_fold(stages, own, labels))
    return found


def find_labeled(teacher: Config) -> MutableMapping:
    """Find the dataset of the labeled images in the config of a teacher.

    Args:
        teacher: The config.

    Returns:
        The part of the config; it is changed where it is, not copied.

    Raises:
        ValueError: If it does not name exactly one `ann_file`.
    """
    found = [
        part
        for part in list_mappings(teacher.train_dataloader.dataset)
        if isinstance(part, MutableMapping) and part.get('ann_file')
    ]
    if len(found) != 1:
        raise ValueError(
            f'train_dataloader of {teacher.filename} must name one ann_file '
            f'to deal out its images to folds, found {len(found)}: join the '
            'files to one'
        )
    return found[0]


def split_folds(
    coco: dict, num_folds: int, seed: int
) -> list[tuple[dict, dict]]:
    """Deal out the images of a file at random.

    Args:
        coco: The content of the file.
        num_folds: The number of folds.
        seed: The seed of the random order by NumPy's `default_rng`, at least
            0.

    Returns:
        For each fold its images and all others, with their annotations, in the
        order of the file. The sizes of the folds differ by 1 at most.

    Raises:
        ValueError: If there are fewer than 2 folds, or the seed is below 0.
        CocoError: If there are fewer images than folds.
    """
    ids = [image['id'] for image in coco['images']]
    if num_folds < 2:
        raise ValueError(f'there must be at least 2 folds, got {num_folds}')
    if len(ids) < num_folds:
        raise CocoError(
            f'{len(ids)} labeled images cannot be dealt out to {num_folds} '
            'folds: choose fewer folds'
        )
    order = np.random.default_rng(seed).permutation(len(ids)).tolist()
    folds = [{ids[i] for i in order[k::num_folds]} for k in range(num_folds)]
    return [
        (take_images(coco, fold), take_images(coco, set(ids) - fold))
        for fold in folds
    ]


def write_configs(
    folder: Path, configs: Mapping[str, Config], labels: Path, trained: Path
) -> None:
    """Write the configs of a fold.

    Args:
        folder: The folder to write to.
        configs: Stage -> the config of the experiment. They are not changed.
        labels: The COCO file of the images of the fold.
        trained: The COCO file of all other labeled images.

    Raises:
        ValueError: See `find_labeled`.
        OSError: If a file cannot be written.
    """
    teacher, validate = (
        Config(configs[stage].to_dict()) for stage in ('teacher', 'validate')
    )
    labeled = find_labeled(teacher)
    root = Path(labeled.get('data_root') or '')
    images = root / (labeled.get('data_prefix') or {}).get('img', '')
    labeled['ann_file'] = str(trained.resolve())
    validate.test_dataloader.dataset.update(
        ann_file=str(labels.resolve()),
        data_root='',
        data_prefix=dict(img=f'{images}/'),
    )
    for hook in validate.custom_hooks:
        if 'labeled' in hook:
            hook.labeled.ann_file = str(trained.resolve())
    own = dict(configs, teacher=teacher, validate=validate)
    for stage, config in own.items():
        with replacing(folder / f'{stage}.py') as file:
            file.write(config.pretty_text.encode())


def run_fold(stages: Stages, folder: Path, labels: Path) -> Fold:
    """Train the teacher of a fold, and let it detect.

    Args:
        stages: The stages of the whole experiment.
        folder: The folder of the fold, with its configs.
        labels: The COCO file of the images of the fold.

    Returns:
        The fold with its detections.

    Raises:
        StageError: If a stage fails.
        SystemExit: If a signal stops this process.
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config cannot be used.
        StoreError: If shards of the fold differ in what made them.
        CocoError: If the images of the fold cannot be used.
        OSError: If a file in the folder cannot be written.
    """
    # The options of the user are in the configs already.
    experiment = Experiment(folder / 'configs', models=('teacher',))
    own = replace(stages, experiment=experiment)
    teacher = own.train('teacher', folder / 'teacher')
    own.prepare_detection('validate', folder / 'validate', teacher).run()
    return Fold(labels, folder / 'validate' / DETECTIONS)
