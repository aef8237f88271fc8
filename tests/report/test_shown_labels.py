"""The labels of a report: counts, thresholds, truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from report_files import HOSTILE, write_selection

from projects.data_distillation import DetectionStore
from projects.data_distillation.label_files.coco.measures import (
    measure_pseudo_labels,
)
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.selection.export import (
    select_labels,
)
from projects.data_distillation.report import shown_labels as report_labels
from projects.data_distillation.report.gallery import make_command
from projects.data_distillation.report.report_tables import collect_notes
from projects.data_distillation.report.shown_labels import (
    GRID,
    START_SCORE,
    evaluate_labels,
    find_labels,
    read_labels,
)


@pytest.mark.parametrize(
    'selection',
    [
        {},
        dict(filters=[dict(type='MinViews', num_views=2)]),
        dict(selector=dict(type='FixedSelector', min_score=1.0)),
    ],
)
def test_labels_are_those_of_the_file(tmp_path, selection):
    source = write_selection(tmp_path, **selection)

    labels = read_labels(source)

    content = json.loads(source.pseudo_labels.read_text())
    expected = [
        sum(a['category_id'] == c['id'] for a in content['annotations'])
        for c in content['categories']
    ]
    assert labels.num_labels.tolist() == expected
    assert tuple(labels.min_scores) == HOSTILE


def test_counts_on_the_grid_are_those_of_each_threshold(tmp_path):
    filters = [dict(type='MinViews', num_views=2)]
    labels = read_labels(write_selection(tmp_path, filters=filters))

    counts = labels.count_on_grid()

    detections = labels.detections[labels.detections.num_views >= 2]
    for label, of_class in enumerate(counts):
        scores = detections.scores[detections.labels == label]
        expected = [int((scores >= np.float32(s)).sum()) for s in GRID]
        assert of_class == expected
    assert sum(map(sum, counts)) > 0


def test_without_pseudo_labels_the_labeled_file_is_counted(tmp_path):
    source = write_selection(tmp_path)
    source.pseudo_labels.unlink()

    labels = read_labels(source)

    assert labels.min_scores == dict.fromkeys(HOSTILE, START_SCORE)
    assert labels.labeled.num_instances.tolist() == [1, 1, 1]
    assert labels.origin == {}
    assert labels.labeled.name == 'labeled'


@pytest.mark.parametrize('hooks', [[dict(type='DetectionHook')], None])
def test_config_without_labeled_images_is_refused(tmp_path, hooks):
    cfg = Config(dict(custom_hooks=hooks))

    with pytest.raises(ValueError, match='must name the labeled images'):
        find_labels(cfg, tmp_path)


def test_empty_folder_is_refused(tmp_path):
    source = write_selection(tmp_path)
    for shard in source.detections.iterdir():
        shard.unlink()

    with pytest.raises(FileNotFoundError, match='no detections'):
        read_labels(source)


def test_store_without_a_readable_image_is_refused(tmp_path):
    source = write_selection(tmp_path / 'a')
    store = DetectionStore(tmp_path / 'b', dict(views=[]))
    row = DetectionStore(source.detections).read().to_pylist()[0]
    store.add(dict(row, unreadable='empty'))
    store.flush()

    other = report_labels.LabelSource(
        store.folder, *[source.pseudo_labels] * 2
    )
    with pytest.raises(StoreError, match=r'none of 1 images .* could be read'):
        read_labels(other)


def test_precision_and_recall_are_those_of_the_labels(tmp_path):
    source = write_selection(tmp_path)
    truth = json.loads(Path(source.truth).read_text())

    quality = evaluate_labels(read_labels(source), truth, source.truth)

    expected = measure_pseudo_labels(source.pseudo_labels, source.truth)
    assert quality.total.precision == expected['precision']
    assert quality.total.recall == expected['recall']
    assert 0 < quality.total.precision < 1


def test_many_images_are_sampled_to_be_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(report_labels, 'MAX_EVALUATED', 5)
    source = write_selection(tmp_path)
    truth = json.loads(Path(source.truth).read_text())

    assert (
        evaluate_labels(read_labels(source), truth, source.truth).num_images
        == 5
    )


def test_truth_of_other_classes_is_refused(tmp_path):
    source = write_selection(tmp_path)
    truth = json.loads(Path(source.truth).read_text())
    truth['categories'][0]['name'] = 'other'

    with pytest.raises(CocoError, match=r'truth\.json'):
        evaluate_labels(read_labels(source), truth, source.truth)


def test_only_the_wanted_images_are_looked_at(tmp_path):
    source = write_selection(tmp_path)
    truth = json.loads(Path(source.truth).read_text())
    images = tmp_path / 'some.json'
    images.write_text(json.dumps(dict(images=truth['images'][:3])))

    some = report_labels.LabelSource(
        source.detections, source.pseudo_labels, source.labeled, images=images
    )
    assert len(read_labels(some).table) == 3


def test_images_that_left_the_unlabeled_set_are_not_shown(tmp_path):
    source = write_selection(tmp_path)
    names = DetectionStore(source.detections).read()['file_name'].to_pylist()
    images = tmp_path / 'some.json'
    content = json.loads(source.pseudo_labels.read_text())
    some = [one for one in content['images'] if one['file_name'] in names[:7]]
    images.write_text(json.dumps(dict(images=some)))
    select_labels(
        source.detections, source.labeled, {}, source.pseudo_labels, images
    )

    labels = read_labels(source)

    assert labels.table['file_name'].to_pylist() == names[:7]
    assert labels.num_left == 5
    written = json.loads(source.pseudo_labels.read_text())['annotations']
    assert labels.num_labels.sum() == len(written)
    assert any(
        '5 images are not shown' in n for n in collect_notes(labels, None)
    )
    command = make_command(labels, source)
    assert command['after'].endswith(f'--images {source.pseudo_labels}')
