"""The tiny GFL with three levels, for the cells of BCCD at 256x192.

Red cells are about 40 pixels large there, white ones 76, platelets 16.
`num_classes` is the dataset's: the stage config sets it.
"""

_base_ = './gfl_r18_tiny.py'

strides = [8, 16, 32]

model = dict(
    data_preprocessor=dict(pad_size_divisor=strides[-1]),
    backbone=dict(
        num_stages=4,
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        out_indices=(1, 2, 3),
    ),
    neck=dict(in_channels=[32, 64, 128], num_outs=len(strides)),
    bbox_head=dict(
        # Anchors of 16, 32 and 64 pixels. From 24 on, a teacher of 5 images
        # hardly learns platelets (2 for 12 AP).
        anchor_generator=dict(octave_base_scale=2, strides=strides),
    ),
    # Cells of different classes overlap, unlike digits.
    test_cfg=dict(nms=dict(_delete_=True, type='nms', iou_threshold=0.6)),
)
