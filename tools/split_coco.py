"""Split a COCO file into labeled and unlabeled images.

Writes `labeled.json`, `unlabeled.json` (image infos only) and
`unlabeled_truth.json`, to see how good pseudo labels are. Several percentages
or folds get a folder each, such as `percent10_fold1/`.

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

# MMDetection greets on stdout, which is for what was written.
with contextlib.redirect_stdout(sys.stderr):
    from projects.data_distillation.coco.reading import read_splittable
    from projects.data_distillation.coco.splits import percent_of, split_coco
    from projects.data_distillation.files.atomic import write_json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('ann_file', type=Path, help='COCO file with labels')
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument('--count', type=int, help='images to keep labeled')
    amount.add_argument(
        '--percent',
        type=percentage,
        nargs='+',
        metavar='P',
        help='the same in percent, rounded down: above 0, below 100',
    )
    add('--folds', type=int, default=1, help='how often to choose')
    add('--seed', type=int, default=0, help='of the choice')
    add(
        '--keep-classes',
        action='store_true',
        help='swap images until each labeled part has an instance of each '
        'class of the file',
    )
    add(
        '--mmdet-names',
        action='store_true',
        help='write semi_anns/instances_train2017.FOLD@P.json and '
        '...-unlabeled.json (with annotations), as MMDetection does',
    )
    add('--out', type=Path, help='folder to write to (default: of ann_file)')
    args = parser.parse_args()
    if args.mmdet_names and not args.percent:
        parser.error('--mmdet-names needs --percent: the names hold it')
    return args


def percentage(text: str) -> Fraction:
    """Read a percentage exactly; as a float, 29 % of 100 would be 28."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        percent = Fraction(text)
        if 0 < percent < 100:
            return percent
    raise argparse.ArgumentTypeError(
        f'must be a number above 0 and below 100, got {text!r}'
    )


def amounts_of(args: argparse.Namespace, num_images: int) -> dict[str, int]:
    """Map the name of each amount to its number of labeled images."""
    if args.count is not None:
        return {f'count{args.count}': args.count}
    return {
        f'percent{float(percent):g}': percent_of(num_images, percent)
        for percent in args.percent
    }


def split(args: argparse.Namespace) -> tuple[dict[Path, dict], list[str]]:
    """Split, and write nothing yet.

    Returns:
        File -> content, and what to tell the user.
    """
    coco = read_splittable(args.ann_file)
    amounts = amounts_of(args, len(coco['images']))
    is_one = len(amounts) * args.folds == 1
    folder = args.out or args.ann_file.parent
    contents: dict[Path, dict] = {}
    notes: list[str] = []
    for amount, count in amounts.items():
        splits = split_coco(
            coco, count, args.seed, args.folds, args.keep_classes
        )
        notes += [f'{amount}: {note}' for note in splits.notes]
        for fold, parts in enumerate(splits.folds, 1):
            if args.mmdet_names:
                contents |= as_mmdet_names(folder, amount, fold, parts)
            else:
                name = '' if is_one else f'{amount}_fold{fold}'
                for part, content in parts.items():
                    contents[folder / name / f'{part}.json'] = content
    return contents, notes


def as_mmdet_names(
    folder: Path, amount: str, fold: int, parts: dict[str, dict]
) -> dict[Path, dict]:
    """Name the parts as MMDetection's tools/misc/split_coco.py does.

    Whatever file was split: its semi-supervised configs look for these names.
    """
    name = f'instances_train2017.{fold}@{amount.removeprefix("percent")}'
    return {
        folder / 'semi_anns' / f'{name}.json': parts['labeled'],
        folder / 'semi_anns' / f'{name}-unlabeled.json': parts[
            'unlabeled_truth'
        ],
    }


def main() -> None:
    """Split and write, if nothing is overwritten."""
    args = parse_args()
    try:
        contents, notes = split(args)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')
    for file in contents:
        if file.exists():
            sys.exit(f'error: {file} exists already: delete it, or use --out')
    for note in notes:
        print(note)
    for file, part in contents.items():
        write_json(file, part)
        print(
            f'{file}: {len(part["images"])} images, '
            f'{len(part.get("annotations", []))} instances'
        )


if __name__ == '__main__':
    main()
