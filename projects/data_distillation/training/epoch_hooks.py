"""Hooks for detectors whose own configs count epochs."""

import copy
from collections.abc import Sequence
from typing import cast

from mmdet.datasets import MultiImageMixDataset
from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset, Compose
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, Dataset

from .resume import SeededBatches


@HOOKS.register_module()
class SwitchPipelineHook(Hook):
    """Ends a training without the mosaics that it began with.

    As MMDetection's `PipelineSwitchHook` and `YOLOXModeSwitchHook`, which
    count epochs, for training that counts iterations. Each batch comes from
    the pipeline of the iteration that it is for, however far ahead it is
    loaded, after resuming too, and from all parts of a `ConcatDataset`. Needs
    the `ResumeHook`, which knows what each batch is for.

    Args:
        iteration: The first one with the other pipeline, from 0.
        pipeline: The other pipeline, of datasets that have one of their own;
            None to keep it.
        skip_types: Transforms to leave out from then on, of every
            `MultiImageMixDataset`.
        use_l1: Whether the head adds its L1 loss from then on, as YOLOX's.

    Raises:
        ValueError: If nothing would change.
    """

    priority = 'LOW'  # After the ResumeHook.

    def __init__(
        self,
        iteration: int,
        pipeline: Sequence[dict] | None = None,
        skip_types: Sequence[str] = (),
        use_l1: bool = False,
    ) -> None:
        if pipeline is None and not skip_types:
            raise ValueError(
                'SwitchPipelineHook needs a pipeline or skip_types, got none'
            )
        self.iteration = iteration
        self.pipeline = pipeline
        self.skip_types = skip_types
        self.use_l1 = use_l1

    def before_train(self, runner: Runner) -> None:
        """Prepare the datasets of the later iterations.

        Args:
            runner: The runner.

        Raises:
            TypeError: If there is no `ResumeHook`.
        """
        dataset = runner.train_dataloader.dataset
        batches = getattr(dataset, '__getitems__', None)
        if not isinstance(batches, SeededBatches):
            raise TypeError(
                'SwitchPipelineHook needs the ResumeHook: '
                "default_hooks=dict(resume=dict(type='ResumeHook'))"
            )
        batches.switch(self.iteration, self._switched(dataset))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Add the L1 loss, when it is time.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
        """
        if self.use_l1 and runner.iter >= self.iteration:
            model = runner.model
            model = model.module if is_model_wrapper(model) else model
            model.bbox_head.use_l1 = True

    def _switched(self, dataset: Dataset) -> Dataset:
        """Return a dataset of the same samples with the other pipeline."""
        dataset = copy.copy(dataset)
        if isinstance(dataset, ConcatDataset):
            dataset.datasets = [self._switched(d) for d in dataset.datasets]
        elif isinstance(dataset, MultiImageMixDataset):
            dataset._skip_type_keys = self.skip_types
        elif self.pipeline is not None:
            cast(BaseDataset, dataset).pipeline = Compose(self.pipeline)
        return dataset


@HOOKS.register_module()
class EpochHook(Hook):
    """Tells the detector which epoch of its own config a training is in.

    Some assign objects in another way in their first epochs (TOOD), and ask
    MMEngine's message hub, where training by iterations leaves epoch 0.

    Args:
        max_epochs: Of the detector's config, for the whole training.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the epoch, from 0.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
        """
        epoch = runner.iter * self.max_epochs // runner.max_iters
        runner.message_hub.update_info('epoch', epoch)
