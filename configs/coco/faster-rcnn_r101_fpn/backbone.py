"""ResNet-101, as in MMDetection's Faster R-CNN with it."""

backbone = dict(
    depth=101,
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101'),
)
