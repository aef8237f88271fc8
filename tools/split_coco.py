"""Split a COCO file into labeled and unlabeled images.

Writes `labeled.json`, `unlabeled.json` (image infos only) and
`unlabeled_truth.json`, to see how good pseudo labels are.

Example:
    python tools/split_coco.py data/bccd/annotations/train.json --count 5
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.coco import (
    read_coco,
    split_coco,
    write_json,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('ann_file', type=Path, help='COCO file with labels')
    parser.add_argument(
        '--count', type=int, required=True, help='images to keep labeled'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the choice')
    parser.add_argument(
        '--out', type=Path, help='folder to write to (default: of ann_file)'
    )
    return parser.parse_args()


def main() -> None:
    """Split and write."""
    args = parse_args()
    coco = read_coco(args.ann_file, 'images', 'annotations', 'categories')
    parts = split_coco(coco, args.count, args.seed)
    for name, part in parts.items():
        file = (args.out or args.ann_file.parent) / f'{name}.json'
        if file.exists():
            sys.exit(f'error: {file} exists already: delete it, or use --out')
        write_json(file, part)
        print(
            f'{file}: {len(part["images"])} images, '
            f'{len(part.get("annotations", []))} instances'
        )


if __name__ == '__main__':
    main()
