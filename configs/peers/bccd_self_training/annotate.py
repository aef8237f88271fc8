r"""Pseudo labels for 287 images of BCCD, from one view of each.

The teacher's detections with a score of 0.9 or more become labels, as in STAC.

Paper: none; STAC is arXiv 2005.04757.
Command: python tools/test.py configs/peers/bccd_self_training/annotate.py \
    work_dirs/peers/bccd_self_training/teacher/iter_400.pth
Time: see docs/results.md.
Result: see docs/results.md.
"""

_base_ = '../../bccd/annotate.py'

# A single view has its own NMS already.
model = dict(views=[[_base_.resize]], merger=dict(type='NMSMerger'))
fixed = dict(selector=dict(type='FixedSelector', min_score=0.9))
hook = dict(_base_.annotation_hook, selection=fixed)
custom_hooks = [dict(hook, **_base_.known_images)]
