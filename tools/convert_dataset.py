"""Convert Pascal VOC and YOLO folders to COCO files, and back.

Prints the number of images and instances, and what was left out. See
docs/formats.md.

Examples:
    python tools/convert_dataset.py from-voc VOC2007/ out.json --split train
    python tools/convert_dataset.py from-yolo data.yaml out.json --split train
    python tools/convert_dataset.py to-voc labels.json voc/ --images images/
    python tools/convert_dataset.py to-yolo labels.json yolo/ --images images/
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.command_line import (
    check_not_read,
    ending_at_os_errors,
    escape_output,
    make_parser,
)
from projects.data_distillation.files.atomic import (
    whole_or_nothing,
    write_json,
)
from projects.data_distillation.label_files.convert.coco_reader import (
    read_coco_labels,
)
from projects.data_distillation.label_files.convert.folder_reading import (
    read_folder,
)
from projects.data_distillation.label_files.convert.labels import (
    FormatError,
    IssueCounter,
    make_coco,
    make_image_infos,
)
from projects.data_distillation.label_files.convert.new_ids import KnownIds
from projects.data_distillation.label_files.convert.polygon_masks import (
    check_masks,
)
from projects.data_distillation.label_files.convert.voc_reader import (
    DIFFICULT,
    VocReader,
)
from projects.data_distillation.label_files.convert.voc_writer import write_voc
from projects.data_distillation.label_files.convert.writing import new_folder
from projects.data_distillation.label_files.convert.yolo_reader import (
    SPLITS,
    YoloReader,
)
from projects.data_distillation.label_files.convert.yolo_writer import (
    write_yolo,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_subparsers(dest='command', required=True).add_parser
    add_from_voc(add('from-voc', help='convert a Pascal VOC folder to COCO'))
    add_from_yolo(add('from-yolo', help='convert a YOLO folder to COCO'))
    add_writing(add('to-voc', help='convert COCO to a Pascal VOC folder'))
    yolo = add('to-yolo', help='convert COCO to a YOLO folder')
    add_writing(yolo)
    yolo.add_argument(
        '--scores',
        action='store_true',
        help='write the scores as a last column',
    )
    add_boxes_only(yolo)
    return parser.parse_args()


def add_from_voc(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command that reads a Pascal VOC folder.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        'source',
        type=Path,
        help='the folder with Annotations/ and JPEGImages/',
    )
    add(
        '--split',
        metavar='LIST',
        help='the name of a list in ImageSets/Main/ (default: all images)',
    )
    add(
        '--zero-based',
        action='store_true',
        help='the corners are x, y, x + w, y + h (default: they are the first '
        'and the last pixel of the box, counted from 1)',
    )
    add(
        '--difficult',
        choices=DIFFICULT,
        default=DIFFICULT[0],
        help='what becomes of difficult objects: regions to ignore (iscrowd '
        '1), objects like others, or nothing (default: %(default)s)',
    )
    add_reading(parser)


def add_from_yolo(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command that reads a YOLO folder.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    parser.add_argument(
        'source', type=Path, help='the file data.yaml, or the folder'
    )
    parser.add_argument(
        '--split',
        choices=SPLITS,
        required=True,
        help='which images of data.yaml to read',
    )
    add_boxes_only(parser)
    add_reading(parser)


def add_boxes_only(parser: argparse.ArgumentParser) -> None:
    """Add the option that leaves masks out.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    parser.add_argument(
        '--boxes-only',
        action='store_true',
        help='convert polygons and masks to their boxes',
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the commands that read a folder.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    parser.add_argument('out', type=Path, help='the COCO file to write')
    categories = parser.add_mutually_exclusive_group()
    categories.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='the categories, in this order; boxes of others are left out',
    )
    categories.add_argument(
        '--like',
        type=Path,
        metavar='ANN',
        help='take the categories with their ids, and the ids of images of '
        'the same name, from this COCO file',
    )
    parser.add_argument(
        '--unlabeled',
        type=Path,
        metavar='FILE',
        help='write the images that have no label file to this COCO file, '
        'to annotate them',
    )


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the commands that write a folder.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    parser.add_argument('source', type=Path, help='the COCO file')
    parser.add_argument('out', type=Path, help='the folder to write')
    parser.add_argument(
        '--images',
        type=Path,
        required=True,
        metavar='DIR',
        help='the folder of the images, to which links are made',
    )


def make_reader(
    args: argparse.Namespace, issues: IssueCounter
) -> VocReader | YoloReader:
    """Make the reader that the arguments ask for.

    Args:
        args: The arguments of the command line.
        issues: Counts what is left out or changed.

    Returns:
        The reader.
    """
    if args.command == 'from-yolo':
        given = args.source, issues, args.split, args.boxes_only
        return YoloReader(*given)
    return VocReader(
        args.source, issues, args.split, args.zero_based, args.difficult
    )


def convert_folder(args: argparse.Namespace, issues: IssueCounter) -> None:
    """Read a folder and write its COCO files.

    Args:
        args: The arguments. With `unlabeled` a second file is written.
        issues: Takes what is changed or left out.

    Raises:
        FormatError: If there is nothing to write, a file exists already, or
            only some objects have masks.
        ValueError: If both files are the same.
        OSError: If a file cannot be written.
    """
    check_not_read((args.out, args.unlabeled), [args.like])
    files = [file for file in (args.out, args.unlabeled) if file]
    for file in files:
        if file.exists():
            raise FormatError(f'{file} exists already: delete it first')
    known = KnownIds(args.like) if args.like else None
    reader = make_reader(args, issues)
    images, unlabeled = read_folder(reader, bool(args.unlabeled))
    classes = known.classes if known else args.classes
    classes = classes or reader.list_classes(images)
    has_masks = check_masks(images, classes, args.source)
    coco = make_coco(images, classes, issues)
    infos = make_image_infos(unlabeled)
    # A teacher's classes go by the order of the categories, and labels of two
    # files are compared by the ids of images: new ones would match nothing.
    if known:
        known.give(coco, issues)
        known.give_images(infos, issues)
    names = {c['id']: c['name'] for c in coco['categories']}
    counts = Counter(names[a['category_id']] for a in coco['annotations'])
    num_empty = len(images) - len({a['image_id'] for a in coco['annotations']})
    print(format_summary(args.source, len(images), num_empty, classes, counts))
    if has_masks:
        print('all instances have masks, as one polygon each')
    print(f'the file names are relative to {reader.image_folder}')
    # Only now: the summary above has what the user needs to see why.
    if not counts:
        raise FormatError('no instance is left: nothing is written')
    with whole_or_nothing(*files):
        write_json(args.out, coco)
        if args.unlabeled:
            write_json(args.unlabeled, dict(images=infos))
    print(f'written: {args.out}')
    if args.unlabeled:
        print(f'written: {args.unlabeled}: {len(unlabeled):,} images')


def write_folder(args: argparse.Namespace, issues: IssueCounter) -> None:
    """Read a COCO file and write a folder.

    Args:
        args: The arguments.
        issues: Takes what is changed or left out.

    Raises:
        FormatError: If `read_coco_labels`, `check_masks` or `new_folder`
            refuses.
        OSError: If the folder cannot be written.
    """
    boxes_only = args.command == 'to-voc' or args.boxes_only
    images, categories = read_coco_labels(
        args.source, args.images, issues, boxes_only
    )
    classes = [category['name'] for category in categories]
    has_masks = check_masks(images, classes, args.source)
    given = images, categories, args.images
    with new_folder(args.out) as folder:
        if args.command == 'to-voc':
            write_voc(folder, *given)
        else:
            write_yolo(folder, *given, issues, args.scores)
    boxes = (box for image in images for box in image.boxes or ())
    counts = Counter(box.name for box in boxes)
    num_empty = sum(not image.boxes for image in images)
    print(format_summary(args.source, len(images), num_empty, classes, counts))
    if has_masks:
        print('all instances have masks, as one polygon each')
    print(
        'not written: ids, areas, `views` and `info`; keep the COCO file, '
        'whose ids come back with `--like`'
    )
    print(f'written: {args.out}; its images are links')


def format_summary(
    source: Path,
    num_images: int,
    num_empty: int,
    classes: Sequence[str],
    counts: Counter,
) -> str:
    """Say what was read.

    Args:
        source: The folder that was read.
        num_images: The number of images.
        num_empty: The number of images without a box.
        classes: The names of the classes.
        counts: The number of boxes of each class.

    Returns:
        One line.
    """
    each = ', '.join(f'{name}: {counts[name]:,}' for name in classes)
    return (
        f'{source}: {num_images:,} images, {num_empty:,} of them without '
        f'instances; {counts.total():,} instances of {len(classes)} classes '
        f'({each})'
    )


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Convert, and print what was changed or left out."""
    args = parse_args()
    escape_output()
    issues = IssueCounter()
    convert = convert_folder if args.command[:4] == 'from' else write_folder
    try:
        convert(args, issues)
    except ValueError as error:
        sys.exit(f'error: {error}')
    finally:
        # Also after an error, which what was left out may explain.
        for line in issues.format_lines():
            print(line)


if __name__ == '__main__':
    main()
