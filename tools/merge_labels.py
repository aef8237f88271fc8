r"""Take over labels that a person corrected in another tool.

The images become labeled and leave the unlabeled set. Reads COCO files (CVAT,
FiftyOne, Roboflow), the JSON of Label Studio, and folders of X-AnyLabeling.
docs/review.md has the steps.

Example:
    python tools/merge_labels.py corrected.json \
        --labeled data/digits/annotations/labeled.json \
        --unlabeled data/digits/annotations/unlabeled.json --out data/round2
"""

import argparse
import sys
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
from projects.data_distillation.label_files.coco.reading import read_unlabeled
from projects.data_distillation.label_files.corrections.corrected import (
    read_corrected,
)
from projects.data_distillation.label_files.corrections.update import (
    read_numbered,
    update_sets,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        'corrected',
        type=Path,
        nargs='+',
        help='files or folders of corrected labels',
    )
    for name, what in (
        ('labeled', 'images with labels'),
        ('unlabeled', 'images to annotate'),
    ):
        add(
            f'--{name}',
            type=Path,
            required=True,
            metavar='ANN',
            help=f'the COCO file of the {what}',
        )
    add(
        '--out',
        type=Path,
        required=True,
        metavar='DIR',
        help='the folder for the new labeled.json and unlabeled.json',
    )
    add(
        '--images',
        type=Path,
        metavar='DIR',
        help='the folder of the labeled images, to check that all are there',
    )
    add_checked(parser)
    return parser.parse_args()


def add_checked(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a person has checked.

    Args:
        parser: The parser.
    """
    checked = parser.add_mutually_exclusive_group()
    checked.add_argument(
        '--empty-is-checked',
        action='store_true',
        help='images without a box have no object (default: nobody has '
        'looked at them yet)',
    )
    checked.add_argument(
        '--partly',
        action='store_true',
        help='only these boxes were checked: the rest of their images is '
        'neither object nor background (default: all objects have a box)',
    )


def check_there(coco: dict, folder: Path) -> None:
    """End if images of a set are not in its folder.

    Args:
        coco: The COCO object of the set.
        folder: The folder of its images.

    Raises:
        SystemExit: If one is not there.
    """
    names = [image['file_name'] for image in coco['images']]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        sys.exit(
            f'error: {len(missing)} images are not in {folder}, the first is '
            f'{missing[0]}: copy them there'
        )


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Update both sets, write both files, and say what was done."""
    args = parse_args()
    files = [args.out / f'{name}.json' for name in ('labeled', 'unlabeled')]
    for file in files:
        if file.exists():
            sys.exit(f'error: {file} exists already: use another --out')
    try:
        updated = update_sets(
            read_numbered(args.labeled),
            read_unlabeled(args.unlabeled),
            [one for path in args.corrected for one in read_corrected(path)],
            args.empty_is_checked,
            args.partly,
        )
    except ValueError as error:
        sys.exit(f'error: {error}')
    if args.images:
        check_there(updated.labeled, args.images)
    with whole_or_nothing(*files):
        write_json(files[0], updated.labeled)
        write_json(files[1], updated.unlabeled)
    for line in [*updated.notes, *files]:
        print(line)


if __name__ == '__main__':
    main()
