r"""Split a COCO file into labeled and unlabeled images.

Writes `labeled.json`, `unlabeled.json` (image infos only) and
`unlabeled_truth.json`, which tells how good pseudo labels are. With several
percentages or folds, each split has its own folder, `percent10_fold1/`.

Examples:
    python tools/split_coco.py data/bccd/annotations/train.json --count 5
    python tools/split_coco.py data/coco/annotations/instances_train2017.json \
        --percent 1 2 5 10 --folds 5 --mmdet-names --out data/coco
"""

import argparse
import contextlib
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.command_line import (
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.files.atomic import (
    whole_or_nothing,
    write_json,
)
from projects.data_distillation.label_files.coco.contents import (
    find_annotated,
    take_images,
)
from projects.data_distillation.label_files.coco.reading import read_splittable
from projects.data_distillation.label_files.splits.splits import (
    compute_percent,
    list_annotated,
    split_coco,
    take_parts,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    parser.add_argument('ann_file', type=Path, help='the COCO file to split')
    add_choice(parser)
    parser.add_argument(
        '--mmdet-names',
        action='store_true',
        help='write the files semi_anns/instances_train2017.FOLD@P.json and '
        '...-unlabeled.json (with annotations) that MMDetection looks for',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='the folder to write to (default: the folder of ANN_FILE)',
    )
    args = parser.parse_args()
    if args.annotated and (
        args.folds > 1 or args.keep_classes or args.skip_empty
    ):
        parser.error(
            '--annotated leaves no choice for --folds, --keep-classes, '
            '--skip-empty: images without any object become unlabeled'
        )
    if args.mmdet_names and not args.percent:
        parser.error('--mmdet-names needs --percent, which is in the names')
    return args


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the labeled images.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument(
        '--count',
        type=int,
        metavar='N',
        help='the number of images that stay labeled',
    )
    amount.add_argument(
        '--percent',
        type=parse_percentage,
        nargs='+',
        metavar='P',
        help='the same in percent of all images, above 0 and below 100; the '
        'number of images is rounded down',
    )
    amount.add_argument(
        '--annotated',
        action='store_true',
        help='the images with annotations stay labeled, as in an export of a '
        'set that is not labeled completely',
    )
    add_draw(parser)


def add_draw(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose how images are drawn.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--folds',
        type=int,
        default=1,
        metavar='N',
        help='the number of splits for each amount (default: 1)',
    )
    add(
        '--seed',
        type=int,
        default=0,
        help='the random seed of the choice (default: 0)',
    )
    add(
        '--skip-empty',
        action='store_true',
        help='leave out images without any object, for example because '
        'nobody has annotated them yet: they are in no part',
    )
    add(
        '--keep-classes',
        action='store_true',
        help='swap images until the labeled images of each split have an '
        'instance of every class of the file',
    )


def parse_percentage(text: str) -> Fraction:
    """Read a percentage exactly.

    With a float, 29 % of 100 images would be 28.

    Args:
        text: The number as the user has written it.

    Returns:
        The percentage.

    Raises:
        ArgumentTypeError: If it is not a number above 0 and below 100.
    """
    with contextlib.suppress(ValueError, ZeroDivisionError):
        percent = Fraction(text)
        if 0 < percent < 100:
            return percent
    raise argparse.ArgumentTypeError(
        f'must be a number above 0 and below 100, got {text!r}'
    )


def list_amounts(args: argparse.Namespace, num_images: int) -> dict[str, int]:
    """List the number of labeled images of each amount.

    Args:
        args: The arguments of the command line.
        num_images: The number of all images.

    Returns:
        Name of the amount -> number.

    Raises:
        ValueError: If a percentage is less than one image.
    """
    if args.count is not None:
        return {f'count{args.count}': args.count}
    return {
        # A fraction would be written as 1/2.
        f'percent{float(percent):g}': compute_percent(num_images, percent)
        for percent in args.percent
    }


def choose_images(coco: dict, skip_empty: bool) -> tuple[dict, list[str]]:
    """Leave out images without any object, or say that they are there.

    Args:
        coco: The content of the file.
        skip_empty: Whether to leave them out.

    Returns:
        The content to split, and the notes for the user.
    """
    num_images = len(coco['images'])
    annotated = take_images(coco, find_annotated(coco))
    num_empty = num_images - len(annotated['images'])
    if not num_empty:
        return coco, []
    found = f'{num_empty} of the {num_images} images have no object: '
    if skip_empty:
        return annotated, [f'{found}left out']
    return coco, [
        f'{found}they are drawn like the others. If nobody has annotated them '
        'yet, leave them out with --skip-empty'
    ]


def split_file(args: argparse.Namespace) -> tuple[dict[Path, dict], list[str]]:
    """Split the file without writing anything.

    Args:
        args: The arguments of the command line.

    Returns:
        File -> content, and the notes for the user.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be split in this way.
    """
    coco = read_splittable(args.ann_file)
    if args.annotated:
        parts = take_parts(coco, list_annotated(coco))
        folder = args.out or args.ann_file.parent
        return {folder / f'{p}.json': c for p, c in parts.items()}, []
    coco, notes = choose_images(coco, args.skip_empty)
    amounts = list_amounts(args, len(coco['images']))
    # One split needs no folder of its own: its files are beside the source.
    is_one = len(amounts) * args.folds == 1
    folder = args.out or args.ann_file.parent
    contents: dict[Path, dict] = {}
    for amount, count in amounts.items():
        splits = split_coco(
            coco, count, args.seed, args.folds, args.keep_classes
        )
        notes += [f'{amount}: {note}' for note in splits.notes]
        # From 1, as MMDetection's tools/misc/split_coco.py counts.
        for fold, parts in enumerate(splits.folds, 1):
            if args.mmdet_names:
                contents |= name_as_mmdet(folder, amount, fold, parts)
            else:
                name = '' if is_one else f'{amount}_fold{fold}'
                for part, content in parts.items():
                    contents[folder / name / f'{part}.json'] = content
    return contents, notes


def name_as_mmdet(
    folder: Path, amount: str, fold: int, parts: dict[str, dict]
) -> dict[Path, dict]:
    """Give the files of a split the names that MMDetection gives them.

    MMDetection's semi-supervised configs look for these names, so they do not
    depend on the file that was split.

    Args:
        folder: The folder of the files.
        amount: The name of the amount.
        fold: The number of the fold, from 1.
        parts: The content of each part.

    Returns:
        File -> content.
    """
    name = f'instances_train2017.{fold}@{amount.removeprefix("percent")}'
    return {
        folder / 'semi_anns' / f'{name}.json': parts['labeled'],
        folder / 'semi_anns' / f'{name}-unlabeled.json': parts[
            'unlabeled_truth'
        ],
    }


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Split the file, and write the parts unless a file exists already."""
    args = parse_args()
    try:
        contents, notes = split_file(args)
    except ValueError as error:
        sys.exit(f'error: {error}')
    # Before the first is written: parts of two splits in one folder would
    # share images, or lack some.
    for file in contents:
        if file.exists():
            sys.exit(f'error: {file} exists already: delete it, or use --out')
    for note in notes:
        print(note)
    with whole_or_nothing(*contents):
        for file, part in contents.items():
            write_json(file, part)
    for file, part in contents.items():
        print(
            f'{file}: {len(part["images"])} images, '
            f'{len(part.get("annotations", []))} instances'
        )


if __name__ == '__main__':
    main()
