"""DetectionHook: stores what a test run detects."""

import atexit
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import broadcast_object_list, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..coco.reading import (
    Categories,
    check_classes,
    check_disjoint,
    read_coco,
    resolve_paths,
)
from ..detections.store import DetectionStore
from ..inference.checkpoints import check_checkpoint_classes, check_weights
from ..inference.tta import MultiViewTTA
from ..selection.selectors import LabeledCounts
from .checks import check_type, check_writable, warn_of_other_transforms
from .dataset import UnlabeledDataset
from .interruption import StopRequest
from .log import say, silence_batch_lines, warn_of_unreadable
from .progress import Progress
from .provenance import provenance_of
from .rows import detection_row
from .sampler import PendingSampler


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
        self._paths = resolve_paths(
            self._image_ids, dataset.data_prefix['img']
        )
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
