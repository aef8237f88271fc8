"""ScoreWeightHook: doubtful pseudo labels teach less than certain ones."""

import functools
import inspect
import logging
from collections.abc import Callable, Iterator

import torch
from mmdet.datasets.api_wrappers import COCO
from mmdet.datasets.transforms import PackDetInputs
from mmdet.models.dense_heads import (
    ATSSHead,
    GFLHead,
    RetinaHead,
    RPNHead,
    SSDHead,
)
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads import (
    CascadeRoIHead,
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
    StandardRoIHead,
)
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from mmdet.models.task_modules import SamplingResult
from mmdet.registry import DATASETS, HOOKS
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from .coco import CocoError
from .coco_schema import is_number, shown
from .datasets import CheckedCocoDataset
from .ignore_regions import parts_of

# Heads whose anchors are found in what `_get_targets_single` returns. Others,
# and classes derived from these, may choose their anchors elsewhere.
ANCHOR_HEADS = (ATSSHead, GFLHead, RetinaHead, RPNHead, SSDHead)
ROI_HEADS = (CascadeRoIHead, StandardRoIHead)
BBOX_HEADS = (ConvFCBBoxHead, Shared2FCBBoxHead, Shared4Conv1FCBBoxHead)
# Scores are kept to a millionth.
STEPS = 1 << 20


@DATASETS.register_module()
class PseudoLabeledDataset(CheckedCocoDataset):
    """A `CheckedCocoDataset` whose samples know the score of each box.

    Transforms know nothing of scores, but whatever they do with a box, they
    do with its label. So while an image goes through the pipeline, its labels
    are numbers that hold the score as well: class + number of classes * (1 -
    score) in steps; those of a score of 1 are as ever. In the end there are
    `gt_instances.labels` and, in [0, 1], `gt_instances.scores`. What has no
    score, such as a label that a person wrote, has 1.

    Arguments are those of CocoDataset. The last transform must be
    `PackDetInputs`, where labels become what they were.

    Raises:
        ValueError: If it is another one, as below `MultiImageMixDataset`.
        CocoError: See `CheckedCocoDataset`; or if a score is not in [0, 1].
    """

    def __init__(self, *args: object, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        last = self.pipeline.transforms[-1:]
        if not last or not isinstance(last[0], PackDetInputs):
            raise ValueError(
                'PseudoLabeledDataset keeps scores up to PackDetInputs, which '
                'must be the last transform of its pipeline, got '
                f'{[type(one).__name__ for one in last]}'
            )

    def COCOAPI(self, annotation_file: str) -> COCO:  # noqa: N802 - mmdet's
        """Read and check the file, also its scores.

        Args:
            annotation_file: The file.

        Returns:
            Its index.

        Raises:
            CocoError: See `CheckedCocoDataset`; or if a score is no number in
                [0, 1].
        """
        coco = super().COCOAPI(annotation_file)
        scored = [a for a in coco.dataset['annotations'] if 'score' in a]
        for annotation in scored:
            score = annotation['score']
            if not is_number(score) or not 0 <= score <= 1:
                raise CocoError(
                    f'{annotation_file}: `score` of annotation '
                    f'{annotation["id"]} must be in [0, 1], got '
                    f'{shown(score)}'
                )
        self.num_scored = len(scored)
        return coco

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse an image and its annotations, with their scores.

        Args:
            raw_data_info: As CocoDataset has it.

        Returns:
            What CocoDataset returns; each of `instances` has its `score`.
        """
        # CocoDataset drops some annotations and does not say which.
        info = super().parse_data_info(dict(raw_data_info, raw_ann_info=[]))
        for annotation in raw_data_info['raw_ann_info']:
            one = dict(raw_data_info, raw_ann_info=[annotation])
            for instance in super().parse_data_info(one)['instances']:
                instance['score'] = annotation.get('score', 1.0)
                info['instances'].append(instance)
        return info

    def prepare_data(self, idx: int) -> dict | None:
        """Load an image; its scores travel within the labels.

        Args:
            idx: Its index.

        Returns:
            `inputs` and `data_samples`; None if the pipeline returns it, for
            another image in its place.
        """
        num_classes = len(self.metainfo['classes'])
        info = self.get_data_info(idx)
        for instance in info['instances']:
            lost = round((1 - instance['score']) * STEPS)
            instance['bbox_label'] += num_classes * lost
        data = self.pipeline(info)
        if data is not None:
            take_scores(data['data_samples'], num_classes)
        return data


def take_scores(sample: DetDataSample, num_classes: int) -> None:
    """Split labels that hold scores into `labels` and `scores`, in place."""
    for instances in (sample.gt_instances, sample.ignored_instances):
        numbers = instances.labels
        instances.labels = numbers % num_classes
        instances.scores = 1 - (numbers // num_classes) / STEPS


@HOOKS.register_module()
class ScoreWeightHook(Hook):
    """Weights the loss of every pseudo label by its score.

    That is, all losses (classes, boxes, centerness ...) of the anchors and
    proposals that are assigned to it; background counts as ever. It is done
    to the gradients of the head's predictions, which is the same for training
    and goes for losses that take no weights: the losses in the log are
    without. Labels without a score have weight 1.

    For anchor heads (RPN, RetinaNet, SSD, ATSS, GFL) and box heads (Faster
    and Cascade R-CNN). The pseudo-labeled part must be a
    `PseudoLabeledDataset`.

    Source:
        ASTOD, arXiv 2212.05911, which weights labels from several views;
        Soft Teacher, arXiv 2106.09018, weights the losses of classes.
    """

    def before_train(self, runner: Runner) -> None:
        """Prepare the heads.

        Args:
            runner: The runner.

        Raises:
            ValueError: If there are no scores, or the detector has a head
                that cannot be weighted.
        """
        parts = parts_of(runner.train_dataloader.dataset)
        num_scored = sum(getattr(part, 'num_scored', 0) for part in parts)
        if not num_scored:
            raise ValueError(
                'ScoreWeightHook finds no label with a `score`: let the '
                'pseudo-labeled part of train_dataloader.dataset be of '
                "type='PseudoLabeledDataset', and its file have scores"
            )
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        heads = list(heads_of(model))
        unable = [part for head in heads for part in unknown_parts(head)]
        if unable or not heads:
            raise ValueError(
                f'the losses of {type(model).__name__} cannot be weighted by '
                f'score (heads: {names(unable) or "none"}). Train without '
                'ScoreWeightHook'
            )
        for head in heads:
            weight(head)
        print_log(
            f'{num_scored:,} pseudo labels are weighted by their score in '
            f'{names(heads)}',
            'current',
            logging.INFO,
        )


def heads_of(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of a detector that compare with labels."""
    for module in model.modules():
        is_head = isinstance(module, BaseDenseHead | BaseRoIHead)
        if is_head or any('assigner' in name for name in vars(module)):
            yield module


def names(heads: list[nn.Module]) -> str:
    """Return the classes of heads, for people."""
    return ', '.join(sorted({type(head).__name__ for head in heads}))


def unknown_parts(head: nn.Module) -> list[nn.Module]:
    """Return what of a head computes its losses in a way not known here."""
    if type(head) in ROI_HEADS:
        return [p for p in bbox_heads(head) if type(p) not in BBOX_HEADS]
    return [] if type(head) in ANCHOR_HEADS else [head]


def bbox_heads(head: BaseRoIHead) -> list[nn.Module]:
    """Return the box heads of all stages of a RoI head."""
    found = head.bbox_head
    return list(found) if isinstance(found, nn.ModuleList) else [found]


def weight(head: nn.Module) -> None:
    """Let a head's positives weigh as much as their labels' scores.

    Args:
        head: One without `unknown_parts`.
    """
    if type(head) in ANCHOR_HEADS:
        head.sampler.sample = scored(head.sampler.sample)
        AnchorWeights(head)
        return
    samplers = head.bbox_sampler
    for sampler in samplers if isinstance(samplers, list) else [samplers]:
        sampler.sample = scored(sampler.sample)
    for part in bbox_heads(head):
        part.loss_and_target = weighted(part.loss_and_target)


def scored(
    sample: Callable[..., SamplingResult],
) -> Callable[..., SamplingResult]:
    """Let a sampler say the score of each positive's label.

    Args:
        sample: Its `sample`.

    Returns:
        What to call in its place; `pos_scores` of what it returns are the
        scores, 1 where there are none.
    """
    signature = inspect.signature(sample)

    @functools.wraps(sample)
    def wrapped(*args: object, **kwargs) -> SamplingResult:
        """Sample, and look the scores up."""
        result = sample(*args, **kwargs)
        labels = signature.bind(*args, **kwargs).arguments['gt_instances']
        scores = labels.get('scores', labels.labels.new_ones(len(labels)))
        result.pos_scores = scores.float()[result.pos_assigned_gt_inds]
        return result

    return wrapped


class AnchorWeights:
    """Scales the gradients of what a dense head predicts for its anchors.

    Args:
        head: One of `ANCHOR_HEADS`, whose sampler is `scored`.
    """

    def __init__(self, head: nn.Module) -> None:
        self.num_classes = head.num_classes
        self.num_base_priors = head.prior_generator.num_base_priors
        self.get_targets = head._get_targets_single
        # Of each image of the batch, the weights of all anchors.
        self.images: list[Tensor] = []
        head._get_targets_single = self.keep_weights
        head.register_forward_hook(self.watch)

    def keep_weights(self, *args: object, **kwargs) -> tuple:
        """Assign the anchors of one image; in place of the head's method."""
        targets = self.get_targets(*args, **kwargs)
        # Before them may be the anchors, which are floats.
        labels = next(part for part in targets if part.dtype == torch.long)
        # The positives, in order: the indices that are returned as well do
        # not count the anchors outside of the image.
        is_positive = labels != self.num_classes
        weights = labels.new_ones(labels.shape, dtype=torch.float)
        weights[is_positive] = targets[-1].pos_scores
        self.images.append(weights)
        return targets

    def watch(self, head: nn.Module, inputs: tuple, outputs: tuple) -> None:
        """Wait for the gradients of the maps that a head has predicted."""
        self.images = []
        for maps in outputs:
            first = 0
            for level, num in zip(maps, self.num_base_priors, strict=True):
                if level.requires_grad:
                    scale = functools.partial(
                        scaled_map, images=self.images, first=first, num=num
                    )
                    level.register_hook(scale)
                first += num * level.shape[-2:].numel()


def scaled_map(
    gradient: Tensor, images: list[Tensor], first: int, num: int
) -> Tensor:
    """Scale a level's gradient, anchor by anchor.

    Args:
        gradient: Shape (n, num * k, h, w).
        images: The weights of all anchors of n images, by level, row, column
            and shape of anchor.
        first: The level's first anchor.
        num: Anchors at each place.

    Returns:
        Of the same shape and type.
    """
    n, _, h, w = gradient.shape
    weights = torch.stack(images)[:, first : first + h * w * num]
    weights = weights.reshape(n, h, w, num).permute(0, 3, 1, 2)[:, :, None]
    scaled = gradient.reshape(n, num, -1, h, w) * weights
    return scaled.reshape(gradient.shape).to(gradient.dtype)


def weighted(loss_and_target: Callable[..., dict]) -> Callable[..., dict]:
    """Let a box head scale the gradients of its predictions.

    Args:
        loss_and_target: Its method of this name; the samplers are `scored`.

    Returns:
        What to call in its place.
    """
    signature = inspect.signature(loss_and_target)

    @functools.wraps(loss_and_target)
    def wrapped(*args: object, **kwargs) -> dict:
        """Compute the losses."""
        given = signature.bind(*args, **kwargs).arguments
        # In each image, the positives come first.
        weights = torch.cat(
            [
                torch.cat([r.pos_scores, torch.ones_like(r.neg_inds)])
                for r in given['sampling_results']
            ]
        )[:, None]
        for predicted in (given['cls_score'], given['bbox_pred']):
            if predicted.requires_grad:
                predicted.register_hook(
                    lambda gradient: (gradient * weights).to(gradient.dtype)
                )
        return loss_and_target(*args, **kwargs)

    return wrapped
