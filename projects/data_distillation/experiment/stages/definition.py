"""The definition of an experiment: a folder of stage configs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import DATASETS, HOOKS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ...base_configs.stage_config import read_stage_config
from ...label_files.coco.measures import check_truth
from ...multi_view.inference.checkpoints import CheckpointError, check_weights
from ...multi_view.inference.safe_loading import refusing_code
from ...pseudo_labels.annotation.annotation_hook import AnnotationHook
from ...pseudo_labels.annotation.detection_hook import DetectionHook
from ...pseudo_labels.annotation.unlabeled import UnlabeledDataset
from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ..processes.log import say
from .fingerprint import find_annotation_files
from .gains import check_evaluator
from .stage_options import change_config, check_options, fit_options

# The stages in which teachers run on views.
ANNOTATING = ('annotate', 'validate', 'tune')


@dataclass(frozen=True)
class Experiment:
    """A folder of stage configs.

    What reads a config, such as the properties, raises the errors of `load`.

    Args:
        folder: The folder with `teacher.py`, `annotate.py`, `student.py` and
            the configs of the other models.
        models: The names of the models to train, out of `TRAINED`.
        options: The changes of all stage configs, as `--cfg-options` has them.
        tuned: The folder with the `annotate.py` and the `validate.py` that
            replace those of the experiment, see `TuneHook`; None to use those
            of the experiment.
        given: The checkpoints of teachers that are given; empty for those that
            the configs name, if they name any.

    Raises:
        FileNotFoundError: If a stage config does not exist.
    """

    folder: Path
    models: tuple[str, ...] = ('teacher', 'student')
    options: tuple[str, ...] = ()
    tuned: Path | None = None
    given: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for stage in ('annotate', *self.models):
            if not self.config(stage).is_file():
                raise FileNotFoundError(
                    f'{self.folder} is no experiment with these options: '
                    f'{self.config(stage)} not found'
                )

    def config(self, stage: str) -> Path:
        """Return where the config of a stage is.

        Args:
            stage: The name of the stage.

        Returns:
            The path, which need not exist; what tuning wrote comes first.
        """
        is_tuned = self.tuned and stage in ('annotate', 'validate')
        folder = self.tuned if is_tuned else self.folder
        return (folder or self.folder) / f'{stage}.py'

    def load(self, stage: str) -> Config:
        """Read the config of a stage, changed by the options.

        Args:
            stage: The name of the stage.

        Returns:
            The config.

        Raises:
            FileNotFoundError: If the experiment has no such config.
            ImportError, StageConfigError: If it cannot be read.
            ValueError: If an option is not `KEY=VALUE`, or does not fit.
        """
        cfg = self._read(stage)
        cfg.merge_from_dict(self.make_values(stage))
        # The options of the user come last, so that they win.
        change_config(cfg, self.options, str(self.config(stage)))
        return cfg

    def _read(self, stage: str) -> Config:
        """Read the config of a stage as it is in its file."""
        return read_stage_config(self.config(stage), self._advise(stage))

    def _advise(self, stage: str) -> str:
        """Say what to do about a config that cannot be used."""
        if self.config(stage).parent != self.tuned:
            return 'correct it'
        return (
            f'delete {self.tuned}/annotate.py, and the same command chooses '
            'views and merger again'
        )

    @property
    def teachers(self) -> tuple[Path, ...]:
        """The checkpoints of given teachers; none if a teacher is trained."""
        if self.given:
            return self.given
        named = self._read('annotate').get('given_teachers')
        return tuple(map(Path, named or ()))

    def make_values(self, stage: str) -> dict[str, object]:
        """Return what the given teachers change in the config of a stage.

        A teacher after the first has the config of the one in its place, or
        that of the first teacher.

        Args:
            stage: The name of the stage.

        Returns:
            Key with dots -> value, for `--cfg-json`; empty if nothing changes.
        """
        if not self.given or stage not in ANNOTATING:
            return {}
        model = self._read(stage).model.to_dict()
        known = list(model.get('other_teachers') or ())
        # What the config says of a teacher, such as its classes, holds for the
        # one that takes its place.
        others = [
            {**(known[n] if n < len(known) else {}), 'checkpoint': str(file)}
            for n, file in enumerate(self.given[1:])
        ]
        is_changed = bool(others or known)
        return {'model.other_teachers': others} if is_changed else {}

    def count_iterations(self, stage: str) -> int:
        """Return the number of iterations of a whole training.

        Args:
            stage: The name of the model.

        Returns:
            The `max_iters` of its config.

        Raises:
            ValueError: If the config counts epochs.
        """
        train_cfg = self.load(stage).train_cfg
        if 'max_iters' not in train_cfg:
            raise ValueError(
                f'{stage}.py must count iterations (IterBasedTrainLoop) for a '
                f'plan, got train_cfg={dict(train_cfg)}, which counts epochs'
            )
        return train_cfg.max_iters

    def list_options(self, stage: str) -> list[str]:
        """List the options that a stage gets, see `fit_options`.

        Args:
            stage: The name of the stage.

        Returns:
            The options as `--cfg-options` takes them; empty if none is for it.
        """
        if not self.options:
            return []
        return fit_options(self.options, self._read(stage))

    def check_options(self) -> None:
        """Check that every stage can use its options; say who gets which.

        Raises:
            ValueError: If an option reaches no stage, or a stage cannot use
                it.
        """
        if not self.options:  # No config has to be read.
            return
        stages = [*self.models, 'annotate']
        for stage in ('validate', 'tune'):
            if self.config(stage).is_file():
                stages.append(stage)
        configs = {stage: self._read(stage) for stage in stages}
        for line in check_options(self.options, configs):
            say(line)

    def check(self, can_teach: bool = False) -> None:
        """Find the mistakes in later stages before the first training.

        Args:
            can_teach: Whether the student must be able to be a teacher.

        Raises:
            ValueError: If the data or the options of a stage cannot be used.
            FileNotFoundError, ImportError: If a file or module is missing.
            CheckpointError: If the student cannot be a teacher.
        """
        self.check_options()
        for model in self.models if self.can_evaluate else ():
            check_evaluator(self.load(model), self.config(model))
        find_pseudo_label_key(self.load('student'))
        images = self.build_images('annotate')
        hook = self.build_detection_hook('annotate')
        if truth := self.unlabeled_truth:
            ids = [one['id'] for one in hook.labeled_set.categories]
            where = f'`unlabeled_truth` of {self.config("annotate")}'
            check_truth(truth, images.map_image_ids(), ids, where)
        hook.check_data(images)
        if can_teach:
            self._check_students_are_compared()
            self._check_student_can_teach()

    def _check_student_can_teach(self) -> None:
        """Check that annotation can load the student's weights."""
        with refusing_code():
            teacher = MODELS.build(self.load('annotate').model.module)
            student = MODELS.build(self.load('student').model)
        try:
            check_weights(teacher, student.state_dict())
        except CheckpointError as error:
            raise CheckpointError(
                f'the student of {self.config("student")} cannot be the next '
                f'teacher, because the teacher is another model: {error}'
            ) from None

    def _check_students_are_compared(self) -> None:
        """Check that it can be told whether another round helps."""
        if not self.can_evaluate:
            raise ValueError(
                '--rounds ends when a student is not better than its teacher '
                f'on the validation images, and {self.folder} has none: leave '
                '--rounds out'
            )

    @property
    def seed(self) -> int | None:
        """The random seed that `teacher.py` sets; None if it sets none."""
        return (self.load('teacher').get('randomness') or {}).get('seed')

    @property
    def is_label_free(self) -> bool:
        """Whether the student is trained on pseudo labels alone."""
        files = find_annotation_files(self.load('student').train_dataloader)
        return all(file.endswith(PSEUDO_LABELS) for file in files)

    @property
    def can_evaluate(self) -> bool:
        """Whether there are validation images to evaluate models on."""
        return bool(self.load('student').get('test_evaluator'))

    @property
    def unlabeled_truth(self) -> str | None:
        """The COCO file of the true objects; None if they are not known."""
        return self.load('annotate').get('unlabeled_truth')

    def build_images(self, stage: str) -> UnlabeledDataset:
        """Build the dataset of the images that a stage annotates.

        Args:
            stage: `annotate`, `validate` or `tune`.

        Returns:
            The dataset, as the config of the stage defines it.

        Raises:
            FileNotFoundError, CocoError, ValueError: See `UnlabeledDataset`.
        """
        cfg = self.load(stage)
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        with naming(f'test_dataloader.dataset of {self.config(stage)}'):
            return DATASETS.build(cfg.test_dataloader.dataset)

    def build_detection_hook(self, stage: str) -> DetectionHook:
        """Build the hook that stores the detections of a stage.

        Args:
            stage: `annotate`, `validate` or `tune`.

        Returns:
            The hook.

        Raises:
            ValueError: If the config does not have exactly one such hook.
        """
        return self._build_detection_hook(stage)[1]

    def _build_detection_hook(self, stage: str) -> tuple[int, DetectionHook]:
        """Return the index of the hook in `custom_hooks`, and the hook."""
        expected = AnnotationHook if stage == 'annotate' else DetectionHook
        cfg = self.load(stage)
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        with naming(f'a hook in custom_hooks of {self.config(stage)}'):
            hooks = [HOOKS.build(h) for h in cfg.get('custom_hooks') or []]
        found = [
            (place, hook)
            for place, hook in enumerate(hooks)
            if isinstance(hook, expected)
        ]
        if len(found) != 1:
            raise ValueError(
                f'custom_hooks of {self.config(stage)} must have one '
                f'{expected.__name__}, found {len(found)}; '
                f'{self._advise(stage)}'
            )
        return found[0]

    def find_validation_key(self) -> str | None:
        """Find where `annotate.py` names detections on validation images.

        Returns:
            The key with dots, for `--cfg-options`; None if selection needs no
            such detections, or no `validate.py` makes them.
        """
        place, hook = self._build_detection_hook('annotate')
        is_made = self.config('validate').is_file()
        if not (hook.rules.validation and is_made):
            return None
        return f'custom_hooks.{place}.selection.validation.detections'


def find_pseudo_label_key(config: Config) -> str:
    """Find where the config of a student names the file of pseudo labels.

    Args:
        config: The config of the student.

    Returns:
        The key with dots, for `--cfg-options`.

    Raises:
        ValueError: If the config does not name exactly one
            `pseudo_labels.json`.
    """
    loader = config.train_dataloader
    keys = list(find_values(loader, 'train_dataloader'))
    if len(keys) != 1:
        raise ValueError(
            f'train_dataloader of {config.filename} must name one ann_file '
            f'.../{PSEUDO_LABELS}, found {len(keys)}'
        )
    return keys[0]


def find_values(value: object, key: str) -> Iterator[str]:
    """Find the values that name the file of pseudo labels.

    Args:
        value: A part of a config.
        key: The key of this part, with dots.

    Yields:
        The key of each, with dots, in the order of the config.
    """
    children: list = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, (list, tuple)):
        children = list(enumerate(value))
    elif str(value).endswith(PSEUDO_LABELS):
        yield key
    for name, child in children:
        yield from find_values(child, f'{key}.{name}')


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say what cannot be built; MMEngine does not say in which file it is.

    Args:
        what: The part and its file, for the error.

    Yields:
        Nothing.

    Raises:
        ValueError: If the type is unknown, or does not take these arguments.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'{what} cannot be built: {error}') from error
