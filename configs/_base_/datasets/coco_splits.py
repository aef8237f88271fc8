"""COCO's splits, under the names of the paper (arXiv 1712.04440).

MMDetection's COCO brings `data_root`, the pipelines, and the evaluation on
minival, that is, val2017. co-35 and co-80 are MMDetection's files of the 2014
release; together they are co-115, which the 2017 release calls train2017. The
paper's splits are known at second hand (configs/README.md).
"""

_base_ = ['mmdet::_base_/datasets/coco_detection.py', './transforms.py']

metainfo = dict(
    classes=(
        'person',
        'bicycle',
        'car',
        'motorcycle',
        'airplane',
        'bus',
        'train',
        'truck',
        'boat',
        'traffic light',
        'fire hydrant',
        'stop sign',
        'parking meter',
        'bench',
        'bird',
        'cat',
        'dog',
        'horse',
        'sheep',
        'cow',
        'elephant',
        'bear',
        'zebra',
        'giraffe',
        'backpack',
        'umbrella',
        'handbag',
        'tie',
        'suitcase',
        'frisbee',
        'skis',
        'snowboard',
        'sports ball',
        'kite',
        'baseball bat',
        'baseball glove',
        'skateboard',
        'surfboard',
        'tennis racket',
        'bottle',
        'wine glass',
        'cup',
        'fork',
        'knife',
        'spoon',
        'bowl',
        'banana',
        'apple',
        'sandwich',
        'orange',
        'broccoli',
        'carrot',
        'hot dog',
        'pizza',
        'donut',
        'cake',
        'chair',
        'couch',
        'potted plant',
        'bed',
        'dining table',
        'toilet',
        'tv',
        'laptop',
        'mouse',
        'remote',
        'keyboard',
        'cell phone',
        'microwave',
        'oven',
        'toaster',
        'sink',
        'refrigerator',
        'book',
        'clock',
        'vase',
        'scissors',
        'teddy bear',
        'hair drier',
        'toothbrush',
    )
)

# Images in each split, from the annotation files.
num_images = dict(co_35=35_504, co_80=82_783, co_115=118_287, un_120=123_403)

co_115 = dict(
    type='CheckedCocoDataset',
    data_root=_base_.data_root,
    ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017/'),
    metainfo=metainfo,
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=_base_.train_pipeline,
)
co_35 = dict(
    co_115,
    ann_file='annotations/instances_valminusminival2014.json',
    data_prefix=dict(img='val2014/'),
)
co_80 = dict(
    co_115,
    ann_file='annotations/instances_train2014.json',
    data_prefix=dict(img='train2014/'),
)
# Any of them with the teacher's labels, in which an image may have no object.
pseudo_labeled = dict(
    co_115,
    data_root='',
    ann_file='',
    filter_cfg=dict(filter_empty_gt=False),
)

un_120 = dict(
    type='UnlabeledDataset',
    data_root=_base_.data_root,
    ann_file='annotations/image_info_unlabeled2017.json',
    data_prefix=dict(img='unlabeled2017/'),
    metainfo=metainfo,
    pipeline=[_base_.load, _base_.pack_unlabeled],
)
co_80_unlabeled = dict(
    un_120,
    ann_file='annotations/instances_train2014.json',
    data_prefix=dict(img='train2014/'),
)

val_images = dict(
    ann_file='annotations/instances_val2017.json',
    data_prefix=dict(img='val2017/'),
)
# What annotation knows of the labeled images, and of those that are held out.
known_co_35, known_co_115 = (
    dict(
        ann_file=_base_.data_root + split['ann_file'],
        img_prefix=_base_.data_root + split['data_prefix']['img'],
    )
    for split in (co_35, co_115)
)
held_out = dict(
    ann_file=_base_.data_root + 'annotations/instances_val2017.json',
    img_prefix=_base_.data_root + 'val2017/',
)

train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    # Grouping by aspect ratio would undo the student's ratio of sources, and
    # only the data shall differ between the stages.
    batch_sampler=None,
)
val_dataloader = dict(
    dataset=dict(type='CheckedCocoDataset', metainfo=metainfo)
)
test_dataloader = val_dataloader
