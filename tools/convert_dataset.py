"""Convert labels: Pascal VOC or YOLO folders to a COCO file, and back.

Says how many images and instances there are, and what was left out. Docs:
docs/formats.md.

Examples:
    python tools/convert_dataset.py from-voc VOC2007/ out.json --split train
    python tools/convert_dataset.py from-yolo data.yaml out.json --split train
    python tools/convert_dataset.py to-voc labels.json voc/ --images images/
    python tools/convert_dataset.py to-yolo labels.json yolo/ --images images/
"""

import argparse
import contextlib
import io
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# MMDetection greets on stdout, which is for what was done.
with contextlib.redirect_stdout(sys.stderr):
    from projects.data_distillation.convert.folders import (
        new_folder,
        read_folder,
    )
    from projects.data_distillation.convert.labels import (
        FormatError,
        IssueCounter,
        make_coco,
        make_image_infos,
        read_coco_labels,
    )
    from projects.data_distillation.convert.voc_reader import (
        DIFFICULT,
        VocReader,
    )
    from projects.data_distillation.convert.voc_writer import write_voc
    from projects.data_distillation.convert.yolo_reader import (
        SPLITS,
        YoloReader,
    )
    from projects.data_distillation.convert.yolo_writer import write_yolo
    from projects.data_distillation.files.atomic import write_json


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    voc = commands.add_parser('from-voc', help='Pascal VOC folder to COCO')
    voc.add_argument('source', type=Path, help='folder of Annotations/ ...')
    voc.add_argument(
        '--split', help='a list in ImageSets/Main/ (default: all images)'
    )
    voc.add_argument(
        '--zero-based',
        action='store_true',
        help='corners are x, y, x + w, y + h, not pixels counted from 1',
    )
    voc.add_argument(
        '--difficult',
        choices=DIFFICULT,
        default=DIFFICULT[0],
        help='what they become: regions to leave out (iscrowd 1), objects, '
        'nothing (default: %(default)s)',
    )
    yolo = commands.add_parser('from-yolo', help='YOLO folder to COCO')
    yolo.add_argument('source', type=Path, help='data.yaml')
    yolo.add_argument('--split', choices=SPLITS, required=True)
    for command in (voc, yolo):
        add_reading(command)
    voc = commands.add_parser('to-voc', help='COCO to a Pascal VOC folder')
    yolo = commands.add_parser('to-yolo', help='COCO to a YOLO folder')
    yolo.add_argument(
        '--scores', action='store_true', help='write them as a sixth column'
    )
    for command in (voc, yolo):
        add_writing(command)
    return parser.parse_args()


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what both formats to read have in common."""
    parser.add_argument('out', type=Path, help='COCO file to write')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='the categories, in this order; others are left out',
    )
    parser.add_argument(
        '--unlabeled',
        type=Path,
        metavar='FILE',
        help='write the images without a label file there, to annotate',
    )


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add what both formats to write have in common."""
    parser.add_argument('source', type=Path, help='COCO file')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument(
        '--images',
        type=Path,
        required=True,
        help='folder of the images, to which links are made',
    )


def reader_of(
    args: argparse.Namespace, issues: IssueCounter
) -> VocReader | YoloReader:
    """Make the reader that the arguments ask for."""
    if args.command == 'from-yolo':
        return YoloReader(args.source, issues, args.split)
    return VocReader(
        args.source, issues, args.split, args.zero_based, args.difficult
    )


def read(args: argparse.Namespace, issues: IssueCounter) -> None:
    """Write a COCO file, and one of the images without labels if asked.

    Raises:
        FormatError: If there is nothing to write, or a file is there already.
    """
    for file in filter(None, (args.out, args.unlabeled)):
        if file.exists():
            raise FormatError(f'{file} exists already: delete it first')
    reader = reader_of(args, issues)
    images, unlabeled = read_folder(reader, bool(args.unlabeled))
    classes = args.classes or reader.list_classes(images)
    coco = make_coco(images, classes, issues)
    names = {c['id']: c['name'] for c in coco['categories']}
    counts = Counter(names[a['category_id']] for a in coco['annotations'])
    num_empty = len(images) - len({a['image_id'] for a in coco['annotations']})
    print(summary(args.source, len(images), num_empty, classes, counts))
    print(f'image folder, for file names: {reader.image_folder}')
    if not counts:
        raise FormatError('no instance is left: nothing is written')
    write_json(args.out, coco)
    print(f'written: {args.out}')
    if args.unlabeled:
        write_json(args.unlabeled, dict(images=make_image_infos(unlabeled)))
        print(f'written: {args.unlabeled}: {len(unlabeled):,} images')


def write(args: argparse.Namespace, issues: IssueCounter) -> None:
    """Write a folder.

    Raises:
        FormatError: If it cannot be, see `read_coco_labels` and `new_folder`.
    """
    images, categories = read_coco_labels(args.source, args.images, issues)
    given = images, categories, args.images
    with new_folder(args.out) as folder:
        if args.command == 'to-voc':
            write_voc(folder, *given)
        else:
            write_yolo(folder, *given, issues, args.scores)
    boxes = (box for image in images for box in image.boxes or ())
    counts = Counter(box.name for box in boxes)
    num_empty = sum(not image.boxes for image in images)
    classes = [category['name'] for category in categories]
    print(summary(args.source, len(images), num_empty, classes, counts))
    print('not written: ids, areas, `views`, `info`; keep the file')
    print(f'written: {args.out}, whose images are links')


def summary(
    source: Path,
    num_images: int,
    num_empty: int,
    classes: Sequence[str],
    counts: Counter,
) -> str:
    """Say what was read."""
    each = ', '.join(f'{name}: {counts[name]:,}' for name in classes)
    return (
        f'{source}: {num_images:,} images, {num_empty:,} of them without '
        f'instances; {counts.total():,} instances of {len(classes)} classes '
        f'({each})'
    )


def main() -> None:
    """Convert, and say what did not pass."""
    args = parse_args()
    # File names may hold what the terminal cannot show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')
    issues = IssueCounter()
    convert = read if args.command.startswith('from') else write
    try:
        convert(args, issues)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    finally:
        for line in issues.format_lines():
            print(line)


if __name__ == '__main__':
    main()
