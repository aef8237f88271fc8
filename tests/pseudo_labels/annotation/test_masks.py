"""Masks from the teacher to the student: a real run, and who reads it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import CLASSES, annotate, masks_cfg
from mmdet.registry import DATASETS
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from projects.data_distillation import DetectionStore
from projects.data_distillation.api import Annotation
from projects.data_distillation.pseudo_labels.annotation.merging_again import (
    merge_again,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.selection.export import (
    select_labels,
)


def with_polygons(cfg):
    """As the config of a student that reads nothing else."""
    load = dict(
        type='LoadAnnotations',
        with_bbox=True,
        with_mask=True,
        poly2mask=False,
    )
    inner = dict(type='CocoDataset', pipeline=[load])
    cfg.train_dataloader = dict(
        dataset=dict(type='MultiImageMixDataset', dataset=inner)
    )
    # The runner wants all or nothing of a training.
    cfg.train_cfg = dict(by_epoch=False, max_iters=1)
    cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=1))
    return cfg


def drawn_mask(drawn, name: str, label: int) -> np.ndarray:
    image = cv2.imread(str(drawn.folder / 'unlabeled' / name))
    return image[..., (2, 1)[label]] > 127


def iou(one, other) -> float:
    return (one & other).sum() / (one | other).sum()


def read_with_mmdet(drawn, file: Path, poly2mask: bool) -> list[dict]:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(
            type='LoadAnnotations',
            with_bbox=True,
            with_mask=True,
            poly2mask=poly2mask,
        ),
    ]
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=str(file),
            data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
            metainfo=dict(classes=CLASSES),
            pipeline=pipeline,
        )
    )
    return [dataset[i] for i in range(len(dataset))]


@pytest.mark.slow
@pytest.mark.parametrize('segmentation', ['rle', 'polygon'])
def test_file_is_read_back_with_the_teachers_masks(
    drawn, tmp_path, segmentation
):
    cfg = masks_cfg(drawn, tmp_path / 'work')
    if segmentation == 'polygon':
        cfg = with_polygons(cfg)

    content = annotate(cfg)

    file = tmp_path / 'work/pseudo_labels.json'
    coco, masks = COCO(str(file)), {}
    assert len(content['annotations']) == 10
    for annotation in content['annotations']:
        is_polygon = isinstance(annotation['segmentation'], list)
        assert is_polygon == (segmentation == 'polygon')
        name = coco.imgs[annotation['image_id']]['file_name']
        label = [7, 3].index(annotation['category_id'])
        mask = masks[name, label] = coco.annToMask(annotation).astype(bool)
        assert annotation['area'] == mask.sum()
        assert iou(mask, drawn_mask(drawn, name, label)) > 0.9
    for poly2mask in {True, segmentation == 'rle'}:
        samples = read_with_mmdet(drawn, file, poly2mask)
        assert len(samples) == 5
        for sample in samples:
            name = Path(sample['img_path']).name
            found = sample['gt_masks'].to_ndarray() == 1
            assert not sample['gt_ignore_flags'].any()
            for label, mask in zip(sample['gt_bboxes_labels'], found):
                assert np.array_equal(mask, masks[name, int(label)])


@pytest.mark.slow
def test_polygons_are_read_without_bitmaps(drawn, tmp_path):
    annotate(with_polygons(masks_cfg(drawn, tmp_path)))

    file = tmp_path / 'pseudo_labels.json'
    bitmaps, polygons = (
        read_with_mmdet(drawn, file, poly2mask) for poly2mask in (True, False)
    )

    for one, other in zip(bitmaps, polygons):
        assert not other['gt_ignore_flags'].any()
        assert np.array_equal(
            one['gt_masks'].to_ndarray(), other['gt_masks'].to_ndarray()
        )


@pytest.mark.slow
def test_what_the_config_says_of_segmentations_counts(drawn, tmp_path):
    cfg = with_polygons(masks_cfg(drawn, tmp_path))
    cfg.custom_hooks[0].selection = dict(segmentation='rle')

    content = annotate(cfg)

    (kind,) = {type(a['segmentation']) for a in content['annotations']}
    assert kind is dict


@pytest.mark.slow
def test_selecting_again_writes_what_the_student_reads(drawn, tmp_path):
    cfg = masks_cfg(drawn, tmp_path)
    cfg.test_dataloader.dataset.ann_file = ''
    expected = annotate(with_polygons(cfg))
    rules = json.loads(json.dumps(expected['info']['data_distillation']))
    labeled = str(drawn.folder / 'labeled.json')

    again = []
    for selection in ({}, dict(segmentation='rle'), rules['selection']):
        out = tmp_path / 'again.json'
        select_labels(tmp_path / 'detections', labeled, selection, out)
        again.append(json.loads(out.read_text())['annotations'])

    assert again[0] == again[2] == expected['annotations']
    assert 'counts' in again[1][0]['segmentation']


@pytest.mark.slow
def test_run_goes_on_for_a_student_that_reads_something_else(drawn, tmp_path):
    annotate(masks_cfg(drawn, tmp_path))
    cfg = with_polygons(masks_cfg(drawn, tmp_path))
    cfg.experiment_name += '_again'

    content = annotate(cfg)

    assert isinstance(content['annotations'][0]['segmentation'], list)


@pytest.mark.slow
def test_run_that_goes_on_gives_the_same_masks(drawn, tmp_path):
    expected = annotate(masks_cfg(drawn, tmp_path / 'whole'))
    cfg = masks_cfg(drawn, tmp_path / 'parts')
    cfg.custom_hooks[0].images_per_shard = 1
    everything = Path(cfg.test_dataloader.dataset.ann_file)
    images = json.loads(everything.read_text())['images']
    shutil.copy(everything, tmp_path / 'all.json')
    everything.write_text(json.dumps(dict(images=images[:2])))
    annotate(cfg.copy())
    shutil.copy(tmp_path / 'all.json', everything)

    cfg.experiment_name += '_again'
    content = annotate(cfg)

    assert content['annotations'] == expected['annotations']
    assert len(list((tmp_path / 'parts/detections').iterdir())) == 5


@pytest.mark.slow
def test_detections_without_a_mask_are_counted_for_the_user(drawn, tmp_path):
    cfg = masks_cfg(drawn, tmp_path)
    cfg.model.masks.max_per_img = 1  # of the two in each image
    content = annotate(cfg)
    labeled = str(drawn.folder / 'labeled.json')

    text = select_labels(
        tmp_path / 'detections', labeled, {}, tmp_path / 'again.json'
    )

    assert '5 detections were left out because they have no mask' in text
    assert len(content['annotations']) == 5
    assert content['info']['data_distillation']['num_maskless'] == 5


@pytest.mark.slow
def test_masks_can_be_had_from_python(drawn, tmp_path):
    annotate(masks_cfg(drawn, tmp_path))
    annotation = Annotation(tmp_path)

    for name in annotation.names:
        found = annotation.detections(name)
        assert len(found.masks) == len(found.mask_agreement) == 2
        for label, mask in zip(found.labels, found.masks):
            pixels = coco_mask.decode(mask).astype(bool)
            assert iou(pixels, drawn_mask(drawn, name, label)) > 0.9


@pytest.mark.slow
def test_masks_belong_to_the_settings_of_a_store(drawn, tmp_path):
    cfg = masks_cfg(drawn, tmp_path / 'work')
    annotate(cfg)
    folder = tmp_path / 'work/detections'
    assert DetectionStore(folder).provenance['masks'] == dict(min_score=0.1)

    cfg.model.pop('masks')
    cfg.experiment_name += '_boxes'
    with pytest.raises(ValueError, match=r"differs in \['masks'\]"):
        annotate(cfg)


@pytest.mark.slow
def test_boxes_are_merged_again_without_masks_only_if_told(drawn, tmp_path):
    cfg = masks_cfg(drawn, tmp_path / 'work')
    cfg.model.keep_views = True
    annotate(cfg)

    with pytest.raises(StoreError, match='have masks, and those of the'):
        merge_again(tmp_path / 'work/detections', tmp_path / 'again')
    store = merge_again(
        tmp_path / 'work/detections', tmp_path / 'again', boxes_only=True
    )

    assert not {'masks', 'segmentation'} & store.provenance.keys()
    assert 'masks' not in store.read().column_names
    labeled = str(drawn.folder / 'labeled.json')
    select_labels(tmp_path / 'again', labeled, {}, tmp_path / 'labels.json')
    content = json.loads((tmp_path / 'labels.json').read_text())
    assert 'segmentation' not in content['annotations'][0]
