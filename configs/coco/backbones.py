"""The larger backbones, as MMDetection's Faster R-CNN has them."""

resnet_101 = dict(
    depth=101,
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101'),
)
resnext_101 = dict(
    type='ResNeXt',
    depth=101,
    groups=32,
    base_width=4,
    init_cfg=dict(
        type='Pretrained', checkpoint='open-mmlab://resnext101_32x4d'
    ),
)
