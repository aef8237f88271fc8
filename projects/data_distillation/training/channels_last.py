"""ChannelsLastHook: makes the training of convolutions on a CPU faster."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..multi_view.inference.acceleration import make_features_contiguous


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
        buckets in which DDP adds up gradients have the usual order.

        Args:
            runner: The runner, whose model is changed in place.
        """
        model = runner.model
        if is_model_wrapper(model):
            return
        model.to(memory_format=torch.channels_last)
        # mmcv's RoIAlign would read others as if they were contiguous.
        model.extract_feat = make_features_contiguous(model.extract_feat)
