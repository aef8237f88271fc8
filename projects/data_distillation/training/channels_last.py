"""ChannelsLastHook: makes the training of convolutions on a CPU faster."""

import logging

import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..multi_view.inference.acceleration import make_features_contiguous

DEFORMABLE = (DeformConv2d, ModulatedDeformConv2d)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Trains with the channels as the last dimension in memory.

    Convolutions on a CPU are faster so (docs/benchmarks.md). The heads get
    contiguous features as ever. Weights differ by rounding alone from those of
    another training, and their files do not tell the two apart.

    Example:
        Add it to a config::

            default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
    """

    def before_train(self, runner: Runner) -> None:
        """Rearrange the weights of the model.

        A model that several processes train together stays as it is: the
        buckets in which DDP adds up gradients have the usual order. So does
        one with deformable convolutions, since mmcv's read the memory as if it
        were contiguous; the log says so.

        Args:
            runner: The runner, whose model is changed in place.
        """
        model = runner.model
        if is_model_wrapper(model):
            return
        if any(isinstance(part, DEFORMABLE) for part in model.modules()):
            print_log(
                'ChannelsLastHook does nothing: the deformable convolutions '
                'of this model need the usual order in memory',
                'current',
                logging.WARNING,
            )
            return
        model.to(memory_format=torch.channels_last)
        # mmcv's RoIAlign would read others as if they were contiguous.
        model.extract_feat = make_features_contiguous(model.extract_feat)
