"""Runs each stage of an experiment once."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ..annotation.dataset import UnlabeledDataset, spread_indices
from ..annotation.merging_again import find_numbers, merge_again
from ..annotation.provenance import as_json, make_provenance
from ..coco.reading import CocoError
from ..detections.provenance import find_differing_keys
from ..detections.store import DetectionStore
from ..quality.expectation import Expectation, expect_quality
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
    write_settings,
)
from .gains import RESULTS, find_results_key
from .launcher import Launcher
from .log import say
from .names import PSEUDO_LABELS
from .process import StageError, run_stage
from .progress_bar import Counter, StoredImages, TrainedIterations
from .stage_results import (
    join_reasons,
    make_cfg_options,
    replace_results,
    require_checkpoint,
    require_metrics,
)

# With fewer validation images, views and merger are not chosen by them.
MIN_TUNING_IMAGES = 20
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
        tunes: Whether to choose the views and the merger of annotation by the
            validation images, if the experiment has a `tune.py` and at least
            `MIN_TUNING_IMAGES` such images.
    """

    experiment: Experiment
    launcher: Launcher
    seed: int | None = None
    tunes: bool = True

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

    def tune(self, folder: Path, teacher: Path) -> 'Stages':
        """Choose the views and the merger of annotation.

        Args:
            folder: The work folder of the stage.
            teacher: The checkpoint of the teacher.

        Returns:
            Stages that annotate with what was chosen; the same stages if there
            is nothing to choose or too few images to choose by.

        Raises:
            StageError: If the stage fails.
        """
        if not self.can_tune():
            return self
        chosen = folder / 'annotate.py'
        if not chosen.is_file():
            (folder / FINISHED).unlink(missing_ok=True)
        self._detect('tune', folder, teacher)
        if not chosen.is_file():
            raise StageError(
                f'tuning ended without writing {chosen}: run the same command '
                'again'
            )
        return self.use_choice(folder)

    def use_choice(self, folder: Path) -> 'Stages':
        """Return stages that annotate with what was chosen.

        Args:
            folder: The work folder of `tune`; if nothing was chosen yet, the
                views and the merger are those of the experiment.
        """
        if not (folder / 'annotate.py').is_file():
            return self
        experiment = replace(self.experiment, tuned=folder)
        return replace(self, experiment=experiment)

    def can_tune(self) -> bool:
        """Return whether views and merger can be chosen; log why if not."""
        if not (self.tunes and self.experiment.config('tune').is_file()):
            return False
        images = self._build_usable_images('tune')
        if images is None:
            return False
        if len(images) < MIN_TUNING_IMAGES:
            say(
                f'tune: left out, since {len(images)} validation images are '
                f'fewer than {MIN_TUNING_IMAGES}'
            )
        return len(images) >= MIN_TUNING_IMAGES

    def _build_usable_images(self, stage: str) -> UnlabeledDataset | None:
        """Return the validation images; log why if they cannot be used."""
        try:
            images = self.experiment.build_images(stage)
            self.experiment.build_detection_hook(stage).check_data(images)
        except CocoError as error:
            say(f'{stage}: left out, since {error}')
            return None
        return images

    def with_few_images(self, num_images: int) -> 'Stages':
        """Return stages that annotate only some of the unlabeled images.

        Args:
            num_images: The number of images. They are spread evenly over the
                list of all images.
        """
        total = len(self.experiment.build_images('annotate'))
        indices = ','.join(map(str, spread_indices(total, num_images)))
        option = f'test_dataloader.dataset.indices=[{indices}]'
        options = (*self.experiment.options, option)
        return replace(
            self, experiment=replace(self.experiment, options=options)
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

    def expect(
        self, folder: Path, teacher: Path, labels: Path
    ) -> Expectation | None:
        """Estimate the quality of pseudo labels by the validation images.

        Args:
            folder: The work folder of the detections on validation images.
            teacher: The checkpoint of the teacher.
            labels: The file of pseudo labels.

        Returns:
            The estimate; None if the experiment has no `validate.py` with a
            COCO file.

        Raises:
            StageError: If detection fails.
        """
        if not self.experiment.config('validate').is_file():
            return None
        images = self._build_usable_images('validate')
        if images is None or not images.ann_file.endswith('.json'):
            return None
        self._reuse_boxes(folder)
        self._detect('validate', folder, teacher)
        return expect_quality(labels, folder / 'detections', images.ann_file)

    def _reuse_boxes(self, folder: Path) -> None:
        """Merge the boxes of tuning, which saves inference."""
        tuned = self.experiment.tuned
        detections = folder / 'detections'
        if tuned is None or detections.exists():
            return
        store = DetectionStore(tuned / 'detections')
        model = self.experiment.load('validate').model
        candidates = store.require_provenance()['views']
        numbers = find_numbers(candidates, as_json(model.get('views')))
        if numbers is None:
            return  # Somebody has changed the choice.
        merger = as_json(model.merger)
        merge_again(store.folder, detections, merger, numbers)

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
            stage: `annotate`, `validate` or `tune`.
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
            stage: `annotate`, `validate` or `tune`.
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
        options = []
        if key := find_results_key(self.experiment.load(stage)):
            options = [f'{key}={folder / RESULTS.removesuffix(".bbox.json")}']
        is_done = not key or (folder / RESULTS).is_file()
        if not (is_done and read_newest_metrics(folder)):
            write_settings(folder, settings)
            command = self.launcher.test(
                self.experiment.config(stage),
                checkpoint,
                folder,
                *make_cfg_options(*options, *self.experiment.options),
            )
            run_stage(f'{stage}, evaluated', command, folder)
        return require_metrics(folder)
