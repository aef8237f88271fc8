"""Makes the stage configs of an experiment without labeled images."""

from dataclasses import dataclass, replace

from ...base_configs.config_reading import get_type
from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ..scaffold.config_cards import GIVEN_CARDS
from ..scaffold.config_text import Expression, change_inside
from ..scaffold.detector import take_pipeline
from ..scaffold.given import LABELS, GivenExperiment
from ..scaffold.plan import Images

STUDENT = """Student: trained on pseudo labels alone.

This config sets the data, the detector of the student and its schedule; the
other stages inherit them. `python tools/distill.py EXPERIMENT` runs them all.
Run annotate.py first.

Command: python tools/train.py EXPERIMENT/student.py

Detector: {detector}
"""
ORACLE = """Oracle: trained on the true labels of the images, the upper bound.

Command: python tools/train.py EXPERIMENT/oracle.py
"""
UNJUDGED = """What annotate.py has of the teacher, which nothing trains.

`tools/test.py` would run it on the unlabeled images, one view of each.
"""


@dataclass(frozen=True)
class LabelFreeExperiment(GivenExperiment):
    """The stage configs of an experiment without labeled images.

    ```
    detector ──► student.py ──┬──► oracle.py
         given_teacher.py ──► teacher.py ──► annotate.py ──► validate.py
    ```

    There is no control: without pseudo labels, there is nothing to train on.
    The arguments are those of `GivenExperiment`.
    """

    cards = {**GIVEN_CARDS, 'student': STUDENT, 'oracle': ORACLE}
    trained = 'teacher_labeled'

    def _configure_stages(self, base: str) -> dict[str, tuple]:
        stages: dict[str, tuple] = {
            'student': (base, self.make_student()),
            'given_teacher': (None, self.make_given_teacher()),
            'teacher': (
                ['./student.py', './given_teacher.py'],
                self.make_teacher(),
            ),
            'annotate': ('./teacher.py', self.make_annotate()),
            **self._configure_judging(),
        }
        if self.data.truth_file:
            stages['oracle'] = './student.py', self.make_oracle()
        return stages

    def _configure_judging(self) -> dict[str, tuple]:
        """Return the stages that need validation images."""
        stages: dict[str, tuple] = {
            'validate': ('./annotate.py', self.make_validate())
        }
        if self._made_views.may_be_tuned:
            stages['tune'] = './validate.py', self.make_tune()
        return stages

    def make_student(self) -> dict:
        """Make the settings of `student.py`, the data among them.

        Returns:
            Name of the setting -> value.
        """
        settings = self.make_control()
        hooks = [*settings.get('custom_hooks', ())]
        hooks.append(dict(type='IgnoreRegionsHook'))
        note = '# The last acts only if annotate.py marks regions to ignore.'
        return {**settings, note: None, 'custom_hooks': hooks}

    def make_oracle(self) -> dict:
        """Make the settings of `oracle.py`, which change those of the student.

        Returns:
            Name of the setting -> value: the images with their true labels.
        """
        depth = self.detector.train_dataset.num_wrappers
        truth: dict[str, object] = dict(ann_file=self.data.truth_file)
        if filters := self.detector.train_dataset.filter_settings:
            truth['filter_cfg'] = dict(filters)
        images = change_inside('_base_.teacher_labeled', depth, truth)
        # Otherwise MMEngine would merge these into the images of the student.
        changes = {**(images.changes or {}), '_delete_': True}
        dataset = Expression(images.text, changes)
        return dict(train_dataloader=dict(dataset=dataset))

    def _configure_datasets(self) -> dict:
        file = f'work_dirs/{self.name}/annotate/{PSEUDO_LABELS}'
        images = replace(self.data.unlabeled, ann_file=file)
        return {
            "# The images with pseudo labels, in the detector's pipeline.": (
                None
            ),
            'teacher_labeled': self._configure_pseudo_labeled(images),
            **self._configure_held_out(),
            **self._configure_truth(),
        }

    def _configure_pseudo_labeled(self, images: Images) -> dict:
        # An image without a pseudo label has been looked at: `max_empty_share`
        # decides about it.
        filters = self.detector.train_dataset.filter_settings
        keeps_empty = dict(filter_empty_gt=False)
        is_filtered = 'filter_empty_gt' in filters
        return self._make_training_set(
            images, keeps_empty if is_filtered else {}
        )

    def _configure_held_out(self) -> dict:
        return {
            '# For validation; none may be among the unlabeled images.': None,
            'held_out': self.data.val.known,
        }

    def _configure_selection(self) -> dict:
        selection = super()._configure_selection()
        if not self.plan.selector:
            # Nothing else says how many objects an image has.
            truth = Expression('_base_.held_out.ann_file')
            selection['counted'] = [truth]
        return selection

    @property
    def _filters_empty(self) -> bool:
        return False


class UnjudgedExperiment(LabelFreeExperiment):
    """The stage configs of an experiment without any image with labels.

    No model is evaluated. `student.py` is tested on the unlabeled images,
    which shows what it finds there. The arguments are those of
    `GivenExperiment`.
    """

    cards = {**LabelFreeExperiment.cards, 'teacher': UNJUDGED}

    def _configure_judging(self) -> dict[str, tuple]:
        return {}

    def _configure_held_out(self) -> dict:
        return {}

    def _make_test_set(self) -> dict:
        dataset = self.detector.test_dataset
        steps = take_pipeline(dataset, self.plan.size_factor)
        pipeline = [
            Expression(f'{steps.text}[{i}]')
            if isinstance(steps, Expression)
            else steps[i]
            for i, step in enumerate(dataset.config['pipeline'])
            if get_type(step) not in LABELS
        ]
        return dict(
            type='UnlabeledDataset',
            **self.data.unlabeled.source,
            metainfo=Expression('metainfo'),
            pipeline=pipeline,
        )

    def _set_for_test_and_val(self, name: str, value: dict) -> dict:
        return {f'val_{name}': None, f'test_{name}': value}

    def _configure_evaluation(self) -> dict:
        return {
            # MMEngine wants all three `val_...` or none of them. A test needs
            # an evaluator too, which an empty list is.
            '# There are no validation images.': None,
            'val_cfg': None,
            'val_evaluator': None,
            'test_evaluator': Expression('[]'),
        }

    def make_annotate(self) -> dict:
        """Make the settings of `annotate.py`.

        Returns:
            Name of the setting -> value; no validation images are among them.
        """
        settings = super().make_annotate()
        (hook,) = settings['custom_hooks']
        del hook['held_out']
        return settings

    def _configure_selection(self) -> dict:
        return dict(selector=dict(self.plan.selector or {}))
