"""AnnotationHook: turns the detections of a test run into pseudo labels."""

from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.runner import Runner

from ..coco.reading import check_disjoint, read_coco
from ..selection.export import export_pseudo_labels
from ..selection.rules import SelectionRules
from .dataset import UnlabeledDataset
from .detection_hook import DetectionHook
from .log import say


@HOOKS.register_module()
class AnnotationHook(DetectionHook):
    """Stores the detections of a test run, then writes the pseudo labels.

    Beside `detections/*.parquet`, in the work folder, once every image is
    there: `pseudo_labels.json`. The process that finishes last selects and
    writes. See `DetectionHook` for the rest.

    Args:
        labeled: The labeled set, `dict(ann_file=..., img_prefix=...)`: its
            categories and instances per image are what the pseudo labels
            shall have.
        held_out: Sets that no pseudo label may come from (validation, test),
            each as `labeled`.
        selection: The arguments of `SelectionRules`.
        **kwargs: See `DetectionHook`.

    Source:
        Paper, section 3: generating labels on unlabeled data.
    """

    purpose = 'pseudo labels'

    def __init__(
        self,
        labeled: dict,
        held_out: Sequence[dict] = (),
        selection: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(labeled, **kwargs)
        self.held_out = held_out
        self.rules = SelectionRules(**(selection or {}))

    def check_data(self, dataset: UnlabeledDataset) -> None:
        """Check the unlabeled images and the labeled file.

        Args:
            dataset: The images to annotate.

        Raises:
            CocoError: If the classes are not the labeled file's categories, or
                unlabeled images are in the labeled or a held-out set.
        """
        super().check_data(dataset)
        for known in self.held_out:
            images = read_coco(known['ann_file'], 'images')['images']
            names = [image['file_name'] for image in images]
            check_disjoint(self._paths, names, known)

    def _begin(self, runner: Runner) -> None:
        if get_rank() == 0:  # With a validation set it takes a minute.
            self.rules.check(self._store.provenance, self._labeled)
        super()._begin(runner)

    def after_all_images(self, runner: Runner) -> None:
        """Select and write the pseudo labels.

        Args:
            runner: The runner.
        """
        text = export_pseudo_labels(
            self._store.read(self._image_ids),
            self._categories,
            self._labeled,
            self.rules,
            self._store.provenance,
            Path(runner.work_dir) / 'pseudo_labels.json',
        )
        say(text)
