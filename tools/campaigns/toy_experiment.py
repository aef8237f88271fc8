"""A whole experiment that runs in seconds, with a detector that learns little.

It boxes the red and the green pixels of an image, with a margin. The margin
is what it learns: it goes towards the mean height of the true boxes, and the
random numbers of each step change the way. So other data, another seed or
another number of steps give other weights, other boxes and another mAP.
"""

import json
from pathlib import Path

import torch
from builders import CLASSES, DrawnImages, ToyDetector, toy_detector_cfg
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

NUM_VALIDATION, NUM_UNLABELED = 20, 6
TEACHER = """
default_scope = 'mmdet'
custom_imports = dict(
    imports=['projects.data_distillation', 'toy_experiment']
)
model = {model}
classes = {classes}
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
]
train_pipeline = [
    *load, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(120, 120), keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'),
    ),
]
labeled = dict(
    type='CocoDataset', ann_file='data/labeled.json',
    data_prefix=dict(img='data/labeled'), metainfo=dict(classes=classes),
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=labeled,
    sampler=dict(type='InfiniteSampler'),
)
val_dataloader = dict(
    batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        labeled, ann_file='data/val.json',
        data_prefix=dict(img='data/unlabeled'), pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file='data/val.json', metric='bbox'
)
test_evaluator = val_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=3)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)
)
default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', interval=1, by_epoch=False, max_keep_ckpts=2
    ),
    logger=dict(type='LoggerHook', interval=1),
)
custom_hooks = [dict(type='ResumeHook')]
log_processor = dict(by_epoch=False)
"""
ANNOTATE = """
_base_ = './teacher.py'
model = dict(
    _delete_=True, type='MultiViewTTA', module=_base_.model,
    views=[
        [dict(type='Resize', scale=(400, short))] for short in (60, 80)
    ],
    merger=dict(type='NMSMerger'),
)
test_dataloader = dict(
    _delete_=True, batch_size=1, num_workers=0,
    sampler=dict(type='PendingSampler'),
    dataset=dict(
        type='UnlabeledDataset', ann_file='data/{images}.json',
        data_prefix=dict(img='data/unlabeled'),
        metainfo=dict(classes=_base_.classes),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape'),
            ),
        ],
    ),
)
test_evaluator = []
custom_hooks = [
    dict(
        type='{hook}',
        labeled=dict(
            ann_file='data/labeled.json', img_prefix='data/labeled'
        ),
    )
]
"""
LONG = "_base_ = './teacher.py'\ntrain_cfg = dict(max_iters=4)\n"
STUDENT = """
_base_ = './supervised_long.py'
pseudo = dict(
    _base_.labeled, ann_file='pseudo_labels.json',
    data_prefix=dict(img='data/unlabeled'),
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='ConcatDataset', datasets=[_base_.labeled, pseudo]
    )
)
"""
TUNE = """
_base_ = './validate.py'
model = dict(keep_views=True)
custom_hooks = [
    dict(
        _base_.custom_hooks[0], type='TuneHook', ann_file='data/val.json',
        mergers=[dict(type='NMSMerger')],
    )
]
"""


@MODELS.register_module()
class LearningToy(ToyDetector):
    """Boxes the red and the green pixels, with a margin that it learns."""

    def __init__(self, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor)
        self.margin = torch.nn.Parameter(torch.tensor(0.0))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict:
        """Compute how far the margin is from a tenth of the boxes' height.

        Args:
            batch_inputs: The images. They are not used.
            batch_data_samples: Their samples, with the true boxes in pixels of
                the images as they are trained on.

        Returns:
            `loss_margin`, the square of the difference, in which a random
            number from 0 to 1 stands for noise.
        """
        heights = [
            box[3] - box[1]
            for sample in batch_data_samples
            for box in sample.gt_instances.bboxes
        ]
        wanted = sum(heights) / max(1, len(heights)) / 10 + torch.rand(())
        # Processes wait for the gradient of every weight.
        off = self.margin - wanted + 0 * self.score
        return dict(loss_margin=off.square())

    def _boxes(self, image: Tensor, scale_factor: tuple) -> InstanceData:
        found = super()._boxes(image, scale_factor)
        grown = torch.tensor([-1, -1, 1, 1]) * self.margin.detach()
        found.bboxes = found.bboxes + grown
        return found


def write_experiment(folder: Path) -> None:
    """Write `data/` and `experiment/`, with paths relative to this folder.

    Args:
        folder: The folder, which must not have these two.

    Raises:
        OSError: If a file or a folder cannot be written.
    """
    drawn = DrawnImages(folder / 'data', NUM_VALIDATION + NUM_UNLABELED)
    images = drawn.truth['images']
    write_part(drawn, 'val', images[:NUM_VALIDATION])
    write_part(drawn, 'unlabeled', images[NUM_VALIDATION:])
    model = dict(toy_detector_cfg(), type='LearningToy')
    annotate = dict(images='unlabeled', hook='AnnotationHook')
    validate = dict(images='val', hook='DetectionHook')
    texts = dict(
        teacher=TEACHER.format(model=model, classes=CLASSES),
        annotate=ANNOTATE.format(**annotate),
        validate=ANNOTATE.format(**validate),
        supervised_long=LONG,
        student=STUDENT,
        tune=TUNE,
    )
    (folder / 'experiment').mkdir()
    for name, text in texts.items():
        (folder / 'experiment' / f'{name}.py').write_text(text)


def write_part(drawn: DrawnImages, name: str, images: list[dict]) -> None:
    """Write a COCO file of some images.

    Args:
        drawn: All images and their truth.
        name: The name of the file in their folder, without `.json`.
        images: The COCO images of the file.

    Raises:
        OSError: If the file cannot be written.
    """
    ids = {image['id'] for image in images}
    truth = drawn.truth['annotations']
    kept = [one for one in truth if one['image_id'] in ids]
    content = dict(drawn.truth, images=images, annotations=kept)
    (drawn.folder / f'{name}.json').write_text(json.dumps(content))
