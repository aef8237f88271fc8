"""Hooks that turn a test run of a teacher into pseudo labels."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from .checkpoints import check_checkpoint_classes, check_weights, sha256_of
from .coco import check_classes, check_disjoint, read_coco
from .datasets import UnlabeledDataset, is_unreadable
from .detections import DetectionStore
from .pseudo_labels import export_pseudo_labels
from .samplers import PendingSampler
from .selection import LabeledCounts
from .selection_rules import SelectionRules
from .tta import MultiViewTTA

# Transforms of a test pipeline that need no part in a view.
PLAIN_TRANSFORMS = {
    'LoadImageFromFile',
    'LoadAnnotations',
    'Resize',
    'RandomFlip',
    'PackDetInputs',
}


@HOOKS.register_module()
class DetectionHook(Hook):
    """Stores the detections of a test run in `detections/*.parquet`.

    Images whose detections are on disk are not run again; those that could
    not be read are tried again. Every process stores its own images. The
    dataset must be an `UnlabeledDataset`, the sampler a `PendingSampler` and
    the model a `MultiViewTTA`.

    Alone, it is for labeled validation images, by whose detections those of
    unlabeled images are judged.

    Args:
        labeled: The labeled set, `dict(ann_file=..., img_prefix=...)`: its
            categories are the classes.
        images_per_shard: See `DetectionStore`.
    """

    # Of another purpose, detections must not get into the same store.
    purpose = 'validation'

    def __init__(self, labeled: dict, images_per_shard: int = 100) -> None:
        self.labeled = labeled
        self.images_per_shard = images_per_shard
        self._is_loaded = False

    def check_data(self, dataset: UnlabeledDataset) -> None:
        """Check the images and the labeled file.

        Args:
            dataset: The images to annotate.

        Raises:
            CocoError: If the classes are not the labeled file's categories, or
                images to annotate are in the labeled set.
        """
        ann_file = self.labeled['ann_file']
        labeled = read_coco(ann_file, 'images', 'annotations', 'categories')
        self._categories = labeled['categories']
        check_classes(dataset.metainfo['classes'], self._categories, ann_file)
        self._labeled = LabeledCounts.of(labeled)
        self._file_names = dataset.file_names()
        check_disjoint(
            self._file_names, dataset.data_prefix['img'], self.labeled
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint of another model or other classes.

        Args:
            runner: The runner.
            checkpoint: Its content, not in the model yet.

        Raises:
            TypeError: If the model is no `MultiViewTTA`.
            CheckpointError: If weights are missing or have another shape, or
                the classes are not the labeled file's.
            CocoError: If the labeled file has no categories.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        check_type('model', model, MultiViewTTA)
        check_weights(model.module, checkpoint.get('state_dict', checkpoint))
        labeled = read_coco(self.labeled['ann_file'], 'images', 'categories')
        classes = [category['name'] for category in labeled['categories']]
        check_checkpoint_classes(checkpoint.get('meta', {}), classes)
        for teacher in model.other_teachers:
            check_checkpoint_classes(teacher.checkpoint_meta, classes)
        self._is_loaded = True

    def before_test(self, runner: Runner) -> None:
        """Check the data, and leave out the images that are done.

        Args:
            runner: The runner.

        Raises:
            TypeError: If dataset or sampler are of another type.
            ValueError: If no checkpoint was loaded, or the test loop computes
                in half precision.
            CocoError: See `check_data`.
            StoreError: If there are detections of another teacher.
        """
        if not self._is_loaded:
            raise ValueError(
                'annotation needs the checkpoint of a trained teacher, got '
                'none: python tools/test.py ANNOTATE_CONFIG TEACHER.pth'
            )
        if getattr(runner.test_loop, 'fp16', False):
            raise ValueError(
                "half precision for annotation is MultiViewTTA(mode='fast'), "
                'which keeps boxes in fp32, got test_cfg.fp16=True'
            )
        warn_of_other_transforms(
            runner.cfg.get('test_pipeline', ()), runner.cfg.model.get('views')
        )
        loader = runner.test_dataloader
        check_type('dataset', loader.dataset, UnlabeledDataset)
        check_type('sampler', loader.sampler, PendingSampler)
        self.check_data(loader.dataset)
        self._store = DetectionStore(
            Path(runner.work_dir) / 'detections',
            dict(
                provenance_of(runner.cfg, loader.dataset), purpose=self.purpose
            ),
            self.images_per_shard,
        )
        self._skip_done(loader.sampler, loader.batch_size or 1)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Store the detections of a batch.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: The merged samples of the batch.
        """
        self._store.add(*map(detection_row, outputs or ()))

    def after_test(self, runner: Runner) -> None:
        """Write what is not on disk yet.

        Args:
            runner: The runner.
        """
        self._store.flush()
        num_open = len(set(self._file_names) - self._store.file_names())
        if num_open:
            say(f'{num_open} images are still with other processes')
        else:
            self.after_all_images(runner)

    def after_all_images(self, runner: Runner) -> None:
        """Say where the detections are.

        Args:
            runner: The runner.
        """
        say(
            f'detections of {len(self._file_names):,} images are in '
            f'{self._store.folder}'
        )

    def _skip_done(self, sampler: PendingSampler, batch_size: int) -> None:
        # All processes must share out the same images: one that starts late
        # would see what the others have written meanwhile.
        done = [self._store.file_names(only_readable=True)]
        broadcast_object_list(done)
        sampler.share_out(
            {i for i, name in enumerate(self._file_names) if name in done[0]},
            batch_size,
        )
        if sampler.done:
            say(
                f'{len(sampler.done)} of {len(self._file_names)} images are '
                f'in {self._store.folder} already: going on with the others'
            )


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
        images_per_shard: See `DetectionStore`.

    Source:
        Paper, section 3: generating labels on unlabeled data.
    """

    purpose = 'pseudo labels'

    def __init__(
        self,
        labeled: dict,
        held_out: Sequence[dict] = (),
        selection: dict | None = None,
        images_per_shard: int = 100,
    ) -> None:
        super().__init__(labeled, images_per_shard)
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
            check_disjoint(self._file_names, dataset.data_prefix['img'], known)

    def before_test(self, runner: Runner) -> None:
        """See `DetectionHook.before_test`; checks the selection rules too.

        Args:
            runner: The runner.

        Raises:
            TypeError, ValueError, FileNotFoundError: See
                `SelectionRules.check`.
        """
        super().before_test(runner)
        if get_rank() == 0:  # With a validation set it takes a minute.
            self.rules.check(self._store.provenance, self._labeled)

    def after_all_images(self, runner: Runner) -> None:
        """Select and write the pseudo labels.

        Args:
            runner: The runner.
        """
        text = export_pseudo_labels(
            self._store.read(set(self._file_names)),
            self._categories,
            self._labeled,
            self.rules,
            self._store.provenance,
            Path(runner.work_dir) / 'pseudo_labels.json',
        )
        say(text)


def check_type(role: str, part: object, expected: type) -> None:
    """Check that a part of the config is what annotation works with.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(part, expected):
        raise TypeError(
            f'annotation needs {role}=dict(type={expected.__name__!r}, '
            f'...) in the config, got {type(part).__name__}'
        )


def warn_of_other_transforms(
    test_pipeline: Sequence[dict], views: Sequence[Sequence[dict]] | None
) -> None:
    """Say what the detector's own test pipeline does and no view makes.

    Args:
        test_pipeline: As MMDetection's configs name it; may be empty.
        views: Those of `MultiViewTTA`; None if the pipeline makes them.
    """
    if views is None:
        return
    made = {step['type'] for view in views for step in view}
    used = [transform['type'] for transform in test_pipeline]
    others = [name for name in used if name not in made | PLAIN_TRANSFORMS]
    if others:
        print_log(
            f"the detector's own `test_pipeline` has {others}, which no view "
            'has: boxes may be worse, or wrong. Add it to the views, or let '
            'the pipeline make them (TestTimeAug): docs/annotation.md',
            'current',
            logging.WARNING,
        )


def boxes_row(sample: DetDataSample) -> dict:
    """Return what any sample has for a row of the detection store.

    Args:
        sample: With `pred_instances` on the host.

    Returns:
        `file_name`, `width`, `height`, `bboxes_xyxy`, `scores`, `labels`.
    """
    height, width = sample.ori_shape[:2]
    found = sample.pred_instances
    return dict(
        file_name=sample.file_name,
        width=width,
        height=height,
        bboxes_xyxy=found.bboxes.numpy().tolist(),
        scores=found.scores.numpy(),
        labels=found.labels.numpy(),
    )


def detection_row(sample: DetDataSample) -> dict:
    """Turn a merged sample into a row of the detection store.

    Args:
        sample: With `pred_instances` on the host and the metainfo that
            `UnlabeledDataset` gives.

    Returns:
        A row as `detections.SCHEMA` has it.
    """
    found = sample.pred_instances
    return dict(
        boxes_row(sample),
        image_id=sample.image_id,
        unreadable=sample.unreadable if is_unreadable(sample) else None,
        num_views=found.num_views.numpy(),
        corner_spread=found.corner_spread.numpy(),
    )


def provenance_of(cfg: Config, dataset: UnlabeledDataset) -> dict:
    """Say what makes the detections: teacher, views, merger, images.

    Args:
        cfg: The config of the test run.
        dataset: The images.

    Returns:
        A dict that JSON can hold.
    """
    detector = json.dumps(cfg.model.module, sort_keys=True, default=str)
    provenance = dict(
        teacher_config=cfg.filename,
        detector_sha256=hashlib.sha256(detector.encode()).hexdigest(),
        checkpoint=cfg.load_from,
        # Of a URL its text: what it stands for is not expected to change.
        checkpoint_sha256=sha256_of(cfg.load_from) or cfg.load_from,
        image_folder=os.path.realpath(dataset.data_prefix['img']),
        has_image_infos=bool(dataset.ann_file),
        classes=dataset.metainfo['classes'],
        pipeline=cfg.test_dataloader.dataset.get('pipeline'),
        other_teachers=[
            dict(
                module=str(teacher.get('module')),
                checkpoint_sha256=sha256_of(teacher['checkpoint'])
                or teacher['checkpoint'],
            )
            for teacher in cfg.model.get('other_teachers', ())
        ],
        views=cfg.model.get('views'),
        mode=cfg.model.get('mode', 'exact'),
        merger=cfg.model.merger,
    )
    # As it will come back from a shard: tuples become lists.
    return json.loads(json.dumps(provenance))


def say(text: str) -> None:
    """Log a text, also on a process whose log shows errors only."""
    logger = 'current' if get_rank() == 0 else None
    print_log(f'\n{text}' if '\n' in text else text, logger, logging.INFO)
