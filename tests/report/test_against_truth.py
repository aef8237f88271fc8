"""The labels of a report beside the truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from report_files import write_selection

from projects.data_distillation.label_files.coco.matching import (
    match_detections,
)
from projects.data_distillation.report import shown_labels as report_labels
from projects.data_distillation.report.report_tables import (
    collect_notes,
)
from projects.data_distillation.report.shown_labels import (
    GRID,
    choose_judged,
    count_right_on_grid,
    count_wrong,
    evaluate_labels,
    read_labels,
)


@pytest.fixture
def source(tmp_path):
    return write_selection(
        tmp_path, filters=[dict(type='MinViews', num_views=2)]
    )


def test_wrong_labels_and_missed_objects_count(source):
    labels = read_labels(source)
    truth = json.loads(Path(source.truth).read_text())
    # Ids in another order than the images.
    for part, key in (('images', 'id'), ('annotations', 'image_id')):
        for one in truth[part]:
            one[key] = 100 - one[key]
    file = Path(source.truth).with_name('other.json')
    file.write_text(json.dumps(truth))

    wrong = count_wrong(labels, truth, str(file))

    lowest = list(labels.min_scores.values())
    for row, number in zip(
        labels.rules.filter_rows(labels.table), wrong, strict=True
    ):
        counts = [
            (m.num_truth, *m.count_from(np.inf if low is None else low))
            for m, low in zip(
                match_detections([row], file, 0.5), lowest, strict=True
            )
        ]
        expected = sum(t + found - 2 * right for t, right, found in counts)
        # NaN is an image without a fault, which no filter of the page shows.
        assert number == expected if expected else np.isnan(number)
    assert np.nanmax(wrong) > 0


def test_many_images_are_compared_in_part(source, monkeypatch):
    monkeypatch.setattr(report_labels, 'MAX_EVALUATED', 3)
    labels = read_labels(source)
    truth = json.loads(Path(source.truth).read_text())

    wrong = count_wrong(labels, truth, source.truth)

    judged = choose_judged(len(labels.table))
    assert len(judged) == 3
    assert set(np.flatnonzero(~np.isnan(wrong))) <= set(judged)
    # The counts of the page are those of the same images.
    quality = evaluate_labels(labels, truth, source.truth)
    total = quality.total
    assert np.nansum(wrong) == (
        total.num_labels + total.num_truth - 2 * total.num_right
    )
    # A reader must know it.
    (note,) = [
        note for note in collect_notes(labels, quality) if 'Precision' in note
    ]
    assert 'are those of 3 randomly chosen images' in note


def test_right_labels_are_counted_at_all_scores(source):
    labels = read_labels(source)
    truth = json.loads(Path(source.truth).read_text())
    quality = evaluate_labels(labels, truth, source.truth)

    counted = count_right_on_grid(quality)

    for one, by_class in zip(counted, quality.classes.values(), strict=True):
        assert len(one['right']) == len(one['found']) == len(GRID)
        at_half = by_class.matches.count_from(0.5)
        assert (one['right'][50], one['found'][50]) == at_half
        at = by_class.counts
        assert one['chosen'] == (at.num_right, at.num_labels)
        assert one['truth'] == at.num_truth


def test_boxes_that_were_calibrated_are_noted(source):
    labels = read_labels(source)
    truth = json.loads(Path(source.truth).read_text())
    quality = evaluate_labels(labels, truth, source.truth)
    before = [*collect_notes(labels, quality)]
    labels.origin['selection']['calibrates_boxes'] = True

    (note,) = {*collect_notes(labels, quality)} - {*before}
    assert 'boxes before they were calibrated' in note
