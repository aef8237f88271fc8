"""The benchmark of selection: both projects select as many labels."""

import json

import pytest

from projects.data_distillation.benchmarks.selection import (
    select_labels,
    select_with_a_grid,
    write_labeled,
    write_pickle,
    write_store,
)


@pytest.mark.slow
def test_both_projects_select_as_much(tmp_path):
    store, labeled = tmp_path / 'detections', tmp_path / 'labeled.json'
    write_store(store, num_images=500)
    write_labeled(labeled)
    write_pickle(store, tmp_path / 'results.pkl')
    files = ours, grid = tmp_path / 'ours.json', tmp_path / 'grid.json'

    select_labels(store, labeled, {}, ours)
    select_with_a_grid(tmp_path / 'results.pkl', labeled, grid)

    counts = [len(json.loads(f.read_bytes())['annotations']) for f in files]
    # Of 7 an image, as labeled; of rare classes there are fewer detections.
    assert 5 * 500 < counts[0] <= 7 * 500
    assert counts[1] == pytest.approx(counts[0], rel=0.05)
