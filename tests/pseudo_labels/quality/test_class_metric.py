"""Values by class through the real Runner, for ids in any order."""

import copy
import itertools
import json

import pytest
import torch
from builders import CLASSES, give_masks, toy_detector_cfg
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.runner import Runner
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from projects.data_distillation import MendedCocoMetric

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=1.0),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]


def write_truth(drawn, ids: dict[str, int]):
    """Write the truth with other ids; the green objects are elsewhere."""
    old_names = {c['id']: c['name'] for c in drawn.truth['categories']}
    truth = dict(
        drawn.truth,
        categories=[dict(id=i, name=name) for name, i in ids.items()],
        annotations=[
            dict(a, category_id=ids[old_names[a['category_id']]])
            for a in drawn.truth['annotations']
        ],
    )
    greens = [
        a for a in truth['annotations'] if a['category_id'] == ids['green']
    ]
    for annotation in greens:
        annotation['bbox'] = [0, 0, 2, 2]
    return drawn.write('truth.json', truth)


def evaluate(drawn, work_dir, truth, classes=CLASSES, times=1) -> dict:
    """Let the toy detector look for the rectangles that are drawn."""
    prefix = dict(img=str(drawn.folder / 'unlabeled'))
    cfg = Config(
        dict(
            default_scope='mmdet',
            work_dir=str(work_dir),
            # Its log is that of no other test.
            experiment_name=str(work_dir).replace('/', '_'),
            model=toy_detector_cfg(),
            test_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='CocoDataset',
                    ann_file=str(truth),
                    data_prefix=prefix,
                    metainfo=dict(classes=classes),
                    test_mode=True,
                    pipeline=PIPELINE,
                ),
            ),
            test_evaluator=dict(
                type='CocoMetric',
                ann_file=str(truth),
                classwise=True,
                outfile_prefix=str(work_dir / 'found'),
            ),
            test_cfg=dict(type='TestLoop'),
        )
    )
    runner = Runner.from_cfg(cfg)
    return [runner.test() for _ in range(times)][-1]


def evaluate_alone(truth, found, category_id: int) -> float:
    """Evaluate the boxes of one class by pycocotools itself."""
    objects = COCO(str(truth))
    evaluation = COCOeval(objects, objects.loadRes(str(found)), 'bbox')
    evaluation.params.catIds = [category_id]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def test_it_is_the_coco_metric_of_configs():
    assert METRICS.get('CocoMetric') is MendedCocoMetric
    assert METRICS.get('mmdet.CocoMetric') is MendedCocoMetric


def build_evaluator(drawn, metric):
    """The metric for the rectangles that are drawn, as masks."""
    file = drawn.write('masks.json', give_masks(drawn.truth))
    evaluator = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=str(file),
            metric=metric,
            classwise=True,
        )
    )
    evaluator.dataset_meta = dict(classes=CLASSES)
    return evaluator


def find_masks(drawn, boxes_of_view: bool) -> list[dict]:
    """Find all rectangles, but half of the masks of the green ones."""
    truth = drawn.truth
    ids = [category['id'] for category in truth['categories']]
    samples = []
    for image in truth['images']:
        size_hw = image['height'], image['width']
        objects = [
            a for a in truth['annotations'] if a['image_id'] == image['id']
        ]
        masks = torch.zeros(len(objects), *size_hw, dtype=torch.bool)
        bboxes = torch.zeros(len(objects), 4)
        labels = torch.tensor([ids.index(a['category_id']) for a in objects])
        for i, one in enumerate(objects):
            x, y, w, h = one['bbox']
            bboxes[i] = torch.tensor([x, y, x + w, y + h])
            height = h if labels[i] == 0 else (h + 1) // 2
            masks[i, y : y + height, x : x + w] = True
        found = dict(
            bboxes=bboxes if boxes_of_view else torch.zeros_like(bboxes),
            scores=torch.full((len(objects),), 0.9),
            labels=labels,
            masks=masks,
        )
        sample = dict(
            img_id=image['id'], ori_shape=size_hw, pred_instances=found
        )
        samples.append(sample)
    return samples


def evaluate_masks(drawn, boxes_of_view: bool, metric) -> dict:
    """Evaluate what `find_masks` finds."""
    evaluator = build_evaluator(drawn, metric)
    samples = find_masks(drawn, boxes_of_view)
    # As in validation while a model trains, more than once.
    for _ in range(2):
        evaluator.process({}, copy.deepcopy(samples))
        found = evaluator.evaluate(len(samples))
    return found


def test_classes_have_a_value_for_boxes_and_one_for_masks(drawn):
    found = evaluate_masks(drawn, True, ['bbox', 'segm'])

    assert found['coco/bbox_mAP'] == 1
    assert found['coco/green_precision'] == 1
    assert found['coco/red_segm_precision'] == 1
    # Of ten IoUs, the half is enough for the first or for two.
    assert 0 < found['coco/green_segm_precision'] <= 0.2
    assert found['coco/segm_mAP'] == pytest.approx(
        (1 + found['coco/green_segm_precision']) / 2, abs=1e-3
    )


def test_metric_is_the_same_after_an_error(drawn):
    evaluator = build_evaluator(drawn, ['bbox', 'segm'])
    samples = find_masks(drawn, True)
    maskless = copy.deepcopy(samples)
    for sample in maskless:
        del sample['pred_instances']['masks']
    evaluator.process({}, maskless)
    with pytest.raises(KeyError, match='segm is not in results'):
        evaluator.evaluate(len(samples))
    evaluator.results.clear()

    evaluator.process({}, samples)
    found = evaluator.evaluate(len(samples))

    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= found.keys()


def test_masks_alone_have_the_names_of_mmdetection(drawn):
    found = evaluate_masks(drawn, True, 'segm')

    assert found['coco/red_precision'] == 1
    assert found['coco/green_precision'] < 0.3


def test_boxes_without_area_are_those_of_their_masks(drawn):
    found = evaluate_masks(drawn, False, ['bbox', 'segm'])

    assert found['coco/red_precision'] == 1
    assert 0 < found['coco/green_precision'] <= 0.2


def test_boxes_of_the_samples_stay_as_they_are(drawn):
    """Other metrics and hooks read the same samples."""
    evaluator = build_evaluator(drawn, ['bbox', 'segm'])
    samples = find_masks(drawn, False)

    evaluator.process({}, samples)
    found = evaluator.evaluate(len(samples))

    assert found['coco/red_precision'] == 1
    for sample in samples:
        assert not sample['pred_instances']['bboxes'].any()


# As in validation while a model trains, it may evaluate more than once.
@pytest.mark.parametrize('times', [1, 2])
@pytest.mark.parametrize(
    'ids', [dict(red=7, green=3), dict(red=3, green=7), dict(red=2, green=1)]
)
def test_values_are_those_of_the_class(drawn, tmp_path, ids, times):
    truth = write_truth(drawn, ids)

    metrics = evaluate(drawn, tmp_path, truth, times=times)

    assert metrics['coco/red_precision'] == 1
    assert metrics['coco/green_precision'] == 0
    assert metrics['coco/bbox_mAP'] == 0.5
    for name, number in ids.items():
        alone = evaluate_alone(truth, tmp_path / 'found.bbox.json', number)
        assert metrics[f'coco/{name}_precision'] == pytest.approx(alone)


@pytest.mark.parametrize('order', itertools.permutations((5, 1, 9)))
def test_any_order_of_ids_gives_the_same(drawn, tmp_path, order):
    """The oracle is each class alone; one class has no object."""
    names = ('red', 'green', 'blue')
    ids = dict(zip(names, order))
    truth = write_truth(drawn, ids)

    metrics = evaluate(drawn, tmp_path, truth, classes=names)

    assert metrics['coco/red_precision'] == 1
    assert metrics['coco/green_precision'] == 0
    blue = metrics['coco/blue_precision']
    assert blue != blue  # NaN
    (log,) = tmp_path.glob('*/*.log')
    lines = log.read_text().splitlines()
    (row,) = (line for line in lines if line.startswith('| red '))
    assert row.split()[3] == '1.0'
    written = json.loads((tmp_path / 'found.bbox.json').read_text())
    assert {box['category_id'] for box in written} == {
        ids['red'], ids['green']
    }  # fmt: skip
