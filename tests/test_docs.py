"""The code in docs/ is code that works."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from builders import DrawnImages
from mmdet.registry import METRICS, TASK_UTILS
from mmengine.config import Config

from projects.data_distillation import VIEW_TRANSFORMS, View
from projects.data_distillation.experiment.scaffold.plan import (
    RATIO,
    RECIPES,
    ExperimentOptions,
)
from projects.data_distillation.pseudo_labels.selection.option_table import (
    FILTER_OPTIONS,
    OPTIONS,
)

DOCS = Path(__file__).parents[1] / 'docs'
CONFIGS = DOCS.with_name('configs')
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
    filters = {name for option in FILTER_OPTIONS for name in option.types}
    tool = (DOCS.parent / 'tools' / 'select_labels.py').read_text()
    options = set(re.findall(r"'(--[a-z-]+)'", tool))
    options |= {option.flag for option in OPTIONS}

    assert len(options) >= 15
    assert set(re.findall(r'--[a-z][a-z-]+', text)) >= options - {'--method'}
    assert all(f'`{name}(' in text for name in filters)
    assert filters <= TASK_UTILS.module_dict.keys()


@pytest.mark.slow
def test_guide_writes_an_experiment(tmp_path, call_tool):
    voc = write_cells(tmp_path, call_tool)
    guide = (DOCS / 'guide.md').read_text().replace('\\\n', ' ')
    commands = re.findall(r'^python tools/(\w+).py (.+)', guide, re.MULTILINE)
    tools, _ = zip(*commands)
    end = tools.index('distill')
    assert tools[:end] == (
        *('convert_dataset', 'convert_dataset', 'check_coco'),
        *('split_coco', 'init_experiment'),
    )

    for tool, arguments in commands[:end]:
        arguments = arguments.replace('$VOC', str(voc)).replace('$DATA', '.')
        words = shlex.split(
            arguments.replace('configs/bccd', f'{CONFIGS}/bccd')
        )
        done = call_tool(tool, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    assert '5 labeled, 4 unlabeled, 3 to validate' in done.stdout
    assert (tmp_path / 'configs/cells/oracle.py').is_file()
    assert (tmp_path / 'configs/cells/tune.py').is_file()
    annotate = Config.fromfile(tmp_path / 'configs/cells/annotate.py')
    (hook,) = annotate.custom_hooks
    assert hook.selection.keys() == rules_of_the_guide()
    shown = re.findall(r'```\n(detector .*?)```', guide, re.DOTALL)[0]
    # The data, the machine and the folder of the detector are others here.
    varies = re.compile('detector|images|rehearsal|time | *it sees each ')
    for line in shown.splitlines():
        pattern = re.escape(line).replace(re.escape('...'), '.*')
        found = re.search(f'^{pattern}$', done.stdout, re.MULTILINE)
        assert found or varies.match(line), line
    # The time is estimated without a GPU only.
    names = re.compile(r'^(?!time )\w+(?= )', re.MULTILINE)
    assert names.findall(shown) == names.findall(done.stdout)


def rules_of_the_guide() -> set[str]:
    """The settings that the guide says are written into `annotate.py`."""
    text = (DOCS / 'guide.md').read_text()
    (rules,) = re.findall(r'has set these:\n\n((?:[- ] .*\n)+)', text)
    heads = re.findall('^- (.*?):', rules, re.MULTILINE)
    return set(re.findall(r'`(\w+)`', ' '.join(heads)))


def test_guide_names_the_rules_that_are_written_by_default():
    recipe = RECIPES[ExperimentOptions(ratio=RATIO).recipe]

    rules = recipe.make_selection('detections', False)
    assert rules.keys() == rules_of_the_guide()


def write_cells(folder: Path, call_tool) -> Path:
    """A VOC folder with the classes and lists of BCCD."""
    drawn = DrawnImages(folder / 'drawn', 12)
    names = dict(red='RBC', green='WBC')
    categories = [
        dict(category, name=names[category['name']])
        for category in drawn.truth['categories']
    ]
    cells = dict(drawn.truth, categories=categories)
    file = drawn.write('cells.json', cells)
    voc = folder / 'voc'
    images = '--images', drawn.folder / 'unlabeled'
    assert not call_tool(
        'convert_dataset', 'to-voc', file, voc, *images
    ).returncode
    for split, numbers in dict(trainval=range(9), test=range(9, 12)).items():
        file = voc / f'ImageSets/Main/{split}.txt'
        file.write_text('\n'.join(map(str, numbers)))
    return voc
