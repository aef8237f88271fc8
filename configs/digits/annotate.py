"""Labels the unlabeled digit images with the teacher (paper, 3.1, 3.2).

A view is a scale and nothing else: no digit is the mirror image of a digit,
so a flip would show the teacher signs that it has never seen. A larger scale
finds more of the small digits, a smaller one more of the large.

Command: python tools/test.py configs/digits/annotate.py TEACHER.pth
    --work-dir work_dirs/digits/annotate
Time: 0.5 min on one core.
Expected: 75 % of the pseudo labels are right (class, and IoU of 0.5 or more).
"""

_base_ = './teacher.py'

data_root, side = _base_.data_root, _base_.side
model = dict(
    _delete_=True,
    type='MultiViewTTA',
    module=_base_.model,
    # Of the images' side: 3/4, 7/8, 1, 9/8, 5/4, all multiples of 16 pixels.
    views=[dict(scale=(side * n // 8,) * 2) for n in (6, 7, 8, 9, 10)],
    # The digits hardly overlap: two classes at one place are one digit.
    merger=dict(type='NMSMerger', class_agnostic=True),
)

test_dataloader = dict(
    sampler=dict(_delete_=True, type='PendingSampler'),
    dataset=dict(
        _delete_=True,
        type='UnlabeledDataset',
        data_root=data_root,
        ann_file='annotations/unlabeled.json',
        data_prefix=dict(img='images/unlabeled/'),
        metainfo=_base_.metainfo,
        pipeline=[_base_.test_pipeline[0], _base_.test_pipeline[-1]],
    ),
)
test_evaluator = []
labels, images = data_root + 'annotations/', data_root + 'images/'
unlabeled_truth = labels + 'unlabeled_truth.json'  # To compare, not to use.
custom_hooks = [
    dict(
        type='AnnotationHook',
        labeled=dict(
            ann_file=labels + 'labeled.json', img_prefix=images + 'labeled/'
        ),
        held_out=[
            dict(ann_file=labels + 'val.json', img_prefix=images + 'val/')
        ],
        selector=dict(type='MatchedSelector', per_class=True),
    )
]
