"""Writes the embedded digits, unless they are there."""

import argparse
from pathlib import Path

from .dataset import Recipe, is_complete, write_digits


def main() -> None:
    """Write the data set unless it is there; say in one line which it was."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--out', type=Path, default=Path('data/digits'))
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    recipe = Recipe(args.seed)
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
