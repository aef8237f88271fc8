r"""Pseudo labels for 287 images of BCCD, 640x480, from the paper's 18 views.

Paper: sections 3 and 4; the views are known at second hand.
Command: python tools/test.py configs/bccd_gfl/annotate.py \
    work_dirs/bccd_gfl/teacher/iter_600.pth
Time: 7 s an image on two cores of a Xeon, 3 s with `mode='fast'`.
Result: see docs/benchmarks.md, of the first images.
"""

_base_ = [
    './teacher.py',
    '../_base_/views/scale_400_to_1200_flip.py',
    '../_base_/stages/annotate.py',
]

model = dict(
    _base_.multi_view,
    module=_base_.model,
    views=_base_.views,
    # As MMDetection's own test-time augmentation merges, so that
    # docs/benchmarks.md can compare the two.
    merger=dict(type='NMSMerger', iou_threshold=0.5, max_per_img=100),
)
test_dataloader = dict(sampler=_base_.pending, dataset=_base_.unlabeled_images)
test_evaluator = []
custom_hooks = [dict(_base_.annotation_hook, **_base_.known_images)]
