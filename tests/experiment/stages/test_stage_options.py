"""Options of a command line: which stage gets which, and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.stage_options import (
    check_options,
    fit_options,
    parse_options,
)
from projects.data_distillation.experiment.stages.stage_results import (
    make_flags,
)
from projects.data_distillation.mmdet_tools import take_values

DETECTOR = dict(type='GFL', test_cfg=dict(score_thr=0.05))
TRAINING = dict(
    model=DETECTOR,
    train_cfg=dict(max_iters=2),
    test_evaluator=dict(type='CocoMetric'),
    val_evaluator=[dict(type='CocoMetric')],
)
ANNOTATING = dict(
    model=dict(type='MultiViewTTA', module=DETECTOR, mode='exact'),
    train_cfg=None,
    test_evaluator=[],
    custom_hooks=[dict(type='AnnotationHook')],
)


@pytest.mark.parametrize(
    ('option', 'trains', 'annotates'),
    [
        ('model.test_cfg.score_thr=0.01', 'model', 'model.module'),
        ('model.data_preprocessor.mean=[0]', 'model', 'model.module'),
        ('model.type=ATSS', 'model', 'model.module'),
        ('model.mode=fast', None, 'model'),
        ('model.merger.iou=0.6', None, 'model'),
        ('model.module.test_cfg.score_thr=0.01', None, 'model'),
        ('test_evaluator.classwise=True', 'test_evaluator', None),
        ('train_cfg.max_iters=4', 'train_cfg', None),
        ('custom_hooks.0.a=1', None, 'custom_hooks'),
        ('new.key=a=b', 'new', 'new'),
        ('plain=1', 'plain', 'plain'),
    ],
)
def test_option_reaches_the_stages_that_it_is_for(option, trains, annotates):
    part, _, rest = option.partition('.')
    if not rest:
        part, rest = option, ''
    for cfg, key in ((TRAINING, trains), (ANNOTATING, annotates)):
        expected = [option.replace(part, key, 1)] if key else []
        if key == 'plain':
            expected = [option]

        assert fit_options([option], Config(cfg)) == expected


def test_argument_of_the_detector_itself_stays_with_it():
    cfg = Config(dict(model=dict(DETECTOR, mode='loss')))

    assert fit_options(['model.mode=fast'], cfg) == ['model.mode=fast']


def test_option_of_some_stages_is_said():
    configs = dict(teacher=Config(TRAINING), annotate=Config(ANNOTATING))

    said = list(check_options(['train_cfg.max_iters=9', 'a=1'], configs))

    assert said == [
        'option train_cfg.max_iters=9: for teacher; not for annotate'
    ]


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('custom_hooks.0.a=1', 'reaches no stage: none of teacher has'),
        ('val_evaluator.5.a=1', 'do not fit teacher.py: KeyError'),
        ('train_cfg.max_iters.a=1', 'do not fit teacher.py: TypeError'),
        ('a=[1,2', 'takes KEY=VALUE, with brackets in pairs, got .*1,2'),
        ('a', 'takes KEY=VALUE'),
        ('--a=1', 'takes KEY=VALUE.*cannot begin with a hyphen'),
    ],
)
def test_option_that_no_stage_can_use_is_refused(option, message):
    configs = dict(teacher=Config(TRAINING))

    with pytest.raises(ValueError, match=message):
        list(check_options([option], configs))


@pytest.fixture
def experiment(tiny_experiment, monkeypatch) -> Experiment:
    monkeypatch.chdir(tiny_experiment.parent)
    return Experiment(tiny_experiment)


@pytest.mark.slow
def test_options_of_the_detector_reach_it_in_every_stage(experiment):
    options = ('model.test_cfg.score_thr=0.01', 'model.mode=fast')
    changed = Experiment(experiment.folder, options=options)

    changed.check()

    models = {s: changed.load(s).model for s in ('teacher', 'annotate')}
    assert models['teacher'].test_cfg.score_thr == 0.01
    assert 'mode' not in models['teacher']
    assert models['annotate'].module.test_cfg.score_thr == 0.01
    assert models['annotate'].mode == 'fast'


@pytest.mark.slow
@pytest.mark.parametrize(
    'option', ['model.unknown=1', 'model.views=[]', 'model.module.unknown=1']
)
def test_option_that_a_model_refuses_is_found_before_training(
    experiment, option
):
    changed = Experiment(experiment.folder, options=(option,))

    with pytest.raises(ValueError, match=f'--cfg-options {option[:9]}'):
        changed.check()


@pytest.mark.slow
@given(st.text(), st.integers())
def test_values_arrive_as_they_are(text, number):
    values = {'a.0.b': text, 'c': number}
    command = ['train.py', 'c.py', '--work-dir', 'w']
    options = ['--cfg-options', 'a.b=[1,2]', 'c=d']
    argv = [*command, *make_flags(values, options[1:])]

    assert take_values(argv) == values
    assert argv == command + options


@pytest.mark.parametrize('text', ['[1]', '{', 'a=b', ''])
def test_text_that_is_no_json_object_is_refused(text):
    with pytest.raises(ValueError, match='--cfg-json needs a JSON object'):
        take_values(['train.py', 'c.py', '--cfg-json', text])


def test_value_is_parsed_as_mmengine_does():
    assert parse_options(['a.b=[1,2]', 'c=x']) == {'a.b': [1, 2], 'c': 'x'}
