"""Builders with defaults: drawn images, COCO files, a toy detector."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

import projects.data_distillation  # noqa: F401 - registers everything
from projects.data_distillation import DetectionStore

ROOT = Path(__file__).parents[1]
CLASSES = ('red', 'green')
# One category id is not its index + 1, and they are not ascending.
CATEGORIES = [dict(id=7, name='red'), dict(id=3, name='green')]
# BGR; each channel of its own, so that resizing cannot mix the two.
COLORS = {'red': (0, 0, 255), 'green': (0, 255, 0)}
# (width, height) of the drawn images: wide, tall, odd sizes.
SIZES_WH = [(120, 80), (64, 96), (101, 77), (120, 80), (90, 90)]


@MODELS.register_module()
class ToyDetector(BaseDetector):
    """Boxes the red and the green pixels of what it is shown.

    The answer is known from the drawing, so that a flip or a scale that is
    not undone shows. It works in the frame of the view, and scales back by
    `scale_factor` as MMDetection's heads do.
    """

    def __init__(self, data_preprocessor: dict, score: float = 0.9) -> None:
        super().__init__(data_preprocessor)
        self.score = torch.nn.Parameter(torch.tensor(score))
        self.batches: list[tuple] = []
        # An argument would make another teacher of it.
        self.seconds = float(os.environ.get('SECONDS_PER_FORWARD', 0))

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        self.batches.append(tuple(batch_inputs.shape))
        time.sleep(self.seconds)
        for image, sample in zip(batch_inputs, batch_data_samples):
            height, width = sample.img_shape
            sample.pred_instances = self._boxes(
                image[:, :height, :width], sample.scale_factor
            )
        return batch_data_samples

    def _boxes(self, image, scale_factor):
        bboxes, labels = [], []
        # The preprocessor turned BGR to RGB: channel 0 is red.
        for label in range(len(CLASSES)):
            ys, xs = torch.nonzero(image[label] > 127, as_tuple=True)
            if len(xs):
                bboxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                labels.append(label)
        bboxes = torch.tensor(bboxes).reshape(-1, 4).float()
        return InstanceData(
            bboxes=bboxes / torch.tensor(scale_factor).repeat(2),
            scores=self.score.detach().repeat(len(labels)),
            labels=torch.tensor(labels, dtype=torch.long),
        )

    def loss(self, *args):
        raise NotImplementedError

    def extract_feat(self, batch_inputs):
        raise NotImplementedError

    def _forward(self, *args):
        raise NotImplementedError


@MODELS.register_module()
class ToySegmentor(ToyDetector):
    """Segments the red and the green pixels of what it is shown.

    Its masks have the size that MMDetection's heads give them: `ori_shape`.
    """

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        super().predict(batch_inputs, batch_data_samples, rescale)
        for image, sample in zip(batch_inputs, batch_data_samples):
            height, width = sample.img_shape
            found = sample.pred_instances
            pixels = image[found.labels, :height, :width]
            size_hw = tuple(sample.ori_shape[:2])
            if size_hw != (height, width) and len(found):
                (pixels,) = torch.nn.functional.interpolate(
                    pixels[None], size_hw, mode='bilinear'
                )
            found.masks = (pixels > 127).reshape(-1, *size_hw)
        return batch_data_samples


def toy_detector_cfg() -> dict:
    return dict(
        type='ToyDetector',
        data_preprocessor=dict(
            type='mmdet.DetDataPreprocessor',
            bgr_to_rgb=True,
            pad_size_divisor=32,
        ),
    )


def write_checkpoint(file: Path) -> Path:
    """Write the weights of a toy teacher."""
    torch.save(
        dict(
            state_dict=MODELS.build(toy_detector_cfg()).state_dict(),
            meta=dict(dataset_meta=dict(classes=CLASSES)),
        ),
        file,
    )
    return file


def load_tool(name: str) -> ModuleType:
    """Import a command line of `tools/`."""
    file = Path(__file__).parents[1] / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(name, file)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


class Call:
    """A pickle of this calls a function when it is loaded.

    `state` and `items` are then set on what the function returns.
    """

    def __init__(self, function, *arguments, state=None, items=()) -> None:
        self.reduced = (function, arguments, state, None, iter(items))

    def __reduce__(self) -> tuple:
        return self.reduced


class DrawnImages:
    """Images with one red and one green rectangle each, and COCO files.

    `unlabeled/` has them, `labeled/` a single one of its own.
    """

    def __init__(self, folder: Path, num_images: int = len(SIZES_WH)) -> None:
        self.folder = folder
        random = np.random.default_rng(0)
        sizes_wh = [SIZES_WH[i % len(SIZES_WH)] for i in range(num_images)]
        self.truth = self._draw('unlabeled', sizes_wh, random)
        self.labeled = self._draw('labeled', [(80, 80), (60, 70)], random)
        self.write('truth.json', self.truth)
        self.write('labeled.json', self.labeled)
        self.write('unlabeled.json', dict(images=self.truth['images']))

    def write(self, name: str, content: object) -> Path:
        file = self.folder / name
        file.write_text(json.dumps(content))
        return file

    def _draw(self, part: str, sizes_wh: list, random) -> dict:
        (self.folder / part).mkdir(parents=True)
        coco = dict(images=[], annotations=[], categories=CATEGORIES)
        for number, (width, height) in enumerate(sizes_wh):
            # Ids neither start at 1 nor are consecutive.
            image = dict(
                id=10 + 3 * number,
                file_name=f'{number}.png',
                width=width,
                height=height,
            )
            coco['images'].append(image)
            pixels = np.zeros((height, width, 3), np.uint8)
            for category, side in zip(CATEGORIES, (0, 1)):
                bbox = random_bbox(random, width // 2, height, side)
                x, y, w, h = bbox
                pixels[y : y + h, x : x + w] = COLORS[category['name']]
                coco['annotations'].append(
                    dict(
                        id=len(coco['annotations']) + 1,
                        image_id=image['id'],
                        category_id=category['id'],
                        bbox=bbox,
                        area=w * h,
                        iscrowd=0,
                    )
                )
            path = self.folder / part / image['file_name']
            assert cv2.imwrite(str(path), pixels)
        return coco


def give_masks(content: dict, how: str = 'polygon') -> dict:
    """Segment the rectangles of drawn images; `how` may also be 'rle'."""
    sizes = {i['id']: (i['height'], i['width']) for i in content['images']}
    for one in content['annotations']:
        x, y, w, h = (float(number) for number in one['bbox'])
        mask = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if how == 'rle':
            (rle,) = coco_mask.frPyObjects(mask, *sizes[one['image_id']])
            mask = dict(size=rle['size'], counts=rle['counts'].decode())
        one['segmentation'] = mask
    return content


def random_bbox(random, half_width: int, height: int, side: int) -> list[int]:
    """A box in the left (side 0) or right (1) half, as x, y, w, h."""
    w, h = int(random.integers(8, 20)), int(random.integers(8, 20))
    x = int(random.integers(1, half_width - w)) + side * half_width
    return [x, int(random.integers(1, height - h)), w, h]


def annotate_cfg(
    drawn: DrawnImages, checkpoint: Path | None, work_dir: Path
) -> Config:
    """A whole annotate config for the toy teacher, as a user would write."""
    return Config(
        dict(
            default_scope='mmdet',
            work_dir=str(work_dir),
            # Two runs of one name in one second would share a log.
            experiment_name=str(work_dir).replace('/', '_'),
            load_from=checkpoint and str(checkpoint),
            log_level='WARNING',
            model=dict(
                type='MultiViewTTA',
                module=toy_detector_cfg(),
                views=[
                    [dict(type='Resize', scale=(400, short)), *flip]
                    for short in (60, 80, 123)
                    for flip in ([], [dict(type='Flip')])
                ],
                merger=dict(type='NMSMerger'),
            ),
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='PendingSampler'),
                dataset=dict(
                    type='UnlabeledDataset',
                    ann_file=str(drawn.folder / 'unlabeled.json'),
                    data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
                    metainfo=dict(classes=CLASSES),
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(
                            type='PackDetInputs',
                            meta_keys=('img_id', 'img_path', 'ori_shape'),
                        ),
                    ],
                ),
            ),
            test_evaluator=[],
            test_cfg=dict(type='TestLoop'),
            custom_hooks=[
                dict(
                    type='AnnotationHook',
                    labeled=dict(
                        ann_file=str(drawn.folder / 'labeled.json'),
                        img_prefix=str(drawn.folder / 'labeled'),
                    ),
                )
            ],
        )
    )


def masks_cfg(drawn: DrawnImages, work_dir: Path) -> Config:
    """The config of `annotate_cfg` for a toy teacher with masks."""
    cfg = annotate_cfg(drawn, None, work_dir)
    cfg.model.module.type = 'ToySegmentor'
    cfg.model.masks = dict(min_score=0.1)
    weights = drawn.folder / 'segmentor.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES))
    state = MODELS.build(cfg.model.module).state_dict()
    torch.save(dict(state_dict=state, meta=meta), weights)
    cfg.load_from = str(weights)
    return cfg


def annotate(cfg: Config) -> dict:
    """Run an annotate config for real and return the pseudo-label file."""
    Runner.from_cfg(cfg).test()
    return json.loads((Path(cfg.work_dir) / 'pseudo_labels.json').read_text())


def written_cfg(drawn: DrawnImages, checkpoint: Path, work_dir: Path) -> Path:
    """Write an annotate config for a process of its own."""
    cfg = annotate_cfg(drawn, checkpoint, work_dir)
    cfg.custom_imports = dict(
        imports=['projects.data_distillation', 'builders']
    )
    file = drawn.folder / 'annotate.py'
    cfg.dump(file)
    return file


def process_environ(**changes: str) -> dict[str, str]:
    """This Python first in the path, as `activate` does."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return dict(
        os.environ, PATH=path, PYTHONPATH=str(ROOT / 'tests'), **changes
    )


# So that annotation is one process: each takes seconds to start.
ONE_CORE = 'taskset', '--cpu-list', min(os.sched_getaffinity(0))


def run(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run a command for real."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=process_environ(),
        capture_output=True,
        text=True,
        timeout=600,
    )


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f'not so after {seconds} s')
        time.sleep(0.2)


def write_coco(
    path: Path, annotations: list[tuple], ids=(1, 2), first_id=1
) -> Path:
    """Annotations are (image id, category id, bbox_xywh[, score])."""
    content = dict(
        images=[dict(id=i, file_name=f'{n}') for n, i in enumerate(ids)],
        categories=CATEGORIES,
        annotations=[
            dict(
                id=number,
                image_id=image,
                category_id=category,
                bbox=bbox,
                area=bbox[2] * bbox[3],
                iscrowd=0,
                score=score[0] if score else 1.0,
            )
            for number, (image, category, bbox, *score) in enumerate(
                annotations, first_id
            )
        ],
    )
    path.write_text(json.dumps(content))
    return path


def write_scores(truth: Path, score: float = 0.5) -> Path:
    """Make pseudo labels of a file of truth; they all have one score."""
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        annotation['score'] = score
    file = truth.with_name('pseudo_labels.json')
    file.write_text(json.dumps(content))
    return file


def mark_as_crowd(path: Path, *numbers: int) -> Path:
    """Make crowds of a file's annotations, counted from 0."""
    content = json.loads(path.read_text())
    for number in numbers:
        content['annotations'][number]['iscrowd'] = 1
    path.write_text(json.dumps(content))
    return path


def found_row(name: str, *boxes: tuple) -> dict:
    """Boxes are (bbox_xyxy, score, label)."""
    return dict(
        file_name=name,
        width=100,
        height=100,
        bboxes_xyxy=[bbox for bbox, _, _ in boxes],
        scores=[score for _, score, _ in boxes],
        labels=[label for _, _, label in boxes],
    )


def stored_row(name: str, *boxes: tuple, **changes) -> dict:
    """A row as `shards.SCHEMA` has it; boxes as `found_row` takes them."""
    row = dict(
        found_row(name, *boxes),
        image_id=None,
        unreadable=None,
        num_views=[1] * len(boxes),
        corner_spread=[0.0] * len(boxes),
    )
    return row | changes


def random_matching_task(folder: Path, seed: int, first_id: int = 1) -> tuple:
    """A COCO file of the truth, and rows of what was found, with hard cases.

    Three classes, of which the last has no object on even seeds; crowds,
    images without objects and without detections, equal scores, and boxes
    of whole pixels, so that overlaps are equal, or just enough, or not.
    """
    random = np.random.default_rng(seed)
    categories = [*CATEGORIES, dict(id=5, name='blue')]
    truth = dict(images=[], annotations=[], categories=categories)
    rows = []
    for number in range(8):
        truth['images'].append(dict(id=3 * number, file_name=f'{number}'))
        boxes = []
        for _ in range(random.integers(0, 9) if number else 0):
            label = int(random.integers(3 - (seed % 2 == 0)))
            x, y = random.integers(0, 60, 2).tolist()
            w, h = random.integers(4, 16, 2).tolist()
            truth['annotations'].append(
                dict(
                    id=first_id + len(truth['annotations']),
                    image_id=3 * number,
                    category_id=categories[label]['id'],
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=int(random.random() < 0.2),
                )
            )
            for _ in range(random.integers(0, 4)):
                left, top, right, bottom = random.integers(-4, 4, 4).tolist()
                corners = [x + left, y + top, x + w + right, y + h + bottom]
                corners[2:] = np.maximum(
                    corners[2:], np.add(corners[:2], 1)
                ).tolist()
                score = float(random.integers(1, 10)) / 10
                boxes.append((corners, score, int(random.integers(3))))
        rows.append(found_row(f'{number}', *boxes))
    file = folder / 'truth.json'
    file.write_text(json.dumps(truth))
    return file, rows


def store_truth(
    drawn: DrawnImages, number: int = 5, classes: tuple[str, ...] = CLASSES
) -> Path:
    """A store of detections that find everything, with noise of low score."""
    ids = [category['id'] for category in drawn.truth['categories']]
    folder = drawn.folder / 'work' / 'detections'
    provenance = dict(
        classes=list(classes),
        image_folder=str(drawn.folder / 'unlabeled'),
        views=[[], []],
    )
    store = DetectionStore(folder, provenance)
    for image in drawn.truth['images'][:number]:
        boxes = [([1, 1, 12, 9], 0.1, 0)]
        for one in drawn.truth['annotations']:
            if one['image_id'] == image['id']:
                x, y, w, h = one['bbox']
                label = ids.index(one['category_id'])
                boxes.append(([x, y, x + w, y + h], 0.9, label))
        boxes.sort(key=lambda box: -box[1])
        size = dict(width=image['width'], height=image['height'])
        store.add(stored_row(image['file_name'], *boxes, **size))
    store.flush()
    return folder
