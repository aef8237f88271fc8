"""What the Soft Teacher configs share (arXiv 2106.09018), to compare with.

Soft Teacher trains once: its teacher is a moving average of its student, and
labels the unlabeled images of each batch anew. The values are those of
MMDetection's `soft_teacher/` and `_base_/datasets/semi_coco_detection.py`,
unless a comment says otherwise.
"""

# In place of the detector, which becomes its `detector`.
soft_teacher = dict(
    _delete_=True,
    type='SoftTeacher',
    semi_train_cfg=dict(
        freeze_teacher=True,
        sup_weight=1.0,
        unsup_weight=4.0,
        pseudo_label_initial_score_thr=0.5,
        rpn_pseudo_thr=0.9,
        cls_pseudo_thr=0.9,
        reg_pseudo_thr=0.02,
        jitter_times=10,
        jitter_scale=0.06,
        min_pseudo_bbox_wh=(1e-2, 1e-2),
    ),
    semi_test_cfg=dict(predict_on='teacher'),
)
# Each branch is one version of an image.
branches = dict(
    type='MultiBranch',
    branch_field=['sup', 'unsup_teacher', 'unsup_student'],
)
pack_labeled = dict(branches, sup=dict(type='PackDetInputs'))
multi_branch = dict(type='MultiBranchDataPreprocessor')
# The same as MMDetection's strong pipeline (docs/student.md).
strong = dict(type='StrongAugmentation')

concatenated = dict(_delete_=True, type='ConcatDataset')
# MMDetection has 1:4. With 5 labeled images, half of a batch is labeled, as in
# our students.
num_labeled, num_unlabeled = 2, 2
semi_sampler = dict(
    _delete_=True,
    type='MultiSourceSampler',
    batch_size=num_labeled + num_unlabeled,
    source_ratio=[num_labeled, num_unlabeled],
)
# MMDetection's 0.001 averages over 1,000 of 180,000 iterations, more than the
# small schedules have: their average would still hold the initial weights.
mean_teacher = dict(type='MeanTeacherHook', momentum=0.01)
