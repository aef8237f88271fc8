"""Writes the stage configs of an experiment for any detector."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from .config_cards import CARDS
from .config_text import (
    Expression,
    change_inside,
    format_config,
    join_changes,
)
from .detector import DetectorConfig, take_pipeline
from .overrides import (
    drop_own_data,
    override_checkpoint,
    override_imports,
    override_loader,
    override_run,
    override_variables,
)
from .plan import Data, Images, Plan
from .schedule import Schedule
from .views import Views, choose_tuning_images, find_flips


@dataclass(frozen=True)
class NewExperiment:
    """The stage configs of an experiment.

    `make_STAGE` returns the settings of a stage as `format_config` takes them:
    name -> value, with comments among the names. What makes settings raises a
    ValueError or KeyError if the detector's config cannot be fitted.

    Args:
        name: The folder of the results below `work_dirs/`.
        detector: The detector, with its data pipeline and its schedule.
        data: The data of the experiment.
        plan: The numbers of the experiment.
    """

    name: str
    detector: DetectorConfig
    data: Data
    plan: Plan

    def write(self, folder: Path) -> None:
        """Write the files, in place of those with these names.

        Args:
            folder: The folder to write to; it is made if it does not exist.

        Raises:
            ValueError, KeyError: If the detector's config cannot be fitted.
            OSError: If the folder or a file cannot be written.
        """
        stages = self._configure_stages(self.detector.find_base(folder))
        folder.mkdir(parents=True, exist_ok=True)
        self.detector.copy_to(folder)
        for stage, (base, settings) in stages.items():
            card = {**CARDS, **self.cards}[stage].format(
                work_dir=shlex.quote(f'work_dirs/{self.name}/{stage}'),
                detector=self.detector.name,
            )
            text = format_config(card, base, settings)
            (folder / f'{stage}.py').write_text(text, encoding='utf-8')

    # The docstrings that differ from `CARDS`.
    cards: ClassVar[Mapping[str, str]] = {}
    # The variable with the images that the first model is trained on.
    trained: ClassVar[str] = 'labeled'

    def _configure_stages(self, base: str) -> dict[str, tuple]:
        """Return what each stage inherits from, and its settings."""
        stages: dict[str, tuple] = {
            **self._configure_first_stages(base),
            'annotate': ('./teacher.py', self.make_annotate()),
            'validate': ('./annotate.py', self.make_validate()),
            'student': ('./supervised_long.py', self.make_student()),
        }
        if self._made_views.may_be_tuned:
            stages['tune'] = './validate.py', self.make_tune()
        if truth := self.data.truth_file:
            oracle = dict(train_dataloader=self._join_datasets(truth))
            stages['oracle'] = './supervised_long.py', oracle
        return stages

    def _configure_first_stages(self, base: str) -> Mapping[str, tuple]:
        return {
            'teacher': (base, self.make_teacher()),
            'supervised_long': ('./teacher.py', self.make_control()),
        }

    @property
    def annotator(self) -> DetectorConfig:
        """The detector that annotates."""
        return self.detector

    def make_teacher(self) -> dict:
        """Return the settings of `teacher.py`, name -> value."""
        settings = {
            '# The categories, in the order of their COCO file.': None,
            'metainfo': dict(classes=self.data.classes),
            **self._configure_datasets(),
            **self._configure_model(),
            **self._configure_loaders(),
            **self._configure_evaluation(),
            **self._configure_schedule(),
            **override_run(self.detector),
            **self._configure_runtime(),
        }
        settings = override_variables(self.detector, settings)
        return drop_own_data(self.detector, settings)

    def _configure_datasets(self) -> dict:
        return {
            "# The images with labels, in the detector's pipeline.": None,
            'labeled': self._make_training_set(self.data.labeled, {}),
            '# The images to annotate.': None,
            'unlabeled': self._configure_unlabeled(),
            '# For validation; none may be among the unlabeled images.': None,
            'held_out': self.data.val.known,
            **self._configure_truth(),
        }

    def _configure_truth(self) -> dict:
        if not self.data.truth_file:
            return {}
        return {
            '# To compare with, and to train the oracle on.': None,
            'unlabeled_truth': self.data.truth_file,
        }

    def _make_training_set(self, images: Images, filters: Mapping) -> dict:
        """Return a dataset as the detector's, with other filters."""
        dataset, factor = self.detector.train_dataset, self.plan.size_factor
        trained: dict = dict(
            type='CheckedCocoDataset',
            **images.source,
            metainfo=Expression('metainfo'),
            pipeline=take_pipeline(dataset, factor),
        )
        if filters := {**dataset.filter_settings, **filters}:
            trained['filter_cfg'] = filters
        return dataset.wrap(
            trained,
            lambda: take_pipeline(dataset, factor, is_mix=True),
        )

    def _configure_unlabeled(self) -> dict:
        return dict(
            type='UnlabeledDataset',
            **self.data.unlabeled.source,
            metainfo=Expression('metainfo'),
            pipeline=self._made_views.pipeline(),
        )

    @property
    def _made_views(self) -> Views:
        return Views(self.annotator, self.plan)

    def _configure_model(self) -> dict:
        detector, factor = self.detector, self.plan.size_factor
        changes = join_changes(
            detector.make_num_class_changes(len(self.data.classes)),
            detector.make_norm_changes(),
        )
        if self.plan.from_scratch:
            changes = join_changes(changes, detector.make_scratch_changes())
        if factor != 1:
            changes = join_changes(
                changes, detector.make_image_size_changes(factor)
            )
        settings: dict[str, object] = dict(model=changes)
        if self.plan.from_scratch and detector.cfg.get('load_from'):
            settings['load_from'] = None
        return settings

    def _configure_loaders(self) -> dict:
        loader = {
            'dataset': dict(_delete_=True, **self._make_test_set()),
            **override_loader(self.detector, 'val_dataloader'),
            **override_loader(self.detector, 'test_dataloader'),
        }
        return dict(
            train_dataloader=dict(
                batch_size=self.plan.batch_size,
                sampler=dict(
                    _delete_=True, type='InfiniteSampler', shuffle=True
                ),
                batch_sampler=None,
                dataset=Expression(self.trained, dict(_delete_=True)),
                **override_loader(self.detector, 'train_dataloader'),
            ),
            **self._set_for_test_and_val('dataloader', loader),
        )

    def _make_test_set(self) -> dict:
        return dict(
            type='CheckedCocoDataset',
            **self.data.val.source,
            metainfo=Expression('metainfo'),
            test_mode=True,
            pipeline=take_pipeline(
                self.detector.test_dataset, self.plan.size_factor
            ),
        )

    def _set_for_test_and_val(self, name: str, value: dict) -> dict:
        """Return a setting for tests, and for validation if there is one."""
        if not self.detector.cfg.get('val_dataloader'):
            return {f'test_{name}': value}
        return {
            f'val_{name}': value,
            f'test_{name}': Expression(f'val_{name}'),
        }

    def _configure_evaluation(self) -> dict:
        evaluator = dict(
            _delete_=True,
            **self.detector.evaluator,
            ann_file=self.data.val.ann_file,
            classwise=True,
        )
        return self._set_for_test_and_val('evaluator', evaluator)

    def _configure_schedule(self) -> dict:
        settings = self._configure_length(self.plan.iterations)
        # Merged, the `max_epochs` of the base would stay beside `max_iters`.
        settings['train_cfg'].update(_delete_=True, type='IterBasedTrainLoop')
        hooks = settings['default_hooks']
        # Of 2 checkpoints, one is left if the last is cut short.
        hooks['checkpoint'].update(
            by_epoch=False,
            max_keep_ckpts=2,
            **override_checkpoint(self.detector, self.data.classes),
        )
        hooks['resume'] = dict(type='ResumeHook')
        if self._detector_schedule.is_in_epochs:
            total = self._detector_schedule.total
            hooks['epoch'] = dict(type='EpochHook', max_epochs=total)
        if self._detector_schedule.hooks:
            settings['custom_hooks'] = self._detector_schedule.scale_hooks(
                self.plan.iterations, self.plan.size_factor
            )
        return settings

    def _configure_length(self, max_iters: int) -> dict:
        """Return the settings that depend on the length of a training."""
        images = self.plan.images_per_iteration
        return self._detector_schedule.make_length(max_iters, images)

    @property
    def _detector_schedule(self) -> Schedule:
        return Schedule.of(self.detector.cfg)

    def _configure_runtime(self) -> dict:
        settings: dict[str, object] = dict(
            custom_imports=override_imports(self.detector),
            log_processor=dict(by_epoch=False),
        )
        if base := self._detector_schedule.images_per_iteration:
            note = "# The learning rate is scaled from the detector's batch."
            settings[note] = None
            settings['auto_scale_lr'] = dict(enable=True, base_batch_size=base)
        return settings

    def make_annotate(self) -> dict:
        """Return the settings of `annotate.py`, name -> value."""
        model = dict(
            _delete_=True,
            type='MultiViewTTA',
            module=Expression('_base_.model'),
            merger=self._made_views.recipe.merger,
        )
        if self.detector.has_masks:
            model['masks'] = dict(self._made_views.recipe.masks)
        settings = {}
        if not self.annotator.pipeline_makes_views:
            flips = ['horizontal'] if self.plan.flip else []
            settings = self._made_views.settings(
                self._made_views.recipe.scales
            )
            model['views'] = self._made_views.on_device(flips)
        hook = dict(
            type='AnnotationHook',
            labeled=self.data.labeled.known,
            held_out=[Expression('_base_.held_out')],
        )
        if selection := self._configure_selection():
            hook['selection'] = selection
        return {
            **settings,
            'model': model,
            'test_dataloader': dict(
                sampler=dict(_delete_=True, type='PendingSampler'),
                dataset=Expression('_base_.unlabeled', dict(_delete_=True)),
            ),
            'test_evaluator': Expression('[]'),
            'custom_hooks': [hook],
        }

    def _configure_selection(self) -> dict:
        """Return the arguments of `SelectionRules`."""
        found = f'work_dirs/{self.name}/validate/detections'
        recipe, has_masks = self.plan.recipe, self.detector.has_masks
        selection = recipe.make_selection(found, has_masks)
        if self._filters_empty:
            path = f'{self._labeled_path}.filter_cfg.filter_empty_gt'
            selection['counts_empty'] = Expression(f'not {path}')
        chosen = self.plan.selector
        return {**selection, 'selector': dict(chosen)} if chosen else selection

    @property
    def _filters_empty(self) -> bool:
        """Whether labeled images without any object are left out."""
        filters = self.detector.train_dataset.filter_settings
        return bool(filters.get('filter_empty_gt'))

    @property
    def _labeled_path(self) -> str:
        """The path of the labeled images in a config that inherits."""
        depth = self.detector.train_dataset.num_wrappers
        return '_base_.labeled' + depth * '.dataset'

    def make_tune(self) -> dict:
        """Return the settings of `tune.py`, name -> value."""
        flips = find_flips(self.annotator) if self.plan.flip else []
        settings = self._made_views.settings(
            self._made_views.recipe.candidates
        )
        settings |= choose_tuning_images(self.data.val.count)
        hook = dict(
            type='TuneHook',
            labeled=Expression('_base_.custom_hooks[0].labeled'),
            ann_file=Expression('_base_.held_out.ann_file'),
        )
        views = self._made_views.on_device(flips)
        model = dict(keep_views=True, views=views)
        if self.detector.has_masks and 'roi_head' in self.annotator.cfg.model:
            # Views are judged by boxes, and here masks are found after them.
            model['masks'] = None
        return dict(settings, model=model, custom_hooks=[hook])

    def make_validate(self) -> dict:
        """Return the settings of `validate.py`, name -> value."""
        hook = Expression('_base_.custom_hooks[0].labeled')
        return dict(
            test_dataloader=dict(dataset=self.data.val.source),
            custom_hooks=[dict(type='DetectionHook', labeled=hook)],
        )

    def make_control(self) -> dict:
        """Return the settings of `supervised_long.py`, name -> value."""
        max_iters = self.plan.student_iterations
        settings = self._configure_length(max_iters)
        schedule = self._detector_schedule
        if schedule.hooks:
            settings['custom_hooks'] = schedule.lengthen_hooks(max_iters)
        return settings

    def make_student(self) -> dict:
        """Return the settings of `student.py`, name -> value."""
        labels = f'work_dirs/{self.name}/annotate/{PSEUDO_LABELS}'
        # An image without a pseudo label has been looked at, unlike a labeled
        # one without an object: `max_empty_share` decides about it.
        loader = self._join_datasets(labels, keeps_empty=True)
        loader['sampler'] = dict(
            _delete_=True,
            type='SourceRatioSampler',
            ratio=list(self.plan.ratio),
        )
        hooks: list[dict | Expression] = [dict(type='IgnoreRegionsHook')]
        if self.detector.cfg.get('custom_hooks'):
            hooks = [Expression('*_base_.custom_hooks'), *hooks]
        note = '# Acts only if annotate.py marks regions to ignore.'
        return {'train_dataloader': loader, note: None, 'custom_hooks': hooks}

    def _join_datasets(self, ann_file: str, keeps_empty: bool = False) -> dict:
        """Return a loader of the labeled images and of those of a file."""
        source: dict[str, object] = dict(
            ann_file=ann_file, data_prefix=dict(img=self.data.unlabeled.folder)
        )
        if keeps_empty and self._filters_empty:
            source['filter_cfg'] = Expression(
                f'{self._labeled_path}.filter_cfg', dict(filter_empty_gt=False)
            )
        depth = self.detector.train_dataset.num_wrappers
        other = change_inside('_base_.labeled', depth, source)
        return dict(
            dataset=dict(
                _delete_=True,
                type='ConcatDataset',
                datasets=[Expression('_base_.labeled'), other],
            )
        )
