"""Annotation from Python, with the toy teacher on drawn images."""

import json
import shutil
import signal

import builders
import numpy as np
import pytest
import torch
from builders import CLASSES, ROOT, annotate_cfg, written_cfg
from mmdet.apis import DetInferencer
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config
from mmengine.hooks import Hook

from projects.data_distillation.api import Annotation, annotate
from projects.data_distillation.digits.dataset import Recipe, write_digits
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
    StoreError,
)

pytestmark = pytest.mark.slow
STOP = dict(type='InterruptingHook', priority='VERY_LOW')


@HOOKS.register_module()
class InterruptingHook(Hook):
    """Ctrl-C after the first batch."""

    def after_test_iter(self, *args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt('stopped')


@pytest.fixture
def config(drawn, checkpoint, tmp_path):
    return written_cfg(drawn, checkpoint, tmp_path / 'unused')


@pytest.fixture
def annotation(config, checkpoint, tmp_path) -> Annotation:
    keep = {'model.keep_views': True}
    return annotate(config, checkpoint, tmp_path / 'out', options=keep)


def true_boxes(drawn, name) -> np.ndarray:
    """The boxes of an image, red before green."""
    image = next(i for i in drawn.truth['images'] if i['file_name'] == name)
    boxes = [
        annotation['bbox']
        for annotation in drawn.truth['annotations']
        if annotation['image_id'] == image['id']
    ]
    xywh = np.array(boxes, np.float32)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def test_boxes_of_an_image_are_those_that_were_drawn(annotation, drawn):
    assert annotation.names == tuple(f'{n}.png' for n in range(5))
    assert annotation.classes == [*CLASSES]

    found = annotation.detections('2.png')

    order = np.argsort(found.labels)
    assert np.allclose(
        found.bboxes_xyxy[order], true_boxes(drawn, '2.png'), atol=1.5
    )
    assert (found.width, found.height) == (101, 77)
    assert found.unreadable is None
    assert list(found.num_views) == [6, 6]
    assert list(found.scores) == pytest.approx([0.9, 0.9])


def test_image_that_was_not_annotated_is_named(annotation):
    for look in (annotation.detections, annotation.view_boxes):
        with pytest.raises(KeyError, match=r"nine.png.* such as '0.png'"):
            look('nine.png')


def test_boxes_of_each_view_are_there(annotation):
    boxes = annotation.view_boxes('0.png')

    assert list(boxes.counts) == [2] * 6
    assert len(boxes.bboxes_xyxy) == 12


def test_second_try_that_failed_hides_nothing(annotation):
    store = DetectionStore(annotation.store.folder, annotation.provenance)
    parts = ('bboxes_xyxy', 'scores', 'labels', 'counts', 'run_index')
    nothing = {f'view_{part}': [] for part in parts}
    store.add(builders.stored_row('0.png', unreadable='lost', **nothing))
    store.flush()

    again = Annotation(annotation.folder)

    assert again.detections('0.png').unreadable is None
    assert list(again.view_boxes('0.png').counts) == [2] * 6


def test_boxes_of_views_must_have_been_kept(config, checkpoint, tmp_path):
    annotation = annotate(config, checkpoint, tmp_path / 'out')

    with pytest.raises(StoreError, match='keep_views'):
        annotation.view_boxes('0.png')


def test_views_are_merged_again(annotation, tmp_path):
    again = annotation.merge(
        tmp_path / 'again', dict(type='WBFMerger'), views=[4, 5]
    )

    assert again.names == annotation.names
    assert list(again.detections('0.png').num_views) == [2, 2]
    assert again.provenance['merger'] == dict(type='WBFMerger')


def test_labels_are_selected_again_and_judged(annotation, drawn, tmp_path):
    truth = drawn.folder / 'truth.json'
    assert annotation.judge(truth)['precision'] == 1
    before = annotation.pseudo_labels.read_bytes()
    fixed = dict(selector=dict(type='FixedSelector', min_score=0.95))

    said = annotation.select(
        drawn.folder / 'labeled.json', fixed, tmp_path / 'none.json'
    )

    assert '0 of 10 detections' in said
    assert annotation.pseudo_labels.read_bytes() == before
    annotation.select(drawn.folder / 'labeled.json', fixed)
    assert annotation.judge(truth)['instances'] == 0


@pytest.mark.parametrize('what', ['labeled', 'counted', 'truth', 'shard'])
def test_selection_overwrites_nothing_that_it_reads(annotation, drawn, what):
    files = dict(
        labeled=drawn.folder / 'labeled.json',
        counted=drawn.write('counted.json', drawn.truth),
        truth=drawn.folder / 'truth.json',
        shard=next(annotation.store.folder.glob('*.parquet')),
    )
    before = files[what].read_bytes()
    rules = dict(
        counted=[str(files['counted'])],
        validation=dict(ann_file=str(files['truth']), detections='none'),
    )

    with pytest.raises(ValueError, match='would be overwritten, but'):
        annotation.select(files['labeled'], rules, files[what])

    assert files[what].read_bytes() == before


def test_folder_of_images_replaces_those_of_the_config(
    config, checkpoint, drawn, tmp_path
):
    photos = tmp_path / 'photos'
    photos.mkdir()
    shutil.copy(drawn.folder / 'unlabeled/3.png', photos / 'mine.png')

    annotation = annotate(config, checkpoint, tmp_path / 'out', photos)

    assert annotation.names == ('mine.png',)
    labels = json.loads(annotation.pseudo_labels.read_text())
    assert [i['file_name'] for i in labels['images']] == ['mine.png']


def test_runs_in_one_process_do_not_share_a_folder(
    config, checkpoint, tmp_path
):
    local = dict(type='LocalVisBackend')
    shown = dict(
        type='DetLocalVisualizer', name='visualizer', vis_backends=[local]
    )
    options = dict(visualizer=shown)
    for name in ('one', 'two'):
        annotate(config, checkpoint, tmp_path / name, options=options)
        shutil.rmtree(tmp_path / name)

    assert not (tmp_path / 'one').exists()


def test_folder_without_detections_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no detections'):
        Annotation(tmp_path)


def test_annotation_of_a_run_can_be_opened(drawn, checkpoint, tmp_path):
    labels = builders.annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'w'))

    opened = Annotation(tmp_path / 'w')
    assert len(opened.names) == len(labels['images'])


def test_inferencer_of_mmdetection_takes_an_annotation_config(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_digits(
        tmp_path / 'data/digits',
        recipe=Recipe(images=dict(labeled=1, unlabeled=1, val=1)),
    )
    annotate_py = ROOT / 'configs/digits/annotate.py'
    cfg = Config.fromfile(annotate_py)
    weights = MODELS.build(cfg.model.module).state_dict()
    classes = [str(digit) for digit in range(10)]
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=weights, meta=meta), 'teacher.pth')

    inferencer = DetInferencer(str(annotate_py), 'teacher.pth', 'cpu')
    (image,) = (tmp_path / 'data/digits/images/unlabeled').iterdir()
    found = inferencer(str(image), no_save_vis=True)['predictions'][0]

    assert len(found['bboxes']) == len(found['scores'])
    assert type(inferencer.model).__name__ == 'MultiViewTTA'


def test_what_failed_leaves_nothing_behind_in_the_process(
    config, checkpoint, drawn, tmp_path
):
    images = drawn.folder / 'unlabeled'
    (images / '4.png').write_bytes(b'')
    before = signal.getsignal(signal.SIGTERM)
    stop = {'custom_hooks': [*Config.fromfile(config).custom_hooks, STOP]}

    with pytest.raises(KeyboardInterrupt, match='stopped'):
        annotate(config, checkpoint, tmp_path / 'out', options=stop)

    assert signal.getsignal(signal.SIGTERM) == before
    # What was found until then is on disk.
    assert len(DetectionStore(tmp_path / 'out/detections').read()) >= 1
