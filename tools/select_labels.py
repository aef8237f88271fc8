"""Select pseudo labels again from stored detections; no GPU, no inference.

Writes a COCO file, prints a table, and warns of what looks wrong. See
docs/selection.md for the methods.

Example:
    python tools/select_labels.py work_dirs/digits/annotate/detections \
        --labeled data/digits/annotations/labeled.json \
        --out work_dirs/digits/precise.json --method fixed --min-score 0.9
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.utils import import_modules_from_strings

from projects.data_distillation.report.labels import LabelSource
from projects.data_distillation.report.page import write_selection_report
from projects.data_distillation.selection.export import (
    read_rules,
    select_labels,
)

# The options of each method, with the names of the selectors' arguments.
METHODS = {
    'matched': dict(
        per_class='--all-classes',
        floor='--floor',
        ceiling='--ceiling',
        smoothing='--smoothing',
    ),
    'fixed': dict(min_score='--min-score'),
    'precision': dict(target='--target-precision', floor='--floor'),
}
NOT_RULES = (
    'detections',
    'labeled',
    'out',
    'images',
    'report',
    'custom_imports',
)
NEEDED = {'fixed': 'min_score', 'precision': 'target'}


def parse_args() -> argparse.Namespace:
    """Read the command line; options that are not given are left out."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add('detections', type=Path, help='folder of the detection store')
    add('--labeled', required=True, help='COCO file of the labeled images')
    add('--out', type=Path, required=True, help='COCO file to write')
    add(
        '--like',
        type=Path,
        help='pseudo labels whose selection to repeat; no other options',
    )
    add(
        '--report',
        type=Path,
        metavar='FILE.html',
        help='also write a page that shows the labels (docs/report.md)',
    )
    add('--method', choices=METHODS, help='default: matched')
    add(
        '--custom-imports',
        nargs='+',
        metavar='MODULE',
        help='modules that register selectors or filters of your own',
    )
    add_selector_options(parser)
    add_rule_options(parser)
    args = parser.parse_args()
    try:
        args.selection = selection_of(args)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    return args


def add_selector_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the methods."""
    add = parser.add_argument
    add(
        '--all-classes',
        dest='per_class',
        action='store_false',
        help='matched: all classes together, not each on its own',
    )
    add('--floor', type=float, help='lowest score of a label')
    add('--ceiling', type=float, help='matched: score of a sure label')
    add(
        '--smoothing',
        type=float,
        metavar='INSTANCES',
        help='matched: weight of the rate of all classes, for rare ones',
    )
    add(
        '--min-score',
        nargs='+',
        metavar='S',
        help='fixed: one score, or CLASS=S for each class; S may be none',
    )
    add(
        '--target-precision',
        dest='target',
        type=float,
        metavar='P',
        help='precision: share of labels that shall be right',
    )


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that combine with every method."""
    add = parser.add_argument
    add('--min-views', type=int, help='least number of supporting views')
    add('--max-corner-spread', type=float, help='in parts of the box size')
    add('--min-side', type=float, help='least width and height, pixels')
    add(
        '--ignore-from',
        type=float,
        metavar='S',
        help='from this score on, what is no label is a region to ignore',
    )
    add(
        '--max-empty-share',
        type=float,
        help='share of images without label, 0 (none) to 1 (all, default)',
    )
    add(
        '--images',
        type=Path,
        metavar='FILE',
        help='only the images of this COCO file (default: all stored)',
    )
    add('--validation', type=Path, help="validation images' detection store")
    add('--validation-truth', help='COCO file of the validation images')


def selection_of(args: argparse.Namespace) -> dict:
    """Turn the options into the arguments of `SelectionRules`.

    Raises:
        ValueError: If an option does not go with the method, or is missing.
    """
    given = dict(vars(args))
    for name in NOT_RULES:
        given.pop(name, None)
    like = given.pop('like', None)
    if like:
        if given:
            raise ValueError(f'--like goes with no other option, got {given}')
        return read_rules(like)
    selection = dict(selector=selector_of(given), filters=filters_of(given))
    if 'ignore_from' in given:
        score = given['ignore_from']
        selection['ignore'] = dict(type='FixedSelector', min_score=score)
    if 'max_empty_share' in given:
        selection['max_empty_share'] = given['max_empty_share']
    if ('validation' in given) != ('validation_truth' in given):
        raise ValueError('--validation and --validation-truth go together')
    if 'validation' in given:
        selection['validation'] = dict(
            detections=str(given['validation']),
            ann_file=given['validation_truth'],
        )
    return selection


def selector_of(given: dict) -> dict:
    """Make the config of a selector of the options that are given.

    Raises:
        ValueError: If an option does not go with the method, or is missing.
    """
    method = given.get('method', 'matched')
    options = METHODS[method]
    others = {k: v for o in METHODS.values() for k, v in o.items()}
    wrong = [others[k] for k in given if k in others and k not in options]
    if wrong:
        raise ValueError(f'--method {method} does not take {wrong}')
    needed = NEEDED.get(method)
    if needed and needed not in given:
        raise ValueError(f'--method {method} needs {options[needed]}')
    selector = {k: given[k] for k in options if k in given}
    if 'min_score' in selector:
        selector['min_score'] = scores_of(selector['min_score'])
    return dict(selector, type=f'{method.capitalize()}Selector')


def scores_of(texts: list[str]) -> float | dict[str, float | None]:
    """Read one score, or one for each class, of which `none` selects nothing.

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


def filters_of(given: dict) -> list[dict]:
    """Make the configs of the filters of the options that are given."""
    filters = (
        ('MinViews', 'num_views', 'min_views'),
        ('MaxCornerSpread', 'spread', 'max_corner_spread'),
        ('MinSide', 'pixels', 'min_side'),
    )
    return [
        {'type': kind, argument: given[option]}
        for kind, argument, option in filters
        if option in given
    ]


def main() -> None:
    """Select and write."""
    args = parse_args()
    images = getattr(args, 'images', None)
    import_modules_from_strings(getattr(args, 'custom_imports', []))
    try:
        print(
            select_labels(
                args.detections,
                args.labeled,
                args.selection,
                args.out,
                images,
            )
        )
    except (FileNotFoundError, ValueError, KeyError) as error:
        sys.exit(f'error: {error}')
    if hasattr(args, 'report'):
        source = LabelSource(
            args.detections, args.out, args.labeled, images=images
        )
        write_selection_report(args.report, source)
        print(f'report: {args.report}')


if __name__ == '__main__':
    main()
