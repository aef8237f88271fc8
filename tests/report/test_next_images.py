"""tools/next_images.py, from a finished annotation to three files."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from browsing import find, opened
from builders import DrawnImages, annotate, annotate_cfg
from mmengine.runner import Runner

from projects.data_distillation import DetectionStore
from projects.data_distillation.pseudo_labels.review.value import (
    ImageValues,
    explain_image,
)
from projects.data_distillation.report import next_images
from projects.data_distillation.report.next_images import (
    make_tab,
    propose_images,
    sample_paths,
)
from projects.data_distillation.report.page import write_report
from projects.data_distillation.report.work_folder import WorkFolder


def write_work_folder(drawn: DrawnImages, checkpoint: Path) -> Path:
    """A work folder with an annotation and one of validation images."""
    work_dir = drawn.folder / 'work'
    annotate(annotate_cfg(drawn, checkpoint, work_dir / 'annotate'))
    cfg = annotate_cfg(drawn, checkpoint, work_dir / 'validate')
    cfg.custom_hooks[0].type = 'DetectionHook'
    cfg.test_dataloader.dataset.ann_file = str(drawn.folder / 'truth.json')
    Runner.from_cfg(cfg).test()
    for stage in ('annotate', 'validate'):
        assert list((work_dir / stage).glob('*.py'))
    return work_dir


@pytest.fixture
def work_dir(drawn, checkpoint) -> Path:
    return write_work_folder(drawn, checkpoint)


@pytest.mark.slow
def test_files_have_the_chosen_images(drawn, work_dir, call_tool):
    done = call_tool('next_images', work_dir, '--count', 3)

    assert done.returncode == 0, done.stderr
    assert 'learned from 5 validation images' in done.stdout
    # The toy detector has no backbone.
    assert 'by colors' in done.stdout
    out = work_dir / 'review'
    coco = json.loads((out / 'next_images.json').read_text())
    with (out / 'next_images.csv').open() as file:
        rows = list(csv.DictReader(file))
    names = [image['file_name'] for image in coco['images']]
    assert names == [row['file_name'] for row in rows]
    assert len(set(names)) == 3
    assert coco['categories'] == drawn.truth['categories']
    pseudo = json.loads((work_dir / 'annotate/pseudo_labels.json').read_text())
    assert boxes_by_name(coco) == {
        name: boxes
        for name, boxes in boxes_by_name(pseudo).items()
        if name in names
    }
    page = (out / 'next_images.html').read_text()
    assert page.count('<img src="data:image/jpeg') == 3
    assert all(row['reason'] in page for row in rows)
    assert not re.search(r'(?:src|href)="(?!data:)', page)


@pytest.mark.slow
def test_corrected_images_are_not_written_again(work_dir, call_tool):
    file = work_dir / 'review' / 'next_images.json'
    assert call_tool('next_images', work_dir, '--count', 2).returncode == 0
    corrected = json.loads(file.read_text())
    corrected['annotations'].pop()
    file.write_text(json.dumps(corrected))

    done = call_tool('next_images', work_dir, '--count', 3)

    assert done.returncode == 1
    assert 'next_images.json must be as this tool wrote' in done.stderr
    assert json.loads(file.read_text()) == corrected


def boxes_by_name(coco: dict) -> dict:
    names = {image['id']: image['file_name'] for image in coco['images']}
    boxes: dict = {name: [] for name in names.values()}
    for one in coco['annotations']:
        boxes[names[one['image_id']]].append(
            (one['category_id'], one['bbox'], one['score'])
        )
    return boxes


@pytest.mark.slow
def test_scores_count_without_validation_images(work_dir):
    (work_dir / 'validate').rename(work_dir / 'elsewhere')

    notes = propose_images(work_dir, 2).notes

    assert any('has no detections' in note for note in notes)


@pytest.mark.slow
def test_images_that_were_labeled_since_are_not_proposed(drawn, work_dir):
    left = dict(images=drawn.truth['images'][2:])
    file = drawn.write('unlabeled.json', left)
    (config,) = (work_dir / 'annotate').glob('*.py')
    with config.open('a') as text:
        text.write(f"\ntest_dataloader['dataset']['ann_file'] = '{file}'\n")

    proposal = propose_images(work_dir, count=5)

    assert {one.row for one in proposal.images} == {2, 3, 4}


@pytest.mark.slow
def test_validation_by_another_teacher_teaches_nothing(work_dir):
    folder = work_dir / 'validate' / 'detections'
    store = DetectionStore(folder)
    rows = store.read().to_pylist()
    made_by = dict(store.require_provenance(), checkpoint_sha256='another')
    for shard in store.list_shards():
        shard.unlink()
    other = DetectionStore(folder, made_by)
    other.add(*rows)
    other.flush()

    notes = propose_images(work_dir, 2).notes

    assert any('cannot judge these detections' in note for note in notes)


@pytest.mark.slow
def test_another_checkpoint_does_not_describe(work_dir, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes() + b' ')

    proposal = propose_images(work_dir, 9)

    assert any('not the checkpoint' in note for note in proposal.notes)
    # More images than there are.
    assert len(proposal.images) == 5


@pytest.mark.slow
def test_report_has_a_tab_of_images_to_label_next(drawn, work_dir, browser):
    cfg = annotate_cfg(drawn, '', work_dir / 'annotate')

    page = opened(browser, write_report(cfg, work_dir))

    stage = WorkFolder.open(work_dir)
    tab = make_tab(stage.stage, stage.labels)
    names = stage.labels.table['file_name'].to_pylist()
    assert len(tab.images) == 5
    assert not find(page, '#reason').is_displayed()
    find(page, '#groups label:last-child').click()
    assert find(page, '#reason').text == tab.reasons[0]
    assert f'{names[tab.images[0]]} (1 of 5)' in find(page, '#caption').text
    find(page, '#next').click()
    assert find(page, '#reason').text == tab.reasons[1]


@pytest.mark.slow
def test_tab_is_left_out_if_the_labeled_file_is_missing(drawn, work_dir):
    stage = WorkFolder.open(work_dir)
    labels = stage.labels

    (drawn.folder / 'labeled.json').unlink()

    assert make_tab(stage.stage, labels) is None


def test_errors_are_explained(call_tool, tmp_path):
    none = call_tool('next_images', tmp_path, '--count', 0)
    nowhere = call_tool('next_images', tmp_path)

    assert none.stderr == 'error: --count must be at least 1, got 0\n'
    assert nowhere.stderr.startswith('error: no pseudo_labels.json')


def test_paths_are_drawn_in_their_order_and_the_same_each_time():
    paths = [f'{number:04}' for number in range(1_500)]

    drawn = sample_paths(paths)

    assert drawn == sorted(set(drawn)) == sample_paths(paths)
    assert len(drawn) == 1_000
    assert {*drawn} < {*paths} and drawn != paths[:1_000]
    assert sample_paths(paths[:1_000]) == paths[:1_000]


def test_names_of_another_direction_are_kept_apart():
    ones, none = np.ones((1, 2)), np.zeros(1, int)
    confused = np.array([[0, 0, 1], [1, 1, 0]])
    values = ImageValues(ones, ones, none, none, confused, ones[0])

    text = explain_image(values, 0, ['قطة', 'b'])

    assert 'in doubt: \u2068قطة\u2069 or b' in text


@pytest.mark.slow
def test_near_duplicates_do_not_make_the_choice_smaller(
    drawn, work_dir, monkeypatch
):
    # The two that are worth most are the same, as in a video.
    stage = WorkFolder.open(work_dir)
    monkeypatch.setattr(next_images, 'CANDIDATES', 1)
    names = stage.labels.table['file_name'].to_pylist()
    values, _ = next_images.estimate_values(stage)
    order = np.argsort(-values.values, kind='stable')
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 255, (60, 80, 3)) for _ in order]
    pixels[1] = pixels[0]
    for number, one in zip(order, pixels, strict=True):
        cv2.imwrite(str(stage.image_folder / names[number]), one)

    proposal = propose_images(work_dir, 2)

    assert [one.row for one in proposal.images][:1] == [order[0]]
    for one in proposal.images:
        assert one.reason.startswith(f'{one.errors:.1f} errors expected: ')
    assert len(proposal.images) == 2
