"""Mask R-CNN small enough to learn from scratch on a CPU, for 128 pixels.

It is MMDetection's Mask R-CNN R-50 FPN but for these points:

- a quarter of ResNet-18's channels, and few of the FPN's and of the heads';
- no stride above 16, whose cells are larger than most objects;
- few proposals and RoIs, and one sample for each RoIAlign bin, which is about
  a cell: RoIAlign and NMS run on one thread of a CPU;
- one mask for all classes, which few objects suffice to learn;
- anchors that are square or tall, as digits are; NMS over all classes;
- batch norm, also in the FPN, and all layers are trained, for want of
  pretrained weights.

The numbers of channels, proposals and samples were chosen for speed on a CPU.
They are not tuned.
"""

_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', './resnet_18.py']

num_classes = 10
# Found by trial on the digits, as are the strides and the anchors.
channels = 48
strides = [4, 8, 16]
extractor = dict(
    roi_layer=dict(sampling_ratio=1),
    out_channels=channels,
    featmap_strides=strides,
    finest_scale=16,  # RoIs from 32 pixels on are of stride 8.
)

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),  # The coarsest stride.
    backbone=dict(
        _base_.resnet_18,
        base_channels=16,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
    ),
    neck=dict(
        in_channels=[16, 32, 64],
        out_channels=channels,
        norm_cfg=dict(type='BN', requires_grad=True),
        num_outs=len(strides),
    ),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(scales=[4], ratios=[1.0, 2.0], strides=strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=extractor,
        bbox_head=dict(
            in_channels=channels, fc_out_channels=256, num_classes=num_classes
        ),
        mask_roi_extractor=extractor,
        mask_head=dict(
            num_convs=2,
            in_channels=channels,
            conv_out_channels=channels,
            num_classes=num_classes,
            class_agnostic=True,
        ),
    ),
    # MMDetection has 2000 (1000 in tests), 1000 and 512: for COCO's larger
    # images, and a GPU.
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=100, max_per_img=50),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=50),
        # One digit is one class, and digits overlap little.
        rcnn=dict(nms=dict(class_agnostic=True)),
    ),
)
