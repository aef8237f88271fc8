"""What the provenance of detections says about their configs."""

import hashlib
import json

import pytest
from builders import CLASSES, annotate_cfg, masks_cfg
from mmdet.registry import DATASETS

from projects.data_distillation.pseudo_labels.annotation.provenance import (
    find_names,
    make_provenance,
    reads_only_polygons,
)

POLYGONS = dict(type='LoadAnnotations', with_mask=True, poly2mask=False)
RESIZE = dict(type='Resize')


@pytest.mark.parametrize(
    'part',
    [
        dict(dataset=dict(pipeline=[RESIZE, POLYGONS])),
        dict(dataset=dict(datasets=[{}, dict(pipeline=(POLYGONS,))])),
    ],
)
def test_transform_that_reads_only_polygons_is_found(part):
    assert reads_only_polygons(part) is True


@pytest.mark.parametrize(
    'part',
    [
        None,
        [],
        'poly2mask',
        dict(pipeline=[RESIZE, dict(POLYGONS, poly2mask=True)]),
        dict(pipeline=[dict(POLYGONS, with_mask=False)]),
        dict(pipeline=[dict(type='LoadAnnotations', with_mask=True)]),
    ],
)
def test_no_other_transform_is_taken_for_one(part):
    assert reads_only_polygons(part) is False


def test_names_are_those_that_the_teacher_says():
    names = dict(classes=['cat'], class_map=dict(cat='pet'))
    assert find_names(names) == dict(class_names=[['cat'], dict(cat='pet')])
    assert find_names(dict(classes=['cat'])) == dict(
        class_names=[['cat'], None]
    )
    assert find_names(dict(model='faster')) == {}


def provenance_of(cfg) -> dict:
    return make_provenance(cfg, DATASETS.build(cfg.test_dataloader.dataset))


def test_provenance_is_what_the_detections_depend_on(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path)

    made = provenance_of(cfg)

    detector = json.dumps(cfg.model.module, sort_keys=True)
    pack = dict(
        type='PackDetInputs', meta_keys=['img_id', 'img_path', 'ori_shape']
    )
    flip, scales = dict(type='Flip'), ([400, 60], [400, 80], [400, 123])
    assert made == dict(
        teacher_config=None,
        detector_sha256=hashlib.sha256(detector.encode()).hexdigest(),
        checkpoint=str(checkpoint),
        checkpoint_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        image_folder=str(drawn.folder / 'unlabeled'),
        has_image_infos=True,
        classes=list(CLASSES),
        pipeline=[dict(type='LoadImageFromFile'), pack],
        other_teachers=[],
        views=[
            [dict(type='Resize', scale=scale), *flips]
            for scale in scales
            for flips in ([], [flip])
        ],
        mode='exact',
        merger=dict(type='NMSMerger'),
    )


def test_teacher_of_a_url_stands_for_itself(drawn, checkpoint, tmp_path):
    url = 'https://example.org/teacher.pth'
    cfg = annotate_cfg(drawn, None, tmp_path)
    cfg.load_from = url
    cfg.model.other_teachers = [
        dict(checkpoint=url, classes=['red']), dict(checkpoint=checkpoint)
    ]  # fmt: skip

    made = provenance_of(cfg)

    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert made['checkpoint_sha256'] == url
    assert made['other_teachers'] == [
        dict(
            module='None', checkpoint_sha256=url, class_names=[['red'], None]
        ),
        dict(module='None', checkpoint_sha256=sha256),
    ]


@pytest.mark.parametrize(
    ('pipeline', 'segmentation'), [([POLYGONS], 'polygon'), ([RESIZE], 'rle')]
)
def test_masks_and_boxes_of_views_are_told_where_they_are_kept(
    drawn, tmp_path, pipeline, segmentation
):
    cfg = masks_cfg(drawn, tmp_path)
    cfg.model.keep_views = True
    cfg.train_dataloader = dict(dataset=dict(pipeline=pipeline))

    made = provenance_of(cfg)

    assert made['masks'] == dict(min_score=0.1)
    assert made['segmentation'] == segmentation
    assert made['keep_views'] is True


def test_preprocessor_at_the_top_counts_if_the_teacher_has_none(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path)
    cfg.data_preprocessor = dict(type='DetDataPreprocessor', mean=[1, 2, 3])

    assert 'data_preprocessor' not in provenance_of(cfg)
    del cfg.model.module['data_preprocessor']
    assert "'mean': [1, 2, 3]" in provenance_of(cfg)['data_preprocessor']
