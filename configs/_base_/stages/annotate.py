"""What every annotate.py shares. It is inherited beside teacher.py.

MMEngine lets no two bases set the same key, and teacher.py has set those of
the runner. So the parts have names of their own here, and annotate.py puts
them in their places.
"""

# Deals out the images without stored detections, to any number of processes.
pending = dict(_delete_=True, type='PendingSampler')
# In place of the detector, which becomes its `module`.
multi_view = dict(_delete_=True, type='MultiViewTTA')
# Better than the other mergers on BCCD (docs/benchmarks.md): its teachers have
# seen five images, and no view's box is as good as the mean of all.
mean_of_views = dict(multi_view, merger=dict(type='WBFMerger'))
# Selects as many labels an image as the labeled images have objects. This is
# the paper's rule (quoted by readers). To apply it to each class is ours.
annotation_hook = dict(
    type='AnnotationHook',
    selection=dict(selector=dict(type='MatchedSelector', per_class=True)),
)
