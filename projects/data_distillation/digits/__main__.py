"""Writes the embedded digits unless they exist already."""

import argparse
from pathlib import Path

from .dataset import Recipe, is_complete, write_digits


def main() -> None:
    """Write the dataset of digits unless it exists already."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/digits'),
        help='folder to write to (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of every random choice (default: %(default)s)',
    )
    args = parser.parse_args()
    try:
        recipe = Recipe(args.seed)
    except ValueError as error:
        parser.error(str(error))
    there = is_complete(args.out, recipe)
    if not there:
        write_digits(args.out, recipe=recipe)
    counts = ', '.join(f'{n} {split}' for split, n in recipe.images.items())
    print(
        f'{args.out}: {"already there" if there else "wrote"} '
        f'{counts} images of digits, seed {args.seed}'
    )


if __name__ == '__main__':
    main()
