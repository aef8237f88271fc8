"""IgnoreRegionsHook: leaves doubtful regions out of a detector's loss."""

import functools
import inspect
import logging
from collections.abc import Callable, Iterator

import torch
from mmdet.models import BaseRoIHead, FreeAnchorRetinaHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
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
from .checked_dataset import walk_parts


@HOOKS.register_module()
class IgnoreRegionsHook(Hook):
    """Makes the assigners of a detector leave regions out of the loss.

    The regions are the annotations with `iscrowd: 1`. MMDetection passes them
    to the assigners, which by default do not use them (`ignore_iof_thr=-1`),
    so that the regions become background. The hook does nothing if the pseudo
    labels have no such regions, and no labeled image is unchecked outside of
    its boxes (see `UNCHECKED`). Otherwise the crowds of the labeled set are
    ignored as well.

    Unchecked regions have the size of the image. MMDetection's own threshold
    would take the anchors away from the objects in them. If there is one, or
    an assigner gives such an object any other anchor (RetinaNet's), only what
    the assigner has made background is ignored.

    Args:
        ignore_iof_thr: The share of an anchor or proposal that may lie in a
            region, above 0; if more of it does, it is ignored, so that from 1
            on none is. MMDetection's configs with crowds (WIDER FACE, Open
            Images) have 0.5.

    Raises:
        ValueError: If `ignore_iof_thr` is not above 0.
    """

    def __init__(self, ignore_iof_thr: float = 0.5) -> None:
        check_above_0('ignore_iof_thr', ignore_iof_thr)
        self.ignore_iof_thr = ignore_iof_thr

    def before_train(self, runner: Runner) -> None:
        """Make all assigners ignore the regions, if there are any.

        Of several such hooks, only the last one does so.

        Args:
            runner: The runner of the training, whose model is changed.

        Raises:
            ValueError: If there are regions, but one of the assigners or heads
                of the detector cannot ignore them, or it has no assigner.
        """
        others = [h for h in runner.hooks if isinstance(h, IgnoreRegionsHook)]
        # `tools/train.py` adds one, and that of the config wins.
        if self in others[:-1]:
            return
        dataset = runner.train_dataloader.dataset
        unchecked = count_in_parts(dataset, 'num_unchecked')
        regions = count_in_parts(dataset, 'num_ignored') + unchecked
        if not regions:
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        found = list(find_assigners(model))
        unable = {type(a).__name__ for a in found if not can_ignore(a)}
        heads = *find_unweighted(model), *find_unassigned(model)
        unable |= {type(head).__name__ for head in heads}
        if unable or not found:
            raise ValueError(
                f'the labels have {regions:,} regions to ignore, but '
                f'{type(model).__name__} cannot ignore regions (parts: '
                f'{", ".join(sorted(unable)) or "none"}). Select again '
                'without --ignore-from (`ignore` in the config), and check '
                'all objects of images that were taken over with --partly'
            )
        of_rois = list(find_roi_assigners(model))
        for assigner in found:
            if not unchecked and not takes_any_anchor(assigner):
                assigner.ignore_iof_thr = self.ignore_iof_thr
            # An attribute hides the method, for this one assigner alone.
            assigner.assign = ignore_background(
                assigner.assign, self.ignore_iof_thr, assigner in of_rois
            )
        print_log(
            f'{regions:,} regions are ignored by '
            f'{", ".join(type(a).__name__ for a in found)}',
            'current',
            logging.INFO,
        )


def ignore_background(
    assign: Callable[..., AssignResult],
    ignore_iof_thr: float,
    keeps_one: bool = False,
) -> Callable[..., AssignResult]:
    """Make an assigner ignore what it made background in a region.

    MMDetection's assigners treat the whole of an image without an object as
    background, whatever `ignore_iof_thr` says. Some do so before they look at
    the regions, others after it.

    Args:
        assign: The `assign` method of the assigner. Of its arguments,
            `pred_instances.priors` (xyxy in its first four columns) and
            `gt_instances_ignore.bboxes` (xyxy) are read, both in pixels of
            the input. The latter may be None, missing or empty.
        ignore_iof_thr: The share of an anchor or proposal (0 to 1) that may
            lie in a region; if more of it does, it is ignored.
        keeps_one: Whether one stays background where all would be ignored.

    Returns:
        The function that takes the place of `assign`. It changes the result of
        `assign` in place: an ignored anchor gets -1 in `gt_inds`. Without
        regions, the result stays as it is.
    """
    signature = inspect.signature(assign)

    @functools.wraps(assign)
    def wrapped(*args: object, **kwargs: object) -> AssignResult:
        """Assign, and then ignore the background in regions."""
        result = assign(*args, **kwargs)
        # Heads pass these by position or by name: binding gives all a name.
        given = signature.bind(*args, **kwargs).arguments
        regions = given.get('gt_instances_ignore')
        if regions is not None and len(regions):
            # As ATSSAssigner does: only xyxy. All (n, 4) against (r, 4) below.
            priors = given['pred_instances'].priors[:, :4]
            # Over the area of the anchor, since a region may be far larger.
            shares = bbox_overlaps(priors, regions.bboxes, mode='iof')
            in_region = (shares > ignore_iof_thr).any(dim=1)
            # In `gt_inds`, 0 is background, k > 0 is object k - 1, -1 is
            # neither.
            ignored = in_region & (result.gt_inds == 0)
            is_out = ignored | (result.gt_inds < 0)
            if keeps_one and ignored.any() and is_out.all():
                # The first of those that are least in a region.
                least = shares.amax(dim=1).masked_fill(~ignored, torch.inf)
                ignored[least.argmin()] = False
            result.gt_inds[ignored] = -1
        return result

    return wrapped


def count_in_parts(dataset: Dataset, name: str) -> int:
    """Add up the regions to ignore of all parts of a dataset.

    Args:
        dataset: A `CheckedCocoDataset`, or a dataset that wraps some.
        name: Which regions: `num_ignored`, or `num_unchecked`, one for each
            image that has such a region.

    Returns:
        The number; 0 if no part counts them.
    """
    return sum(getattr(part, name, 0) for part in walk_parts(dataset))


def find_assigners(model: nn.Module) -> Iterator[BaseAssigner]:
    """Yield the assigners of all heads of a detector.

    Args:
        model: The detector.

    Yields:
        What the modules have under names with 'assigner', module by module,
        and one by one from a list. An assigner with two names comes twice.
    """
    for module in model.modules():
        for name, value in vars(module).items():
            # Heads have no common name for them: `assigner`, `bbox_assigner`
            # (a list in cascades), `initial_assigner` and others.
            if 'assigner' in name:
                yield from value if isinstance(value, list) else [value]


def find_roi_assigners(model: nn.Module) -> Iterator[BaseAssigner]:
    """Yield the assigners of proposals.

    Without any proposal, the classifier of a head has no gradient, and several
    processes that train together would end with an error.

    Args:
        model: The detector.

    Yields:
        The assigners of its RoI heads, module by module.
    """
    for module in model.modules():
        if isinstance(module, BaseRoIHead):
            yield from find_assigners(module)


def can_ignore(assigner: BaseAssigner) -> bool:
    """Return whether an assigner can ignore regions.

    Args:
        assigner: The assigner; only some have `ignore_iof_thr`.

    Returns:
        True if it has this attribute.
    """
    return hasattr(assigner, 'ignore_iof_thr')


def takes_any_anchor(assigner: BaseAssigner) -> bool:
    """Return whether an object gets its best anchor, however bad that is.

    Args:
        assigner: The assigner, such as RetinaNet's `MaxIoUAssigner`.

    Returns:
        Whether it does. Without the anchors in a region, an object there would
        be matched with those that hardly touch it.
    """
    is_low = getattr(assigner, 'min_pos_iou', 1) <= 0
    return is_low and getattr(assigner, 'match_low_quality', False)


def find_unassigned(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the dense heads that ask no assigner, as FCOS's as an RPN.

    Args:
        model: The detector.

    Yields:
        Heads without an assigner of their own or of a part, which a cascade of
        heads has.
    """
    for module in model.modules():
        is_dense = isinstance(module, BaseDenseHead)
        if is_dense and next(find_assigners(module), None) is None:
            yield module


def find_unweighted(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the heads whose loss counts what an assigner has ignored.

    Args:
        model: The detector.

    Yields:
        VFNet's head with its varifocal loss, to which it gives no weights, and
        FreeAnchor's, which asks no assigner.
    """
    for module in model.modules():
        is_free = isinstance(module, FreeAnchorRetinaHead)
        if is_free or getattr(module, 'use_vfl', False):
            yield module
