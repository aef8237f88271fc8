"""ResNet-18 in place of MMDetection's ResNet-50, trained from scratch.

Batch norm and all layers are trained, for want of pretrained weights.
"""

resnet_18 = dict(depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None)
