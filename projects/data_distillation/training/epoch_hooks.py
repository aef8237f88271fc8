"""Hooks for detectors whose own configs count epochs, not iterations."""

import copy
from collections.abc import Sequence

from mmdet.datasets import MultiImageMixDataset
from mmdet.registry import HOOKS
from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, Dataset

from ..arguments import check_at_least_1
from .resume import SeededBatches


@HOOKS.register_module()
class SwitchPipelineHook(Hook):
    """Switches the pipeline at an iteration, for example to end mosaics.

    MMDetection's `PipelineSwitchHook` and `YOLOXModeSwitchHook` count epochs;
    this hook is for training that counts iterations. Each batch is made with
    the pipeline of its own iteration, no matter how far ahead it is loaded.
    This also holds after resuming, for all parts of a `ConcatDataset`, and
    inside wrappers that keep a dataset as `dataset`. The hook needs the
    `ResumeHook`, which knows the iteration of each batch.

    Args:
        iteration: The first iteration with the other pipeline, counted from
            0.
        pipeline: The other pipeline, for datasets that are not wrapped in a
            `MultiImageMixDataset`; None to keep the pipeline.
        skip_types: The types of the transforms that every
            `MultiImageMixDataset` skips from this iteration; without any, it
            goes on to skip what its config says.
        use_l1: Whether the head adds its L1 loss from this iteration, as in
            YOLOX.

    Raises:
        ValueError: If neither `pipeline` nor `skip_types` is given.
    """

    priority = 'LOW'  # It runs after the ResumeHook.

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
        """Prepare the datasets with the other pipeline.

        Args:
            runner: The runner of the training.

        Raises:
            TypeError: If there is no `ResumeHook`, or a dataset that gets the
                other pipeline has none, or a transform does not take its
                arguments.
            KeyError: If a transform of the pipeline is not registered.
        """
        dataset = runner.train_dataloader.dataset
        # The ResumeHook has put its object there, where torch looks for a
        # method.
        batches = getattr(dataset, '__getitems__', None)
        if not isinstance(batches, SeededBatches):
            raise TypeError(
                'SwitchPipelineHook needs the ResumeHook: add '
                "default_hooks=dict(resume=dict(type='ResumeHook'))"
            )
        batches.switch(self.iteration, self._switch_pipeline(dataset))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Add the L1 loss if the iteration for it has come.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.

        Raises:
            AttributeError: If `use_l1` is set and the detector has no
                `bbox_head`.
        """
        if self.use_l1 and runner.iter >= self.iteration:
            model = runner.model
            model = model.module if is_model_wrapper(model) else model
            # At each iteration, so that a resumed training has it too.
            model.bbox_head.use_l1 = True

    def _switch_pipeline(self, dataset: Dataset) -> Dataset:
        """Return a dataset of the same samples with the other pipeline."""
        # A shallow copy: the samples are in memory once.
        dataset = copy.copy(dataset)
        if isinstance(dataset, ConcatDataset):
            dataset.datasets = [
                self._switch_pipeline(d) for d in dataset.datasets
            ]
        elif isinstance(dataset, MultiImageMixDataset):
            if self.skip_types:
                dataset._skip_type_keys = self.skip_types
        elif hasattr(dataset, 'dataset'):  # RepeatDataset and others.
            dataset.dataset = self._switch_pipeline(dataset.dataset)
        elif self.pipeline is not None:
            replace_pipeline(dataset, self.pipeline)
        return dataset


def replace_pipeline(dataset: Dataset, pipeline: Sequence[dict]) -> None:
    """Give a dataset another pipeline.

    Args:
        dataset: The dataset; it is changed in place.
        pipeline: The transforms of the other pipeline.

    Raises:
        TypeError: If the dataset has no pipeline, or a transform does not
            take its arguments.
        KeyError: If a transform is not registered.
    """
    if not hasattr(dataset, 'pipeline'):
        raise TypeError(
            'SwitchPipelineHook needs datasets with a `pipeline`, or '
            'wrappers with a `dataset` or `datasets`, got a '
            f'{type(dataset).__name__}: leave the hook out, or wrap the data '
            'set in another way'
        )
    dataset.pipeline = Compose(pipeline)


@HOOKS.register_module()
class EpochHook(Hook):
    """Tells the detector the epoch that its own config would be in.

    Some detectors, such as TOOD, assign objects in another way in their first
    epochs. They read the epoch from MMEngine's message hub, where it stays 0
    if the training counts iterations.

    Args:
        max_epochs: The number of epochs in the detector's own config, at least
            1; they are spread evenly over the whole training.

    Raises:
        ValueError: If `max_epochs` is less than 1.
    """

    def __init__(self, max_epochs: int) -> None:
        check_at_least_1('max_epochs', max_epochs)
        self.max_epochs = max_epochs

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the epoch, counted from 0.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.
        """
        epoch = runner.iter * self.max_epochs // runner.max_iters
        runner.message_hub.update_info('epoch', epoch)
