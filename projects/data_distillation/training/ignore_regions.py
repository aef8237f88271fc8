"""IgnoreRegionsHook: doubtful regions are neither object nor background."""

import functools
import inspect
import logging
from collections.abc import Callable, Iterator

from mmdet.models.task_modules import AssignResult, BaseAssigner
from mmdet.registry import HOOKS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from ..arguments import check_above_0
from .dataset import parts_of


@HOOKS.register_module()
class IgnoreRegionsHook(Hook):
    """Makes a student's assigners leave the ignored regions out of the loss.

    MMDetection hands `iscrowd: 1` to the assigners, which by default do
    nothing with it (`ignore_iof_thr=-1`): the regions would be background.
    Crowds of the labeled set are then ignored as well. Does nothing if the
    pseudo labels have no such regions.

    Args:
        ignore_iof_thr: An anchor or proposal is ignored if more than this part
            of it lies in a region, above 0. 0.5 is what MMDetection's configs
            with crowds have (WIDER FACE, Open Images).

    Raises:
        ValueError: If it is not above 0.
    """

    def __init__(self, ignore_iof_thr: float = 0.5) -> None:
        check_above_0('ignore_iof_thr', ignore_iof_thr)
        self.ignore_iof_thr = ignore_iof_thr

    def before_train(self, runner: Runner) -> None:
        """Set the threshold of all assigners.

        Args:
            runner: The runner.

        Raises:
            ValueError: If there are regions, but the detector's way of
                assigning has no means to ignore them.
        """
        regions = num_ignored(runner.train_dataloader.dataset)
        if not regions:
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        found = list(assigners(model))
        unable = {type(a).__name__ for a in found if not can_ignore(a)}
        if unable or not found:
            raise ValueError(
                f'the pseudo labels have {regions:,} regions to ignore, which '
                f'{type(model).__name__} cannot do (assigners: '
                f'{", ".join(sorted(unable)) or "none"}). Select again '
                'without --ignore-from (`ignore` in the config)'
            )
        for assigner in found:
            assigner.ignore_iof_thr = self.ignore_iof_thr
            assigner.assign = ignoring_without_objects(
                assigner.assign, self.ignore_iof_thr
            )
        print_log(
            f'{regions:,} doubtful regions are ignored by '
            f'{", ".join(type(a).__name__ for a in found)}',
            'current',
            logging.INFO,
        )


def ignoring_without_objects(
    assign: Callable[..., AssignResult], ignore_iof_thr: float
) -> Callable[..., AssignResult]:
    """Make an assigner ignore regions of images without an object, too.

    MMDetection's assigners take all of such an image for background, before
    or after they have looked at the regions.

    Args:
        assign: The assigner's `assign`.
        ignore_iof_thr: See `IgnoreRegionsHook`.

    Returns:
        What to call in its place.
    """
    signature = inspect.signature(assign)

    @functools.wraps(assign)
    def wrapped(*args: object, **kwargs: object) -> AssignResult:
        """Assign, then ignore what is in a region if there is no object."""
        result = assign(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        regions = given.get('gt_instances_ignore')
        if not len(given['gt_instances']) and regions is not None:
            priors = given['pred_instances'].priors[:, :4]
            shares = bbox_overlaps(priors, regions.bboxes, mode='iof')
            in_region = (shares > ignore_iof_thr).any(dim=1)
            result.gt_inds[in_region] = -1
        return result

    return wrapped


def num_ignored(dataset: Dataset) -> int:
    """Count the regions to ignore in the pseudo labels of a dataset's parts.

    Args:
        dataset: A `CheckedCocoDataset`, or one that wraps such ones.
    """
    return sum(getattr(part, 'num_ignored', 0) for part in parts_of(dataset))


def assigners(model: nn.Module) -> Iterator[BaseAssigner]:
    """Yield what assigns boxes to objects in all heads of a detector."""
    for module in model.modules():
        for name, value in vars(module).items():
            if 'assigner' in name:
                yield from value if isinstance(value, list) else [value]


def can_ignore(assigner: BaseAssigner) -> bool:
    """Say whether an assigner can leave regions out."""
    return hasattr(assigner, 'ignore_iof_thr')
