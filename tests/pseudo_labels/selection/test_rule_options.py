"""The options of a selection, to its rules and back."""

import argparse

import pytest
from mmdet.registry import TASK_UTILS

from projects.data_distillation.pseudo_labels.selection.rule_options import (
    FILTER_OPTIONS,
    METHODS,
    OPTIONS,
    SELECTOR_OPTIONS,
    add_choice,
    add_options,
    choose_selector,
    find_given,
    list_options,
    make_rules,
)


def read(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_options(parser)
    return parser.parse_args(list(map(str, words)))


def test_options_are_found_in_the_signatures_of_what_they_set():
    for option in (*SELECTOR_OPTIONS, *FILTER_OPTIONS):
        for name in option.types:
            init = TASK_UTILS.get(name).__init__
            assert option.argument in init.__annotations__, option.flag


def test_every_option_has_a_name_of_its_own():
    for names in ([o.flag for o in OPTIONS], [o.argument for o in OPTIONS]):
        assert len(set(names)) == len(names)


def test_what_is_given_is_named_by_its_flags():
    assert find_given(read()) == []
    assert find_given(read('--min-side', 3, '--floor', 0.2)) == [
        '--floor',
        '--min-side',
    ]


def test_segmentation_goes_to_the_rules_and_back():
    rules = make_rules(read('--segmentation', 'polygon'))

    assert rules['segmentation'] == 'polygon'
    assert list_options(rules) == (['--segmentation', 'polygon'], [])


def test_no_option_gives_the_default_rules():
    assert make_rules(read()) == dict(
        selector=dict(type='MatchedSelector'), filters=[]
    )


@pytest.mark.parametrize(('method', 'kind'), METHODS.items())
def test_method_chooses_the_selector(method, kind):
    needed = {
        'fixed': ['--min-score', 0.5],
        'count': ['--per-image', 2],
        'precision': ['--target-precision', 0.9],
    }

    rules = make_rules(read('--method', method, *needed.get(method, [])))

    assert rules['selector']['type'] == kind


def test_calibration_names_its_validation():
    words = ['--calibrate-boxes', '--validation', 'v']
    words += ['--validation-truth', 'x']

    rules = make_rules(read(*words))

    assert rules['calibrates_boxes']
    assert list_options(rules) == (words, [])


def test_validation_has_two_files():
    rules = make_rules(read('--validation', 'v/', '--validation-truth', 'x'))

    assert rules['validation'] == dict(detections='v', ann_file='x')
    for alone in ('--validation', '--validation-truth'):
        with pytest.raises(ValueError, match='--validation-truth go together'):
            make_rules(read(alone, 'x'))


@pytest.mark.parametrize(
    ('texts', 'scores'),
    [
        (['0.5'], 0.5),
        (['a=0.5', 'b=none'], {'a': 0.5, 'b': None}),
        (['a=b=0.5'], {'a=b': 0.5}),
    ],
)
def test_scores_are_one_or_one_for_each_class(texts, scores):
    rules = make_rules(read('--method', 'fixed', '--min-score', *texts))

    assert rules['selector']['min_score'] == scores


@pytest.mark.parametrize(
    ('texts', 'numbers'),
    [(['2.5'], 2.5), (['a=3', 'b=c=0'], {'a': 3.0, 'b=c': 0.0})],
)
def test_numbers_are_one_or_one_for_each_class(texts, numbers):
    rules = make_rules(read('--method', 'count', '--per-image', *texts))

    assert rules['selector']['per_image'] == numbers
    for wrong in (['2', '3'], ['a=1', 'a=2'], ['=1']):
        with pytest.raises(ValueError, match='--per-image takes one number'):
            make_rules(read('--method', 'count', '--per-image', *wrong))


@pytest.mark.parametrize(
    'words',
    [
        [],
        ['--min-views', 2],
        ['--min-mask-agreement', 0.5, '--min-area', 30.0],
        ['--max-corner-spread', 0.2, '--min-side', 8.0],
        ['--ignore-from', 0.2],
        ['--max-empty-share', 0.5],
        ['--skip-empty'],
        ['--min-side', 8.0, '--ignore-from', 0.2, '--max-empty-share', 0.0],
    ],
)
def test_rules_give_the_options_they_were_made_of(words):
    assert list_options(make_rules(read(*words))) == (words, [])


def test_whole_score_of_a_config_is_an_option_too():
    ignore = dict(type='FixedSelector', min_score=1)

    assert list_options(dict(ignore=ignore)) == (['--ignore-from', 1], [])


@pytest.mark.parametrize(
    ('rules', 'unsaid'),
    [
        (dict(filters=[dict(type='MyFilter', a=1)]), ['MyFilter']),
        (
            dict(ignore=dict(type='MatchedSelector')),
            ['ignore=MatchedSelector'],
        ),
    ],
)
def test_rules_without_an_option_are_named(rules, unsaid):
    assert list_options(rules) == ([], unsaid)


def test_one_of_two_options_chooses_the_selector():
    assert choose_selector(None, None) is None
    assert choose_selector(['0.3'], None) == dict(
        type='FixedSelector', min_score=0.3
    )
    assert choose_selector(None, ['a=2', 'b c=0.5']) == dict(
        type='CountSelector', per_image={'a': 2, 'b c': 0.5}
    )
    with pytest.raises(ValueError, match='are two ways to select: give one'):
        choose_selector(['0.3'], ['2'])


def test_two_options_alone_choose_a_selector(capsys):
    parser = argparse.ArgumentParser()
    add_choice(parser)

    given = parser.parse_args(['--min-score', '0.5'])

    assert vars(given).keys() == {'min_score', 'per_image'}
    assert choose_selector(given.min_score, given.per_image) == dict(
        type='FixedSelector', min_score=0.5
    )
    assert '--method' not in parser.format_help()


@pytest.mark.parametrize(
    ('words', 'match'),
    [
        (['--method', 'fixed'], '--method fixed needs --min-score'),
        (
            ['--method', 'matched', '--min-score', 1],
            r"take \['--min-score",
        ),
        (['--method', 'fixed', '--min-score', 'inf'], "got 'inf' for a numb"),
        (['--method', 'fixed', '--min-score', 'x'], "got 'x' for a number"),
    ],
)
def test_option_that_does_not_go_with_the_method_is_refused(words, match):
    with pytest.raises(ValueError, match=match):
        make_rules(read(*words))
