"""Teacher on the 5 labeled images of BCCD: a dense detector, at full size.

What docs/benchmarks.md annotates with. Run alone:
`python tools/train.py configs/bccd_gfl/teacher.py`.

Time: 25 min on two cores of a Xeon. Result: 32.0 mAP on the 72 held-out images
(seed 0).
"""

_base_ = [
    '../_base_/datasets/bccd.py',
    '../_base_/models/gfl_r18_fpn_small.py',
    '../_base_/schedules/from_scratch_600.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=3))

test_scale = (640, 480)
load, load_labels, _, *augment = _base_.train_pipeline
# The views (annotate.py) go on to 2.5 times the photographs' size, which would
# take three times as long to train on.
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
# A quarter of the digits' batch.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
