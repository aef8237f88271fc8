"""Compares the speed of selection with that of earlier projects.

Both run on made-up detections. Earlier data distillation for MMDetection 2
keeps all results in one pickle and tries 91 scores for each class, in Python
lists: `scripts/coco/filter_pl.py` of github.com/zhenyuw16/noisyboundaries.
"""

import json
import multiprocessing
import pickle
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.progress import track

from ..label_files.coco.reading import read_coco
from ..pseudo_labels.detections.shards import PROVENANCE, SCHEMA
from ..pseudo_labels.detections.store import DetectionStore
from ..pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ..pseudo_labels.selection.export import select_labels
from .memory import read_process_peak_mib

# As many as COCO has.
NUM_CLASSES = 80
# Of the labeled file; COCO's images have 7 objects each.
NUM_LABELED = 1000
OBJECTS_PER_IMAGE = 7
# The width and height of all images, in pixels.
SIDE = 1000
# The same as in DetectionStore.
IMAGES_PER_SHARD = 100
# So many images are made up at once.
IMAGES_AT_ONCE = 20_000
# The scores that the earlier projects try.
GRID = np.linspace(0.1, 1, 91)


def write_store(folder: Path, num_images: int, per_image: int = 10) -> None:
    """Write a detection store of made-up detections, the same each time.

    A bar on the screen shows the progress.

    Args:
        folder: The folder of the store, which must not exist yet. The folders
            around it are made too.
        num_images: The number of images. Their ids count from 1.
        per_image: The number of detections on each image.

    Raises:
        FileExistsError: If the folder exists.
        OSError: If a shard cannot be written.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    metadata = {PROVENANCE: json.dumps(dict(views=18)).encode()}
    starts = range(0, num_images, IMAGES_AT_ONCE)
    for start in track(starts, 'writing shards'):
        ids = np.arange(start, min(start + IMAGES_AT_ONCE, num_images)) + 1
        table = make_up_rows(ids, per_image, random)
        table = table.replace_schema_metadata(metadata)
        for first in range(0, len(ids), IMAGES_PER_SHARD):
            shard = folder / f'{ids[first]:08}.parquet'
            pq.write_table(table.slice(first, IMAGES_PER_SHARD), shard)


def make_up_rows(
    ids: np.ndarray, per_image: int, random: np.random.Generator
) -> pa.Table:
    """Make up rows of a detection store.

    The first classes are more frequent, and low scores are. Boxes lie inside
    of their images. On each image, the scores fall.

    Args:
        ids: The ids of the images, shape (n,).
        per_image: The number of detections on each image.
        random: The generator that draws the detections.

    Returns:
        The rows, with `shards.SCHEMA`, in the order of `ids`.
    """
    num = len(ids) * per_image
    corners = random.integers(0, SIDE - 200, (num, 2))
    sides = random.uniform(2, 200, (num, 2))
    bboxes_xyxy = np.hstack([corners, corners + sides]).astype(np.float32)
    scores = random.random((len(ids), per_image), np.float32) ** 2
    columns = dict(
        bboxes_xyxy=pa.FixedSizeListArray.from_arrays(
            pa.array(bboxes_xyxy.ravel()), 4
        ),
        scores=-np.sort(-scores).ravel(),
        labels=(NUM_CLASSES * random.random(num) ** 2).astype(np.int32),
        num_views=random.integers(1, 19, num, np.int32),
        corner_spread=random.random(num, np.float32),
    )
    # The offsets of Arrow's plain lists have 32 bits.
    offsets = pa.array(np.arange(len(ids) + 1) * per_image, pa.int32())
    size = pa.array(np.full(len(ids), SIDE, np.int32))
    arrays = [
        pa.array([f'{i:012}.jpg' for i in ids]),
        pa.array(ids),
        size,
        size,
        pa.nulls(len(ids), pa.string()),
        *(
            pa.ListArray.from_arrays(offsets, pa.array(column))
            for column in columns.values()
        ),
    ]
    return pa.table(arrays, schema=SCHEMA)


def write_labeled(path: Path) -> None:
    """Write a COCO file with as many instances per image as COCO has.

    It has `NUM_LABELED` images. The instances have a class and no box.

    Args:
        path: The file to write, in a folder that exists.

    Raises:
        OSError: If the file cannot be written.
    """
    annotations = [
        dict(
            id=i,
            image_id=1 + i % NUM_LABELED,
            category_id=1 + i % NUM_CLASSES,
        )
        for i in range(1, OBJECTS_PER_IMAGE * NUM_LABELED + 1)
    ]
    images = [
        dict(id=i, file_name=f'{i}.jpg') for i in range(1, NUM_LABELED + 1)
    ]
    names = [dict(id=i, name=f'class {i}') for i in range(1, NUM_CLASSES + 1)]
    path.write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=names)
        )
    )


def write_pickle(store: Path, path: Path) -> None:
    """Write the detections of a store in the format of MMDetection 2.

    The format is a list over the images. Each entry is a list over the classes
    of float32 arrays of shape (n, 5), with the boxes (xyxy, in pixels of the
    original image) and the scores. An image has an empty array for a class
    that it lacks. There are `NUM_CLASSES` classes; images are in the order of
    their ids, and the boxes of a class in that of the store.

    Args:
        store: The folder of the store, with an image at least.
        path: The pickle file to write.

    Raises:
        StoreError: If a shard is damaged, or shards differ in what made them.
        OSError: If the pickle file cannot be written.
    """
    table = DetectionStore(store).read()
    # np.split wants the bounds between parts; the last would add an empty one.
    bounds = np.cumsum(pc.list_value_length(table['scores']).to_numpy())[:-1]
    # Twice: each image has a list of boxes, and each box one of 4 numbers.
    corners = pc.list_flatten(pc.list_flatten(table['bboxes_xyxy']))
    scores = pc.list_flatten(table['scores']).to_numpy()
    found = np.hstack([corners.to_numpy().reshape(-1, 4), scores[:, None]])
    labels = pc.list_flatten(table['labels']).to_numpy()
    results = [
        [rows[of == label] for label in range(NUM_CLASSES)]
        for rows, of in zip(
            np.split(found, bounds), np.split(labels, bounds), strict=True
        )
    ]
    path.write_bytes(pickle.dumps(results))


def select_with_a_grid(
    results: Path, labeled_file: Path, out_file: Path
) -> None:
    """Select as the earlier projects do, with lists and 91 trials.

    A class takes the score of `GRID` with which the number of its labels per
    image is nearest to that on the labeled images; the lowest of equals.
    Detections above this score become labels. Images and categories are
    numbered from 1, in the order of the pickle file.

    Args:
        results: The pickle file that `write_pickle` writes.
        labeled_file: The COCO file of the labeled images.
        out_file: The COCO file to write.

    Raises:
        FileNotFoundError: If there is no labeled file or no pickle file.
        CocoError: If the labeled file cannot be used.
        KeyError: If the labeled file has no categories.
        OSError: If `out_file` cannot be written.
    """
    labeled = read_coco(labeled_file, 'images', 'annotations')
    num_instances: dict = defaultdict(int)
    for annotation in labeled['annotations']:
        num_instances[annotation['category_id']] += 1
    images = pickle.loads(results.read_bytes())
    by_class = defaultdict(list)
    for image_id, classes in enumerate(images, 1):
        for category_id, rows in enumerate(classes, 1):
            for x1, y1, x2, y2, score in rows.tolist():
                by_class[category_id].append(
                    dict(
                        image_id=image_id,
                        category_id=category_id,
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        area=(x2 - x1) * (y2 - y1),
                        score=score,
                    )
                )
    annotations = []
    for category_id, found in by_class.items():
        wanted = num_instances[category_id] / len(labeled['images'])
        errors = []
        for tried in GRID:
            kept = [one for one in found if one['score'] > tried]
            errors.append(abs(len(kept) / len(images) - wanted))
        best = GRID[np.argmin(errors)]
        annotations += [one for one in found if one['score'] > best]
    for number, annotation in enumerate(annotations, 1):
        annotation['id'] = number
    content = dict(
        images=[dict(id=i + 1) for i in range(len(images))],
        annotations=annotations,
        categories=labeled['categories'],
    )
    with out_file.open('w') as file:
        json.dump(content, file)


def measure_in_process(function: Callable, *arguments: object) -> dict:
    """Run a function in a process of its own, and measure it.

    Args:
        function: The function to run. Like the arguments, it must be one that
            `pickle` can send to the process.
        *arguments: The arguments of the function.

    Returns:
        `seconds`, the time of the function without the start of the process,
        and `peak_mib`, the peak memory of the whole process; see `time_call`.

    Raises:
        Exception: Whatever the function raises.
        FileNotFoundError: If the system is not Linux.
    """
    # A forked process would inherit the memory of this one, and with it the
    # peak.
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(time_call, (function, *arguments))


def time_call(function: Callable, *arguments: object) -> dict:
    """Run a function, and measure its time and memory.

    Args:
        function: The function.
        *arguments: The arguments of the function.

    Returns:
        `seconds`, rounded to 1/100, and `peak_mib`, the peak memory of this
        process since it began, in whole MiB.

    Raises:
        Exception: Whatever the function raises.
        FileNotFoundError: If the system is not Linux.
    """
    start = time.perf_counter()
    function(*arguments)
    seconds = time.perf_counter() - start
    return dict(
        seconds=round(seconds, 2), peak_mib=int(read_process_peak_mib())
    )


def compare_selections(folder: Path, num_images: int, with_grid: bool) -> dict:
    """Measure our selection, and that of the earlier projects if wanted.

    Args:
        folder: An empty folder for the detections and the files.
        num_images: The number of images, at least 1, with 10 detections each.
        with_grid: Whether to measure the selection of the earlier projects as
            well, which needs about 5 GiB for 100,000 images.

    Returns:
        `num_images`, `ours` and, if wanted, `grid`; see `measure_in_process`.

    Raises:
        FileExistsError: If the folder has detections already.
        FileNotFoundError: If the system is not Linux.
        OSError: If a file cannot be written.
    """
    store, labeled = folder / 'detections', folder / 'labeled.json'
    write_store(store, num_images)
    write_labeled(labeled)
    report = dict(
        num_images=num_images,
        ours=measure_in_process(
            select_labels, store, labeled, {}, folder / PSEUDO_LABELS
        ),
    )
    if with_grid:
        results = folder / 'results.pkl'
        write_pickle(store, results)
        report['grid'] = measure_in_process(
            select_with_a_grid, results, labeled, folder / 'grid.json'
        )
    return report
