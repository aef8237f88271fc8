"""An experiment with masks, for any instance segmentor."""

import json

import cv2
import pytest
from builders import CLASSES, give_masks
from mmengine.config import Config

from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.detector import (
    DetectorConfig,
)
from projects.data_distillation.experiment.scaffold.init import (
    init_experiment,
)
from projects.data_distillation.experiment.scaffold.plan import (
    ExperimentOptions,
)
from projects.data_distillation.experiment.scaffold.trained_images import (
    check_masks,
)
from projects.data_distillation.label_files.coco.reading import CocoError

# What the measured recipe gives `MaskMerger`.
MASKS = dict(mask_thr_binary=0.45)
RTMDET_INS = 'mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py'
MASK2FORMER = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'
# As of `simple_copy_paste/`, whose batch norms need several processes.
COPY_PASTE = """
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
inner = _base_.train_dataloader.dataset
# It pastes only between images of one size.
inner.pipeline[2] = dict(type='Resize', scale=(96, 96), keep_ratio=False)
inner.pipeline.pop()
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MultiImageMixDataset', dataset=inner,
    pipeline=[dict(type='CopyPaste'), dict(type='PackDetInputs')]))
"""


@pytest.fixture
def sources(drawn) -> Sources:
    """The labeled images, mirrored, validate."""
    val = give_masks(json.loads((drawn.folder / 'labeled.json').read_text()))
    (drawn.folder / 'val').mkdir()
    for image in val['images']:
        file = drawn.folder / 'labeled' / image['file_name']
        flipped = cv2.imread(str(file))[:, ::-1]
        cv2.imwrite(str(drawn.folder / 'val' / image['file_name']), flipped)
    return Sources(
        labeled=drawn.write('labeled.json', give_masks(drawn.labeled)),
        labeled_images=drawn.folder / 'labeled',
        val=drawn.write('val.json', val),
        val_images=drawn.folder / 'val',
        unlabeled=str(drawn.folder / 'unlabeled'),
    )


def init(out, name: str, sources: Sources) -> tuple[dict, str]:
    """Return the stage configs, and what was printed."""
    options = ExperimentOptions(ratio=(6, 4), from_scratch=True)
    lines = init_experiment(out, name, sources, options)
    return {f.stem: Config.fromfile(f) for f in out.glob('*.py')}, '\n'.join(
        lines
    )


@pytest.fixture
def copy_paste(tmp_path) -> str:
    """The config of Mask R-CNN on images with objects of others."""
    (tmp_path / 'own.py').write_text(COPY_PASTE)
    return str(tmp_path / 'own.py')


@pytest.mark.slow
@pytest.mark.parametrize('is_two_stage', [True, False])
def test_stages_of_a_segmentor_have_masks(
    is_two_stage, copy_paste, sources, tmp_path
):
    name = copy_paste if is_two_stage else RTMDET_INS

    stages, lines = init(tmp_path / 'exp', name, sources)

    for stage in ('annotate', 'validate'):
        assert stages[stage].model.masks == MASKS
    assert stages['tune'].model.masks == (None if is_two_stage else MASKS)
    for stage in ('teacher', 'student', 'supervised_long'):
        metric = stages[stage].test_evaluator.metric
        assert metric == ['bbox', 'segm']
    how = 'RLE' if is_two_stage else 'polygons'
    assert f'boxes and masks ({how}, as' in lines


def test_classes_of_mask2former_are_those_of_the_data():
    changes = DetectorConfig.read(MASK2FORMER).make_num_class_changes(
        len(CLASSES)
    )

    heads = changes['panoptic_head'], changes['panoptic_fusion_head']
    assert [head['num_things_classes'] for head in heads] == [2, 2]
    assert heads[0]['loss_cls'] == dict(class_weight=[1.0, 1.0, 0.1])


def test_every_object_needs_a_mask(drawn):
    content = give_masks(drawn.labeled)
    file = drawn.write('masks.json', content)
    check_masks([str(file)], polygons_only=True)
    for empty in (None, [], {}):
        content['annotations'][1]['segmentation'] = empty
        drawn.write('masks.json', content)
        with pytest.raises(CocoError, match=r'1 of 4 objects in .*masks\.js'):
            check_masks([str(file)], polygons_only=False)


def test_rle_needs_a_pipeline_that_reads_it(drawn):
    content = give_masks(drawn.labeled, 'rle')
    file = drawn.write('rle.json', content)
    check_masks([str(file)], polygons_only=False)
    with pytest.raises(CocoError, match='4 of 4 objects in .*have RLE, but'):
        check_masks([str(file)], polygons_only=True)
    for one in content['annotations']:
        one['iscrowd'] = 1  # It is ignored anyway.
    drawn.write('rle.json', content)
    check_masks([str(file)], polygons_only=True)


def test_segmentor_for_boxes_alone_is_refused_before_anything_is_written(
    drawn, copy_paste, sources, tmp_path
):
    for one in drawn.labeled['annotations']:
        one.pop('segmentation')
    drawn.write('labeled.json', drawn.labeled)

    with pytest.raises(CocoError, match='labeled.json have no `segmentation'):
        init(tmp_path / 'exp', copy_paste, sources)

    assert not (tmp_path / 'exp').exists()
