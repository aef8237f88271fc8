"""The config in a checkpoint is read, and never run."""

import pytest

from projects.data_distillation.experiment.given_teachers.plain_config import (
    check_types,
    parse_config,
)
from projects.data_distillation.multi_view.inference.checkpoint_error import (
    CheckpointError,
)


def test_values_are_read():
    text = """
a = dict(b=[1, -2.5, 'x', None, True], c=(1, ), d={'e f': -1}, g={2})
h = inf
"""
    assert parse_config(text) == dict(
        a=dict(b=[1, -2.5, 'x', None, True], c=(1,), d={'e f': -1}, g={2}),
        h=float('inf'),
    )


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        "a = __import__('os')",
        "a = open('x')",
        'a = [x for x in ()]',
        'a = 9 ** 9 ** 9',
        "a = 'x' * 9",
        'a = dict([(1, 2)])',
        'a = dict(**b)',
        'a = {**b}',
        'a = -(b)',
        "a = f'{b}'",
        'a.b = 1',
        'a, b = 1, 2',
        'a = lambda: 0',
        'a = os',
        "a = -'x'",
        # What Python itself refuses.
        'a = {[1]: 2}',
        'a = {[1]}',
        'a = {(1, [2]): 3}',
        'a = dict(b=[{dict(c=1)}])',
        'a = {1: {{2}: 3}}',
    ],
)
def test_code_is_refused(text):
    with pytest.raises(CheckpointError, match='consist of plain values'):
        parse_config(text)


@pytest.mark.parametrize(
    'text',
    ['a = (', 'a = ' + '(' * 5000, 'a\0', 'a = 1 1'],
    ids=['open', 'deep', 'null', 'two values'],
)
def test_what_is_no_config_is_refused(text):
    with pytest.raises(CheckpointError, match='cannot be read: '):
        parse_config(text)


@pytest.mark.parametrize(
    'text',
    ['a = ' + '-' * 2000 + '1', 'a = ' + '+'.join('b' * 5000)],
    ids=['signs', 'sums'],
)
def test_deep_expression_is_refused(text):
    # How deep Python reads depends on its version.
    with pytest.raises(CheckpointError, match='cannot be read|plain values'):
        parse_config(text)


@pytest.mark.parametrize(
    'kind',
    [
        'ResNet',
        'mmdet.ResNet',
        'BN',
        'nms',
        'mmdet.models.RetinaNet',
        'mmdet.models.detectors.retinanet.RetinaNet',
        'Resize',
        'ATSSAssigner',
    ],
)
def test_parts_of_openmmlab_may_be_built(kind):
    part = dict(type=kind, _scope_='mmdet')

    assert check_types([dict(type='GFL', neck=part)]) is None


@pytest.mark.parametrize(
    'kind',
    [
        'os.system',
        'subprocess.Popen',
        'builtins.eval',
        'mmdet.os',
        'mmengine.utils.path.os.system',
        'mmengine.utils.ResNet',
        '__import__("os")',
        'mmcv.nms',
        'CameraMotionCompensation',
        'Nothing',
        'CheckpointHook',
        3,
        None,
        dict,
    ],
)
def test_anything_else_may_not(kind):
    for part in (dict(type=kind), dict(a=({'b': [dict(type=kind)]},))):
        with pytest.raises(CheckpointError, match='must be a registered'):
            check_types(part)


def test_registry_of_another_package_is_refused():
    with pytest.raises(CheckpointError, match=r"_scope_='evil'"):
        check_types(dict(type='ResNet', _scope_='evil'))
