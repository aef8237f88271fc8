"""Annotation end to end, through the real Runner, with known answers."""

import hashlib
import json
import logging
import re
import shutil

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from builders import CATEGORIES, CLASSES, annotate, annotate_cfg
from mmdet.datasets import CocoDataset
from mmdet.evaluation import DumpDetResults
from mmdet.registry import MODELS
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from pycocotools.coco import COCO

from projects.data_distillation import AnnotationHook, DetectionStore
from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
)
from projects.data_distillation.pseudo_labels.annotation import progress
from projects.data_distillation.pseudo_labels.annotation.config_checks import (
    warn_of_other_transforms,
)
from projects.data_distillation.pseudo_labels.annotation.dry_run import DryRun
from projects.data_distillation.pseudo_labels.selection.export import (
    select_labels,
)

# Scaling up and down again moves the border of a rectangle by less than this.
PIXELS = 1.5


def by_image_and_class(annotations: list[dict]) -> dict:
    return {(a['image_id'], a['category_id']): a for a in annotations}


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', [1, 3])
def test_labels_are_the_drawn_rectangles(
    drawn, checkpoint, tmp_path, batch_size
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.batch_size = batch_size

    labels = annotate(cfg)

    truth = by_image_and_class(drawn.truth['annotations'])
    found = by_image_and_class(labels['annotations'])
    assert len(labels['annotations']) == len(truth) == 10
    assert found.keys() == truth.keys()
    for key, annotation in found.items():
        np.testing.assert_allclose(
            annotation['bbox'], truth[key]['bbox'], atol=PIXELS
        )


@pytest.mark.slow
def test_images_and_categories_are_those_that_were_given(
    drawn, checkpoint, tmp_path
):
    labels = annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'work'))

    assert [i['id'] for i in labels['images']] == [10, 13, 16, 19, 22]
    assert labels['images'] == drawn.truth['images']
    assert labels['categories'] == CATEGORIES


@pytest.mark.slow
def test_label_has_its_score_and_the_number_of_its_views(
    drawn, checkpoint, tmp_path
):
    labels = annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'work'))

    for label in labels['annotations']:
        assert label['views'] == 6
        assert label['score'] == pytest.approx(0.9)


@pytest.mark.slow
def test_file_that_is_no_whole_shard_does_not_keep_labels_from_being_written(
    drawn, checkpoint, tmp_path
):
    folder = tmp_path / 'work' / 'detections'
    folder.mkdir(parents=True)
    (folder / 'cut_off.parquet').write_bytes(b'PAR1')

    labels = annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'work'))

    assert len(labels['annotations']) == 10


RESIZE = dict(type='Resize', scale=(240, 160))
VIEW_SETS = dict(
    flips=[
        [dict(type='Flip', direction='vertical')],
        [RESIZE, dict(type='Flip', direction='diagonal')],
        [RESIZE],
    ],
    rotations=[
        [RESIZE, dict(type='Rotate', degrees=degrees)]
        for degrees in (90, 180, 270)
    ],
    photometric=[
        [dict(type='Brightness', factor=0.8), RESIZE],
        [RESIZE, dict(type='Gamma', gamma=0.7), dict(type='Flip')],
        [dict(type='Contrast', factor=1.1)],
    ],
    # Of an object that a tile cuts, the part must not become a label.
    tiles=[
        [RESIZE],
        *(
            [dict(type='Tile', row=row, column=column, overlap=0.2), RESIZE]
            for row in (0, 1)
            for column in (0, 1)
        ),
    ],
    padded=[[RESIZE, dict(type='Flip'), dict(type='Pad', value=0)]],
)


@pytest.mark.slow
@pytest.mark.parametrize('views', VIEW_SETS)
def test_views_of_every_kind_lead_to_the_drawn_rectangles(
    drawn, checkpoint, tmp_path, views
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model.views = VIEW_SETS[views]
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='FixedSelector', min_score=0.1)
    )

    labels = annotate(cfg)

    truth = by_image_and_class(drawn.truth['annotations'])
    found = by_image_and_class(labels['annotations'])
    assert len(labels['annotations']) == len(truth) == 10
    for key, annotation in found.items():
        np.testing.assert_allclose(
            annotation['bbox'], truth[key]['bbox'], atol=PIXELS
        )
        if views != 'tiles':
            assert annotation['views'] == len(VIEW_SETS[views])


@pytest.mark.slow
def test_written_file_is_read_back_by_coco_dataset(
    drawn, checkpoint, tmp_path
):
    labels = annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'work'))
    file = str(tmp_path / 'work' / 'pseudo_labels.json')

    dataset = CocoDataset(
        ann_file=file,
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
    )

    assert COCO(file).getAnnIds() == list(range(1, 11))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_id'] for info in infos] == [10, 13, 16, 19, 22]
    names = {c['id']: c['name'] for c in CATEGORIES}
    for info in infos:
        expected = [
            (a['bbox'], names[a['category_id']])
            for a in labels['annotations']
            if a['image_id'] == info['img_id']
        ]
        assert len(info['instances']) == len(expected) == 2
        for instance, (bbox, name) in zip(info['instances'], expected):
            assert CLASSES[instance['bbox_label']] == name
            x1, y1, x2, y2 = instance['bbox']
            np.testing.assert_allclose([x1, y1, x2 - x1, y2 - y1], bbox)


def test_processes_share_out_whole_batches(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.batch_size = 3
    runner = Runner.from_cfg(cfg)

    runner.test()

    assert runner.test_dataloader.sampler.block_size == 3


@pytest.mark.slow
def test_merged_sample_keeps_its_own_metainfo(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.dataset.pipeline[1].meta_keys += ('img_shape',)
    runner = Runner.from_cfg(cfg)
    runner.test()
    batch = next(iter(runner.build_dataloader(cfg.test_dataloader)))

    (merged,) = runner.model.test_step(batch)

    assert merged.ori_shape == (80, 120)
    assert merged.file_name == '0.png'
    for key in ('flip', 'flip_direction', 'scale_factor', 'img_shape'):
        assert key not in merged.metainfo


def test_flip_pair_shares_a_forward_and_equal_views_run_once(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    # Both scales make 60 x 90 of the first image (80 x 120).
    cfg.model.views = [
        [dict(type='Resize', scale=scale), *flip]
        for scale in ((400, 60), (90, 60))
        for flip in ([], [dict(type='Flip')])
    ]
    runner = Runner.from_cfg(cfg)
    batch = next(iter(runner.build_dataloader(cfg.test_dataloader)))

    runner.model.test_step(batch)

    assert runner.model.module.batches == [(2, 3, 64, 96)]


@pytest.mark.slow
def test_folder_of_images_is_searched_deeply(drawn, checkpoint, tmp_path):
    folder = tmp_path / 'pile'
    deep = folder / 'a b' / 'ü'
    deep.mkdir(parents=True)
    first = cv2.imread(str(drawn.folder / 'unlabeled' / '0.png'))
    cv2.imwrite(str(folder / 'z.PNG'), first)
    cv2.imwrite(str(deep / 'x.JPeG'), first)
    (folder / 'notes.txt').write_text('no image')
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.dataset.update(
        ann_file='', data_prefix=dict(img=str(folder))
    )

    labels = annotate(cfg)

    assert labels['images'] == [
        dict(id=1, file_name='a b/ü/x.JPeG', width=120, height=80),
        dict(id=2, file_name='z.PNG', width=120, height=80),
    ]
    assert len(labels['annotations']) == 4


def test_unreadable_image_is_named_and_the_others_are_labeled(
    drawn, checkpoint, tmp_path
):
    (drawn.folder / 'unlabeled' / '1.png').write_bytes(b'not an image')
    (drawn.folder / 'unlabeled' / '3.png').unlink()

    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.4

    labels = annotate(cfg)

    assert [i['id'] for i in labels['images']] == [10, 16, 22]
    unreadable = labels['info']['data_distillation']['unreadable']
    assert [u['file_name'] for u in unreadable] == ['1.png', '3.png']
    assert 'No such file or directory' in unreadable[1]['unreadable']


def spoil(drawn, *numbers: int) -> None:
    for number in numbers:
        (drawn.folder / 'unlabeled' / f'{number}.png').write_bytes(b'spoilt')


def test_too_many_unreadable_images_end_the_run(drawn, checkpoint, tmp_path):
    spoil(drawn, 0, 2, 3)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.4
    runner = Runner.from_cfg(cfg)

    with pytest.raises(
        ValueError, match=r'3 of 5 images .*_share=0.4\. .*Mend'
    ):
        runner.test()

    # At the third one, before the last image; nothing is lost.
    assert len(runner.model.module.batches) == 3 * 1
    assert len(DetectionStore(tmp_path / 'work/detections').list_images()) == 4
    assert not (tmp_path / 'work' / 'pseudo_labels.json').exists()
    cfg.custom_hooks[0].max_unreadable_share = 0.6
    assert len(annotate(cfg)['images']) == 2


def test_too_many_unreadable_images_of_two_jobs_end_the_last(
    drawn, checkpoint, tmp_path, caplog
):
    # One for each job, of five: neither alone is too many.
    spoil(drawn, 0, 1)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.2
    cfg.test_dataloader.sampler.update(part=0, num_parts=2)
    assert '2 images are still with other processes' in logged(cfg, caplog)
    cfg.test_dataloader.sampler.part = 1

    with pytest.raises(ValueError, match='2 of 5 images cannot be read'):
        logged(cfg, caplog)

    assert '2 of 5 images are in' in caplog.text


@pytest.mark.parametrize('share', [-0.1, 1.1])
def test_share_out_of_range_is_refused(drawn, checkpoint, tmp_path, share):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = share

    with pytest.raises(ValueError, match=f'from 0 to 1, got {share}'):
        Runner.from_cfg(cfg)


def logged(cfg, caplog) -> str:
    runner = Runner.from_cfg(cfg)
    runner.logger.setLevel(logging.INFO)
    runner.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        runner.test()
    return caplog.text


@pytest.fixture
def log(drawn, checkpoint, tmp_path, caplog, monkeypatch) -> str:
    """The log of a run on five images, of which one cannot be read."""
    monkeypatch.setattr(progress, 'SECONDS_IN_FILE', 0)
    spoil(drawn, 1)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.2
    cfg.default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
    cfg.test_pipeline = [dict(type='Pad', size_divisor=32)]
    return logged(cfg, caplog)


def test_log_begins_with_what_is_to_be_done(log):
    assert '5 images, 0 of them done before; 6 views of each, 1 teach' in log


def test_log_says_how_far_the_run_is(log):
    assert '2 of 5 images (40%), ' in log
    assert ' left, 1 unreadable' in log
    assert 'measured on 3 images: ' in log
    # MMEngine counts too, but not the images.
    assert 'Epoch(test) [' not in log.replace('Epoch(test) [5/5]', '')


def test_log_says_what_is_wrong(log):
    assert "`test_pipeline` has ['Pad'], which no view has" in log
    assert "'1.png' cannot be read: " in log


def test_log_ends_with_the_number_of_labels(log):
    assert 'detections on 4 images became pseudo labels: ' in log


def test_detections_alone_are_for_validation(
    drawn, checkpoint, tmp_path, caplog
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].type = 'DetectionHook'

    log = logged(cfg, caplog)

    assert 'detections of 5 images are in ' in log
    assert not (tmp_path / 'work' / 'pseudo_labels.json').exists()


def test_dry_run_measures_and_stores_nothing(
    drawn, checkpoint, tmp_path, caplog
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.dry_run = True
    # They are made later, by validate.py.
    cfg.custom_hooks[0].selection = dict(
        validation=dict(
            detections=str(tmp_path / 'later'),
            ann_file=str(drawn.folder / 'truth.json'),
        ),
        calibrates_boxes=True,
    )

    log = logged(cfg, caplog)

    assert 'measured on 3 images: ' in log
    assert not list((tmp_path / 'work' / 'detections').iterdir())
    assert not (tmp_path / 'work' / 'pseudo_labels.json').exists()


def test_dry_run_runs_only_what_it_measures(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.dry_run = True
    runner = Runner.from_cfg(cfg)
    results = tmp_path / 'results.pkl'
    # What `tools/test.py --out` does.
    runner.test_evaluator.metrics.append(DumpDetResults(str(results)))

    runner.test()

    # One view of the first image. Then a forward for each scale of four, of
    # which the first is not measured.
    assert len(runner.model.module.batches) == 1 + 3 * 4
    assert not results.exists()


def test_dry_run_ends_in_time(drawn, checkpoint, tmp_path, caplog):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.dry_run, cfg.dry_run_seconds = True, 0.0
    runner = Runner.from_cfg(cfg)
    runner.logger.setLevel(logging.INFO)
    runner.logger.addHandler(caplog.handler)

    runner.test()

    assert len(runner.model.module.batches) == 1
    number = len(cfg.model.views)
    assert f'measured on 1 image (1 of {number} views): ' in caplog.text
    assert len(runner.model.views) == number


def test_model_of_several_processes_is_looked_into(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    model = runner.model
    views = model.views
    # As MMEngine wraps it then.
    runner.model = torch.nn.DataParallel(model)
    (hook,) = (one for one in runner.hooks if isinstance(one, AnnotationHook))

    hook.after_load_checkpoint(runner, torch.load(checkpoint))
    dry_run = DryRun.begin(runner)

    assert dry_run.model is model
    assert model.views == [views[3]]
    with pytest.raises(CheckpointError, match='score is missing'):
        hook.after_load_checkpoint(runner, dict(state_dict={}))


def test_dry_run_of_few_images_stores_nothing_either(
    drawn, checkpoint, tmp_path, caplog
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.batch_size = 4
    cfg.dry_run = True

    log = logged(cfg, caplog)

    assert 'measured on 1 image: ' in log
    # It ended there: nothing is expected to be on disk.
    assert 'are still with other processes' not in log
    assert not list((tmp_path / 'work' / 'detections').iterdir())


@pytest.mark.slow
def test_ids_of_a_list_that_was_written_anew_are_used(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    before = annotate(cfg)
    images = [dict(i, id=100 - i['id']) for i in drawn.truth['images']]
    drawn.write('unlabeled.json', dict(images=images))

    labels = annotate(cfg)

    assert [i['id'] for i in labels['images']] == [78, 81, 84, 87, 90]
    boxes = by_image_and_class(before['annotations'])
    for (image_id, category), found in by_image_and_class(
        labels['annotations']
    ).items():
        assert found['bbox'] == boxes[100 - image_id, category]['bbox']


@pytest.mark.slow
def test_unreadable_image_is_tried_again(drawn, checkpoint, tmp_path):
    file = drawn.folder / 'unlabeled' / '1.png'
    whole = file.read_bytes()
    file.write_bytes(b'not an image')
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.2
    assert len(annotate(cfg)['images']) == 4
    file.write_bytes(whole)

    labels = annotate(cfg)

    assert labels['images'] == drawn.truth['images']
    assert labels['info']['data_distillation']['unreadable'] == []


def test_no_readable_image_at_all_is_an_error(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    # A mistake in the pipeline hits every image.
    cfg.custom_hooks[0].max_unreadable_share = 1.0
    mistake = dict(type='Resize', scale=(0, 0))
    cfg.test_dataloader.dataset.pipeline.insert(1, mistake)

    refused(cfg, ValueError, 'none of 5 unlabeled images could be read')


@pytest.mark.slow
def test_sizes_are_those_of_the_decoded_image(drawn, checkpoint, tmp_path):
    infos = [dict(i, width=1, height=2) for i in drawn.truth['images']]
    drawn.write('unlabeled.json', dict(images=infos))

    labels = annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'work'))

    assert labels['images'] == drawn.truth['images']


@pytest.mark.slow
def test_second_run_goes_on_with_the_images_that_are_missing(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].images_per_shard = 2
    whole = annotate(cfg)
    shards = sorted((tmp_path / 'work' / 'detections').glob('*.parquet'))
    assert len(shards) == 3
    num_lost = pq.read_metadata(shards[0]).num_rows
    shards[0].unlink()
    runner = Runner.from_cfg(cfg)

    runner.test()

    again = json.loads((tmp_path / 'work/pseudo_labels.json').read_text())
    assert again['annotations'] == whole['annotations']
    assert again['images'] == whole['images']
    # One forward per scale, of which there are three.
    assert len(runner.model.module.batches) == 3 * num_lost


@pytest.mark.slow
def test_finished_run_does_no_inference(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    whole = annotate(cfg)
    (tmp_path / 'work' / 'pseudo_labels.json').unlink()
    runner = Runner.from_cfg(cfg)

    runner.test()

    again = json.loads((tmp_path / 'work/pseudo_labels.json').read_text())
    assert again['annotations'] == whole['annotations']
    assert runner.model.module.batches == []


@pytest.fixture
def origin(drawn, checkpoint, tmp_path) -> dict:
    """What a file of pseudo labels says of where they come from."""
    labels = annotate(annotate_cfg(drawn, checkpoint, tmp_path / 'work'))
    return labels['info']['data_distillation']


def test_provenance_names_the_teacher(origin, checkpoint):
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()

    assert origin['checkpoint'] == str(checkpoint)
    assert origin['checkpoint_sha256'] == sha256


@pytest.mark.slow
def test_provenance_names_views_and_merger(origin):
    assert origin['views'][1] == [
        dict(type='Resize', scale=[400, 60]),
        dict(type='Flip'),
    ]
    assert origin['mode'] == 'exact'
    assert origin['merger'] == dict(type='NMSMerger')


@pytest.mark.slow
def test_provenance_names_the_selection_and_its_scores(origin):
    assert origin['selection']['selector'] == dict(type='MatchedSelector')
    assert origin['min_scores'] == pytest.approx(dict(red=0.9, green=0.9))


@pytest.mark.slow
def test_provenance_names_the_packages(origin):
    assert origin['packages'].keys() == {'torch', 'mmengine', 'mmcv', 'mmdet'}


# --- refusals, all before any inference -----------------------------------


def refused(cfg, error: type[Exception], match: str) -> None:
    runner = Runner.from_cfg(cfg)
    with pytest.raises(error, match=match):
        runner.test()
    assert runner.model.module.batches == []


def change_checkpoint(checkpoint, **changes) -> None:
    content = torch.load(checkpoint, weights_only=False)
    torch.save({**content, **changes}, checkpoint)


@pytest.mark.slow
def test_other_views_in_the_same_folder_are_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    annotate(cfg)
    cfg.model.views = cfg.model.views[:2]

    refused(cfg, ValueError, r"differs in \['views'\].*--work-dir")


@pytest.mark.slow
def test_other_images_of_the_same_names_are_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    annotate(cfg)
    other = drawn.folder.parent / 'other'
    (drawn.folder / 'unlabeled').rename(other)
    for image in other.iterdir():
        cv2.imwrite(str(image), 255 - cv2.imread(str(image)))
    cfg.test_dataloader.dataset.data_prefix.img = str(other)

    refused(cfg, ValueError, r"differs in \['image_folder'\]")


@pytest.mark.slow
@pytest.mark.parametrize('is_moved', [True, False])
def test_images_that_were_moved_or_renamed_are_not_run_again(
    drawn, checkpoint, tmp_path, caplog, is_moved
):
    (drawn.folder / 'unlabeled' / '3.png').write_bytes(b'not an image')
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].max_unreadable_share = 0.5
    cfg.model.keep_views = True
    before = annotate(cfg)
    images = drawn.truth['images']
    if is_moved:
        other = (drawn.folder / 'unlabeled').rename(tmp_path / 'other')
        cfg.test_dataloader.dataset.data_prefix.img = str(other)
    else:
        images = [dict(i, file_name=f'x{i["file_name"]}') for i in images]
        for path in (drawn.folder / 'unlabeled').iterdir():
            path.rename(path.with_name(f'x{path.name}'))
    drawn.write('unlabeled.json', dict(images=images))
    runner = Runner.from_cfg(cfg)
    runner.logger.setLevel(logging.INFO)
    runner.logger.addHandler(caplog.handler)

    with caplog.at_level(logging.INFO):
        runner.test()

    assert ' images have another name or folder than before' in caplog.text
    after = json.loads((tmp_path / 'work/pseudo_labels.json').read_text())
    assert runner.model.module.batches == []
    assert after['annotations'] == before['annotations']
    names = {image['id']: image['file_name'] for image in images}
    assert len(after['images']) == 4
    assert all(i['file_name'] == names[i['id']] for i in after['images'])
    store = DetectionStore(tmp_path / 'work/detections')
    tables = store.iter_views()
    assert any(any(table['view_scores'].to_pylist()) for table in tables)


@pytest.mark.slow
def test_other_teacher_in_the_same_folder_is_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    annotate(cfg)
    change_checkpoint(checkpoint, state_dict=dict(score=torch.tensor(0.8)))

    refused(cfg, ValueError, r"differs in \['checkpoint_sha256'\]")


@pytest.mark.slow
def test_several_teachers_are_more_views(drawn, checkpoint, tmp_path):
    other = tmp_path / 'other.pth'
    shutil.copy(checkpoint, other)
    change_checkpoint(other, state_dict=dict(score=torch.tensor(0.95)))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model.other_teachers = [dict(checkpoint=str(other))]

    labels = annotate(cfg)

    assert len(labels['annotations']) == 10
    for annotation in labels['annotations']:
        assert annotation['views'] == 2 * 6
        assert annotation['score'] == pytest.approx(0.95)
    change_checkpoint(other, state_dict=dict(score=torch.tensor(0.5)))
    refused(cfg, ValueError, r"differs in \['other_teachers'\]")


def test_other_teacher_that_lacks_a_class_is_refused(
    drawn, checkpoint, tmp_path
):
    other = tmp_path / 'other.pth'
    shutil.copy(checkpoint, other)
    classes = dict(classes=('green', 'blue'))
    change_checkpoint(other, meta=dict(dataset_meta=classes))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model.other_teachers = [dict(checkpoint=str(other))]

    refused(cfg, ValueError, r"trained on \['green', 'blue'\], and lacks 1")


def test_half_precision_of_the_whole_loop_is_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_cfg.fp16 = True

    refused(cfg, ValueError, r"MultiViewTTA\(mode='fast'\).*fp16=True")


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(views=[]), 'at least one view, got none'),
        (dict(mode='quick'), "mode must be one of .* got 'quick'"),
        (dict(max_pixels_per_forward=0), 'at least 1, got 0'),
    ],
)
def test_bad_arguments_are_refused(
    drawn, checkpoint, tmp_path, changes, match
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model.update(changes)

    with pytest.raises(ValueError, match=match):
        MODELS.build(cfg.model)


def test_views_of_neither_model_nor_pipeline_are_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model.views = None

    refused(cfg, ValueError, 'got neither')


def test_views_of_both_model_and_pipeline_are_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    load, pack = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [
        load,
        dict(type='TestTimeAug', transforms=[[pack]]),
    ]

    refused(cfg, ValueError, 'got both')


@pytest.mark.slow
def test_moved_checkpoint_is_the_same_teacher(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    whole = annotate(cfg)
    cfg.load_from = str(checkpoint.rename(tmp_path / 'moved.pth'))

    assert annotate(cfg)['annotations'] == whole['annotations']


def test_checkpoint_of_another_model_is_refused(drawn, checkpoint, tmp_path):
    change_checkpoint(checkpoint, state_dict=dict(other=torch.zeros(1)))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')

    refused(cfg, ValueError, 'another model: 1 of 1 .* score is missing')


def test_checkpoint_with_other_shapes_is_refused(drawn, checkpoint, tmp_path):
    change_checkpoint(checkpoint, state_dict=dict(score=torch.zeros(2)))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')

    refused(cfg, ValueError, r'score is \(2,\), the model needs \(\)')


def test_checkpoint_that_lacks_a_class_is_refused(drawn, checkpoint, tmp_path):
    classes = dict(classes=('green', 'blue'))
    change_checkpoint(checkpoint, meta=dict(dataset_meta=classes))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')

    refused(cfg, ValueError, r"trained on \['green', 'blue'\], and lacks 1")


@pytest.mark.slow
def test_classes_are_mapped_by_name_to_those_of_the_labeled_file(
    drawn, checkpoint, tmp_path
):
    """What this teacher finds first, the red pixels, it calls green."""
    known = dict(classes=('green', 'blue', 'crimson'))
    change_checkpoint(checkpoint, meta=dict(dataset_meta=known))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model.class_map = dict(blue='red')

    labels = annotate(cfg)

    swapped = [
        dict(one, category_id={7: 3, 3: 7}[one['category_id']])
        for one in drawn.truth['annotations']
    ]
    truth = by_image_and_class(swapped)
    found = by_image_and_class(labels['annotations'])
    assert found.keys() == truth.keys()
    for key, annotation in found.items():
        np.testing.assert_allclose(
            annotation['bbox'], truth[key]['bbox'], atol=PIXELS
        )
    origin = labels['info']['data_distillation']
    assert origin['class_names'] == [None, dict(blue='red')]
    # With other names, these detections would be others.
    cfg.model.class_map = dict(crimson='red')
    refused(cfg, ValueError, r"differs in \['class_names'\]")


@pytest.mark.slow
def test_checkpoint_without_classes_is_taken_with_a_warning(
    drawn, checkpoint, tmp_path, caplog
):
    change_checkpoint(checkpoint, meta={})
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.logger.addHandler(caplog.handler)

    with caplog.at_level(logging.WARNING):
        runner.test()

    assert 'does not say what its classes are' in caplog.text


def test_missing_checkpoint_is_refused(drawn, tmp_path):
    absent = tmp_path / 'absent.pth'
    refused(
        annotate_cfg(drawn, absent, tmp_path / 'work'),
        FileNotFoundError,
        'absent.pth',
    )


def test_no_checkpoint_is_refused(drawn, tmp_path):
    cfg = annotate_cfg(drawn, None, tmp_path / 'work')

    refused(cfg, ValueError, 'needs the checkpoint of a trained teacher')


def test_other_model_is_refused(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.model = cfg.model.module

    with pytest.raises(TypeError, match='MultiViewTTA.*got ToyDetector'):
        Runner.from_cfg(cfg).test()


def test_other_dataset_is_refused(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.dataset.update(
        type='CocoDataset', ann_file=str(drawn.folder / 'truth.json')
    )

    refused(cfg, TypeError, 'dataset=dict.*UnlabeledDataset.*got CocoDataset')


def test_unknown_category_is_refused_before_inference(
    drawn, checkpoint, tmp_path
):
    drawn.labeled['annotations'][0]['category_id'] = 99
    drawn.write('labeled.json', drawn.labeled)

    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    refused(cfg, ValueError, 'category_id 99 is not in `categories`')


@pytest.mark.slow
def test_half_precision_detectors_are_merged_in_full(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    batch = next(iter(runner.build_dataloader(cfg.test_dataloader)))
    full = runner.model.test_step(batch)[0].pred_instances
    boxes = runner.model.module._boxes

    def half_boxes(*args):
        found = boxes(*args)
        found.scores = found.scores.half()
        found.bboxes = found.bboxes.half()
        return found

    runner.model.module._boxes = half_boxes
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = runner.model.test_step(batch)[0].pred_instances

    assert half.bboxes.dtype == half.scores.dtype == torch.float32
    torch.testing.assert_close(half.bboxes, full.bboxes, atol=0.1, rtol=0)


def test_class_that_the_labeled_file_lacks_is_refused(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.dataset.metainfo = dict(classes=('red', 'blue'))

    refused(cfg, ValueError, r"classes not in the file: \['blue'\]")


def test_rules_that_cannot_select_are_refused(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='PrecisionSelector', target=0.5)
    )

    refused(cfg, ValueError, 'needs the detections of labeled validation')


def test_labeled_file_without_categories_is_refused(
    drawn, checkpoint, tmp_path
):
    del drawn.labeled['categories']
    drawn.write('labeled.json', drawn.labeled)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')

    refused(cfg, ValueError, 'labeled.json: `categories` is missing')


def test_images_of_the_labeled_set_are_refused(drawn, checkpoint, tmp_path):
    drawn.labeled['images'].append(dict(drawn.truth['images'][2], id=99))
    drawn.write('labeled.json', drawn.labeled)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].labeled.img_prefix = str(drawn.folder / 'unlabeled')

    # Of its three names, 0.png, 1.png and 2.png are unlabeled images.
    refused(cfg, ValueError, '3 of 5 unlabeled .*labeled.json too: 0.png, 1.')


def test_images_of_a_held_out_set_are_refused_through_links(
    drawn, checkpoint, tmp_path
):
    (tmp_path / 'link').symlink_to(drawn.folder / 'unlabeled')
    drawn.write('val.json', dict(images=drawn.truth['images'][:1]))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].held_out = [
        dict(
            ann_file=str(drawn.folder / 'val.json'),
            img_prefix=str(tmp_path / 'link'),
        )
    ]

    refused(cfg, ValueError, '1 of 5 unlabeled images are in .*val.json too')


@pytest.mark.slow
def test_each_job_looks_for_its_own_images_in_other_sets(
    drawn, checkpoint, tmp_path, caplog
):
    drawn.write('val.json', dict(images=drawn.truth['images'][:1]))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].held_out = [
        dict(
            ann_file=str(drawn.folder / 'val.json'),
            img_prefix=str(drawn.folder / 'unlabeled'),
        )
    ]
    cfg.test_dataloader.sampler.update(part=1, num_parts=2)
    assert '3 images are still with other processes' in logged(cfg, caplog)
    cfg.test_dataloader.sampler.part = 0

    refused(cfg, ValueError, '1 of 3 unlabeled images are in .*val.json too')


def test_other_sampler_is_refused(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)

    refused(cfg, TypeError, 'sampler=dict.*PendingSampler.*got DefaultSampler')


def test_folder_without_images_is_refused(drawn, checkpoint, tmp_path):
    folder = tmp_path / 'empty'
    folder.mkdir()
    (folder / 'notes.txt').write_text('no image')
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.dataset.update(
        ann_file='', data_prefix=dict(img=str(folder))
    )

    refused(cfg, ValueError, 'no image in .*empty or below: none of its 1 ')


@pytest.mark.parametrize(
    ('views', 'warns'),
    [
        ([[dict(type='Resize', scale=(9, 9))]], True),
        ([[dict(type='Resize', scale=(9, 9)), dict(type='Pad')]], False),
        (None, False),
    ],
)
def test_transforms_of_the_detector_that_no_view_makes_are_named(
    views, warns, caplog
):
    own = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(9, 9)),
        dict(type='Pad', size_divisor=32),
        dict(type='PackDetInputs'),
    ]

    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        warn_of_other_transforms(own, views)
    logger.removeHandler(caplog.handler)

    assert ("has ['Pad'], which no view has" in caplog.text) == warns


@pytest.mark.slow
def test_categories_are_enough_if_somebody_says_how_many(
    drawn, checkpoint, tmp_path
):
    """Nothing is labeled: that is what selection must not need."""
    categories = json.loads((drawn.folder / 'labeled.json').read_text())
    file = tmp_path / 'classes.json'
    file.write_text(json.dumps(dict(categories=categories['categories'])))
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'out')
    hook = cfg.custom_hooks[0]
    hook.labeled = dict(ann_file=str(file))
    with pytest.raises(ValueError, match='no labeled image: use CountSelect'):
        annotate(cfg)
    hook.selection = dict(
        selector=dict(type='CountSelector', per_image=dict(red=9, green=0))
    )

    labels = annotate(cfg)

    assert len(labels['images']) == 5
    red = categories['categories'][0]['id']
    assert {a['category_id'] for a in labels['annotations']} == {red}
    origin = labels['info']['data_distillation']
    assert origin['labeled']['num_images'] == 0
    again = select_labels(
        tmp_path / 'out/detections',
        str(file),
        dict(selector=dict(type='FixedSelector', min_score=0.5)),
        tmp_path / 'again.json',
    )
    # The class has no rate on labeled images.
    assert re.search(r'red\W+- │ +1\.00 │ +0\.500', again)
    assert 'it would have' not in again
