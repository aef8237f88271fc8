"""GFL small enough to learn from scratch on a CPU, for images of 128 pixels.

Source: Generalized Focal Loss, arXiv 2006.04388. It differs from
`mmdet::gfl/gfl_r50_fpn_1x_coco.py` in size: a quarter of ResNet-18's channels,
two convolutions in the head for four, and what has a comment. Batch norm and
all layers are trained, for want of pretrained weights.
"""

num_classes = 10
# Found by trial, as are the strides: 0.3 million weights, 0.1 s an iteration
# of 8 images on one CPU core.
channels = 48

model = dict(
    type='GFL',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        # The middle of the gray levels, and near ImageNet's spread (57 to 58).
        mean=[127.5, 127.5, 127.5],
        std=[60.0, 60.0, 60.0],
        pad_size_divisor=16,  # The coarsest stride.
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=16,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(1, 2),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(
        type='FPN',
        in_channels=[32, 64],
        out_channels=channels,
        norm_cfg=dict(type='BN', requires_grad=True),
        num_outs=2,
    ),
    bbox_head=dict(
        type='GFLHead',
        num_classes=num_classes,
        in_channels=channels,
        stacked_convs=2,
        feat_channels=channels,
        norm_cfg=dict(type='BN', requires_grad=True),
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=3,  # Anchors of 24 and 48 pixels, as the digits
            scales_per_octave=1,
            strides=[8, 16],
        ),
        loss_cls=dict(
            type='QualityFocalLoss',
            use_sigmoid=True,
            beta=2.0,
            loss_weight=1.0,
        ),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        reg_max=8,  # A side lies within 8 strides of a point inside
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(type='ATSSAssigner', topk=9),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        # One digit is one class, and digits overlap little.
        nms=dict(type='nms', iou_threshold=0.6, class_agnostic=True),
        max_per_img=100,
    ),
)
