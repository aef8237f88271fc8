"""The options that say by which rules pseudo labels are selected, as a table.

`rule_options.py` makes rules of options, and options of rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# How masks can be written.
SEGMENTATIONS = ('rle', 'polygon')
# Method -> the registered name of its selector.
METHODS = {
    'matched': 'MatchedSelector',
    'fixed': 'FixedSelector',
    'count': 'CountSelector',
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
        ['MatchedSelector', 'PrecisionSelector', 'CountSelector'],
        dict(
            type=float,
            metavar='S',
            help='matched, precision, count: no label has a score below '
            'this one',
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
        '--per-image',
        'per_image',
        ['CountSelector'],
        dict(
            nargs='+',
            metavar='N',
            help='count: the mean number of labels on an image, one number '
            'for all classes together or CLASS=N for each of them',
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
    Option(
        '--min-area',
        'area',
        ['MinArea'],
        dict(
            type=float,
            metavar='PIXELS',
            help='the least area of a label: of its mask if there are masks, '
            'otherwise of its box',
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
        '--calibrate-boxes',
        'calibrates_boxes',
        settings=dict(
            action='store_true',
            help='calibrate the boxes by the true ones of --validation',
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
# The arguments of `SelectionRules` that options give as they are.
PASSED_ON = (
    *('max_empty_share', 'counted', 'counts_empty', 'segmentation'),
    'calibrates_boxes',
)
OPTIONS = (*RULE_OPTIONS, *SELECTOR_OPTIONS, *FILTER_OPTIONS)
