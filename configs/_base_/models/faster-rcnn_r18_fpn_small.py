"""Faster R-CNN, half-width ResNet-18 and thin FPN, from scratch on a CPU.

For images of about 320x240. It is MMDetection's Faster R-CNN R-50 FPN but for
these points:

- a quarter of the FPN's channels and of the heads', half of ResNet-18's;
- no stride 4, whose maps are most of the FPN's work; anchors start at the
  same 32 pixels, hence scale 4 for 8;
- few proposals and RoIs, and one sample for each RoIAlign bin, which at stride
  8 is about a cell: RoIAlign and NMS run on one thread of a CPU;
- batch norm and all layers are trained, for want of pretrained weights.

The numbers of channels, proposals and samples were chosen for speed on a CPU.
They are not tuned.

`num_classes` is the dataset's: the stage config sets it.
"""

_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './resnet_18.py']

channels = 64
strides = [8, 16, 32, 64]

model = dict(
    backbone=dict(_base_.resnet_18, base_channels=32),
    neck=dict(
        in_channels=[32, 64, 128, 256],
        out_channels=channels,
        start_level=1,
        num_outs=len(strides),
    ),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(scales=[4], strides=strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1),
            out_channels=channels,
            featmap_strides=strides[:3],
        ),
        bbox_head=dict(in_channels=channels, fc_out_channels=256),
    ),
    # MMDetection has 2000 (1000 in tests), 1000 and 512: for COCO's larger
    # images, and a GPU.
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=200)),
)
