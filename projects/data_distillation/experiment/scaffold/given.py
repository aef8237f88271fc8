"""Makes the stage configs of an experiment whose teacher is given."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...base_configs.config_reading import DetectorError, get_type
from ...base_configs.wrappers import Dataset
from ..given_teachers.prompts import TEXT_KEYS, as_caption_prompt, choose_texts
from ..given_teachers.teacher import GivenTeacher
from .config_cards import GIVEN_CARDS
from .config_text import Expression
from .detector import DetectorConfig
from .overrides import override_variables
from .plan import ViewRecipe
from .stage_configs import NewExperiment
from .views import Views

# The steps of a test pipeline that need labels, which no image has here.
LABELS = ('LoadAnnotations', 'FilterAnnotations')


@dataclass(frozen=True)
class TeacherConfig(DetectorConfig):
    """The config of a given teacher: its pipelines are in `given_teacher.py`.

    It needs no training, so that it may be one that learns from masks too.

    Args:
        name: The path of the checkpoint.
        cfg: The content of the config.
        keys: What else a teacher must know of an image.
    """

    keys: tuple[str, ...] = ()
    tta_path = '_base_.teacher_tta_pipeline'

    @classmethod
    def of(
        cls, teacher: GivenTeacher, keys: tuple[str, ...] = ()
    ) -> 'TeacherConfig':
        """Make the config of a teacher.

        Args:
            teacher: The teacher.
            keys: What else a teacher must know of an image.

        Raises:
            DetectorError: If views of images cannot be made for it.
        """
        config = cls(str(teacher.checkpoint), teacher.cfg, keys)
        loader = teacher.cfg.get('test_dataloader') or {}
        if not (loader.get('dataset') and config.test_dataset.config):
            raise DetectorError(
                f'the config of {config.name} needs a `test_dataloader` with '
                'a pipeline, which says how it sees images'
            )
        config.check_views()
        return config

    @property
    def train_dataset(self) -> Dataset:
        """The dataset on which it was trained; an empty one if unknown."""
        loader = self.cfg.get('train_dataloader') or {}
        try:
            return Dataset.of(loader.get('dataset') or {}, '')
        except DetectorError:  # It is not trained here.
            return Dataset('', {})

    @property
    def test_dataset(self) -> Dataset:
        """The dataset on which the detector is tested, without labels."""
        found = Dataset.of(self.cfg.test_dataloader.dataset, '')
        pipeline = [
            step
            for step in found.config.get('pipeline', ())
            if get_type(step) not in LABELS
        ]
        pipeline = [pack_too(step, self.keys) for step in pipeline]
        config = dict(pipeline=pipeline) if pipeline else {}
        return Dataset('_base_.teacher_dataset', config)


@dataclass(frozen=True)
class GivenExperiment(NewExperiment):
    """The stage configs of an experiment whose teacher is given.

    ```
    detector ──► supervised_long.py ──┬──► student.py, oracle.py
              given_teacher.py ──► teacher.py ──► annotate.py ──► validate.py
    ```

    Make it with `of`, which checks the teachers. Otherwise, what makes
    settings raises a `DetectorError` for one without views, and a ValueError
    for texts that cannot be used, see `choose_texts`.

    Args:
        name, detector, data, plan: See `NewExperiment`.
        teachers: At least one. All annotate the views of the first one.
        recipe: How the views are chosen and merged; None for that of `plan`.
    """

    teachers: Sequence[GivenTeacher] = ()
    recipe: ViewRecipe | None = None

    cards = GIVEN_CARDS

    @classmethod
    def of(
        cls,
        experiment: NewExperiment,
        teachers: Sequence[GivenTeacher],
        recipe: ViewRecipe,
    ) -> 'GivenExperiment':
        """Make an experiment with given teachers, and check that they fit.

        Args:
            experiment: The experiment in which a teacher would be trained.
            teachers: The teachers, at least one.
            recipe: How the views are chosen and merged.

        Returns:
            The experiment.

        Raises:
            DetectorError: If the detector of a teacher cannot be built or read
                the texts, or gives no masks to a student that learns them.
            CheckpointError: If the weights of one are NaN or those of another
                model, or it lacks a class.
            ValueError: If a prompt or the text of a class cannot be used.
            FileNotFoundError: If a checkpoint does not exist.
        """
        for teacher in teachers:
            if experiment.detector.has_masks:
                require_masks(teacher)
            teacher.check(experiment.data.classes)
        return cls(
            experiment.name,
            experiment.detector,
            experiment.data,
            experiment.plan,
            teachers,
            recipe,
        )

    @property
    def annotator(self) -> DetectorConfig:
        """The detector that annotates."""
        return TeacherConfig.of(self.teachers[0], self._keys)

    @property
    def _keys(self) -> tuple[str, ...]:
        """What the teachers must know of an image beside its size."""
        return TEXT_KEYS if self._texts else ()

    @property
    def _texts(self) -> dict[str, str]:
        """The text of each class; empty if no teacher reads texts."""
        reading = [one for one in self.teachers if one.reads_texts]
        prompt = reading[0].prompt if reading else ()
        return choose_texts(self.data.classes, prompt) if reading else {}

    @property
    def _made_views(self) -> Views:
        # The image size of the user is that of the student.
        recipe = self.recipe or self.plan.recipe
        plan = replace(self.plan, size_factor=1.0, recipe=recipe)
        return Views(self.annotator, plan, self._keys)

    def _configure_first_stages(self, base: str) -> Mapping[str, tuple]:
        """Return what the first stages inherit from, and their settings."""
        return {
            'supervised_long': (base, self.make_control()),
            'given_teacher': (None, self.make_given_teacher()),
            'teacher': (
                ['./supervised_long.py', './given_teacher.py'],
                self.make_teacher(),
            ),
        }

    def make_control(self) -> dict:
        """Make the settings of `supervised_long.py`, the data among them.

        Returns:
            Name -> value.
        """
        long = replace(self.plan, iterations=self.plan.student_iterations)
        settings = NewExperiment.make_teacher(replace(self, plan=long))
        # teacher.py has them, with what the given teacher must know.
        for key in ('# The images to annotate.', 'unlabeled'):
            settings.pop(key, None)
        return settings

    def make_given_teacher(self) -> dict:
        """Make the settings of `given_teacher.py`.

        Returns:
            Name -> value, with comments as keys, see `format_config`.
        """
        first, *others = self.teachers
        annotator = self.annotator
        settings: dict[str, object] = {
            '# The checkpoints: the first is evaluated as the teacher.': None,
            'given_teachers': [str(one.checkpoint) for one in self.teachers],
            '# Its detector.': None,
            'teacher_model': as_literals(first.module),
            '# How it sees images when it is tested.': None,
            'teacher_dataset': as_literals(annotator.test_dataset.config),
        }
        if annotator.has_own_views:
            views = [
                pack_too(step, self._keys)
                for step in annotator.cfg.tta_pipeline
            ]
            settings['teacher_tta_pipeline'] = as_literals(views)
        if self._texts:
            settings['# What it looks for: a text for each class.'] = None
            settings['teacher_texts'] = as_caption_prompt(self._texts)
        if others:
            settings['# More teachers, on the views of the first.'] = None
            settings['other_teachers'] = [
                dict(
                    checkpoint=str(one.checkpoint),
                    module=as_literals(one.module),
                    **name_classes(one),
                )
                for one in others
            ]
        return settings

    def make_teacher(self) -> dict:
        """Make the settings of `teacher.py`, which evaluates the teacher.

        Returns:
            Name -> value, with comments as keys, see `format_config`.
        """
        pipeline = Expression('_base_.teacher_dataset.pipeline')
        texts: dict[str, object] = {}
        if self._texts:
            prompt = Expression('_base_.teacher_texts')
            texts = dict(return_classes=True, caption_prompt=prompt)
        settings: dict[str, object] = {
            '# The images to annotate.': None,
            'unlabeled': dict(
                self._configure_unlabeled(),
                metainfo=Expression('_base_.metainfo'),
                **texts,
            ),
            '# The teacher is tested as its own config does it.': None,
            'test_pipeline': pipeline,
            'model': dict(
                _delete_=True,
                type='GivenDetector',
                module=Expression('_base_.teacher_model'),
                **name_classes(self.teachers[0]),
            ),
            'test_dataloader': dict(dataset=dict(pipeline=pipeline, **texts)),
            'custom_hooks': [dict(type='GivenDetectorHook')],
        }
        if imports := self._list_imports():
            names = [Expression('*_base_.custom_imports.imports'), *imports]
            settings['custom_imports'] = dict(imports=names)
        return override_variables(self.detector, settings)

    def _list_imports(self) -> list[str]:
        """List the modules that only the teachers need."""
        known = {'projects.data_distillation'}
        return [
            name
            for name in dict.fromkeys(
                name for one in self.teachers for name in one.imports
            )
            if name not in known
        ]

    def make_annotate(self) -> dict:
        """Make the settings of `annotate.py`.

        Returns:
            Name -> value, with comments as keys, see `format_config`.
        """
        settings = super().make_annotate()
        model = dict(settings['model'])
        model['module'] = Expression('_base_.teacher_model')
        model |= name_classes(self.teachers[0])
        if len(self.teachers) > 1:
            model['other_teachers'] = Expression('_base_.other_teachers')
        return dict(settings, model=model)

    def explain(self, lines: Iterable[str]) -> Iterator[str]:
        """Replace what is said of the teacher.

        Args:
            lines: The lines for an experiment in which a teacher is trained.

        Yields:
            Lines for the user; given teachers replace the line `teacher`.

        Raises:
            DetectorError: If views cannot be made for one of the teachers.
        """
        for line in lines:
            if line.startswith('teacher '):
                yield from self._explain_teachers()
            else:
                yield line

    def _explain_teachers(self) -> Iterator[str]:
        for number, teacher in enumerate(self.teachers, 1):
            name = f'teacher{number if number > 1 else ""}'
            yield f'{name:12}{teacher.describe()}'
        if texts := self._texts:
            yield f'{"":12}looks for: {"; ".join(texts.values())}'
        annotator = self.annotator
        if annotator.pipeline_makes_views and annotator.test_resize:
            yield (
                f'{"":12}views: its test pipeline has {annotator.unmade}, so '
                'that the pipeline makes them, which is slower; there is no '
                'tune.py'
            )
        for teacher in self.teachers[1:]:
            config = TeacherConfig.of(teacher, self._keys)
            other = config.test_dataset.config
            if other != annotator.test_dataset.config:
                yield (
                    f'{"":12}{teacher.checkpoint} sees the views of the first '
                    'teacher, not those of its own test pipeline'
                )


def pack_too(step: Mapping, keys: Sequence[str]) -> Mapping:
    """Let the transform that packs an image pack more of it.

    Args:
        step: The config of a transform, or of a `TestTimeAug` with many.
        keys: What to pack too.

    Returns:
        The config; a changed copy if it packs.
    """
    if keys and get_type(step) == 'TestTimeAug':
        ways = [[pack_too(one, keys) for one in s] for s in step['transforms']]
        return dict(step, transforms=ways)
    if not keys or get_type(step) != 'PackDetInputs':
        return step
    packed = dict.fromkeys((*step.get('meta_keys', ()), *keys))
    return dict(step, meta_keys=tuple(packed))


def require_masks(teacher: GivenTeacher) -> None:
    """Check that a teacher of a student that learns masks has some.

    Args:
        teacher: The teacher.

    Raises:
        DetectorError: If its config trains on boxes alone or on nothing, or
            if views of images cannot be made for it.
    """
    if not TeacherConfig.of(teacher).has_masks:
        raise DetectorError(
            f'the student learns masks, and {teacher.checkpoint} gives none: '
            'its config trains on boxes. Take a detector of boxes as the '
            'student, or a teacher that segments instances'
        )


def name_classes(teacher: GivenTeacher) -> dict:
    """Collect the names of classes that the configs must say.

    Args:
        teacher: The teacher.

    Returns:
        `classes` and `class_map`; each is left out if the checkpoint says it.
    """
    names: dict[str, object] = {}
    if teacher.names.classes:
        names['classes'] = list(teacher.names.classes)
    if teacher.names.renamed:
        names['class_map'] = dict(teacher.names.renamed)
    return names


def as_literals(value: object) -> object:
    """Convert a config so that it can be written as Python and read again.

    Args:
        value: The config, or a part of it.

    Returns:
        A copy; numbers that are not finite become Python text.
    """
    if isinstance(value, Mapping):
        return {key: as_literals(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(as_literals, value))
    if isinstance(value, float) and not math.isfinite(value):
        return Expression(f"float('{value}')")
    return value
