"""Millions of detections stay columns: no Python call for each of them."""

import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from projects.data_distillation import DetectionStore
from projects.data_distillation.benchmarks.quality import write_truth
from projects.data_distillation.benchmarks.selection import (
    NUM_CLASSES,
    write_store,
)
from projects.data_distillation.label_files.coco.measures import (
    measure_pseudo_labels,
)
from projects.data_distillation.pseudo_labels.detections.columns import (
    flatten_table,
)
from projects.data_distillation.pseudo_labels.quality.label_quality import (
    measure_stored,
)

NUM_IMAGES = 40
# Detections on each image: few and many.
FEW, MANY = 30, 300
MIN_SCORES = {f'class {i}': 0.5 for i in range(1, NUM_CLASSES + 1)}


class Site:
    """Made-up detections, their truth, and labels of all of them."""

    def __init__(self, folder: Path, per_image: int) -> None:
        write_store(folder / 'detections', NUM_IMAGES, per_image)
        self.table = DetectionStore(folder / 'detections').read()
        self.truth = folder / 'truth.json'
        write_truth(self.truth, self.table)
        self.pseudo = folder / 'pseudo_labels.json'
        content = json.loads(self.truth.read_text())
        found = flatten_table(self.table)
        self.num_found = len(found)
        ids = self.table['image_id'].to_numpy()[found.image_index].tolist()
        content['annotations'] = [
            dict(image_id=image, category_id=1 + label, bbox=bbox, score=score)
            for image, label, bbox, score in zip(
                ids,
                found.labels.tolist(),
                found.bbox_xywh.tolist(),
                found.scores.tolist(),
                strict=True,
            )
        ]
        self.pseudo.write_text(json.dumps(content))

    def report(self) -> None:
        """Do what `tools/label_quality.py` does with the detections."""
        every = np.ones(self.num_found, bool)
        measure_stored(self.table, every, self.truth, MIN_SCORES)

    def compare(self) -> None:
        """Do what the comparison of `tools/distill.py` does with labels."""
        measure_pseudo_labels(self.pseudo, self.truth)


@pytest.fixture(scope='module')
def sites(tmp_path_factory) -> list[Site]:
    folders = map(tmp_path_factory.mktemp, ('few', 'many'))
    return list(map(Site, folders, (FEW, MANY)))


def count_calls(work: Callable[[], None]) -> int:
    count = 0

    def see(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ('call', 'c_call')

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def measure_peak(work: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def per_detection(sites: list[Site], name: str, measure: Callable) -> float:
    """What a detection more costs."""
    for site in sites:  # What only the first time costs.
        getattr(site, name)()
    few, many = (measure(getattr(site, name)) for site in sites)
    return (many - few) / (sites[1].num_found - sites[0].num_found)


# An object that JSON makes of a label takes more than columns.
COSTS = pytest.mark.parametrize(
    ('name', 'calls', 'num_bytes'),
    [
        pytest.param('report', 0.5, 200, id='report'),
        pytest.param('compare', 10, 1000, id='comparison'),
    ],
)


@pytest.mark.slow
@COSTS
def test_detection_more_makes_few_calls(sites, name, calls, num_bytes):
    assert per_detection(sites, name, count_calls) < calls


@pytest.mark.slow
@COSTS
def test_detection_more_takes_few_bytes(sites, name, calls, num_bytes):
    """It took 12,000 in the report when each was a Python object."""
    assert per_detection(sites, name, measure_peak) < num_bytes
