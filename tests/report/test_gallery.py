"""The gallery's sample and its data."""

import base64
import json
import shlex
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.compute as pc
import pytest
from pycocotools import mask as coco_mask
from report_files import HOSTILE, NUM_VIEWS, write_selection

from projects.data_distillation.label_files.segmentations.svg_paths import (
    make_path,
)
from projects.data_distillation.report import gallery as report_gallery
from projects.data_distillation.report.gallery import (
    MAX_THUMBNAIL_BYTES,
    THUMBNAIL_SIDE,
    make_gallery,
    make_thumbnail,
    sample_images,
)
from projects.data_distillation.report.report_tables import collect_notes
from projects.data_distillation.report.shown_labels import read_labels


def made(tmp_path, **selection) -> tuple:
    source = write_selection(tmp_path, **selection)
    labels = read_labels(source)
    truth = json.loads(Path(source.truth).read_text())
    return labels, make_gallery(labels, source, truth)


def labels_of(table, min_scores: list) -> list[list[tuple]]:
    """Score, label and views of the labels of each image, slowly."""
    return [
        [
            (score, label, views)
            for score, label, views in zip(
                row['scores'], row['labels'], row['num_views']
            )
            if score >= min_scores[label]
        ]
        for row in table.to_pylist()
    ]


def test_groups_are_what_their_names_say(tmp_path, monkeypatch):
    monkeypatch.setattr(report_gallery, 'GROUP_SIZE', 3)
    labels = read_labels(write_selection(tmp_path, num_images=30))
    min_scores = labels.selection.min_scores
    found = labels_of(labels.table, min_scores)

    groups = sample_images(labels)

    def mean(of_label):
        values = [np.mean([*map(of_label, one)]) for one in found if one]
        return sorted(values)[:3]

    def means(indices, of_label):
        return [np.mean([*map(of_label, found[i])]) for i in indices]

    counts = sorted(map(len, found))
    assert [len(found[i]) for i in groups['Most labels']] == counts[:-4:-1]
    assert [len(found[i]) for i in groups['Fewest labels']] == counts[:3]
    np.testing.assert_allclose(
        means(groups['Views agree least'], lambda one: one[2]),
        mean(lambda one: one[2]),
    )

    def margin(one):
        return one[0] - min_scores[one[1]]

    np.testing.assert_allclose(
        means(groups['Scores nearest to min_score'], margin),
        mean(margin),
        atol=1e-6,
    )
    assert len(set(groups['Random'].tolist())) == 3


def test_random_images_with_labels_come_first(tmp_path):
    labels = read_labels(
        write_selection(
            tmp_path, selector=dict(type='FixedSelector', min_score=0.9)
        )
    )
    selected = labels.detections[labels.selection.is_selected]
    with_labels = set(selected.image_index.tolist())
    assert 0 < len(with_labels) < len(labels.table)

    shown = sample_images(labels)['Random'].tolist()

    assert set(shown[: len(with_labels)]) == with_labels


def test_empty_images_are_in_no_doubtful_group(tmp_path):
    labels = read_labels(
        write_selection(
            tmp_path, selector=dict(type='FixedSelector', min_score=1.0)
        )
    )

    groups = sample_images(labels)

    assert len(groups['Views agree least']) == 0
    assert len(groups['Random']) == len(labels.table)
    assert labels.num_labels.sum() == 0


def test_boxes_are_those_that_may_become_labels(tmp_path):
    filters = [dict(type='MinViews', num_views=2)]
    labels, data = made(tmp_path, filters=filters)

    names = labels.table['file_name'].to_pylist()
    rows = dict(zip(names, labels.table.to_pylist()))
    assert len(data['images']) == len(names)
    for image in data['images']:
        row = rows[image['name']]
        expected = sorted(
            [x1, y1, x2 - x1, y2 - y1, label, score, views]
            for (x1, y1, x2, y2), label, score, views in zip(
                row['bboxes_xyxy'], row['labels'], row['scores'],
                row['num_views'],
            )
            if views >= 2
        )  # fmt: skip
        np.testing.assert_allclose(sorted(image['boxes']), expected or [])
        areas = [box[2] * box[3] for box in image['boxes']]
        assert areas == sorted(areas, reverse=True)


def test_scores_compare_as_32_bit_numbers(tmp_path):
    labels, data = made(tmp_path)

    shown = [np.float32(b[5]) for i in data['images'] for b in i['boxes']]

    stored = pc.list_flatten(labels.table['scores']).to_numpy()
    assert sorted(shown) == sorted(stored)


def test_truth_is_that_of_the_image(tmp_path):
    labels, data = made(tmp_path)

    rows = {row['file_name']: row for row in labels.table.to_pylist()}
    for image in data['images']:
        row = rows[image['name']]
        assert [object[4] for object in image['truth']] == row['labels'][::2]
        for (x, y, w, h, _, is_crowd), corners in zip(
            image['truth'], row['bboxes_xyxy'][::2]
        ):
            assert [x, y, x + w, y + h] == corners
            assert not is_crowd


def test_image_without_objects_has_none(tmp_path):
    source = write_selection(tmp_path)
    truth = json.loads(Path(source.truth).read_text())
    truth['annotations'] = []

    images = make_gallery(read_labels(source), source, truth)['images']

    assert [image['truth'] for image in images] == [[]] * len(images)


def test_lost_image_says_so(tmp_path):
    source = write_selection(tmp_path)
    labels = read_labels(source)
    for image in (tmp_path / 'images').iterdir():
        image.unlink()

    images = make_gallery(labels, source, None)['images']

    assert {image['src'] for image in images} == {None}
    assert {image['reason'] for image in images} == {
        'cannot be opened: No such file or directory'
    }
    assert images[0]['truth'] is None


def test_command_names_the_classes_as_a_shell_takes_them(tmp_path):
    _, data = made(
        tmp_path,
        filters=[dict(type='MinViews', num_views=2)],
        max_empty_share=0.5,
    )

    command = data['command']

    words = shlex.split(' '.join(f'{name}=0.5' for name in command['names']))
    assert words == [f'{name}=0.5' for name in HOSTILE]
    assert command['before'].endswith('--method fixed --min-score')
    assert command['after'] == '--min-views 2 --max-empty-share 0.5'


@pytest.mark.parametrize('shape', [(900, 1400, 3), (1400, 900, 3)])
def test_thumbnail_of_whatever_image_is_small(shape):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, shape).astype(np.uint8)

    text = make_thumbnail(pixels)

    head, _, content = text.partition(',')
    assert head == 'data:image/jpeg;base64'
    content = base64.b64decode(content)
    assert len(content) <= MAX_THUMBNAIL_BYTES
    small = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape[0] / small.shape[1] == pytest.approx(
        shape[0] / shape[1], rel=0.01
    )


def test_thumbnail_is_as_large_as_it_may_be_and_never_enlarged():
    plain = np.full((1000, 2000, 3), (10, 120, 250), np.uint8)

    def size_of(pixels):
        content = base64.b64decode(make_thumbnail(pixels).partition(',')[2])
        return cv2.imdecode(np.frombuffer(content, np.uint8), 1)

    assert size_of(plain).shape == (THUMBNAIL_SIDE // 2, THUMBNAIL_SIDE, 3)
    assert size_of(plain[:30, :40]).shape == (30, 40, 3)
    # The colors are not swapped.
    assert abs(size_of(plain)[0, 0].astype(int) - (10, 120, 250)).max() < 9


def drawn_pixels(path: str) -> np.ndarray:
    """The pixels in a path, of an image of 100 x 100."""
    pixels = np.zeros((400, 400), np.uint8)
    for line in path.removeprefix('M').removesuffix('Z').split('ZM'):
        points = np.array(line.split(), float).reshape(-1, 2)
        cv2.fillPoly(pixels, [np.rint(4 * points - 0.5).astype(int)], 1)
    return pixels[2::4, 2::4].astype(bool)


def test_masks_are_outlined(tmp_path):
    labels, gallery = made(tmp_path, masks=True)
    rows = {row['file_name']: row for row in labels.table.to_pylist()}
    truth = json.loads((tmp_path / 'truth.json').read_text())
    num_shown = 0

    for image in gallery['images']:
        row = rows[image['name']]
        stored = [
            coco_mask.decode(dict(size=[100, 100], counts=counts))
            for counts in row['masks']
        ]
        for *bbox, _, _, _, path in image['boxes']:
            x, y, w, h = bbox
            (mask,) = (
                mask
                for box, mask in zip(row['bboxes_xyxy'], stored, strict=True)
                if box == [x, y, x + w, y + h]
            )
            difference = drawn_pixels(path) != mask.astype(bool)
            # Points half a pixel from the line are left out.
            assert difference.sum() <= 0.15 * mask.sum()
            num_shown += 1
        paths = {tuple(one[:4]): one[6] for one in image['truth']}
        for *bbox, _, _, _, path in image['boxes']:
            assert paths.get(tuple(bbox), path) == path
    assert num_shown > 20
    assert sum(len(i['truth']) for i in gallery['images']) == len(
        truth['annotations']
    )


@pytest.mark.parametrize(
    'broken',
    [
        [[1.0, 2.0, 3.0, 4.0]],
        [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        dict(size=[100, 100], counts='abc'),
        dict(size=[50, 200], counts=[0, 10000]),
    ],
)
def test_broken_mask_of_the_truth_is_named_and_not_drawn(tmp_path, broken):
    source = write_selection(tmp_path, masks=True)
    labels = read_labels(source)
    truth = json.loads(Path(source.truth).read_text())
    truth['annotations'][0].update(segmentation=broken, id=77)

    shown = make_gallery(labels, source, truth)['images']
    notes = list(collect_notes(labels, None, truth))

    assert [len(one) for i in shown for one in i['truth']].count(6) == 1
    assert notes[-1].startswith('The masks of 1 true objects are broken')
    assert 'annotation 77:' in notes[-1]


def test_images_without_masks_have_no_outlines(tmp_path):
    _, gallery = made(tmp_path)

    assert {len(b) for i in gallery['images'] for b in i['boxes']} == {7}
    assert {len(one) for i in gallery['images'] for one in i['truth']} == {6}


def test_empty_mask_has_no_outline_and_parts_have_lines_of_their_own():
    pixels = np.zeros((60, 1100), np.uint8, order='F')
    empty = coco_mask.encode(pixels)
    pixels[5:15, 10:30] = pixels[30:40, 900:1000] = 1

    path = make_path(coco_mask.encode(pixels), THUMBNAIL_SIDE)

    assert make_path(empty, 9) == ''
    assert make_path(dict(size=[9, 9], counts=b''), 9) == ''
    assert path.count('M') == path.count('Z') == 2
    numbers = path.replace('M', ' ').replace('Z', ' ').split()
    points = np.array(numbers, float).reshape(-1, 2)
    assert points.min(0) == pytest.approx([10, 5], abs=1.1)
    assert points.max(0) == pytest.approx([1000, 40], abs=1.1)


def test_views_of_all_teachers_can_support_a_box(tmp_path):
    source = write_selection(tmp_path)
    labels = read_labels(source)
    made_by = dict(labels.provenance, other_teachers=[{}])

    gallery = make_gallery(replace(labels, provenance=made_by), source, None)

    assert gallery['num_views'] == 2 * NUM_VIEWS
