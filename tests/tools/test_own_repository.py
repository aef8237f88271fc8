"""A repository of the user, which has a folder `projects` too."""

import importlib
import runpy
import sys
from pathlib import Path

import pytest
from builders import ROOT, load_tool
from given_teachers import write_detector
from mmdet.registry import TRANSFORMS

from projects.data_distillation.command_line import add_own_modules

PART = """
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

@TRANSFORMS.register_module(force=True)
class MyTransform(BaseTransform):
    def transform(self, results):
        return results
"""
TEACHER = """
_base_ = '{detector}'
custom_imports = dict(imports=['projects.mine_{name}'])
labeled = dict(
    type='CocoDataset', ann_file='{folder}/labeled.json',
    data_prefix=dict(img='{folder}/labeled'),
    metainfo=dict(classes=('red', 'green')),
    pipeline=[
        _base_.load, _base_.resize,
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='MyTransform'), dict(type='PackDetInputs'),
    ],
)
model = dict(bbox_head=dict(num_classes=2))
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(_delete_=True, **labeled)
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2)
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(checkpoint=dict(interval=2, save_best=None))
"""
# What docs/install.md says.
STUDENT = """
_base_ = './teacher.py'
custom_imports = dict(
    imports=[*_base_.custom_imports.imports, 'projects.data_distillation'])
train_dataloader = dict(
    sampler=dict(_delete_=True, type='SourceRatioSampler', ratio=[6, 4]),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[
        _base_.labeled, dict(_base_.labeled, ann_file='{pseudo}')]))
"""


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """The folder where the user works; it is not on the path of Python."""
    folder = tmp_path / 'mine'
    part = folder / f'projects/mine_{tmp_path.name}/__init__.py'
    part.parent.mkdir(parents=True)
    part.write_text(PART)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    monkeypatch.chdir(folder)
    return folder


def test_modules_of_this_folder_are_found_and_hide_nothing(repository):
    (repository / 'json.py').write_text('raise ImportError')
    ours = sys.modules['projects.data_distillation']
    name = f'projects.{next((repository / "projects").iterdir()).name}'
    with pytest.raises(ModuleNotFoundError, match=name):
        importlib.import_module(name)

    add_own_modules()
    add_own_modules()

    importlib.import_module(name)
    assert sys.path[-1] == str(repository)
    assert sys.path.count(str(repository)) == 1
    assert importlib.import_module('projects.data_distillation') is ours


def test_each_console_command_finds_them(repository, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['data-distillation', 'report', '-h'])

    with pytest.raises(SystemExit) as end:
        load_tool('commands').main()

    assert end.value.code == 0
    assert sys.path[-1] == str(repository)


@pytest.mark.parametrize(
    'command',
    [
        'distill none',
        'report none',
        'init_experiment none --detector none.py --unlabeled none',
        'suspicious_labels none --folds 2',
        'benchmark_annotation none.py none.pth',
    ],
)
def test_each_script_finds_them(repository, call_tool, command):
    done = call_tool(*command.split())

    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert sys.path[-1] == str(repository)


def test_preview_finds_them(repository, monkeypatch):
    command = 'test.py none.py none.pth --preview 1'
    monkeypatch.setattr(sys, 'argv', command.split())

    with pytest.raises(FileNotFoundError, match=r'none\.py'):
        runpy.run_path(str(ROOT / 'tools/test.py'), run_name='__main__')

    assert sys.path[-1] == str(repository)


MODULES = dict(
    next_images='none',
    merge_views='none --list',
    label_quality='none none.json',
    select_labels='none --labeled none.json --out new.json',
)


@pytest.mark.parametrize('tool', MODULES)
def test_module_that_is_not_there_is_named(repository, call_tool, tool):
    (repository / 'half_filter.py').write_text('import own_part')

    lost, inner, found = (
        call_tool(tool, *MODULES[tool].split(), '--custom-imports', name)
        for name in ('lost_filter', 'half_filter', 'json')
    )

    assert lost.returncode == inner.returncode == 1
    text = 'error: --custom-imports cannot import'
    assert lost.stderr.startswith(f'{text} lost_filter: No module named')
    assert inner.stderr.startswith(f'{text} half_filter: No module')
    assert text not in found.stderr


@pytest.mark.slow
def test_student_is_trained_by_three_settings(repository, drawn, run_here):
    name = next((repository / 'projects').iterdir()).name
    detector = write_detector(repository / 'detector.py')
    (repository / 'teacher.py').write_text(
        TEACHER.format(
            detector=detector,
            name=name.removeprefix('mine_'),
            folder=drawn.folder,
        )
    )
    (repository / 'student.py').write_text(
        STUDENT.format(pseudo=drawn.folder / 'labeled.json')
    )

    train = ROOT / 'tools/train.py'
    done = run_here('python', train, 'student.py', cwd=repository)

    assert done.returncode == 0, done.stderr
    assert len([*repository.glob('work_dirs/**/iter_2.pth')]) == 1
    assert 'MyTransform' in TRANSFORMS.module_dict
