"""DetectionHook: stores what a test run detects."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...label_files.coco.contents import (
    check_classes,
    check_disjoint,
    resolve_paths,
)
from ...multi_view.inference.checkpoints import check_weights
from ...multi_view.inference.tta import MultiViewTTA
from ...text import format_megabytes
from ..detections.store import DetectionStore
from .annotation_log import log_from_any_rank, silence_batch_lines
from .annotation_run import AnnotationRun, begin_run
from .config_checks import check_type, check_writable, warn_of_other_transforms
from .labeled_set import LabeledSet
from .moved_images import take_over_moved_images
from .provenance import make_provenance
from .rows import make_detection_row
from .sampler import PendingSampler
from .unlabeled import UnlabeledDataset


@HOOKS.register_module()
class DetectionHook(Hook):
    """Stores the detections of a test run in `detections/*.parquet`.

    Images whose detections are on disk are not run again; those that could not
    be read are tried again. Every process stores its own images, and none
    waits for another. Whatever ends the run, what it has found is written. At
    SIGTERM, the batch in progress is finished first, and `tools/test.py` ends
    with exit code 143. Only SIGKILL costs the images of the shard that is not
    written yet.

    The dataset must be an `UnlabeledDataset`, the sampler a `PendingSampler`
    and the model a `MultiViewTTA`. With `dry_run=True` in the config (the flag
    `--dry-run` of `tools/test.py`), some batches are measured and nothing is
    stored.

    On its own, this hook is for labeled validation images. Their detections
    are needed to judge those of unlabeled images.

    Args:
        labeled: The labeled set, `dict(ann_file=..., img_prefix=...)`. Its
            categories are the classes. No image to annotate may be in it; a
            file of categories alone has none.
        images_per_shard: The number of images in one shard, see
            `DetectionStore`.
        seconds_per_shard: The time after which a shard is written with fewer
            images, in seconds.
        max_unreadable_share: The largest share of images that may be
            unreadable, in [0, 1]. With more of them the run ends, because the
            fault may lie elsewhere.

    Raises:
        ValueError: If the share is not from 0 to 1.
    """

    # Detections made for one purpose must not get into a store of another.
    purpose = 'validation'
    # It begins in `before_test`.
    _run: AnnotationRun

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
        self._is_loaded = False
        self._changed: frozenset[str] = frozenset()

    def leave(self) -> None:
        """End a run that has failed; see `AnnotationRun.leave`.

        Raises:
            OSError: If a shard cannot be written.
        """
        if hasattr(self, '_run'):
            self._run.leave()

    @cached_property
    def labeled_set(self) -> LabeledSet:
        """What the labeled file holds. It is read once, for it may be large.

        Raises:
            CocoError: If the labeled file cannot be used.
            FileNotFoundError: If the labeled file does not exist.
        """
        return LabeledSet.read(self.labeled['ann_file'])

    def check_data(
        self,
        dataset: UnlabeledDataset,
        file_names: Iterable[str] | None = None,
    ) -> None:
        """Check the images and the labeled file.

        Args:
            dataset: The images to annotate.
            file_names: The names of the images to look for in other sets;
                None for all. Each is a file to look up, which takes long on a
                shared disk.

        Raises:
            CocoError: If the classes are not the labeled file's categories,
                images to annotate are in a set that `check_images` knows, or
                the file of such a set cannot be used.
            FileNotFoundError: If the labeled file, or one of such a set, does
                not exist.
        """
        check_classes(
            dataset.metainfo['classes'],
            self.labeled_set.categories,
            self.labeled['ann_file'],
        )
        folder = dataset.data_prefix['img']
        names = dataset.map_image_ids() if file_names is None else file_names
        self.check_images(resolve_paths(names, folder))

    def check_images(self, paths: Mapping[str, str]) -> None:
        """Check that no image to annotate is in the labeled set.

        Args:
            paths: Real path -> file name of the images to annotate, see
                `resolve_paths`.

        Raises:
            CocoError: If images are shared, with their number and the first of
                them; or if the labeled file cannot be used.
            FileNotFoundError: If the labeled file does not exist.
        """
        if names := self.labeled_set.file_names:
            check_disjoint(paths, names, self.labeled)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint of another model, and map its classes.

        Args:
            runner: The runner.
            checkpoint: The content of the checkpoint, which is not in the
                model yet.

        Raises:
            TypeError: If the model is not a `MultiViewTTA`.
            CheckpointError: If weights are missing, have another shape or a
                NaN, or if one of the teachers lacks a class of the labeled
                file, see `ClassNames.map`.
            CocoError: If the labeled file cannot be used.
            FileNotFoundError: If the labeled file does not exist.
        """
        model = runner.model
        # With several processes, MMEngine wraps the model in another one.
        model = model.module if is_model_wrapper(model) else model
        check_type('model', model, MultiViewTTA)
        check_weights(model.module, checkpoint.get('state_dict', checkpoint))
        classes = self.labeled_set.counts.classes
        model.fit_classes(checkpoint.get('meta', {}), classes)
        self._is_loaded = True

    def before_test(self, runner: Runner) -> None:
        """Check everything, and leave out the images that are done.

        Args:
            runner: The runner.

        Raises:
            TypeError: If the dataset or the sampler has another type, or JSON
                cannot hold the views or the merger.
            ValueError: If no checkpoint was loaded, or the test loop computes
                in half precision.
            CocoError: If the images or the labeled file cannot be used, see
                `check_data`.
            StoreError: If there are detections of another teacher.
            ShardError: If a shard with detections of moved images is damaged.
            OSError: If detections cannot be written, or a checkpoint cannot be
                read.
            FileNotFoundError: If the labeled file, or one of another set, does
                not exist.
        """
        self._check_teacher(runner)
        loader = runner.test_dataloader
        check_type('dataset', loader.dataset, UnlabeledDataset)
        check_type('sampler', loader.sampler, PendingSampler)
        self.check_data(loader.dataset, self._names_to_check(runner))
        store = self.open_store(runner)
        check_writable(store.folder)
        self._run = begin_run(
            runner, store, self.max_unreadable_share, self._changed
        )
        print_log(self._plan(runner), 'current', logging.INFO)
        silence_batch_lines(runner)

    def _names_to_check(self, runner: Runner) -> list[str]:
        """List the images of this job; other processes have none to check."""
        if get_rank():
            return []
        loader = runner.test_dataloader
        names = list(loader.dataset.map_image_ids())
        # A loader with a sampler of batches has no size of them.
        block_size = loader.batch_size or 1
        return [names[i] for i in loader.sampler.draw_part(block_size)]

    def _check_teacher(self, runner: Runner) -> None:
        """Check that a trained teacher runs, and in the right precision."""
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

    def open_store(self, runner: Runner) -> DetectionStore:
        """Open the detection store of the work folder.

        Args:
            runner: The runner.

        Returns:
            The store in the folder `detections`, which may have some already,
            also of images that had another name or were in another folder. It
            has none of images whose files have other content now. In a dry
            run, nothing on disk is changed, so that it has only those that
            were in place, outdated ones too.

        Raises:
            StoreError: If there are detections of another teacher.
            ShardError: If a shard with detections of moved images is damaged.
            OSError: If a checkpoint cannot be read, or detections of moved
                images cannot be written.
            TypeError: If JSON cannot hold the views or the merger.
        """
        dataset = runner.test_dataloader.dataset
        folder = Path(runner.work_dir) / 'detections'
        made_by = make_provenance(runner.cfg, dataset)
        made_by['purpose'] = self.purpose
        self._changed = take_over_moved_images(
            folder,
            made_by,
            dataset,
            self._names_to_check(runner),
            is_dry_run=runner.cfg.get('dry_run', False),
        )
        return DetectionStore(
            folder,
            made_by,
            self.images_per_shard,
            self.seconds_per_shard,
        )

    def _plan(self, runner: Runner) -> str:
        """Say what is to be done."""
        views = runner.cfg.model.get('views')
        made = f'{len(views)} views' if views else 'the views of the pipeline'
        others = runner.cfg.model.get('other_teachers', ())
        progress = self._run.progress
        return (
            f'{progress.num_images:,} images, {progress.num_done:,} of them '
            f'done before; {made} of each, {1 + len(others)} teacher(s), '
            f'{get_world_size()} process(es); detections go to '
            f'{self._run.store.folder}'
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
            batch_idx: The number of the batch, which is not used.
            data_batch: The batch, which is not used.
            outputs: The merged samples of the batch; None for none.

        Raises:
            OSError: If detections cannot be written.
            ValueError: If too many images cannot be read.
            AnnotationStopped: If the process has received SIGTERM.
        """
        self._run.add([make_detection_row(sample) for sample in outputs or ()])

    def after_test(self, runner: Runner) -> None:
        """Write what is not on disk yet, and go on if all images are done.

        The process that finishes last calls `after_all_images`, whose errors
        are raised too; in a dry run, none does. Any other logs how many images
        are open.

        Args:
            runner: The runner.

        Raises:
            OSError: If the detections cannot be written.
            StoreError: If a shard has another provenance.
            ValueError: If too many images cannot be read.
        """
        run = self._run
        run.finish()
        if run.is_dry_run:
            return
        # Of many jobs, each but the last finds images open. To see that, none
        # needs to read what all others have found.
        num_open = len(run.image_ids) - run.store.count_rows()
        if num_open > 0:
            self._say_open(num_open)
            return
        on_disk = run.store.list_images()
        is_read = [on_disk.get(name) for name in run.image_ids]
        if num_open := is_read.count(None):
            self._say_open(num_open)
            return
        # Of all processes, some of which this one may not have counted.
        run.check_unreadable(is_read.count(False))
        self.after_all_images(runner)

    def _say_open(self, num_open: int) -> None:
        log_from_any_rank(
            f'{num_open:,} images are still with other processes; if none '
            'is running any more, run the same command again'
        )

    def after_all_images(self, runner: Runner) -> None:
        """Say where the detections are, and how large they are.

        Args:
            runner: The runner.
        """
        store = self._run.store
        total, of_views = store.count_bytes()
        text = (
            f'detections of {len(self._run.image_ids):,} images are in '
            f'{store.folder}, {format_megabytes(total)}'
        )
        if of_views:
            share = format_megabytes(of_views)
            text += f', of which {share} are the boxes of each view'
        log_from_any_rank(text)
