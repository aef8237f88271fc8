"""The options that say by which rules pseudo labels are selected.

One table for the command line of `tools/select_labels.py`, which makes rules
of options, and for the command in a report, which makes options of rules.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# How masks can be written.
SEGMENTATIONS = ('rle', 'polygon')
# Method -> the registered name of its selector.
METHODS = {
    'matched': 'MatchedSelector',
    'fixed': 'FixedSelector',
    'precision': 'PrecisionSelector',
}


@dataclass(frozen=True)
class Option:
    """An option of the command line, and the argument that it stands for.

    Args:
        flag: The option, `--min-views`.
        argument: The name of the argument. Every option has another one.
        types: The registered names of the selectors or filters that have the
            argument; empty if it belongs to `SelectionRules`.
        settings: The other arguments of `ArgumentParser.add_argument`.
        is_needed: Whether these selectors do not work without it.
    """

    flag: str
    argument: str
    types: Sequence[str] = ()
    settings: Mapping = field(default_factory=dict)
    is_needed: bool = False


SELECTOR_OPTIONS = (
    Option(
        '--all-classes',
        'per_class',
        ['MatchedSelector'],
        dict(
            action='store_false',
            help='matched: choose one score for all classes together, not '
            'one for each class',
        ),
    ),
    Option(
        '--floor',
        'floor',
        ['MatchedSelector', 'PrecisionSelector'],
        dict(
            type=float,
            metavar='S',
            help='matched, precision: no label has a score below this one',
        ),
    ),
    Option(
        '--ceiling',
        'ceiling',
        ['MatchedSelector'],
        dict(
            type=float,
            metavar='S',
            help='matched: every detection with at least this score becomes '
            'a label',
        ),
    ),
    Option(
        '--smoothing',
        'smoothing',
        ['MatchedSelector'],
        dict(
            type=float,
            metavar='INSTANCES',
            help='matched: the number of labeled instances that the rate of '
            'all classes together counts as, beside the instances of a '
            'class; for classes of which few instances are labeled',
        ),
    ),
    Option(
        '--min-score',
        'min_score',
        ['FixedSelector'],
        dict(
            nargs='+',
            metavar='S',
            help='fixed: the lowest score of a label, one score for all '
            'classes or CLASS=S for each of them; with CLASS=none no '
            'detection of the class becomes a label',
        ),
        is_needed=True,
    ),
    Option(
        '--target-precision',
        'target',
        ['PrecisionSelector'],
        dict(
            type=float,
            metavar='P',
            help='precision: the share of labels that shall be right, 0 to 1',
        ),
        is_needed=True,
    ),
)
FILTER_OPTIONS = (
    Option(
        '--min-views',
        'num_views',
        ['MinViews'],
        dict(
            type=int,
            metavar='N',
            help='the least number of views that support a label',
        ),
    ),
    Option(
        '--max-corner-spread',
        'spread',
        ['MaxCornerSpread'],
        dict(
            type=float,
            metavar='SHARE',
            help='how far the views may disagree on the corners of a label, '
            'as a share of the size of its box',
        ),
    ),
    Option(
        '--min-mask-agreement',
        'agreement',
        ['MinMaskAgreement'],
        dict(
            type=float,
            metavar='IOU',
            help='how much the masks of the views must agree with the mask '
            'of a label, as their mean IoU',
        ),
    ),
    Option(
        '--min-side',
        'pixels',
        ['MinSide'],
        dict(
            type=float,
            metavar='PIXELS',
            help='the least width and height of a label',
        ),
    ),
)
RULE_OPTIONS = (
    Option(
        '--method',
        'method',
        settings=dict(
            choices=METHODS,
            help='how the lowest score of a label is chosen (default: '
            'matched)',
        ),
    ),
    Option(
        '--ignore-from',
        'ignore_from',
        settings=dict(
            type=float,
            metavar='S',
            help='detections that have at least this score and are no labels '
            'become regions to ignore',
        ),
    ),
    Option(
        '--max-empty-share',
        'max_empty_share',
        settings=dict(
            type=float,
            metavar='SHARE',
            help='the largest share of images without a label, from 0 (none) '
            'to 1 (keep them all, the default)',
        ),
    ),
    Option(
        '--count',
        'counted',
        settings=dict(
            nargs='+',
            metavar='ANN',
            help='the COCO files of other images with labels, such as the '
            'validation images, whose objects count like those of the '
            'labeled file',
        ),
    ),
    Option(
        '--skip-empty',
        'counts_empty',
        settings=dict(
            action='store_false',
            help='images of the labeled file without any object do not '
            'count, as with `filter_empty_gt` in training',
        ),
    ),
    Option(
        '--segmentation',
        'segmentation',
        settings=dict(
            choices=SEGMENTATIONS,
            help='how masks are written: rle, or polygon for a student whose '
            'pipeline has poly2mask=False (default: as the training pipeline '
            'of the annotation config reads them)',
        ),
    ),
    Option(
        '--validation',
        'validation',
        settings=dict(
            type=Path,
            metavar='DETECTIONS',
            help='the folder of detections on labeled validation images',
        ),
    ),
    Option(
        '--validation-truth',
        'validation_truth',
        settings=dict(
            metavar='ANN',
            help='the COCO file with the true objects of these images',
        ),
    ),
)
OPTIONS = (*RULE_OPTIONS, *SELECTOR_OPTIONS, *FILTER_OPTIONS)


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
        ValueError: If an option does not go with the method, or is missing.
    """
    given = vars(args)
    rules = dict(selector=make_selector(given), filters=make_filters(given))
    if 'ignore_from' in given:
        score = given['ignore_from']
        rules['ignore'] = dict(type='FixedSelector', min_score=score)
    for name in (
        'max_empty_share',
        'counted',
        'counts_empty',
        'segmentation',
    ):
        if name in given:
            rules[name] = given[name]
    if ('validation' in given) != ('validation_truth' in given):
        raise ValueError('--validation and --validation-truth go together')
    if 'validation' in given:
        rules['validation'] = dict(
            detections=str(given['validation']),
            ann_file=given['validation_truth'],
        )
    return rules


def make_selector(given: Mapping) -> dict:
    """Make the config of a selector.

    Args:
        given: Argument -> the value that is given on the command line.

    Returns:
        The config, with `type`; only options that are given are in it.

    Raises:
        ValueError: If an option does not go with the method, or is missing.
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
    return dict(selector, type=kind)


def parse_scores(texts: Sequence[str]) -> float | dict[str, float | None]:
    """Read the values of `--min-score`.

    Args:
        texts: One score, or `CLASS=S` for each class.

    Returns:
        The score, or class -> score; None for a class of which nothing is
        selected (`CLASS=none`).

    Raises:
        ValueError: If it is neither.
    """
    if len(texts) == 1 and '=' not in texts[0]:
        return float(texts[0])
    pairs = [text.rpartition('=') for text in texts]
    names = {name for name, _, _ in pairs}
    if '' in names or len(names) < len(pairs):
        raise ValueError(
            f'--min-score takes one score or CLASS=S for each, got {texts}'
        )
    return {
        name: None if score == 'none' else float(score)
        for name, _, score in pairs
    }


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

    Args:
        rules: The arguments of `SelectionRules`.

    Returns:
        The words of the options, and the names of the rules that no option
        gives.
    """
    words, unsaid = [], []
    options = {option.types[0]: option for option in FILTER_OPTIONS}
    for rule in rules.get('filters', ()):
        if option := options.get(rule['type']):
            words += [option.flag, rule[option.argument]]
        else:
            unsaid.append(rule['type'])
    ignore = rules.get('ignore')
    if ignore and isinstance(ignore.get('min_score'), float):
        words += ['--ignore-from', ignore['min_score']]
    elif ignore:
        unsaid.append(f'ignore={ignore["type"]}')
    if rules.get('max_empty_share', 1) != 1:
        words += ['--max-empty-share', rules['max_empty_share']]
    if not rules.get('counts_empty', True):
        words.append('--skip-empty')
    if rules.get('segmentation'):
        words += ['--segmentation', rules['segmentation']]
    return words, unsaid
