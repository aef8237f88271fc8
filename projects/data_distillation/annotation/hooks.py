"""Hooks that turn a test run of a teacher into pseudo labels."""

import atexit
import hashlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank, get_world_size
from mmengine.hooks import Hook, LoggerHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..coco.reading import (
    Categories,
    check_classes,
    check_disjoint,
    image_paths,
    read_coco,
)
from ..detections.store import DetectionStore
from ..inference.checkpoints import (
    check_checkpoint_classes,
    check_weights,
    sha256_of,
)
from ..inference.tta import MultiViewTTA
from ..selection.export import export_pseudo_labels
from ..selection.rules import SelectionRules
from ..selection.selectors import LabeledCounts
from ..training.ratio_sampler import PendingSampler
from .dataset import UnlabeledDataset, is_unreadable
from .interruption import StopRequest
from .progress import Progress

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
    not be read are tried again. Every process stores its own images, and none
    waits for another. Whatever ends the run, what it has found is written: at
    SIGTERM after the batch at hand, with exit code 143. Only SIGKILL costs the
    images of the shard that is not written yet.

    The dataset must be an `UnlabeledDataset`, the sampler a `PendingSampler`
    and the model a `MultiViewTTA`. With `dry_run=True` in the config (the
    flag `--dry-run` of `tools/test.py`) some batches are measured, nothing is
    stored, and the run ends.

    Alone, it is for labeled validation images, by whose detections those of
    unlabeled images are judged.

    Args:
        labeled: The labeled set, `dict(ann_file=..., img_prefix=...)`: its
            categories are the classes.
        images_per_shard: See `DetectionStore`.
        seconds_per_shard: See `DetectionStore`.
        max_unreadable_share: With more images than this share that cannot be
            read the run ends: the fault may be elsewhere.

    Raises:
        ValueError: If the share is not from 0 to 1.
    """

    # Of another purpose, detections must not get into the same store.
    purpose = 'validation'

    def __init__(
        self,
        labeled: dict,
        images_per_shard: int = 100,
        seconds_per_shard: float = 60.0,
        max_unreadable_share: float = 0.05,
    ) -> None:
        if not 0 <= max_unreadable_share <= 1:
            raise ValueError(
                'max_unreadable_share must be from 0 to 1, got '
                f'{max_unreadable_share}'
            )
        self.labeled = labeled
        self.images_per_shard = images_per_shard
        self.seconds_per_shard = seconds_per_shard
        self.max_unreadable_share = max_unreadable_share
        self._stop = StopRequest()
        self._categories: Categories = []
        self._is_loaded = False

    def check_data(self, dataset: UnlabeledDataset) -> None:
        """Check the images and the labeled file.

        Args:
            dataset: The images to annotate.

        Raises:
            CocoError: If the classes are not the labeled file's categories, or
                images to annotate are in the labeled set.
        """
        self._read_labeled()
        check_classes(
            dataset.metainfo['classes'],
            self._categories,
            self.labeled['ann_file'],
        )
        self._image_ids = dataset.image_ids()
        self._paths = image_paths(self._image_ids, dataset.data_prefix['img'])
        check_disjoint(self._paths, self._labeled_names, self.labeled)

    def _read_labeled(self) -> None:
        """Read the labeled file, once: it may be large."""
        if self._categories:
            return
        content = read_coco(
            self.labeled['ann_file'], 'images', 'annotations', 'categories'
        )
        self._categories = content['categories']
        self._labeled = LabeledCounts.of(content)
        self._labeled_names = [i['file_name'] for i in content['images']]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint of another model or other classes.

        Args:
            runner: The runner.
            checkpoint: Its content, not in the model yet.

        Raises:
            TypeError: If the model is no `MultiViewTTA`.
            CheckpointError: If weights are missing or have another shape, or
                the classes are not the labeled file's.
            CocoError: If the labeled file cannot be used.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        check_type('model', model, MultiViewTTA)
        check_weights(model.module, checkpoint.get('state_dict', checkpoint))
        self._read_labeled()
        classes = [category['name'] for category in self._categories]
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
            OSError: If detections cannot be written.
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
            self.seconds_per_shard,
        )
        self._is_dry_run = runner.cfg.get('dry_run', False)
        self._begin(runner)

    def _begin(self, runner: Runner) -> None:
        """Leave out what is done, and listen to signals."""
        check_writable(self._store.folder)
        loader = runner.test_dataloader
        known = self._store.shards()
        self._skip_done(loader.sampler, loader.batch_size or 1)
        self._progress = Progress(
            self._store,
            len(self._image_ids),
            len(loader.sampler.done),
            loader.sampler.num_pending,
            get_world_size(),
            known,
        )
        print_log(self._plan(runner), 'current', logging.INFO)
        silence_batch_lines(runner)
        self._stop.listen(loader)
        if not self._is_dry_run:
            # Whatever ends this process.
            atexit.register(self._store.flush)

    def _plan(self, runner: Runner) -> str:
        views = runner.cfg.model.get('views')
        made = f'{len(views)} views' if views else 'the views of the pipeline'
        others = runner.cfg.model.get('other_teachers', ())
        return (
            f'{len(self._image_ids):,} images, of them '
            f'{self._progress.num_done:,} done before; {made} of each, '
            f'{1 + len(others)} teacher(s), {get_world_size()} process(es); '
            f'detections go to {self._store.folder}'
        )

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

        Raises:
            OSError: If detections cannot be written.
            ValueError: If too many images cannot be read.
            SystemExit: With 143 after a SIGTERM, with 0 at the end of a dry
                run.
        """
        rows = [detection_row(sample) for sample in outputs or ()]
        was_measured = self._progress.is_measured
        self._progress.add(rows)
        if not self._is_dry_run:
            self._store.add(*rows)
        warn_of_unreadable(rows)
        self._check_unreadable(self._progress.num_unreadable)
        if self._progress.is_measured and not was_measured:
            self._say_expectation()
        elif get_rank() == 0 and self._progress.is_due():
            print_log(self._progress.line(), 'current', logging.INFO)
        if self._stop.is_made:
            self._end_early()

    def after_test(self, runner: Runner) -> None:
        """Write what is not on disk yet.

        Args:
            runner: The runner.

        Raises:
            OSError: If it cannot be written.
            ValueError: If too many images cannot be read.
        """
        if not self._progress.is_measured:
            self._say_expectation()
        self._store.flush()
        self._let_go()
        is_read = self._store.images()
        of_mine = [is_read.get(name) for name in self._image_ids]
        if num_open := of_mine.count(None):
            say(
                f'{num_open:,} images are still with other processes; if none '
                'runs any more, run the same again'
            )
            return
        self._check_unreadable(of_mine.count(False))
        self.after_all_images(runner)

    def _say_expectation(self) -> None:
        """Log what is to be expected; there a dry run ends."""
        print_log(self._progress.expectation(), 'current', logging.INFO)
        if self._is_dry_run:
            self._let_go()
            sys.exit(0)

    def _check_unreadable(self, num_unreadable: int) -> None:
        if num_unreadable <= self.max_unreadable_share * len(self._image_ids):
            return
        self._store.flush()
        self._let_go()
        raise ValueError(
            f'{num_unreadable:,} of {len(self._image_ids):,} images cannot be '
            f'read, more than the share max_unreadable_share='
            f'{self.max_unreadable_share} of the hook allows. The log has the '
            'reasons. Mend the images (they are tried again) or set a higher '
            'share, and run the same again: what is done is kept'
        )

    def _end_early(self) -> None:
        self._store.flush()
        self._let_go()
        say(
            f'stopped by SIGTERM; what is done is in {self._store.folder}. '
            'Run the same again to go on'
        )
        sys.exit(128 + signal.SIGTERM)

    def _let_go(self) -> None:
        """Leave the process as it was before the run."""
        atexit.unregister(self._store.flush)
        self._stop.forget()

    def after_all_images(self, runner: Runner) -> None:
        """Say where the detections are.

        Args:
            runner: The runner.
        """
        say(
            f'detections of {len(self._image_ids):,} images are in '
            f'{self._store.folder}'
        )

    def _skip_done(self, sampler: PendingSampler, batch_size: int) -> None:
        # All processes must share out the same images: one that starts late
        # would see what the others have written meanwhile.
        done = [None]
        if get_rank() == 0:
            is_read = self._store.images()
            names = enumerate(self._image_ids)
            done = [{i for i, name in names if is_read.get(name)}]
        broadcast_object_list(done)
        sampler.share_out(done[0], batch_size)
        if sampler.done:
            say(
                f'{len(sampler.done)} of {len(self._image_ids)} images are '
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


def check_writable(folder: Path) -> None:
    """Check, before hours of work, that detections can be written.

    Raises:
        OSError: If not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def silence_batch_lines(runner: Runner) -> None:
    """Stop the lines that count the batches of one process.

    Args:
        runner: Of which `LoggerHook` is told to.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.interval = len(runner.test_dataloader) + 1


def warn_of_unreadable(rows: Sequence[dict]) -> None:
    """Name the images that could not be read, and why."""
    for row in rows:
        if row['unreadable']:
            say(
                f'{row["file_name"]!r} cannot be read: {row["unreadable"]}',
                logging.WARNING,
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
        A row as `shards.SCHEMA` has it.
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
    if dataset.return_classes:
        provenance['prompt'] = dataset.caption_prompt
    # As it will come back from a shard: tuples become lists.
    return json.loads(json.dumps(provenance))


def say(text: str, level: int = logging.INFO) -> None:
    """Log a text, also on a process whose log shows errors only."""
    logger = 'current' if get_rank() == 0 else None
    print_log(f'\n{text}' if '\n' in text else text, logger, level)
