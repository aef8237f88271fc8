"""Reads what the models of an experiment found on the validation images."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..experiment.stages.fingerprint import read_settings
from ..experiment.stages.gains import RESULTS, find_truth
from ..experiment.stages.model_evaluation import describe_results
from ..experiment.stages.model_names import CONTROL
from ..files.atomic import read_json
from ..files.digest import compute_sha256
from ..label_files.coco.contents import find_mask_fault, find_sizes
from ..label_files.coco.reading import read_boxes
from ..label_files.column_matching.numbering import Numbering
from ..pseudo_labels.review.errors import RIGHT, Judged
from ..training.finished import FINISHED
from .gallery import Tab
from .shown_labels import GRID
from .stage_history import StageRecord
from .suspicious_labels import make_tab

RUN_AGAIN = 'run tools/distill.py again'


@dataclass(frozen=True)
class JudgedModel:
    """A model, and what is right and wrong of what it found.

    Args:
        name: The name of its stage.
        judged: Its detections on the validation images.
        min_score: The score from which on they count, itself included.
    """

    name: str
    judged: Judged
    min_score: float

    @cached_property
    def is_shown(self) -> np.ndarray:
        """Whether each detection counts, shape (n,), bool."""
        return self.judged.find_shown(self.min_score)

    @property
    def is_right(self) -> np.ndarray:
        """Whether each detection counts and is right, shape (n,), bool."""
        return self.is_shown & (self.judged.kinds == RIGHT)


@dataclass(frozen=True)
class Validation:
    """The validation images, with their truth and what models found there.

    Args:
        images: The images of the COCO file, by ascending id.
        classes: The names of the classes.
        folder: The folder of the images.
        models: The models: the teacher, then the control, then the student.
        notes: What is missing, for a reader.
        suspicious: Labels that look wrong; None if nobody looked at them.
    """

    images: list[dict]
    classes: list[str]
    folder: Path
    models: list[JudgedModel]
    notes: list[str]
    suspicious: Tab | None = None

    def count_by_image(self) -> np.ndarray:
        """Count the errors of each model on each image.

        Returns:
            Shape (number of models, number of images, number of `KINDS`), int.

        Raises:
            ValueError: If there are no models.
        """
        return np.stack(
            [
                model.judged.count_errors(
                    model.is_shown,
                    model.judged.found.image_index,
                    model.judged.objects.image_index,
                    len(self.images),
                )
                for model in self.models
            ]
        )

    def count_right_by_image(self) -> np.ndarray:
        """Count the right boxes of each model on each image.

        Returns:
            Shape (number of models, number of images), int.

        Raises:
            ValueError: If there are no models.
        """
        return np.stack(
            [
                np.bincount(
                    model.judged.found.image_index[model.is_right],
                    minlength=len(self.images),
                )
                for model in self.models
            ]
        )

    def compare_by_image(self, other: int) -> np.ndarray:
        """Compare the last model with another one on each image.

        Fewer boxes make fewer errors. So a model is better only if it has more
        right boxes without more errors, or fewer errors without fewer right
        boxes.

        Args:
            other: The number of the other model, from 0; -2 for the one before
                the last.

        Returns:
            Shape (number of images,), int: how many right boxes it has more
            and errors fewer, together. Above 0 the last model is better, below
            0 the other one; 0 is neither.

        Raises:
            ValueError: If there are no models.
            IndexError: If there is no such model.
        """
        right = self.count_right_by_image()
        errors = self.count_by_image().sum(axis=2)
        more, fewer = right[-1] - right[other], errors[other] - errors[-1]
        # Signs that differ: better in one way, and worse in the other.
        return np.where(more * fewer < 0, 0, more + fewer)


def compare_images(validation: Validation) -> list[str]:
    """Say what the models find, and on how many images the last is better.

    Args:
        validation: The models, at least one, and what each has found.

    Returns:
        Sentences: one with the figures of all, and then one on each other
        model, from the last to the first; none if there is only one model.

    Raises:
        ValueError: If there are no models.
    """
    *others, last = [model.name for model in validation.models]
    if not others:
        return []
    right = validation.count_right_by_image().sum(axis=1)
    errors = validation.count_by_image().sum(axis=(1, 2))
    figures = [
        f'{model.name} {of_right:,} and {wrong:,}'
        for model, of_right, wrong in zip(
            validation.models, right, errors, strict=True
        )
    ]
    lines = [f'Right boxes and errors: {", ".join(figures)}.']
    for number, name in reversed([*enumerate(others)]):
        gains = np.sign(validation.compare_by_image(number))
        better, worse, neither = (
            np.count_nonzero(gains == sign) for sign in (1, -1, 0)
        )
        lines.append(
            f'Beside {name}, {last} is better on {better:,} images, worse on '
            f'{worse:,}, and neither on {neither:,}.'
        )
    return lines


def choose_models(stages: Sequence[StageRecord]) -> list[str]:
    """Choose the models to compare by their errors.

    Args:
        stages: The stages of an experiment.

    Returns:
        The names of the first teacher, of the control if there is a student,
        and of the student with the best box mAP (of equal ones, the first), as
        far as they have been evaluated. The student is compared with the
        others.
    """
    evaluated = [(one, one.metrics) for one in stages if one.metrics]
    chosen = [
        stage.name
        for stage, _ in evaluated
        if stage.name.startswith('teacher')
    ][:1]
    students = {
        stage.name: metrics['bbox_mAP']
        for stage, metrics in evaluated
        if stage.name.rpartition('/')[2] == 'student'
    }
    if students:
        names = [stage.name for stage, _ in evaluated]
        chosen += [name for name in names if name == CONTROL]
        # Of several rounds, the best student counts, as in the verdict.
        chosen.append(max(students, key=lambda name: students[name]))
    return chosen


def read_validation(work_dir: Path, names: Sequence[str]) -> Validation:
    """Read what some models found on the validation images, and judge it.

    Args:
        work_dir: The work folder of the experiment.
        names: The names of models that have been evaluated.

    Returns:
        The models whose detections are there and were evaluated with the same
        truth as those of the last model, in the order of `names`. The notes
        say why others are missing. Without any, all but the notes is empty.

    Raises:
        CocoError: If the truth cannot be used.
        KeyError: If a detection lacks a key, or see
            `suspicious_labels.make_tab`.
    """
    notes, settings = [], {}
    for name in names:
        try:
            settings[name] = check_evaluation(work_dir / name / 'test')
        except (FileNotFoundError, ValueError) as error:
            notes.append(f'The errors of {name} are not shown: {error}')
    if not settings:
        return Validation([], [], Path(), [], notes)
    truths = {n: find_truth(Config(one)) for n, one in settings.items()}
    # The last one is compared with the others, so its truth counts.
    *_, (last, truth_file) = truths.items()
    truth = read_boxes(str(truth_file))
    models = []
    for name, file in truths.items():
        if file != truth_file:
            notes.append(
                f'The errors of {name} are not shown: it was evaluated with '
                f'{file}, and {last} with {truth_file}'
            )
            continue
        model, num_unknown = judge_model(name, work_dir / name / 'test', truth)
        models.append(model)
        if num_unknown:
            notes.append(
                f'{num_unknown:,} detections of {name} are left out: '
                f'{truth_file} does not have their image or class'
            )
    # All arrays of `Judged` number the images by ascending id.
    images = sorted(truth['images'], key=lambda image: image['id'])
    return Validation(
        images,
        [category['name'] for category in truth['categories']],
        find_image_folder(settings[last]),
        models,
        notes,
        make_tab(
            work_dir / 'validate' / 'detections',
            Path(str(truth_file)),
            [image['file_name'] for image in images],
        ),
    )


def check_evaluation(folder: Path) -> dict:
    """Check that the detections of an evaluation are those it wrote.

    Args:
        folder: The work folder of the evaluation.

    Returns:
        The settings of the evaluation.

    Raises:
        FileNotFoundError: If there are no detections.
        ValueError: If they are not what the evaluation wrote, or if the truth
            has changed since, or the `CocoMetric` has no `ann_file`.
    """
    settings = read_settings(folder)
    if not (folder / RESULTS).is_file():
        raise FileNotFoundError(
            f'{folder / RESULTS} not found; tools/distill.py writes it when '
            'it evaluates a model with CocoMetric'
        )
    record = read_json(folder / FINISHED)
    if not (settings and record):
        raise ValueError(
            f'{folder} has no record of how its evaluation ended; {RUN_AGAIN}'
        )
    if record != describe_results(folder):
        raise ValueError(
            f'{folder / RESULTS} must be what the evaluation wrote, and it is '
            f'not; {RUN_AGAIN}'
        )
    truth = find_truth(Config(settings))
    if truth is None:
        raise ValueError(
            f"the evaluator in the settings of {folder} must have 'ann_file', "
            'and it does not: add it to the config, so that the errors can be '
            'looked up in the truth'
        )
    digest = settings.get('files', {}).get(str(Path(truth)))
    if digest is None or digest != compute_sha256(truth):
        raise ValueError(
            f'{truth} must be the truth that the evaluation read, and it has '
            f'changed since; {RUN_AGAIN}'
        )
    return settings


def find_image_folder(settings: Mapping) -> Path:
    """Find the folder of the images that were evaluated.

    Args:
        settings: The settings of the evaluation.

    Returns:
        The folder; the current one if the settings name none.

    Raises:
        KeyError: If the settings have no dataset of a test.
    """
    dataset = settings['test_dataloader']['dataset']
    prefix = (dataset.get('data_prefix') or {}).get('img') or ''
    return Path(dataset.get('data_root') or '', prefix)


def judge_model(
    name: str, folder: Path, truth: Mapping
) -> tuple[JudgedModel, int]:
    """Judge the detections of a model.

    Args:
        name: The name of the model.
        folder: The work folder of its evaluation.
        truth: The COCO object of the validation images.

    Returns:
        The judgment, and the number of detections whose image or class the
        truth does not have. The score from which on detections count is the
        one of `GRID` with the best F1 over all classes, on these images; of
        equally good ones, the highest.

    Raises:
        FileNotFoundError: If there are no detections.
        ValueError: If the file of the detections is no JSON.
        KeyError: If a detection lacks a key.
    """
    results = json.loads((folder / RESULTS).read_bytes())
    ids = [image['id'] for image in truth['images']]
    numbering = Numbering.of(ids, truth['categories'])
    found = numbering.collect_found(results)
    objects = numbering.collect_objects(truth.get('annotations', ()))
    judged = Judged.of(objects, found)
    model = JudgedModel(name, judged, judged.choose_min_score(GRID))
    return model, len(results) - len(found.labels)


def note_broken_masks(truth: Mapping) -> Iterator[str]:
    """Say how many true masks are broken, so that they are not drawn.

    Args:
        truth: A COCO object with the true objects.

    Yields:
        At most one note.
    """
    sizes = find_sizes(truth)
    broken = [
        one
        for one in truth['annotations']
        if one.get('segmentation')
        and find_mask_fault(one['segmentation'], sizes.get(one['image_id']))
    ]
    if broken:
        yield (
            f'The masks of {len(broken):,} true objects are broken, so that '
            'they are not drawn; the first is that of annotation '
            f'{broken[0].get("id")}: tools/check_coco.py says what to do'
        )
