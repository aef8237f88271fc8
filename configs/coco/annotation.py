"""How the teachers on COCO annotate: the paper's views, merged by box voting.

It is inherited beside teacher.py. Box voting is what the paper's detection
experiments do (section 6). That is known at second hand, and the thresholds
are not known (configs/README.md).
"""

_base_ = [
    '../_base_/views/scale_400_to_1200_flip.py',
    '../_base_/stages/annotate.py',
]

paper_views = dict(
    _base_.multi_view,
    views=_base_.views,
    merger=dict(
        type='BoxVotingMerger',
        # The detector's own overlap and number of boxes an image.
        iou_threshold=0.5,
        max_per_img=100,
        # Detectron's default.
        voting_iou_threshold=0.8,
    ),
)
# Not tried on a GPU: choose what fits its memory and the cores beside it.
loader = dict(
    batch_size=4, num_workers=4, pin_memory=True, sampler=_base_.pending
)
