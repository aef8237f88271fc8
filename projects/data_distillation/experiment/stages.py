"""Runs the stages of an experiment, each once."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..annotation.provenance import provenance_of
from ..detections.provenance import differing_keys
from ..detections.store import DetectionStore
from ..selection.coco_writer import hash_labels
from ..training.resume import find_last_checkpoint
from .comparison import newest_metrics
from .definition import Experiment, pseudo_label_key
from .fingerprint import (
    changes,
    chosen,
    digests,
    evaluation_settings,
    set_aside,
    training_settings,
    write_settings,
    written_settings,
)
from .launcher import Launcher
from .log import say
from .names import PSEUDO_LABELS
from .process import StageError, run_stage
from .progress_bar import Counter, StoredImages, TrainedIterations

MAX_SHOWN = 3
# Of a stage that is done; what it holds then is not changed any more.
FINISHED = 'finished'


@dataclass(frozen=True)
class Stages:
    """Trains, annotates and evaluates, unless it was done before.

    Results of a stage whose config or annotation files have changed since are
    moved to `replaced/`, beside its folder, and it runs again.

    Args:
        experiment: The stage configs.
        launcher: How to start them.
        seed: The random seed of all trainings; None to leave it open.
    """

    experiment: Experiment
    launcher: Launcher
    seed: int | None = None

    def train(
        self, stage: str, folder: Path, labels: Path | None = None
    ) -> Path:
        """Train until the checkpoint of the last iteration is there.

        Args:
            stage: One of `TRAINED`.
            folder: Its work folder.
            labels: The pseudo labels of a student.

        Returns:
            The checkpoint.

        Raises:
            StageError: If it fails, or there are results of another seed.
        """
        options = self._training_options(stage, labels)
        settings = self.training_settings(stage, labels)
        self._check_seed(folder)
        if reasons := changes(folder, settings):
            replace_results(stage, folder, reasons)
        if (folder / FINISHED).is_file():
            say(f'{stage}: trained already, in {folder}')
            return finished_checkpoint(folder)
        write_settings(folder, settings)
        checkpoint = find_last_checkpoint(folder)
        flags: list[str | Path] = []
        if checkpoint:
            flags += ['--resume', checkpoint]
        flags += cfg_options(*options, *self.experiment.options)
        config = self.experiment.config(stage)
        command = self.launcher.train(config, folder, *flags)
        total = self.experiment.load(stage).train_cfg.get('max_iters')
        counter = Counter(TrainedIterations(folder), total)
        run_stage(stage, command, folder, counter)
        shutil.rmtree(folder / 'test', ignore_errors=True)
        (folder / FINISHED).touch()
        return finished_checkpoint(folder)

    def _training_options(self, stage: str, labels: Path | None) -> list[str]:
        """Return what a training stage is told besides the user's options."""
        options = [] if self.seed is None else [f'randomness.seed={self.seed}']
        if labels:
            key = pseudo_label_key(self.experiment.load(stage))
            options.append(f'{key}={labels}')
        return options

    def training_settings(
        self, stage: str, labels: Path | None = None
    ) -> dict:
        """Return what the weights of a training stage depend on.

        Args:
            stage: One of `TRAINED`.
            labels: The pseudo labels of a student: where they are does not
                matter.
        """
        cfg = self.experiment.load(stage)
        if labels:
            cfg.merge_from_dict({pseudo_label_key(cfg): ''})
        settings = training_settings(cfg, self.seed)
        if labels:
            settings['files'][labels.name] = hash_labels(labels)
        return settings

    def _check_seed(self, folder: Path) -> None:
        """Refuse results of another seed, which are no outdated ones."""
        before = written_settings(folder) or dict(seed=self.seed)
        if before['seed'] != self.seed:
            raise StageError(
                f'{folder} holds results of seed {before["seed"]}, got seed '
                f'{self.seed}: use another --work-dir, or --seeds'
            )

    def annotate(self, folder: Path, teacher: Path) -> Path:
        """Label with a teacher.

        Args:
            folder: The work folder of the stage; `validate/` is beside it.
            teacher: The checkpoint.

        Returns:
            The file of pseudo labels.

        Raises:
            StageError: If it fails.
        """
        options = []
        if key := self.experiment.validation_key():
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
                'again'
            )
        return labels

    def _detect(
        self, stage: str, folder: Path, teacher: Path, *options: str
    ) -> None:
        """Run a teacher on all images whose detections are not there."""
        if keys := self.outdated(stage, folder, teacher):
            replace_results(stage, folder, [f'{k} has changed' for k in keys])
        settings = self.detection_settings(stage)
        reasons = changes(folder, settings)
        if (folder / FINISHED).is_file() and not reasons:
            say(f'{stage}: done already, in {folder}')
            return
        if reasons:
            say(f'{stage}: again, with its detections: {listed(reasons)}')
            (folder / FINISHED).unlink(missing_ok=True)
        write_settings(folder, settings)
        flags = cfg_options(*options, *self.experiment.options)
        config = self.experiment.config(stage)
        launcher = self.launcher.for_annotation()
        command = launcher.test(config, teacher, folder, *flags)
        total = len(self.experiment.images(stage))
        counter = Counter(StoredImages(folder / 'detections'), total)
        run_stage(stage, command, folder, counter)
        (folder / FINISHED).touch()

    def outdated(self, stage: str, folder: Path, teacher: Path) -> list[str]:
        """Return in what the detections in a folder are of another making."""
        found = DetectionStore(folder / 'detections').provenance
        if not found:
            return []
        cfg = self.experiment.load(stage)
        cfg.load_from = str(teacher)
        made = provenance_of(cfg, self.experiment.images(stage))
        purpose = self.experiment.detection_hook(stage).purpose
        return differing_keys(found, dict(made, purpose=purpose))

    def detection_settings(self, stage: str) -> dict:
        """Return what is made of detections, and of which images."""
        cfg = self.experiment.load(stage)
        images = json.dumps(self.experiment.images(stage).image_ids())
        return dict(
            chosen(cfg, ['custom_hooks']),
            files=digests(cfg.custom_hooks),
            images=hashlib.sha256(images.encode()).hexdigest(),
        )

    def evaluate(self, stage: str, folder: Path, checkpoint: Path) -> dict:
        """Return COCO's box metrics of a model, measured once.

        Args:
            stage: One of `TRAINED`.
            folder: Its work folder.
            checkpoint: Its weights.

        Raises:
            StageError: If it fails.
        """
        folder = folder / 'test'
        settings = evaluation_settings(self.experiment.load(stage), checkpoint)
        if reasons := changes(folder, settings):
            replace_results(f'{stage}, evaluated', folder, reasons)
        if not newest_metrics(folder):
            write_settings(folder, settings)
            command = self.launcher.test(
                self.experiment.config(stage),
                checkpoint,
                folder,
                *cfg_options(*self.experiment.options),
            )
            run_stage(f'{stage}, evaluated', command, folder)
        return metrics_in(folder)


def finished_checkpoint(folder: Path) -> Path:
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
            'got none: delete the folder and run the same again'
        )
    return checkpoint


def metrics_in(folder: Path) -> dict:
    """Return the metrics of an evaluation that has ended.

    Args:
        folder: The work folder of the evaluation.

    Raises:
        StageError: If the folder holds no metrics.
    """
    metrics = newest_metrics(folder)
    if metrics is None:
        raise StageError(
            f'{folder} must hold metrics, since its evaluation has ended, got '
            'none: run the same again'
        )
    return metrics


def cfg_options(*options: str) -> list[str]:
    """Return the flag of the tools that changes the config."""
    return ['--cfg-options', *options] if options else []


def replace_results(stage: str, folder: Path, reasons: Sequence[str]) -> None:
    """Make place for new results, and say why."""
    place = set_aside(folder)
    say(f'{stage}: runs again, since {listed(reasons)} (before: {place})')


def listed(reasons: Sequence[str]) -> str:
    """Write the first reasons, and how many more there are."""
    text = '; '.join(reasons[:MAX_SHOWN])
    more = len(reasons) - MAX_SHOWN
    return f'{text}; and {more} more' if more > 0 else text
