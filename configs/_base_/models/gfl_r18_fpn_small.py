"""GFL with ResNet-18 and a thin FPN, from scratch, for images of 480 pixels.

The dense detector of docs/benchmarks.md: large enough that convolutions are
most of its work, as in those that people use. Differs from
`mmdet::gfl/gfl_r50_fpn_1x_coco.py` (arXiv 2006.04388) in size: a quarter of
the channels and half of the head's layers, and in that everything is trained,
with batch norm, for want of pretrained weights.

`num_classes` is the dataset's: the stage config sets it.
"""

_base_ = './gfl_r18_tiny.py'

channels = 64
strides = [8, 16, 32, 64, 128]

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        base_channels=64,
        num_stages=4,
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(
        in_channels=[64, 128, 256, 512],
        out_channels=channels,
        start_level=1,
        add_extra_convs='on_output',
        num_outs=len(strides),
    ),
    bbox_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(octave_base_scale=8, strides=strides),
        reg_max=16,
    ),
    test_cfg=dict(nms=dict(_delete_=True, type='nms', iou_threshold=0.6)),
)
