"""COCO's splits, under the names of the paper (arXiv 1712.04440).

To inherit beside an MMDetection COCO config, which brings `data_root`, the
pipelines, and the evaluation on minival, that is, val2017. co-35 and co-80
are MMDetection's files of the 2014 release; together they are co-115, which
the 2017 release calls train2017.
"""

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
    ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017/'),
    metainfo=metainfo,
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
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

un_120 = dict(
    type='UnlabeledDataset',
    ann_file='annotations/image_info_unlabeled2017.json',
    data_prefix=dict(img='unlabeled2017/'),
    metainfo=metainfo,
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'),
        ),
    ],
)
co_80_unlabeled = dict(
    un_120,
    ann_file='annotations/instances_train2014.json',
    data_prefix=dict(img='train2014/'),
)
