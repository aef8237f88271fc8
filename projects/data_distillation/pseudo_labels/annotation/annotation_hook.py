"""AnnotationHook: turns the detections of a test run into pseudo labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.runner import Runner

from ...label_files.coco.contents import check_disjoint
from ...label_files.coco.reading import read_coco
from ..detections.store import DetectionStore
from ..selection.coco_writer import PSEUDO_LABELS
from ..selection.export import export_pseudo_labels
from ..selection.rules import SelectionRules
from .annotation_log import log_from_any_rank
from .detection_hook import DetectionHook


@HOOKS.register_module()
class AnnotationHook(DetectionHook):
    """Stores the detections of a test run, then writes the pseudo labels.

    When every image is done, the process that finishes last selects the pseudo
    labels, and writes `pseudo_labels.json` into the work folder, beside
    `detections/*.parquet`. `DetectionHook` describes everything else.

    Args:
        labeled: The labeled set, `dict(ann_file=..., img_prefix=...)`. The
            pseudo labels are to have its categories and, with
            `MatchedSelector`, its number of instances per image.
        held_out: The sets that no pseudo label may come from, such as the
            validation and the test set, in the same form as `labeled`.
        selection: The arguments of `SelectionRules`; None for its defaults.
        **kwargs: The other arguments of `DetectionHook`.

    Raises:
        ValueError: If an argument is out of range, see `SelectionRules`.
        KeyError: If the type of a rule is not registered.
        TypeError: If an argument of a rule or of `SelectionRules` is unknown.

    Source:
        Paper, section 3: generating labels on unlabeled data.
    """

    purpose = 'pseudo labels'

    def __init__(
        self,
        labeled: dict,
        held_out: Sequence[dict] = (),
        selection: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(labeled, **kwargs)
        self.held_out = held_out
        self.rules = SelectionRules(**(selection or {}))

    def check_images(self, paths: Mapping[str, str]) -> None:
        """Check that no image is in the labeled set or in a held-out set.

        Args:
            paths: Real path -> file name of the images to annotate, see
                `resolve_paths`.

        Raises:
            CocoError: If images are shared, with their number and the first of
                them; or if such a file cannot be used, or has no images.
            FileNotFoundError: If a file of such a set does not exist.
        """
        super().check_images(paths)
        for known in self.held_out:
            images = read_coco(known['ann_file'], 'images')['images']
            names = [image['file_name'] for image in images]
            check_disjoint(paths, names, known)

    def open_store(self, runner: Runner) -> DetectionStore:
        """Open the detection store, and check that selection can use it.

        Only the process of rank 0 checks this, and not in a dry run.

        Args:
            runner: The runner.

        Returns:
            The store of the work folder, see `DetectionHook.open_store`.

        Raises:
            StoreError: If there are detections of another teacher.
            ShardError: If a shard with detections of moved images is damaged.
            ValueError, FileNotFoundError: If a selector cannot choose, or the
                labeled file, a counted file or the validation cannot be used;
                see `SelectionRules.check`.
            TypeError: If the rules of selection, the views or the merger
                cannot be written as JSON.
            OSError: If a checkpoint cannot be read, or detections of moved
                images cannot be written.
        """
        store = super().open_store(runner)
        # A dry run selects nothing, and may come before the detections on the
        # validation images. With these, the check takes a minute.
        if get_rank() == 0 and not runner.cfg.get('dry_run'):
            made_by = store.require_provenance()
            self.rules.check(made_by, self.labeled_set.counts)
        return store

    def after_all_images(self, runner: Runner) -> None:
        """Select the pseudo labels and write them.

        Args:
            runner: The runner.

        Raises:
            StoreError: If the shards are of another teacher, or lack an image.
            ValueError: If no image could be read, no image is left, or the
                rules need something that is missing.
            CocoError: If the detections, a counted file or the validation are
                of other classes, or the truth lacks a validation image.
            FileNotFoundError: If a file that the rules name is missing.
            OSError: If the file of pseudo labels cannot be written.
        """
        super().after_all_images(runner)
        store = self._run.store
        text = export_pseudo_labels(
            # Only what the dataset has now: the store keeps images that were
            # taken out of it since.
            store.read(self._run.image_ids),
            self.labeled_set.categories,
            self.labeled_set.counts,
            self.rules,
            store.require_provenance(),
            Path(runner.work_dir) / PSEUDO_LABELS,
        )
        log_from_any_rank(text)
