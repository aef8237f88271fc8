"""Makes selection rules of options, and options of rules.

For the command line of `tools/select_labels.py`, and for the command in a
report.
"""

import argparse
import math
from collections.abc import Mapping, Sequence

from .option_table import (
    FILTER_OPTIONS,
    METHODS,
    OPTIONS,
    PASSED_ON,
    SELECTOR_OPTIONS,
)


def add_options(group: argparse._ActionsContainer) -> None:
    """Add all options to a command line.

    Args:
        group: The parser, or a group of its arguments. Its `argument_default`
            must be `argparse.SUPPRESS`, so that only the options that are
            given have a value.
    """
    for option in OPTIONS:
        group.add_argument(
            option.flag, dest=option.argument, **option.settings
        )


def find_given(args: argparse.Namespace) -> list[str]:
    """List the flags of the options that are given.

    Args:
        args: What a parser with these options has read.

    Returns:
        The flags, such as `--floor`, in the order of `OPTIONS`.
    """
    return [option.flag for option in OPTIONS if option.argument in args]


def make_rules(args: argparse.Namespace) -> dict:
    """Make the arguments of `SelectionRules` of the options.

    Args:
        args: What a parser with these options has read.

    Returns:
        Keyword arguments; those of options that are not given are left out.

    Raises:
        ValueError: If an option does not go with the method or is missing, or
            its value cannot be read.
    """
    given = vars(args)
    rules = dict(selector=make_selector(given), filters=make_filters(given))
    if 'ignore_from' in given:
        score = given['ignore_from']
        rules['ignore'] = dict(type='FixedSelector', min_score=score)
    rules |= {name: given[name] for name in PASSED_ON if name in given}
    if ('validation' in given) != ('validation_truth' in given):
        raise ValueError('--validation and --validation-truth go together')
    if 'validation' in given:
        rules['validation'] = dict(
            detections=str(given['validation']),
            ann_file=given['validation_truth'],
        )
    return rules


def add_choice(group: argparse._ActionsContainer) -> None:
    """Add the options of `choose_selector` to a command line.

    Args:
        group: The parser, or a group of its arguments.
    """
    for option in SELECTOR_OPTIONS:
        if option.argument in ('min_score', 'per_image'):
            settings = dict(option.settings)
            # Without the method, with which the help begins.
            settings['help'] = settings['help'].partition(': ')[2]
            group.add_argument(option.flag, **settings)


def choose_selector(
    min_score: Sequence[str] | None, per_image: Sequence[str] | None
) -> dict | None:
    """Make the config of the selector that one of two options asks for.

    Args:
        min_score: The values of `--min-score`; None if it is not given.
        per_image: The values of `--per-image`; None if it is not given.

    Returns:
        The config; None if neither is given.

    Raises:
        ValueError: If both are given, or a value cannot be read.
    """
    if min_score and per_image:
        raise ValueError(
            '--min-score and --per-image are two ways to select: give one'
        )
    if min_score:
        return make_selector(dict(method='fixed', min_score=min_score))
    if per_image:
        return make_selector(dict(method='count', per_image=per_image))
    return None


def make_selector(given: Mapping) -> dict:
    """Make the config of a selector.

    Args:
        given: Argument -> the value that is given on the command line.

    Returns:
        The config, with `type`; only options that are given are in it. Without
        a method, it is 'matched'.

    Raises:
        ValueError: If an option does not go with the method or is missing, or
            its value cannot be read.
        KeyError: If the method is not one of `METHODS`.
    """
    method = given.get('method', 'matched')
    kind = METHODS[method]
    found = [o for o in SELECTOR_OPTIONS if o.argument in given]
    if wrong := [o.flag for o in found if kind not in o.types]:
        raise ValueError(f'--method {method} does not take {wrong}')
    for option in SELECTOR_OPTIONS:
        is_needed = option.is_needed and kind in option.types
        if is_needed and option not in found:
            raise ValueError(f'--method {method} needs {option.flag}')
    selector = {option.argument: given[option.argument] for option in found}
    if 'min_score' in selector:
        selector['min_score'] = parse_scores(selector['min_score'])
    if 'per_image' in selector:
        texts = selector['per_image']
        selector['per_image'] = parse_numbers(texts)
    return dict(selector, type=kind)


def parse_scores(texts: Sequence[str]) -> float | dict[str, float | None]:
    """Read the values of `--min-score`.

    Args:
        texts: One score, or `CLASS=S` for each class.

    Returns:
        The score, which may be out of range, or class -> score; None for a
        class of which nothing is selected (`CLASS=none`).

    Raises:
        ValueError: If it is neither.
    """
    rule = '--min-score takes one score or CLASS=S for each'
    if len(texts) == 1 and '=' not in texts[0]:
        return parse_number(rule, texts[0])
    scores = split_classes(rule, texts)
    return {
        name: None if score == 'none' else parse_number(rule, score)
        for name, score in scores.items()
    }


def parse_numbers(texts: Sequence[str]) -> float | dict[str, float]:
    """Read the values of `--per-image`.

    Args:
        texts: One number, or `CLASS=N` for each class.

    Returns:
        The number, which may be below 0, or class -> number.

    Raises:
        ValueError: If it is neither.
    """
    rule = '--per-image takes one number or CLASS=N for each'
    if len(texts) == 1 and '=' not in texts[0]:
        return parse_number(rule, texts[0])
    numbers = split_classes(rule, texts)
    return {name: parse_number(rule, n) for name, n in numbers.items()}


def parse_number(rule: str, text: str) -> float:
    """Read a number.

    Args:
        rule: What the option takes, for the message.
        text: The number as a text.

    Returns:
        The number, which is finite.

    Raises:
        ValueError: If the text is no number, or it is infinite or NaN.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    # `float` also reads "nan" and "inf".
    if not math.isfinite(number):
        raise ValueError(f'{rule}, got {text!r} for a number')
    return number


def split_classes(rule: str, texts: Sequence[str]) -> dict[str, str]:
    """Split values that are given for each class.

    Args:
        rule: What the option takes, for the message.
        texts: `CLASS=VALUE` for each class.

    Returns:
        Class -> value, in order. The last `=` of a text counts.

    Raises:
        ValueError: If a text has another form, or a class comes twice.
    """
    # From the right, because the name of a class may have a `=`.
    pairs = [text.rpartition('=') for text in texts]
    names = {name for name, _, _ in pairs}
    if '' in names or len(names) < len(pairs):
        raise ValueError(f'{rule}, got {texts}')
    return {name: value for name, _, value in pairs}


def make_filters(given: Mapping) -> list[dict]:
    """Make the configs of the filters.

    Args:
        given: Argument -> the value that is given on the command line.

    Returns:
        A config for each option that is given, in the order of
        `FILTER_OPTIONS`; empty if none is.
    """
    return [
        {'type': option.types[0], option.argument: given[option.argument]}
        for option in FILTER_OPTIONS
        if option.argument in given
    ]


def list_options(rules: Mapping) -> tuple[list, list[str]]:
    """Return the options that give the same rules, whatever the method.

    Those are missing that only help to choose scores: of the selector, the
    counted files, and a validation by which no boxes are calibrated.

    Args:
        rules: The arguments of `SelectionRules`.

    Returns:
        The words of the options, which may be numbers, and the names of the
        filters that no option gives, and of such a selector for `ignore`.
    """
    words, unsaid = [], []
    options = {option.types[0]: option for option in FILTER_OPTIONS}
    for rule in rules.get('filters', ()):
        if option := options.get(rule['type']):
            words += [option.flag, rule[option.argument]]
        else:
            unsaid.append(rule['type'])
    ignore = rules.get('ignore')
    if ignore and isinstance(ignore.get('min_score'), int | float):
        words += ['--ignore-from', ignore['min_score']]
    elif ignore:
        unsaid.append(f'ignore={ignore["type"]}')
    if rules.get('max_empty_share', 1) != 1:
        words += ['--max-empty-share', rules['max_empty_share']]
    if not rules.get('counts_empty', True):
        words.append('--skip-empty')
    if rules.get('segmentation'):
        words += ['--segmentation', rules['segmentation']]
    return words + list_box_calibration(rules), unsaid


def list_box_calibration(rules: Mapping) -> list:
    """List the words of the command line that calibrate boxes.

    Args:
        rules: The arguments of `SelectionRules`.

    Returns:
        The words; none if the rules do not calibrate.
    """
    if not rules.get('calibrates_boxes'):
        return []
    validation = rules['validation']
    words = ['--calibrate-boxes', '--validation', validation['detections']]
    return [*words, '--validation-truth', validation['ann_file']]
