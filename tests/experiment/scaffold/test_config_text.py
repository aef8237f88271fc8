"""Configs are written so that they read back as they were meant."""

import ast

import pytest
from mmengine.config import Config

from projects.data_distillation.experiment.scaffold.config_text import (
    Expression,
    find_changes,
    format_as_python,
    format_config,
    join_changes,
)

BASE = """
head = dict(num_classes=80, loss=dict(num_classes=80, weight=1.0))
heads = [
    dict(num_classes=80, stage=0),
    dict(loss=dict(num_classes=80), stage=1),
    dict(stage=2),
]
other = dict(stage=3)
"""


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (dict(a=1, b='x'), "dict(a=1, b='x')"),
        ({'data.batch': 2}, "dict(**{'data.batch': 2})"),
        ([1, (2,), (3, 4), None], '[1, (2,), (3, 4), None]'),
        (Expression('_base_.model'), '_base_.model'),
        (
            Expression('_base_.a[0]', dict(b=Expression('c'))),
            'dict(_base_.a[0], b=c)',
        ),
        ("it's", '"it\'s"'),
    ],
)
def test_value_is_written_as_people_do(value, text):
    assert format_as_python(value) == text


def test_keys_that_mmengine_cannot_write_are_refused():
    for key in ('class', 'pass', 'None'):
        with pytest.raises(ValueError, match=f'word of Python, got {key!r}'):
            format_as_python(dict(class_map={key: 'cell'}))

    # With another key that is no name, MMEngine writes all as a mapping.
    value = {'class': 'cell', 'a class': 'cell'}
    assert eval(format_as_python(value)) == value
    assert 'a class' in Config(dict(class_map=value)).pretty_text


def test_rule_holds_at_any_depth_and_nothing_else_changes(tmp_path, formatted):
    base = tmp_path / 'base.py'
    base.write_text(BASE)

    def change(part):
        return dict(num_classes=3) if 'num_classes' in part else {}

    settings = {
        name: changes
        for name, value in Config.fromfile(base).items()
        if (changes := find_changes(value, f'_base_.{name}', change))
        is not None
    }
    file = tmp_path / 'child.py'
    file.write_text(format_config('Card.', './base.py', settings))

    expected = Config.fromstring(BASE.replace('80', '3'), '.py')
    assert Config.fromfile(file).to_dict() == expected.to_dict()
    assert sorted(settings) == ['head', 'heads']


def test_comments_stand_before_what_they_are_about(formatted):
    text = format_config('Card.', 'base.py', {'# Why.': None, 'value': 3})

    assert text == '"""Card."""\n\n_base_ = \'base.py\'\n\n# Why.\nvalue = 3\n'


def test_changes_of_one_setting_must_agree():
    first, second = dict(a=dict(b=1, c=2)), dict(a=dict(c=2, d=3), e=[4])
    both = dict(a=dict(b=1, c=2, d=3), e=[4])
    assert join_changes(first, second) == both

    with pytest.raises(ValueError, match=r'^c must be .* got \[2, 5\]'):
        join_changes(first, dict(a=dict(c=5)))
    with pytest.raises(ValueError, match='^a must be changed in one way'):
        join_changes(first, dict(a=1))


def test_changes_of_one_list_are_joined_by_element():
    classes = [Expression('h[0]', dict(n=3)), Expression('h[1]')]
    norms = [Expression('h[0]', dict(m='BN')), Expression('h[1]', dict(m=1))]

    both = join_changes(dict(h=classes), dict(h=norms))

    assert both == dict(
        h=[
            Expression('h[0]', dict(n=3, m='BN')),
            Expression('h[1]', dict(m=1)),
        ]
    )
    for other in (norms[:1], [norms[0], Expression('g[1]')]):
        with pytest.raises(ValueError, match=r'^h(\[1\])? must be changed'):
            join_changes(dict(h=classes), dict(h=other))
    with pytest.raises(ValueError, match=r'^n must be changed in one way'):
        join_changes(
            dict(h=classes),
            dict(h=[Expression('h[0]', dict(n=4)), classes[1]]),
        )


def test_command_of_a_card_may_go_on_in_the_next_line():
    card = 'One.\n\nCommand: a \\\n    b\n'

    text = format_config(card, '', {})

    assert text.startswith('r"""One.')
    assert ast.get_docstring(ast.parse(text), clean=False) == card
    assert format_config('One.\n', '', {}).startswith('"""One.')
