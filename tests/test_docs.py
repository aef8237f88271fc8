"""The code in docs/ is code that works."""

import re
from pathlib import Path

import torch
from mmdet.registry import METRICS, TASK_UTILS

from projects.data_distillation import VIEW_TRANSFORMS, View

DOCS = Path(__file__).parents[1] / 'docs'
DOC = (DOCS / 'annotation.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', DOC, flags=re.DOTALL)


def variables(block: str) -> dict:
    found: dict = {}
    exec(block, found)
    return found


def test_views_of_the_documentation_are_made():
    image = torch.zeros(3, 480, 640, dtype=torch.uint8)
    sets = [variables(b)['views'] for b in BLOCKS if 'views = [' in b]

    assert [len(views) for views in sets] == [18, 5]
    for views in sets:
        for view in map(View, views):
            made = view.apply(image, {})
            assert tuple(made.shape[1:]) == view.size_hw((480, 640))


def test_a_transform_of_your_own_works_as_documented():
    (block,) = (b for b in BLOCKS if 'register_module' in b)
    name = variables(block)['Gray'].__name__
    image = torch.tensor([10, 20, 60], dtype=torch.uint8)[:, None, None]

    try:
        gray = View([dict(type=name)]).apply(image, {})
    finally:
        del VIEW_TRANSFORMS.module_dict[name]

    assert gray.flatten().tolist() == [30, 30, 30]


def test_all_transforms_and_mergers_are_documented():
    assert all(f'`{name}`' in DOC for name in VIEW_TRANSFORMS.module_dict)
    mergers = [n for n in TASK_UTILS.module_dict if n.endswith('Merger')]
    assert len(mergers) >= 4
    assert all(f'`{name}`' in DOC for name in mergers)


def test_documented_evaluator_takes_these_arguments(drawn):
    text = (DOCS / 'label_quality.md').read_text()
    (block,) = re.findall(r'```python\n(.*?)```', text, flags=re.DOTALL)
    (evaluator,) = variables(block)['test_evaluator']
    truth = drawn.folder / 'truth.json'

    metric = METRICS.build(dict(evaluator, ann_file=str(truth)))

    assert metric.min_scores == dict(red=0.5, green=0.5)


def test_all_ways_to_select_are_documented():
    text = (DOCS / 'selection.md').read_text()
    filters = {'MinViews', 'MaxCornerSpread', 'MinSide'}
    tool = (DOCS.parent / 'tools' / 'select_labels.py').read_text()

    options = set(re.findall(r"'(--[a-z-]+)'", tool))
    assert len(options) >= 15
    assert set(re.findall(r'--[a-z][a-z-]+', text)) >= options - {'--method'}
    assert all(f'`{name}(' in text for name in filters)
    assert filters <= TASK_UTILS.module_dict.keys()
