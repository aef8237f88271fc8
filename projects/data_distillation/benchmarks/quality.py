"""Measures what it costs to compare many labels with the truth.

Detections and truth are made up. Each detection of `make_objects` is moved a
little, so that labels are right and wrong, and some IoUs are near 0.5.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..label_files.coco.measures import measure_pseudo_labels
from ..pseudo_labels.detections.columns import Detections, flatten_table
from ..pseudo_labels.detections.store import DetectionStore
from ..pseudo_labels.quality.curves import LabelReport
from ..pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ..pseudo_labels.selection.export import select_labels
from .selection import (
    NUM_CLASSES,
    OBJECTS_PER_IMAGE,
    measure_in_process,
    write_labeled,
    write_store,
)

# On each image. Of so many, OBJECTS_PER_IMAGE have an object, as many as in
# COCO.
DETECTIONS_PER_IMAGE = 30
# What is added at most to left, top, width and height of a detection to make
# an object, in pixels.
MAX_SHIFT = 30.0


def write_truth(path: Path, table: pa.Table) -> None:
    """Write a COCO file of objects near the first detections of each image.

    One object in 100 is a crowd. The objects are those of `make_objects`, and
    the category id of a label is the label + 1.

    Args:
        path: The file to write, in a folder that exists.
        table: The rows of a detection store, one for each image.

    Raises:
        OSError: If the file cannot be written.
    """
    found = flatten_table(table)
    annotations = [
        dict(
            id=number,
            image_id=image_id,
            category_id=label + 1,
            bbox=bbox_xywh,
            area=bbox_xywh[2] * bbox_xywh[3],
            iscrowd=int(number % 100 == 0),
        )
        for number, (image_id, label, bbox_xywh) in enumerate(
            zip(*make_objects(found, table), strict=True), 1
        )
    ]
    names = (table[name].to_pylist() for name in ('image_id', 'file_name'))
    content = dict(
        images=[
            dict(id=id, file_name=name)
            for id, name in zip(*names, strict=True)
        ],
        annotations=annotations,
        categories=[
            dict(id=i, name=f'class {i}') for i in range(1, NUM_CLASSES + 1)
        ],
    )
    path.write_text(json.dumps(content))


def make_objects(
    found: Detections, table: pa.Table
) -> tuple[list, list, list]:
    """Make objects of the first `OBJECTS_PER_IMAGE` detections on each image.

    Each number of a box grows by 0 to `MAX_SHIFT` pixels. The random numbers
    have the seed 0.

    Args:
        found: All detections, in the order of the rows.
        table: Their rows in the detection store, one for each image.

    Returns:
        The image id, label and box of each object, in the order of the
        detections. A box is left, top, width and height in pixels, rounded to
        1/100; it may reach outside its image.
    """
    counts = pc.list_value_length(table['scores']).to_numpy()
    # The place of each detection on its image: its number in the table, less
    # that of the first one of its image.
    place = np.arange(len(found)) - np.repeat(counts.cumsum() - counts, counts)
    chosen = found[place < OBJECTS_PER_IMAGE]
    random = np.random.default_rng(0)
    shift = random.uniform(0, MAX_SHIFT, (len(chosen), 4))
    # Float32 that is rounded to 1/100 has more digits in JSON.
    bboxes_xywh = (chosen.bbox_xywh.astype(np.float64) + shift).round(2)
    image_ids = table['image_id'].to_numpy()[chosen.image_index]
    return image_ids.tolist(), chosen.labels.tolist(), bboxes_xywh.tolist()


def write_report(work_dir: Path, truth: Path) -> None:
    """Do what `tools/label_quality.py` does.

    Args:
        work_dir: The folder with the detections and the pseudo labels. The
            report goes to `quality/` in it.
        truth: The COCO file of the true objects.

    Raises:
        FileNotFoundError, CocoError, StoreError, ValueError, KeyError: See
            `LabelReport.write`.
        OSError: If the report cannot be written.
    """
    LabelReport(work_dir, truth).write(work_dir / 'quality')


def measure_quality_of(folder: Path, num_images: int) -> dict:
    """Measure the report on labels, and the comparison of a whole experiment.

    Args:
        folder: An empty folder for the detections and the files.
        num_images: The number of images, at least 1.

    Returns:
        `num_images`, `labels` (how many were selected), `report` (what
        `tools/label_quality.py` takes) and `comparison` (what the comparison
        of `tools/distill.py` takes); see `measure_in_process`.

    Raises:
        FileExistsError: If the folder has detections already.
        FileNotFoundError: If the system is not Linux, or there are no images.
        OSError: If a file cannot be written.
    """
    store, labeled = folder / 'detections', folder / 'labeled.json'
    truth, pseudo = folder / 'truth.json', folder / PSEUDO_LABELS
    write_store(store, num_images, DETECTIONS_PER_IMAGE)
    write_labeled(labeled)
    write_truth(truth, DetectionStore(store).read())
    select_labels(store, str(labeled), {}, pseudo)
    report = measure_in_process(write_report, folder, truth)
    comparison = measure_in_process(measure_pseudo_labels, pseudo, truth)
    written = json.loads((folder / 'quality/label_quality.json').read_bytes())
    return dict(
        num_images=num_images,
        labels=written['total']['labels'],
        report=report,
        comparison=comparison,
    )
