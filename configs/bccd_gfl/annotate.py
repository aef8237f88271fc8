"""Pseudo labels for 287 images of BCCD, 640x480, from the paper's 18 views.

Paper: sections 3 and 4. Run after teacher.py:
`python tools/test.py configs/bccd_gfl/annotate.py TEACHER.pth`.

Time: 7 s an image on two cores of a Xeon, 3 s with `mode='fast'`. Result: see
docs/benchmarks.md, of the first images.
"""

_base_ = ['./teacher.py', '../coco/views.py']

model = dict(
    _delete_=True,
    type='MultiViewTTA',
    module=_base_.model,
    views=_base_.views,
    merger=_base_.merger,
)
test_dataloader = dict(
    sampler=dict(_delete_=True, type='PendingSampler'),
    dataset=dict(_delete_=True, **_base_.unlabeled),
)
test_evaluator = []
custom_hooks = [
    dict(
        type='AnnotationHook',
        labeled=dict(
            ann_file=_base_.data_root + _base_.labeled.ann_file,
            img_prefix=_base_.data_root + _base_.labeled.data_prefix.img,
        ),
        held_out=[_base_.held_out],
        selection=dict(selector=dict(type='MatchedSelector', per_class=True)),
    )
]
