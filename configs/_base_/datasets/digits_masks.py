"""The embedded digits with their masks, for instance segmentation."""

_base_ = './digits.py'

load_masks = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_pipeline = [
    load_masks if step.type == 'LoadAnnotations' else step
    for step in _base_.train_pipeline
]
test_pipeline = [
    load_masks if step.type == 'LoadAnnotations' else step
    for step in _base_.test_pipeline
]

labeled = dict(pipeline=train_pipeline)
pseudo_labeled = dict(pipeline=train_pipeline)
truth = dict(pipeline=train_pipeline)

# Half as many as of the boxes alone, for masks take time.
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
