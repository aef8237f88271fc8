"""Teacher on the 5 labeled images of BCCD: a dense detector, at full size.

It is what docs/benchmarks.md annotates with.

Command: python tools/train.py configs/bccd_gfl/teacher.py
Time: 25 min on two cores of a Xeon.
Result: 32.0 mAP on the 72 validation images (seed 0).
"""

_base_ = [
    '../_base_/datasets/bccd.py',
    '../_base_/models/gfl_r18_fpn_small.py',
    '../_base_/schedules/from_scratch_600.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes=3))

test_scale = (640, 480)
train_pipeline = [
    _base_.load,
    _base_.load_labels,
    # The views (annotate.py) go on to 2.5 times the photographs' size, which
    # would take three times as long to train on.
    dict(_base_.random_resize, scale=test_scale, ratio_range=(0.5, 1.25)),
    _base_.random_flip,
    _base_.distort,
    _base_.pack,
]
resize = dict(_base_.resize, scale=test_scale)
test_pipeline = [_base_.load, resize, _base_.pack_for_test]
# A quarter of the digits' batch; an image has 19 times their pixels. Half
# their rate, which agrees with a rule of thumb for Adam: the root of that
# quarter. No trial of another pair is on record.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
