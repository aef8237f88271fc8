"""Evaluates one model of an experiment, and notices what is outdated."""

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from ...files.atomic import read_json, write_json
from ...files.digest import compute_sha256
from ...pseudo_labels.freshness.image_states import save_digests
from ...training.finished import FINISHED
from ..processes.process import run_stage
from .comparison import find_newest_metrics
from .fingerprint import (
    IMAGE_FILES,
    collect_evaluation_settings,
    list_differences,
    read_settings,
    write_settings,
)
from .gains import RESULTS, find_results_key
from .stage_results import (
    hash_read_images,
    make_flags,
    replace_results,
    require_metrics,
)
from .training import Training


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on the validation images.

    Args:
        training: The training of the model. The results are in `test/` in its
            folder.
        checkpoint: The checkpoint of the model.
        changes: What to change in the config of the model: key with dots ->
            value.
    """

    training: Training
    checkpoint: Path
    changes: Mapping[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        return self.training.folder / 'test'

    def run(self) -> dict:
        """Evaluate the model, unless that was done.

        Returns:
            COCO's metrics, see `comparison.read_newest_metrics`.

        Raises:
            StageError: If the evaluation fails.
            SystemExit: If a signal stops this process.
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
            OSError: If a file in its folder cannot be written.
        """
        stage = self.training.stage
        if reasons := self.find_reasons():
            if find_newest_metrics(self.folder):
                replace_results(f'{stage}, evaluated', self.folder, reasons)
            # What a killed evaluation has left: a clock that has jumped back
            # would make it the newest.
            shutil.rmtree(self.folder, ignore_errors=True)
            write_settings(self.folder, self.collect_settings())
            self._evaluate()
            mark_evaluated(self.folder)
        save_digests(self._digests)
        return require_metrics(self.folder)

    def find_reasons(self) -> list[str]:
        """Find out why the model must be evaluated.

        Returns:
            Reasons for a user; empty if it is evaluated, and nothing that its
            metrics depend on has changed.

        Raises:
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used.
        """
        if reasons := list_differences(self.folder, self.collect_settings()):
            return reasons
        record = read_json(self.folder / FINISHED)
        is_known = read_settings(self.folder) is not None
        if not (record and is_known):
            return ['there is no record of its end']
        if record != describe_results(self.folder):
            return ['its results are not what the evaluation wrote']
        return []

    def collect_settings(self) -> dict:
        """Collect the settings that the metrics depend on.

        Returns:
            Settings by name, see `collect_evaluation_settings`, and a digest
            of the images of each COCO file.

        Raises:
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used.
        """
        cfg = self._load()
        images = hash_read_images(cfg.test_dataloader, self._digests)
        settings = collect_evaluation_settings(cfg, self.checkpoint)
        return {**settings, IMAGE_FILES: images}

    @property
    def _digests(self) -> Path:
        """The folder that keeps what is known of the validation images."""
        return self.training.folder.parent

    def _load(self) -> Config:
        """Return the config of the model, with the changes."""
        cfg = self.training.experiment.load(self.training.stage)
        # MMEngine takes `_delete_` out of what it merges, and the command
        # needs it.
        cfg.merge_from_dict(copy.deepcopy(dict(self.changes)))
        return cfg

    def _evaluate(self) -> None:
        """Run the command."""
        training = self.training
        values = {**training.make_values(), **self.changes}
        experiment, stage = training.experiment, training.stage
        if key := find_results_key(self._load()):
            prefix = RESULTS.removesuffix('.bbox.json')
            values[key] = str(self.folder / prefix)
        options = experiment.list_options(stage)
        if 'model' in self.changes:
            # The changes have those of the model.
            options = [o for o in options if not o.startswith('model.')]
        command = training.launcher.make_test(
            experiment.config(stage),
            self.checkpoint,
            self.folder,
            *make_flags(values, options),
        )
        run_stage(f'{stage}, evaluated', command, self.folder)


def mark_evaluated(folder: Path) -> None:
    """Record that an evaluation has ended, and what it wrote.

    Args:
        folder: The folder of the evaluation.

    Raises:
        StageError: If there are no metrics.
        ValueError: If the file of the metrics is no JSON.
        OSError: If the record cannot be written.
    """
    require_metrics(folder)
    write_json(folder / FINISHED, describe_results(folder))


def describe_results(folder: Path) -> dict:
    """Describe the results of an evaluation, to know them again.

    Args:
        folder: The work folder of the evaluation, with its detections.

    Returns:
        `metrics_sha256` and `results_sha256`, the SHA-256 of the metrics and
        of the detections; None for what is not there.
    """
    metrics = find_newest_metrics(folder)
    return dict(
        metrics_sha256=metrics and compute_sha256(metrics),
        results_sha256=compute_sha256(folder / RESULTS),
    )
