"""ResNeXt-101 32x4d, as in MMDetection's Faster R-CNN with it."""

backbone = dict(
    type='ResNeXt',
    depth=101,
    groups=32,
    base_width=4,
    init_cfg=dict(
        type='Pretrained', checkpoint='open-mmlab://resnext101_32x4d'
    ),
)
