"""Every config loads and builds, and differs only in what it may."""

import ast
import copy
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from builders import load_tool
from mmdet.datasets import CocoDataset
from mmdet.registry import DATA_SAMPLERS, DATASETS, HOOKS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from projects.data_distillation import MultiViewTTA, View

# In one process, which reads each config once.
pytestmark = pytest.mark.xdist_group('configs')
ROOT = Path(__file__).parents[1]
STAGES = (
    'teacher',
    'annotate',
    'validate',
    'student',
    'supervised_long',
    'oracle',
)
CONFIGS = sorted(ROOT.glob('configs/**/*.py'))
LEAVES = [
    file
    for file in CONFIGS
    if file.stem in STAGES and '_base_' not in file.parts
]
# Soft Teacher has one stage, which is none of ours.
SOFT_TEACHERS = sorted(ROOT.glob('configs/peers/*_soft_teacher/*.py'))
# What there is only to annotate with has no student. The peers differ from
# configs/bccd in more than their data.
EXPERIMENTS = sorted(
    leaf.parent
    for leaf in LEAVES
    if leaf.stem == 'student' and 'peers' not in leaf.parts
)


@functools.cache
def load_once(file: Path) -> Config:
    return Config.fromfile(file)


def load(file: Path) -> Config:
    """A config of one's own: to read one with all its bases takes seconds."""
    return copy.deepcopy(load_once(file))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / 'configs'))


def nested_dicts(value: object) -> Iterator[ConfigDict]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for child in value:
            yield from nested_dicts(child)


def write_data(cfg: Config) -> None:
    """Put a tiny COCO file wherever a loader reads one, and its image."""
    loaders = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
    for dataset in nested_dicts(loaders):
        if not ('ann_file' in dataset and 'data_prefix' in dataset):
            continue
        root = Path(dataset.get('data_root') or '')
        write_coco(root / dataset.ann_file, dataset.metainfo['classes'])
        image = root / dataset.data_prefix.img / 'a.png'
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.full((48, 64, 3), 128, np.uint8))


def write_coco(file: Path, classes: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = dict(
        images=[dict(id=1, file_name='a.png', width=64, height=48)],
        annotations=[
            dict(
                id=1,
                image_id=1,
                category_id=1,
                bbox=[8, 8, 20, 20],
                area=400,
                iscrowd=0,
                segmentation=[[8, 8, 28, 8, 28, 28, 8, 28]],
            )
        ],
        categories=[dict(id=i, name=c) for i, c in enumerate(classes, 1)],
    )
    file.write_text(json.dumps(content))


def test_there_are_configs_to_check():
    assert [name(e) for e in EXPERIMENTS] == [
        'bccd',
        'bccd_gfl_tiny',
        'coco/faster-rcnn_r101_fpn/co115_un120',
        'coco/faster-rcnn_r50_fpn/co115_un120',
        'coco/faster-rcnn_r50_fpn/co35_co80',
        'coco/faster-rcnn_x101-32x4d_fpn/co115_un120',
        'digits',
        'digits_masks',
    ]
    # Not all experiments have an oracle; bccd_gfl is a teacher to annotate.
    # Plain self-training has three stages.
    assert len(LEAVES) == 5 * 3 + 4 * 3 + 2 + 3 * 6 + 3
    assert len(SOFT_TEACHERS) == 2


@pytest.mark.slow
@pytest.mark.parametrize('leaf', LEAVES, ids=name)
def test_config_builds(leaf, tmp_path, monkeypatch):
    cfg = load(leaf)
    init_default_scope(cfg.default_scope)
    monkeypatch.chdir(tmp_path)
    write_data(cfg)

    model = MODELS.build(cfg.model)
    loaders = [cfg.test_dataloader]
    if leaf.stem in ('annotate', 'validate'):
        assert isinstance(model, MultiViewTTA)
    else:
        loaders += [cfg.train_dataloader, cfg.val_dataloader]
    for loader in loaders:
        dataset = DATASETS.build(loader.dataset)
        sampler = DATA_SAMPLERS.build(
            loader.sampler, default_args=dict(dataset=dataset, seed=0)
        )
        assert loader.get('batch_sampler') is None
        sample = dataset[next(iter(sampler))]
        assert sample['inputs'].ndim == 3
    for hook in cfg.get('custom_hooks') or []:
        HOOKS.build(hook)


@pytest.mark.parametrize('config', CONFIGS, ids=name)
def test_config_starts_with_what_it_is(config):
    assert ast.get_docstring(ast.parse(config.read_text()))


@pytest.mark.parametrize('leaf', [*LEAVES, *SOFT_TEACHERS], ids=name)
def test_leaf_is_short_and_starts_with_its_card(leaf):
    card = ast.get_docstring(ast.parse(leaf.read_text()))

    assert len(lines_of(leaf)) <= 40
    assert re.search('^Command', card, re.MULTILINE)
    assert re.search('^Time', card, re.MULTILINE)
    assert re.search('^(Time and r|R)esult', card, re.MULTILINE) or (
        leaf.stem == 'validate'
    )
    for command in re.findall(r'(?<=tools/)\w+\.\w+ configs/\S+', card):
        tool, path = command.split()
        file = ROOT / path.replace('$EXP', name(leaf.parent))
        assert file == leaf or tool == 'distill.py'
        assert file.exists()


def lines_of(config: Path) -> list[str]:
    """Return the lines of a config without its docstring and blank ones."""
    text = config.read_text()
    card = ast.parse(text).body[0]
    lines = text.splitlines()[card.end_lineno :]
    return [line for line in lines if line.strip()]


def num_repeated(files: list[list[str]], size: int = 5) -> int:
    """Count the lines that lie in a block which stands more than once."""
    counts = Counter(
        tuple(lines[start : start + size])
        for lines in files
        for start in range(len(lines) - size + 1)
    )
    return sum(
        any(
            counts[tuple(lines[start : start + size])] > 1
            for start in range(max(at - size + 1, 0), at + 1)
        )
        for lines in files
        for at in range(len(lines))
    )


def without_comments(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.lstrip().startswith('#')]


def test_configs_repeat_little():
    assert num_repeated([list('abc'), list('bc')], size=2) == 4

    # A comment between them does not make two blocks different.
    files = [without_comments(lines_of(config)) for config in CONFIGS]

    assert num_repeated(files) <= 0.04 * sum(map(len, files))


@pytest.mark.parametrize('config', CONFIGS, ids=name)
def test_transforms_go_by_name(config):
    text = config.read_text()

    assert 'pipeline[' not in text
    assert not re.search(r'^\w+, .*= .*pipeline', text, re.MULTILINE)


def test_table_of_results_names_all_experiments_and_invents_nothing():
    text = (ROOT / 'configs/README.md').read_text()
    known = (ROOT / 'docs/results.md').read_text()
    rows = [line for line in text.splitlines() if line.startswith('|')]
    folders = {name(leaf.parent) for leaf in LEAVES}

    assert {f for f in folders if f'({f})' in text} == folders
    figures = set(re.findall(r'\b\d\d\.\d\b', '\n'.join(rows)))
    assert len(figures) > 20
    assert figures <= set(re.findall(r'\b\d\d\.\d\b', known))
    files = set(re.findall(r'`((?:_base_|coco|digits)/[\w./-]+)`', text))
    assert len(files) >= 8
    assert all((ROOT / 'configs' / file).exists() for file in files)


@pytest.mark.slow
def test_classes_of_coco_are_those_of_mmdetection():
    splits = load(ROOT / 'configs/_base_/datasets/coco_splits.py')

    assert splits.metainfo.classes == CocoDataset.METAINFO['classes']


@pytest.mark.slow
@pytest.mark.parametrize('leaf', [*LEAVES, *SOFT_TEACHERS], ids=name)
def test_rate_drops_at_70_and_90_percent(leaf):
    cfg = load(leaf)

    n = cfg.train_cfg.max_iters
    steps = [s for s in cfg.param_scheduler if s.type == 'MultiStepLR']
    assert [s.milestones for s in steps] == [[n * 7 // 10, n * 9 // 10]]


@pytest.mark.slow
@pytest.mark.parametrize('leaf', LEAVES, ids=name)
def test_small_trainings_validate_four_times(leaf):
    cfg = load(leaf)
    n = cfg.train_cfg.max_iters

    assert cfg.default_hooks.logger.log_metric_by_epoch is False
    if 'coco' in leaf.parts:
        assert cfg.train_cfg.val_begin > n
    else:
        assert cfg.train_cfg.val_interval == n / 4
    if leaf.stem not in ('annotate', 'validate'):
        # The last point of the curve is what tools/test.py measures.
        assert cfg.val_dataloader == cfg.test_dataloader
        assert cfg.val_evaluator == cfg.test_evaluator


def without(cfg: Config, *keys: str) -> dict:
    """The config's content without names that no runner reads, and keys."""
    runner_keys = {
        'model', 'train_dataloader', 'train_cfg', 'optim_wrapper',
        'param_scheduler', 'val_dataloader', 'test_dataloader',
        'val_evaluator', 'test_evaluator', 'default_hooks', 'custom_hooks',
        'env_cfg', 'load_from', 'randomness', 'auto_scale_lr', 'resume',
    }  # fmt: skip
    return {
        key: value
        for key, value in cfg.to_dict().items()
        if key in runner_keys - set(keys)
    }


@pytest.mark.slow
@pytest.mark.parametrize('experiment', EXPERIMENTS, ids=name)
def test_stages_differ_in_data_and_schedule_only(experiment):
    stages = {
        stage: load(experiment / f'{stage}.py')
        for stage in STAGES
        if (experiment / f'{stage}.py').is_file()
    }
    teacher, control = stages['teacher'], stages['supervised_long']

    data, schedule = 'train_dataloader', ('train_cfg', 'param_scheduler')
    assert without(teacher, *schedule) == without(control, *schedule)
    for stage in stages.keys() & {'student', 'oracle'}:
        without_data = without(stages[stage], data, 'custom_hooks')
        assert without_data == without(control, data)
        for key in ('batch_size', 'num_workers'):
            assert stages[stage][data][key] == control[data][key]
    assert stages['annotate'].model.module == teacher.model


@pytest.mark.slow
@pytest.mark.parametrize('experiment', EXPERIMENTS, ids=name)
def test_student_trains_on_the_labels_that_annotate_writes(experiment):
    loader = load(experiment / 'student.py').train_dataloader
    teacher = load(experiment / 'teacher.py').train_dataloader
    unlabeled = load(experiment / 'annotate.py').test_dataloader

    labeled, pseudo = loader.dataset.datasets
    # Inherited datasets have a few more keys, such as `backend_args=None`.
    assert labeled == {key: teacher.dataset[key] for key in labeled}
    few_labeled = ('bccd_gfl_tiny', 'digits', 'digits_masks')
    ratio = [3, 7] if experiment.name in few_labeled else [6, 4]
    assert loader.sampler == dict(type='SourceRatioSampler', ratio=ratio)
    work_dir = f'work_dirs/{name(experiment)}'
    assert pseudo.ann_file == f'{work_dir}/annotate/pseudo_labels.json'
    source = unlabeled.dataset
    assert pseudo.data_prefix.img == source.data_root + source.data_prefix.img
    assert pseudo.pipeline == labeled.pipeline
    student = load(experiment / 'student.py')
    assert student.custom_hooks == [dict(type='IgnoreRegionsHook')]


def count_trained(cfg: Config) -> int:
    """Count the images that go forward and backward in a training."""
    return cfg.train_cfg.max_iters * cfg.train_dataloader.batch_size


@pytest.mark.slow
def test_peers_train_on_as_many_images_as_ours():
    ours = ROOT / 'configs/bccd'
    teacher, student = (
        count_trained(load(ours / f'{stage}.py'))
        for stage in ('teacher', 'student')
    )
    from_teacher, from_scratch = map(count_trained, map(load, SOFT_TEACHERS))
    plain = load(ROOT / 'configs/peers/bccd_self_training/student.py')

    assert (from_teacher, from_scratch) == (student, teacher + student)
    assert count_trained(plain) == student


def test_plain_self_training_has_one_view_and_a_fixed_score():
    folder = ROOT / 'configs/peers/bccd_self_training'
    annotate, student = (
        load(folder / f'{stage}.py') for stage in ('annotate', 'student')
    )

    (view,) = annotate.model.views
    # The view of an evaluation.
    assert view[0] in annotate.val_dataloader.dataset.pipeline
    (hook,) = annotate.custom_hooks
    assert hook.selection.selector == dict(type='FixedSelector', min_score=0.9)
    labeled, pseudo = student.train_dataloader.dataset.datasets
    assert [
        step.type for step in pseudo.pipeline if step not in labeled.pipeline
    ] == ['StrongAugmentation']
    assert pseudo.ann_file.startswith('work_dirs/peers/bccd_self_training/')
    assert (
        'known_images' in annotate
        and hook.labeled == annotate.known_images.labeled
    )


def test_soft_teachers_differ_in_weights_and_schedule_alone():
    burn_in, from_scratch = map(load, SOFT_TEACHERS)

    schedule = ('train_cfg', 'param_scheduler')
    assert burn_in.model.detector.init_cfg.type == 'Pretrained'
    assert from_scratch.model.detector.init_cfg is None
    burn_in.model.detector.init_cfg = None
    assert without(burn_in, *schedule) == without(from_scratch, *schedule)


@pytest.mark.slow
def test_soft_teacher_trains_and_validates_both_models(tmp_path, monkeypatch):
    cfg = load(ROOT / 'configs/peers/bccd_soft_teacher/burn_in.py')
    init_default_scope(cfg.default_scope)
    monkeypatch.chdir(tmp_path)
    write_data(cfg)
    cfg.work_dir = str(tmp_path / 'work')
    # Otherwise a visualizer of this process, with a folder of its own, is it.
    cfg.visualizer.name = 'soft teacher'
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    detector = cfg.model.detector
    first = MODELS.build(dict(detector, init_cfg=None))
    torch.save(dict(state_dict=first.state_dict()), tmp_path / 'first.pth')
    detector.init_cfg.checkpoint = str(tmp_path / 'first.pth')
    runner = Runner.from_cfg(cfg)

    runner.train()

    monkeypatch.syspath_prepend(ROOT / 'tools/campaigns')
    campaign = load_tool('campaigns/peer_campaign')
    assert 0 <= campaign.read_last_map(tmp_path / 'work') <= 1
    moved = runner.model.teacher.rpn_head.rpn_cls.weight
    begun = first.rpn_head.rpn_cls.weight
    assert torch.allclose(moved, begun, atol=1e-3)
    assert not torch.equal(moved, begun)


def test_paper_views_never_coincide():
    file = ROOT / 'configs/_base_/views/scale_400_to_1200_flip.py'
    views = load(file).views

    assert len(views) == 18
    assert {min(v[0]['scale']) for v in views} == {*range(400, 1201, 100)}
    for original_hw in [(480, 640), (640, 428), (300, 640), (100, 640)]:
        sizes = {View(v).size_hw(original_hw) for v in views}
        assert len(sizes) == 9
