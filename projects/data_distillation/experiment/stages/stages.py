"""Runs each stage of an experiment once."""

from dataclasses import dataclass, replace
from pathlib import Path

from ...label_files.coco.reading import CocoError
from ...pseudo_labels.annotation.merging_again import find_numbers, merge_again
from ...pseudo_labels.annotation.unlabeled import (
    UnlabeledDataset,
    spread_indices,
)
from ...pseudo_labels.detections.differences import as_json
from ...pseudo_labels.detections.store import DetectionStore
from ...pseudo_labels.quality.expectation import Expectation, expect_quality
from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS, read_origin
from ..given_teachers.evaluation import find_evaluation_changes, name_teacher
from ..processes.log import say
from .definition import Experiment
from .detection import DetectionStage
from .launcher import Launcher
from .model_evaluation import Evaluation
from .model_names import CONTROL
from .training import Training, link_control

# What the stages make of their detections.
OUTCOMES = {'annotate': PSEUDO_LABELS, 'tune': 'annotate.py'}
# With fewer validation images, views and merger are not chosen by them.
MIN_TUNING_IMAGES = 20


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
        few: The options that leave out unlabeled images; empty for all images.
    """

    experiment: Experiment
    launcher: Launcher
    seed: int | None = None
    tunes: bool = True
    few: tuple[str, ...] = ()

    def train(
        self, stage: str, folder: Path, labels: Path | None = None
    ) -> Path:
        """Train a model to its last iteration, unless that was done.

        A control that is trained as the teacher is gets a link to it.

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
            SystemExit: If a signal stops this process.
            FileNotFoundError: If the config or the file of pseudo labels is
                missing.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
            OSError: If a file in the work folder cannot be written.
        """
        training = self.prepare_training(stage, folder, labels)
        if stage == CONTROL:
            link_control(training)
        return training.run()

    def prepare_training(
        self, stage: str, folder: Path, labels: Path | None = None
    ) -> Training:
        """Make the training of a model, see `train`.

        Args:
            stage: The name of the model.
            folder: The work folder of the training.
            labels: The file of pseudo labels; None for other models than
                students.

        Returns:
            The training; nothing has run yet.
        """
        return Training(
            self.experiment, self.launcher, self.seed, stage, folder, labels
        )

    def prepare_detection(
        self, stage: str, folder: Path, teacher: Path
    ) -> DetectionStage:
        """Make the stage that runs a teacher on images.

        Args:
            stage: `annotate`, `validate` or `tune`.
            folder: The work folder of the stage.
            teacher: The checkpoint of the teacher.

        Returns:
            The stage; nothing has run yet.
        """
        experiment = self.experiment
        if stage == 'annotate':  # Others have images of their own.
            options = (*experiment.options, *self.few)
            experiment = replace(experiment, options=options)
        return DetectionStage(
            experiment,
            self.launcher,
            stage,
            folder,
            teacher,
            OUTCOMES.get(stage),
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
            SystemExit: If a signal stops this process.
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
            StoreError: If shards in the folder differ in what made them.
            CocoError: If the images cannot be used.
            OSError: If a file in the work folder cannot be written.
        """
        if not self.can_tune():
            return self
        self.prepare_detection('tune', folder, teacher).run()
        return self.use_choice(folder)

    def use_choice(self, folder: Path) -> 'Stages':
        """Make stages that annotate with what was chosen.

        Args:
            folder: The work folder of `tune`; if nothing was chosen yet, the
                views and the merger are those of the experiment.

        Returns:
            Other stages, or these if nothing was chosen yet.
        """
        if not (folder / 'annotate.py').is_file():
            return self
        experiment = replace(self.experiment, tuned=folder)
        return replace(self, experiment=experiment)

    def can_tune(self, says: bool = True) -> bool:
        """Return whether views and merger can be chosen.

        Args:
            says: Whether to log why if they cannot.

        Returns:
            Whether this is wanted, there is a `tune.py`, and there are at
            least `MIN_TUNING_IMAGES` images that can be used.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
        """
        if not (self.tunes and self.experiment.config('tune').is_file()):
            return False
        images = self._build_usable_images('tune', says)
        if images is None:
            return False
        if len(images) < MIN_TUNING_IMAGES and says:
            say(
                f'tune: left out, since {len(images)} validation images are '
                f'fewer than {MIN_TUNING_IMAGES}'
            )
        return len(images) >= MIN_TUNING_IMAGES

    def can_validate(self) -> bool:
        """Return whether detections on validation images can be made.

        Returns:
            Whether there is a `validate.py` whose images can be used.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
        """
        if not self.experiment.config('validate').is_file():
            return False
        return self._build_usable_images('validate', says=False) is not None

    def _build_usable_images(
        self, stage: str, says: bool = True
    ) -> UnlabeledDataset | None:
        """Return the validation images; None if they cannot be used.

        Args:
            stage: `validate` or `tune`.
            says: Whether to log why if they cannot.
        """
        try:
            images = self.experiment.build_images(stage)
            self.experiment.build_detection_hook(stage).check_data(images)
        except CocoError as error:
            if says:
                say(f'{stage}: left out, since {error}')
            return None
        return images

    def with_few_images(self, num_images: int) -> 'Stages':
        """Make stages that annotate only some of the unlabeled images.

        Args:
            num_images: The number of images; all if there are fewer. They are
                spread evenly over the list of all images.

        Returns:
            Other stages; these stay as they are.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
        """
        total = len(self.experiment.build_images('annotate'))
        indices = ','.join(map(str, spread_indices(total, num_images)))
        option = f'test_dataloader.dataset.indices=[{indices}]'
        return replace(self, few=(option,))

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
            SystemExit: If a signal stops this process.
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
            StoreError: If shards in the folder differ in what made them.
            CocoError: If a file of labels or images cannot be used.
            OSError: If a file in the work folder cannot be written.
        """
        values = {}
        if key := self.experiment.find_validation_key():
            # Selection reads these detections, so they must be there before.
            validation = folder.with_name('validate')
            self._reuse_boxes(validation)
            self.prepare_detection('validate', validation, teacher).run()
            values[key] = str(validation / 'detections')
        self.prepare_detection('annotate', folder, teacher).run(**values)
        labels = folder / PSEUDO_LABELS
        # A person may have put other labels there, of which nothing is known.
        if summary := read_origin(labels).get('summary'):
            say(f'\n{summary}: {labels}')
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
            SystemExit: If a signal stops this process.
            FileNotFoundError: If a config, a file that it names, or the file
                of labels is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
            StoreError: If the boxes of tuning, or the detections on the
                validation images, cannot be used.
            CocoError: If a file of labels or images cannot be used.
            OSError: If a file in the work folder cannot be written.
        """
        if not self.experiment.config('validate').is_file():
            return None
        images = self._build_usable_images('validate')
        if images is None or not images.ann_file.endswith('.json'):
            return None
        self._reuse_boxes(folder)
        self.prepare_detection('validate', folder, teacher).run()
        return expect_quality(labels, folder / 'detections', images.ann_file)

    def _reuse_boxes(self, folder: Path) -> None:
        """Merge the boxes of tuning, which saves inference."""
        tuned = self.experiment.tuned
        detections = folder / 'detections'
        if tuned is None or detections.exists():
            return
        store = DetectionStore(tuned / 'detections')
        model = self.experiment.load('validate').model
        if model.get('masks') is not None:
            return  # Those of single views are not stored.
        if store.provenance is None:
            return  # Somebody has deleted them.
        candidates = store.provenance['views']
        numbers = find_numbers(candidates, as_json(model.get('views')))
        if numbers is None:
            return  # Somebody has changed the choice.
        merger = as_json(model.merger)
        merge_again(store.folder, detections, merger, numbers)

    def evaluate(
        self,
        stage: str,
        folder: Path,
        checkpoint: Path,
        labels: Path | None = None,
    ) -> dict:
        """Evaluate a model on the validation images, unless that was done.

        Args:
            stage: The name of the model, one of `TRAINED`.
            folder: The work folder of its training.
            checkpoint: The checkpoint of the model.
            labels: The pseudo labels of its training, as `train` gets them;
                None for other models than the student.

        Returns:
            COCO's metrics, see `comparison.read_newest_metrics`.

        Raises:
            StageError: If the evaluation fails.
            SystemExit: If a signal stops this process.
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
            OSError: If a file in the folder of the evaluation cannot be
                written.
        """
        training = self.prepare_training(stage, folder, labels)
        return Evaluation(training, checkpoint).run()

    def evaluate_given(self, number: int, work_dir: Path) -> dict:
        """Evaluate a given teacher, unless that was done.

        Args:
            number: The number of the teacher, starting with 0.
            work_dir: The work folder of the run.

        Returns:
            COCO's metrics, see `comparison.read_newest_metrics`.

        Raises:
            StageError: If the evaluation fails.
            SystemExit: If a signal stops this process.
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used.
            IndexError, AttributeError: If there is no such teacher.
            OSError: If a file in the folder of the evaluation cannot be
                written.
        """
        cfg = self.experiment.load('teacher')
        changes = find_evaluation_changes(cfg, number, self.experiment)
        folder = work_dir / name_teacher(number)
        checkpoint = self.experiment.teachers[number]
        training = self.prepare_training('teacher', folder)
        return Evaluation(training, checkpoint, changes).run()
