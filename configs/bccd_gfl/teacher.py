"""Teacher on the 5 labeled images of BCCD: a dense detector, at full size.

What docs/benchmarks.md annotates with. Run alone:
`python tools/train.py configs/bccd_gfl/teacher.py`.
"""

_base_ = [
    '../_base_/datasets/bccd.py',
    '../_base_/models/gfl_r18_fpn_small.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=3))

test_scale = (640, 480)
load, load_labels, _, *augment = _base_.train_pipeline
# The scales of the views (annotate.py) are 0.8 to 2.5 times the photographs'.
resize = dict(
    type='RandomResize',
    scale=test_scale,
    ratio_range=(0.5, 1.25),
    keep_ratio=True,
)
train_pipeline = [load, load_labels, resize, *augment]
test_pipeline = [
    load,
    dict(type='Resize', scale=test_scale, keep_ratio=True),
    _base_.test_pipeline[-1],
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

# A step takes four times as long as those of configs/bccd/: fewer of them.
max_iters = 200
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=30),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        gamma=0.1,
        milestones=[max_iters * 7 // 10, max_iters * 9 // 10],
    ),
]
