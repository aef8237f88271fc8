"""Runs each stage of an experiment once."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..annotation.provenance import make_provenance
from ..detections.provenance import find_differing_keys
from ..detections.store import DetectionStore
from ..selection.coco_writer import hash_labels
from ..training.resume import find_last_checkpoint
from .comparison import read_newest_metrics
from .definition import Experiment, find_pseudo_label_key
from .fingerprint import (
    collect_evaluation_settings,
    collect_training_settings,
    compute_digests,
    find_changes,
    pick_keys,
    read_settings,
    set_aside,
    write_settings,
)
from .launcher import Launcher
from .log import say
from .names import PSEUDO_LABELS
from .process import StageError, run_stage
from .progress_bar import Counter, StoredImages, TrainedIterations

# The number of reasons that are shown.
MAX_SHOWN = 3
# This file in the folder of a stage says that its results do not change any
# more.
FINISHED = 'finished'


@dataclass(frozen=True)
class Stages:
    """Trains, annotates and evaluates what is not finished.

    If the config or the annotation files of a stage have changed since it
    ran, its results are moved to `replaced/` beside its folder, and it runs
    again.

    Args:
        experiment: The stage configs.
        launcher: Makes the commands of the stages.
        seed: The random seed of all trainings; None if the configs decide.
    """

    experiment: Experiment
    launcher: Launcher
    seed: int | None = None

    def train(
        self, stage: str, folder: Path, labels: Path | None = None
    ) -> Path:
        """Train a model to its last iteration.

        Args:
            stage: The name of the model, one of `TRAINED`.
            folder: The work folder of the stage.
            labels: The file of pseudo labels; None for other models than the
                student.

        Returns:
            The checkpoint of the last iteration.

        Raises:
            StageError: If training fails, or if the folder holds results of
                another seed.
        """
        options = self._make_training_options(stage, labels)
        settings = self.collect_training_settings(stage, labels)
        self._check_seed(folder)
        if reasons := find_changes(folder, settings):
            replace_results(stage, folder, reasons)
        if (folder / FINISHED).is_file():
            say(f'{stage}: already trained, in {folder}')
            return require_checkpoint(folder)
        write_settings(folder, settings)
        checkpoint = find_last_checkpoint(folder)
        flags: list[str | Path] = []
        if checkpoint:
            flags += ['--resume', checkpoint]
        flags += make_cfg_options(*options, *self.experiment.options)
        config = self.experiment.config(stage)
        command = self.launcher.train(config, folder, *flags)
        total = self.experiment.load(stage).train_cfg.get('max_iters')
        counter = Counter(TrainedIterations(folder), total)
        run_stage(stage, command, folder, counter)
        shutil.rmtree(folder / 'test', ignore_errors=True)
        (folder / FINISHED).touch()
        return require_checkpoint(folder)

    def _make_training_options(
        self, stage: str, labels: Path | None
    ) -> list[str]:
        """Return the config options of a training besides the user's own."""
        options = [] if self.seed is None else [f'randomness.seed={self.seed}']
        if labels:
            key = find_pseudo_label_key(self.experiment.load(stage))
            options.append(f'{key}={labels}')
        return options

    def collect_training_settings(
        self, stage: str, labels: Path | None = None
    ) -> dict:
        """Return the settings that the weights of a model depend on.

        Args:
            stage: The name of the model, one of `TRAINED`.
            labels: The file of pseudo labels; None for other models than the
                student. Its folder does not count.
        """
        cfg = self.experiment.load(stage)
        if labels:
            cfg.merge_from_dict({find_pseudo_label_key(cfg): ''})
        settings = collect_training_settings(cfg, self.seed)
        if labels:
            settings['files'][labels.name] = hash_labels(labels)
        return settings

    def _check_seed(self, folder: Path) -> None:
        """Refuse results of another seed, which are not outdated."""
        before = read_settings(folder) or dict(seed=self.seed)
        if before['seed'] != self.seed:
            raise StageError(
                f'{folder} holds results of seed {before["seed"]}, got seed '
                f'{self.seed}: use another --work-dir, or --seeds'
            )

    def annotate(self, folder: Path, teacher: Path) -> Path:
        """Annotate the unlabeled images with a teacher.

        Args:
            folder: The work folder of the stage. If selection needs detections
                on validation images, they are in `validate/` beside it.
            teacher: The checkpoint of the teacher.

        Returns:
            The file of pseudo labels.

        Raises:
            StageError: If annotation fails.
        """
        options = []
        if key := self.experiment.find_validation_key():
            validation = folder.with_name('validate')
            self._detect('validate', validation, teacher)
            options = [f'{key}={validation / "detections"}']
        labels = folder / PSEUDO_LABELS
        if not labels.is_file():
            (folder / FINISHED).unlink(missing_ok=True)
        self._detect('annotate', folder, teacher, *options)
        if not labels.is_file():
            raise StageError(
                f'annotation ended without writing {labels}: run the same '
                'command again'
            )
        return labels

    def _detect(
        self, stage: str, folder: Path, teacher: Path, *options: str
    ) -> None:
        """Run a teacher on all images that have no detections yet."""
        if keys := self.find_outdated_keys(stage, folder, teacher):
            replace_results(stage, folder, [f'{k} has changed' for k in keys])
        settings = self.collect_detection_settings(stage)
        reasons = find_changes(folder, settings)
        if (folder / FINISHED).is_file() and not reasons:
            say(f'{stage}: already done, in {folder}')
            return
        if reasons:
            why = join_reasons(reasons)
            say(f'{stage}: runs again with its detections, since {why}')
            (folder / FINISHED).unlink(missing_ok=True)
        write_settings(folder, settings)
        flags = make_cfg_options(*options, *self.experiment.options)
        config = self.experiment.config(stage)
        launcher = self.launcher.for_annotation()
        command = launcher.test(config, teacher, folder, *flags)
        total = len(self.experiment.build_images(stage))
        counter = Counter(StoredImages(folder / 'detections'), total)
        run_stage(stage, command, folder, counter)
        (folder / FINISHED).touch()

    def find_outdated_keys(
        self, stage: str, folder: Path, teacher: Path
    ) -> list[str]:
        """Return what differs in the making of the detections in a folder.

        Args:
            stage: `annotate` or `validate`.
            folder: The work folder of the stage.
            teacher: The checkpoint of the teacher.

        Returns:
            The keys of the provenance that differ; none if the detections can
            be used, or if there are none.
        """
        found = DetectionStore(folder / 'detections').provenance
        if not found:
            return []
        cfg = self.experiment.load(stage)
        cfg.load_from = str(teacher)
        made = make_provenance(cfg, self.experiment.build_images(stage))
        purpose = self.experiment.build_detection_hook(stage).purpose
        return find_differing_keys(found, dict(made, purpose=purpose))

    def collect_detection_settings(self, stage: str) -> dict:
        """Return the settings of what is made of detections.

        Args:
            stage: `annotate` or `validate`.
        """
        cfg = self.experiment.load(stage)
        images = json.dumps(self.experiment.build_images(stage).image_ids())
        return dict(
            pick_keys(cfg, ['custom_hooks']),
            files=compute_digests(cfg.custom_hooks),
            images=hashlib.sha256(images.encode()).hexdigest(),
        )

    def evaluate(self, stage: str, folder: Path, checkpoint: Path) -> dict:
        """Evaluate a model on the validation images, unless that was done.

        Args:
            stage: The name of the model, one of `TRAINED`.
            folder: The work folder of the stage.
            checkpoint: The checkpoint of the model.

        Returns:
            COCO's box metrics, see `comparison.read_newest_metrics`.

        Raises:
            StageError: If the evaluation fails.
        """
        folder = folder / 'test'
        settings = collect_evaluation_settings(
            self.experiment.load(stage), checkpoint
        )
        if reasons := find_changes(folder, settings):
            replace_results(f'{stage}, evaluated', folder, reasons)
        if not read_newest_metrics(folder):
            write_settings(folder, settings)
            command = self.launcher.test(
                self.experiment.config(stage),
                checkpoint,
                folder,
                *make_cfg_options(*self.experiment.options),
            )
            run_stage(f'{stage}, evaluated', command, folder)
        return require_metrics(folder)


def require_checkpoint(folder: Path) -> Path:
    """Return the last checkpoint of a training that has ended.

    Args:
        folder: The work folder of the training.

    Raises:
        StageError: If the folder holds no checkpoint that is whole.
    """
    checkpoint = find_last_checkpoint(folder)
    if checkpoint is None:
        raise StageError(
            f'{folder} must hold a checkpoint, since its training has ended, '
            'got none: delete the folder and run the same command again'
        )
    return checkpoint


def require_metrics(folder: Path) -> dict:
    """Return the metrics of an evaluation that has ended.

    Args:
        folder: The work folder of the evaluation.

    Raises:
        StageError: If the folder holds no metrics.
    """
    metrics = read_newest_metrics(folder)
    if metrics is None:
        raise StageError(
            f'{folder} must hold metrics, since its evaluation has ended, got '
            'none: run the same command again'
        )
    return metrics


def make_cfg_options(*options: str) -> list[str]:
    """Return the arguments of the tools that change the config."""
    return ['--cfg-options', *options] if options else []


def replace_results(stage: str, folder: Path, reasons: Sequence[str]) -> None:
    """Make room for new results, and log why."""
    place = set_aside(folder)
    why = join_reasons(reasons)
    say(f'{stage}: runs again, since {why} (before: {place})')


def join_reasons(reasons: Sequence[str]) -> str:
    """Return the first reasons, and how many more there are."""
    text = '; '.join(reasons[:MAX_SHOWN])
    more = len(reasons) - MAX_SHOWN
    return f'{text}; and {more} more' if more > 0 else text
