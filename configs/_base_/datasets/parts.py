"""What the small datasets share: files, loaders and the metric.

A dataset is one folder: `annotations/` has files as `tools/split_coco.py`
writes them, and the images are beside it. Its parts are:

- `labeled`, and `val_images`, which are held out;
- `unlabeled`, and the same as `unlabeled_images`, for a loader of others;
- `truth`: the unlabeled images with their true labels. Only the oracle trains
  on them;
- `pseudo_labeled`: the unlabeled images with the teacher's labels. student.py
  names the file;
- `known_images`: what annotation knows of other images. How many objects the
  labeled ones have, and which ones must not be among the unlabeled ones.
"""

_base_ = './transforms.py'

labeled = dict(type='CheckedCocoDataset', ann_file='annotations/labeled.json')
unlabeled = dict(
    type='UnlabeledDataset', ann_file='annotations/unlabeled.json'
)

# Images this small load faster than a process starts: reading takes 3 % of a
# step of the small detector on BCCD.
train_dataloader = dict(
    num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    # Grouping by aspect ratio would undo the student's ratio of sources.
    batch_sampler=None,
)
val_dataloader = dict(
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', metric='bbox', classwise=True)
test_evaluator = val_evaluator
