"""Builders of work folders and selections for the tests of the report."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from builders import stored_row
from pycocotools import mask as coco_mask

from projects.data_distillation import DetectionStore
from projects.data_distillation.experiment.stages.fingerprint import (
    compute_digests,
    write_settings,
)
from projects.data_distillation.experiment.stages.gains import RESULTS
from projects.data_distillation.experiment.stages.model_evaluation import (
    mark_evaluated,
)
from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.label_files.column_matching.numbering import (
    Numbering,
)
from projects.data_distillation.pseudo_labels.review.errors import Judged
from projects.data_distillation.pseudo_labels.selection.export import (
    select_labels,
)
from projects.data_distillation.report.shown_labels import LabelSource
from projects.data_distillation.report.validation import (
    JudgedModel,
    Validation,
)

# What must be shown as text.
HOSTILE = (
    '<script>alert("class")</script>',
    """it's "a" </script> & b=c""",
    'Ziffer ①\u2028 $x$ 数字',
)
NUM_VIEWS = 4


def write_selection(
    folder: Path,
    num_images: int = 12,
    classes: tuple[str, ...] = HOSTILE,
    per_image: int = 6,
    content: bytes | None = None,
    masks: bool = False,
    **selection,
) -> LabelSource:
    """Write images, their detections, pseudo labels and the truth.

    The images have names that a page may stumble over, the first has no
    detection. Scores have two digits at most, so that there are ties.
    `content` is that of each image file; None for 100 x 100 random pixels.
    With `masks`, all objects are ellipses in their boxes.
    """
    random = np.random.default_rng(0)
    images = folder / 'images'
    images.mkdir(parents=True)
    rows = [
        random_row(random, number, len(classes), per_image)
        for number in range(num_images)
    ]
    if masks:
        for row in rows:
            give_masks(row)
    content = content or encoded(random, 100, 100)
    for row in rows:
        # OpenCV may not write such names.
        (images / row['file_name']).write_bytes(content)
    provenance = dict(
        image_folder=str(images),
        classes=list(classes),
        views=[[dict(type='Resize', scale=[n, n])] for n in range(NUM_VIEWS)],
    )
    store = DetectionStore(folder / 'detections', provenance)
    store.add(*rows)
    store.flush()
    source = LabelSource(
        folder / 'detections',
        folder / 'pseudo_labels.json',
        str(folder / 'labeled.json'),
        str(folder / 'truth.json'),
    )
    write_coco_files(source, rows, classes, masks)
    select_labels(
        source.detections, source.labeled, selection, source.pseudo_labels
    )
    return source


def encoded(random, height: int, width: int) -> bytes:
    """A PNG file of random pixels, which no codec makes small."""
    pixels = random.integers(0, 255, (height, width, 3)).astype(np.uint8)
    return cv2.imencode('.png', pixels)[1].tobytes()


def random_row(random, number: int, num_classes: int, per_image: int) -> dict:
    """Random detections on an image of 100 x 100 pixels."""
    name = f"""{number}<img src=x onerror='alert("file")'>&ü.png"""
    boxes = []
    for _ in range(per_image if number else 0):
        x, y, w, h = (int(n) for n in random.integers(5, 45, 4))
        score = float(np.float32(random.integers(5, 100) / 100))
        label = int(random.integers(num_classes))
        boxes.append(([x, y, x + w, y + h], score, label))
    boxes.sort(key=lambda box: -box[1])
    views = random.integers(1, NUM_VIEWS + 1, len(boxes)).tolist()
    return stored_row(name, *boxes, num_views=views)


def ellipse(x1: int, y1: int, x2: int, y2: int) -> dict:
    """The RLE of an ellipse in a box, in 100 x 100 pixels."""
    pixels = np.zeros((100, 100), np.uint8)
    box = ((x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2), (x2 - x1, y2 - y1), 0
    cv2.ellipse(pixels, box, 1, -1)
    return coco_mask.encode(np.asfortranarray(pixels))


def give_masks(row: dict) -> None:
    """Give each detection of a row an ellipse as its mask."""
    masks = [ellipse(*map(int, box)) for box in row['bboxes_xyxy']]
    row.update(
        masks=[mask['counts'] for mask in masks],
        mask_areas=[int(coco_mask.area(mask)) for mask in masks],
        mask_agreement=[1.0] * len(masks),
    )


def write_coco_files(
    source: LabelSource,
    rows: list[dict],
    classes: tuple[str, ...],
    masks: bool,
) -> None:
    """The labeled file, and as truth every other detection."""
    categories = [
        dict(id=10 - number, name=name) for number, name in enumerate(classes)
    ]
    truth = dict(images=[], annotations=[], categories=categories)
    for image_id, row in enumerate(rows):
        image = dict(id=image_id, file_name=row['file_name'])
        truth['images'].append(dict(image, width=100, height=100))
        boxes = list(zip(row['bboxes_xyxy'], row['labels']))[::2]
        for (x1, y1, x2, y2), label in boxes:
            truth['annotations'].append(
                dict(
                    id=len(truth['annotations']) + 1,
                    image_id=image_id,
                    category_id=categories[label]['id'],
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=0,
                )
            )
            if masks:
                rle = ellipse(x1, y1, x2, y2)
                truth['annotations'][-1]['segmentation'] = dict(
                    size=rle['size'], counts=rle['counts'].decode()
                )
    Path(source.truth).write_text(json.dumps(truth))
    labeled = dict(
        truth,
        images=[dict(id=1, file_name='x.png')],
        annotations=[
            dict(id=number, image_id=1, category_id=category['id'])
            for number, category in enumerate(categories, 1)
        ],
    )
    Path(source.labeled).write_text(json.dumps(labeled))


def write_scalars(folder: Path, *records: dict) -> None:
    """Write what MMEngine logs of a training; `folder` is that of its run."""
    (folder / 'vis_data').mkdir(parents=True)
    lines = '\n'.join(map(json.dumps, records))
    (folder / 'vis_data/scalars.json').write_text(lines)


def write_metrics(folder: Path, **metrics: float) -> None:
    """Write what MMEngine writes of an evaluation of a model in `folder`."""
    run = folder / 'test/20260102_000000'
    run.mkdir(parents=True)
    content = {f'coco/{name}': value for name, value in metrics.items()}
    (run / f'{run.name}.json').write_text(json.dumps(content))


def write_evaluation(
    folder: Path, truth: Path, results: list[dict], images: Path, **metrics
) -> None:
    """Write what the evaluation of the model in `folder` leaves in `test/`.

    The metrics are 0.5 unless they are given.
    """
    write_metrics(folder, **(dict(bbox_mAP=0.5) | metrics))
    write_json(folder / 'test' / RESULTS, results)
    dataset = dict(ann_file=str(truth), data_prefix=dict(img=str(images)))
    evaluator = dict(type='CocoMetric', ann_file=str(truth))
    settings = dict(
        test_dataloader=dict(dataset=dataset), test_evaluator=evaluator
    )
    files = compute_digests(settings)
    write_settings(folder / 'test', dict(settings, files=files))
    mark_evaluated(folder / 'test')


def make_validation(
    objects: list[tuple],
    found: dict[str, list[tuple]],
    classes: Sequence[str],
    folder: Path = Path('nowhere'),
    min_score: float = 0.5,
    names: Sequence[str] = ('0.png', '1.png', '2.png'),
) -> Validation:
    """Judge boxes on images of 200 x 100 pixels.

    Args:
        objects: Image, class and box of each object, and whether it is a
            crowd.
        found: For each model image, class, box and score of each detection.
        classes: The names of the classes.
        folder: The folder of the images.
        min_score: The score from which on detections count.
        names: The names of the images.
    """
    categories = [dict(id=n, name=name) for n, name in enumerate(classes)]
    numbering = Numbering.of(range(len(names)), categories)
    keys = 'image_id', 'category_id', 'bbox'
    true = numbering.collect_objects(
        dict(zip((*keys, 'iscrowd'), one)) for one in objects
    )
    models = []
    for name, boxes in found.items():
        columns = numbering.collect_found(
            dict(zip((*keys, 'score'), one)) for one in boxes
        )
        judged = Judged.of(true, columns)
        models.append(JudgedModel(name, judged, min_score))
    images = [
        dict(id=n, file_name=name, width=200, height=100)
        for n, name in enumerate(names)
    ]
    return Validation(images, list(classes), folder, models, [])
