"""Every kind of image file through the real annotation."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from bad_images import remove_vanishing, write_all
from builders import CATEGORIES, CLASSES, annotate_cfg
from mmengine.runner import Runner

from projects.data_distillation import UnlabeledDataset
from projects.data_distillation.label_files.coco.image_files import read_facts
from projects.data_distillation.label_files.coco.schema import find_name_error
from projects.data_distillation.multi_view.inference.unreadable import (
    is_unreadable,
)


@pytest.fixture
def pile(tmp_path_factory):
    """A folder of every kind, and the kinds."""
    folder = tmp_path_factory.mktemp('pile')
    return folder, write_all(folder)


def iou(first: tuple, second: tuple) -> float:
    """Of two boxes, x, y, width, height."""
    width, height = (
        min(first[i] + first[i + 2], second[i] + second[i + 2])
        - max(first[i], second[i])
        for i in (0, 1)
    )
    overlap = max(width, 0) * max(height, 0)
    area = first[2] * first[3] + second[2] * second[3]
    return overlap / (area - overlap)


def label_of(annotation: dict) -> str:
    names = {category['id']: category['name'] for category in CATEGORIES}
    return names[annotation['category_id']]


@pytest.mark.slow
def test_every_image_is_labeled_rightly_or_listed_with_its_reason(
    pile, drawn, checkpoint, tmp_path
):
    folder, kinds = pile
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.test_dataloader.dataset.update(
        ann_file='', data_prefix=dict(img=str(folder))
    )
    cfg.model.views = [
        [dict(type='Resize', scale=(1333, 96)), *flip]
        for flip in ([], [dict(type='Flip')])
    ]
    cfg.custom_hooks[0].max_unreadable_share = 1.0
    # What is tried is every image, not which labels are chosen.
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='FixedSelector', min_score=0.5)
    )
    runner = Runner.from_cfg(cfg)
    assert len(runner.test_loop.dataloader.dataset) == sum(
        kind.is_found for kind in kinds
    )
    remove_vanishing(folder)

    runner.test()

    labels = json.loads(
        (Path(cfg.work_dir) / 'pseudo_labels.json').read_text()
    )
    expect_labels(labels, [k for k in kinds if not k.reason and k.is_found])
    found = labels['info']['data_distillation']['unreadable']
    expect_reasons(found, [k for k in kinds if k.reason and k.is_found])


def expect_labels(labels: dict, kinds: list) -> None:
    images = {image['file_name']: image for image in labels['images']}
    found = defaultdict(dict)
    for annotation in labels['annotations']:
        boxes = found[annotation['image_id']]
        assert label_of(annotation) not in boxes
        boxes[label_of(annotation)] = annotation['bbox']
    assert images.keys() == {kind.file_name for kind in kinds}
    for kind in kinds:
        image = images[kind.file_name]
        assert (image['width'], image['height']) == kind.size_wh, kind
        boxes = found[image['id']]
        assert boxes.keys() == kind.boxes.keys(), kind
        for name, bbox in kind.boxes.items():
            assert iou(boxes[name], bbox) > 0.85, (kind, boxes)


def expect_reasons(found: list[dict], kinds: list) -> None:
    reasons = {row['file_name']: row['unreadable'] for row in found}
    assert reasons.keys() == {kind.file_name for kind in kinds}
    assert len(reasons) == len(found)
    for kind in kinds:
        assert re.search(kind.reason, reasons[kind.file_name]), kind
    for reason in reasons.values():
        assert '\n' not in reason and ' at 0x' not in reason


@pytest.mark.slow
def test_checks_and_annotation_never_disagree(pile):
    folder, kinds = pile
    remove_vanishing(folder)
    kinds = [kind for kind in kinds if not find_name_error(kind.disk_name)]
    images = [
        dict(id=i, file_name=kind.disk_name) for i, kind in enumerate(kinds)
    ]
    file = folder / 'list.json'
    file.write_text(json.dumps(dict(images=images)))
    dataset = UnlabeledDataset(
        ann_file=str(file),
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackDetInputs')],
    )

    for i, kind in enumerate(kinds):
        facts = read_facts(str(kind.path(folder)))
        sample = dataset[i]['data_samples']
        error = sample.unreadable if is_unreadable(sample) else ''
        assert error == facts.error, kind
        assert bool(error) == bool(kind.reason), kind
        if not error:
            assert sample.ori_shape == facts.size_wh[::-1], kind
