"""PseudoLabelQuality through the real Runner, with a known answer."""

import copy
import json

import pytest
from builders import CLASSES, toy_detector_cfg
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.runner import Runner


def evaluate(drawn, work_dir, truth, classes=CLASSES, **evaluator) -> dict:
    """Let the toy detector look for the rectangles that are drawn."""
    cfg = Config(
        dict(
            default_scope='mmdet',
            work_dir=str(work_dir),
            model=toy_detector_cfg(),
            test_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='CocoDataset',
                    ann_file=str(drawn.folder / 'truth.json'),
                    data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
                    metainfo=dict(classes=classes),
                    test_mode=True,
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        # Enlarged, so that boxes must be scaled back.
                        dict(type='Resize', scale_factor=2.0),
                        dict(
                            type='PackDetInputs',
                            meta_keys=(
                                'img_id',
                                'img_path',
                                'ori_shape',
                                'img_shape',
                                'scale_factor',
                            ),
                        ),
                    ],
                ),
            ),
            test_evaluator=dict(
                type='PseudoLabelQuality', ann_file=str(truth), **evaluator
            ),
            test_cfg=dict(type='TestLoop'),
        )
    )
    return Runner.from_cfg(cfg).test()


@pytest.fixture
def truth(drawn):
    """Two of five green rectangles are not where the truth has them."""
    content = copy.deepcopy(drawn.truth)
    greens = [a for a in content['annotations'] if a['category_id'] == 3]
    for annotation in greens[:2]:
        annotation['bbox'] = [0, 0, 2, 2]
    # And one red one that nobody can find.
    content['annotations'].append(
        dict(content['annotations'][0], id=99, bbox=[0, 0, 3, 3])
    )
    return drawn.write('moved.json', content)


def test_toy_detector_is_as_good_as_it_is(drawn, truth, tmp_path):
    # The score of the toy detector is float32(0.9), which is below 0.9.
    metrics = evaluate(drawn, tmp_path, truth, min_score=0.9)

    assert metrics == pytest.approx(
        {
            'pseudo_labels/precision': 8 / 10,
            'pseudo_labels/recall': 8 / 11,
            'pseudo_labels/f1': 16 / 21,
            'pseudo_labels/red_precision': 1,
            'pseudo_labels/red_recall': 5 / 6,
            'pseudo_labels/red_f1': 10 / 11,
            'pseudo_labels/green_precision': 3 / 5,
            'pseudo_labels/green_recall': 3 / 5,
            'pseudo_labels/green_f1': 3 / 5,
            **{
                f'pseudo_labels/bbox_mAP{which}': metrics[
                    'pseudo_labels/bbox_mAP'
                ]
                for which in ('', '_50')
            },
            'pseudo_labels/bbox_mAP_75': metrics['pseudo_labels/bbox_mAP'],
        }
    )
    assert 0.5 < metrics['pseudo_labels/bbox_mAP'] < 0.8
    (log,) = tmp_path.glob('*/*.log')
    assert '5 images, right at IoU 0.5 or more' in log.read_text()


def test_thresholds_may_come_from_pseudo_labels(drawn, truth, tmp_path):
    min_scores = dict(red=0.5, green=None)
    content = dict(info=dict(data_distillation=dict(min_scores=min_scores)))
    labels = drawn.write('pseudo_labels.json', content)

    metrics = evaluate(
        drawn, tmp_path, truth, pseudo_labels=str(labels), prefix='mine'
    )

    assert metrics['mine/precision'] == 1
    assert metrics['mine/recall'] == pytest.approx(5 / 11)
    # As COCO's metrics where they are not defined.
    assert metrics['mine/green_precision'] == -1
    assert metrics['mine/green_recall'] == 0
    # All detections, also those of no label.
    assert metrics['mine/bbox_mAP'] > 0.5


def test_overlap_can_be_chosen(drawn, tmp_path, truth):
    content = json.loads(truth.read_text())
    # Half of each red rectangle is not there.
    for annotation in content['annotations']:
        if annotation['category_id'] == 7:
            annotation['bbox'][2] /= 2
    halves = drawn.write('halves.json', content)

    precision = [
        evaluate(drawn, tmp_path / f'{iou}', halves, min_score=0.5, iou=iou)[
            'pseudo_labels/red_precision'
        ]
        for iou in (0.45, 0.75)
    ]

    assert precision == [1, 0]


@pytest.mark.parametrize(
    'given', [{}, dict(pseudo_labels='labels.json', min_score=0.5)]
)
def test_thresholds_come_from_one_place(drawn, given):
    with pytest.raises(ValueError, match='exactly one of pseudo_labels and'):
        METRICS.build(
            dict(
                type='PseudoLabelQuality',
                ann_file=str(drawn.folder / 'truth.json'),
                **given,
            )
        )


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(min_score=1.5), 'min_score must be .* got 1.5'),
        (dict(min_score=0.5, iou=0), 'iou must be .* got 0'),
        (dict(min_score=0.5, ann_file='no.json'), 'not found: no.json'),
        (dict(pseudo_labels='no.json'), 'not found: no.json'),
    ],
)
def test_mistakes_are_found_at_the_start(drawn, given, message):
    truth = str(drawn.folder / 'truth.json')

    with pytest.raises((ValueError, FileNotFoundError), match=message):
        METRICS.build(
            dict(dict(type='PseudoLabelQuality', ann_file=truth), **given)
        )


def test_pseudo_labels_of_other_classes_are_refused(drawn):
    min_scores = dict(green=0.5, red=0.5)
    content = dict(info=dict(data_distillation=dict(min_scores=min_scores)))
    labels = drawn.write('pseudo_labels.json', content)

    with pytest.raises(ValueError, match='order differs'):
        METRICS.build(
            dict(
                type='PseudoLabelQuality',
                ann_file=str(drawn.folder / 'truth.json'),
                pseudo_labels=str(labels),
            )
        )


def test_dataset_of_other_classes_is_refused(drawn, tmp_path):
    truth = drawn.folder / 'truth.json'

    with pytest.raises(ValueError, match="'blue'"):
        evaluate(drawn, tmp_path, truth, ('red', 'blue'), min_score=0.5)


def test_dataset_of_other_images_is_refused(drawn, tmp_path):
    content = dict(drawn.truth, images=drawn.truth['images'][:3])
    truth = drawn.write('less.json', content)

    with pytest.raises(ValueError, match=r'less.json has no image .*id 19'):
        evaluate(drawn, tmp_path, truth, min_score=0.5)
