r"""Find the problems of COCO files that would ruin a run later.

Give all files of an experiment together: then the tool also checks that their
categories agree and that no image is in two of them. The exit code is 1 if
there is a problem, or --fix cannot mend. docs/checking.md lists the problems.

Examples:
    python tools/check_coco.py labeled.json val.json --images images/
    python tools/check_coco.py labeled.json --images images/ \
        --fix labeled_fixed.json
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.command_line import (
    ending_at_os_errors,
    escape_output,
    make_parser,
)
from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.label_files.coco.box_formats import (
    LAYOUTS,
    UNITS,
    BoxFormat,
)
from projects.data_distillation.label_files.coco.class_checks import (
    describe_objects,
)
from projects.data_distillation.label_files.coco.image_checks import (
    find_problems,
)
from projects.data_distillation.label_files.coco.image_files import (
    ImageFacts,
    locate_images,
)
from projects.data_distillation.label_files.coco.problems import (
    Problem,
    format_problems,
)
from projects.data_distillation.label_files.coco.tables import (
    CocoFile,
    read_file,
    read_file_to_mend,
)
from projects.data_distillation.label_files.mending.choices import (
    RESIZED,
    Choices,
    MendingError,
)
from projects.data_distillation.label_files.mending.limits import LARGEST_SHARE
from projects.data_distillation.label_files.mending.mask_checks import (
    check_segmentations,
    read_for_masks,
)
from projects.data_distillation.label_files.mending.mend import mend_file
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    parser.add_argument(
        'files', type=Path, nargs='+', metavar='FILE', help='a COCO file'
    )
    parser.add_argument(
        '--images',
        type=Path,
        nargs='+',
        metavar='DIR',
        help='the folder of the images: one for all files, or one for each',
    )
    parser.add_argument(
        '--fix',
        type=Path,
        metavar='OUT',
        help='write a copy of FILE without the problems that can be mended in '
        'one way only',
    )
    parser.add_argument(
        '--max-shown',
        type=int,
        default=5,
        metavar='N',
        help='the most lines about problems of one kind in one file '
        '(default: 5)',
    )
    add_boxes(parser)
    add_decisions(parser.add_argument_group('what you decide about --fix'))
    args = parser.parse_args()
    check_args(parser, args)
    return args


def add_boxes(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the boxes of a file are.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    parser.add_argument(
        '--boxes',
        choices=LAYOUTS,
        help='what the four numbers of a box are; --fix writes xywh',
    )
    parser.add_argument(
        '--unit',
        choices=[*UNITS, RESIZED],
        help=f'their unit; --fix writes pixels. {RESIZED!r}: pixels of the '
        'size in the file, from which the images were resized since',
    )


def add_categories(group: argparse._ArgumentGroup) -> None:
    """Add the options for other categories.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add(
        '--like',
        type=Path,
        metavar='FILE',
        help='take the categories of this COCO file, with ids and order',
    )
    add(
        '--drop-others',
        action='store_true',
        help='leave out objects of categories that the file of --like lacks',
    )


def add_decisions(group: argparse._ArgumentGroup) -> None:
    """Add the options for mendings that a user has to decide about.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    add = group.add_argument
    add_categories(group)
    add(
        '--encoding',
        default='',
        help='the encoding of FILE, such as cp1252, if it is not clear',
    )
    add(
        '--drop-many',
        action='store_true',
        help='drop and clip what is broken also if it is more than '
        f'{LARGEST_SHARE:.0%} of the file',
    )
    add(
        '--drop-unreadable',
        action='store_true',
        help='leave out images that are missing or broken, with their labels',
    )
    add(
        '--apart-from',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='leave out images that are in these COCO files too, byte for '
        'byte; their image folder is the first one of --images, or there is '
        'one more for each of them',
    )
    add(
        '--no-crowds',
        action='store_true',
        help='write iscrowd 0 everywhere: all are objects',
    )


DECISIONS = (
    'drop_unreadable',
    'apart_from',
    'like',
    'drop_others',
    'no_crowds',
    'encoding',
    'drop_many',
)
NEED_IMAGES = ('drop_unreadable', 'apart_from')


def check_args(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """End with an error if the arguments do not fit each other.

    Args:
        parser: The parser, which prints the error.
        args: The arguments that it has read.

    Raises:
        SystemExit: If they do not fit, with exit code 2.
    """
    num_files = len(args.files) + len(args.apart_from)
    num_folders = len(args.images or ())
    if num_folders not in (0, 1, num_files):
        parser.error(
            f'--images takes one folder for all files or one for each of the '
            f'{num_files}, got {num_folders}'
        )
    for folder in args.images or ():
        if not folder.is_dir():
            parser.error(f'--images: there is no folder {folder}')
    if args.fix and len(args.files) > 1:
        parser.error(
            f'--fix takes one FILE, got {len(args.files)}: fix each alone'
        )
    if args.fix and args.fix.exists():
        parser.error(f'--fix: {args.fix} exists already, delete it first')
    check_decisions(parser, args)


def check_decisions(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """End with an error if an option lacks another one that it needs.

    Args:
        parser: The parser, which prints the error.
        args: The arguments that it has read.

    Raises:
        SystemExit: If they do not fit, with exit code 2.
    """
    given = [name for name in DECISIONS if getattr(args, name)]
    if args.boxes not in (None, 'xywh'):
        given.append('boxes')
    if args.unit not in (None, 'pixel'):
        given.append('unit')
    for name in given:
        option = '--' + name.replace('_', '-')
        if not args.fix:
            parser.error(f'{option} needs --fix OUT')
        if name in NEED_IMAGES and not args.images:
            parser.error(f'{option} needs --images DIR')
    if args.drop_others and not args.like:
        parser.error('--drop-others needs --like FILE')
    if args.unit == RESIZED:
        check_resized(parser, args)


def check_resized(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """End with an error if boxes of resized images cannot be scaled.

    Args:
        parser: The parser, which prints the error.
        args: The arguments that it has read, with the unit `RESIZED`.

    Raises:
        SystemExit: If they cannot, with exit code 2.
    """
    if not args.images:
        parser.error('--unit resized needs --images DIR')
    if args.boxes not in (None, 'xywh'):
        parser.error(
            f'--unit resized scales boxes {LAYOUTS["xywh"]}, got --boxes '
            f'{args.boxes}: convert them first, with --fix and --boxes, but '
            'without --images, and then give the new file'
        )


def write_mended(
    args: argparse.Namespace, known: dict[str, ImageFacts]
) -> None:
    """Write the mended file and print what was done, or why it is not.

    Nothing is written or printed for a file that cannot be read.

    Args:
        args: The arguments.
        known: Takes what is known of the images.

    Raises:
        MendingError: If a user has to decide first.
        OSError: If the mended file cannot be written.
    """
    path = args.files[0]
    file = read_file_to_mend(path, args.encoding)
    if not isinstance(file, CocoFile):
        return
    content, counts = mend_file(file, read_choices(args, known))
    write_json(args.fix, content)
    done = ', '.join(f'{n:,} {what}' for what, n in counts.items() if n)
    if isinstance(read_file(path), Problem):  # The text itself was mended.
        done += f'{", " if done else ""}written as JSON in UTF-8'
    print(f'{path} -> {args.fix}: {done or "nothing to mend"}')


def read_choices(
    args: argparse.Namespace, known: dict[str, ImageFacts]
) -> Choices:
    """Collect what the user has chosen, with the files that it needs.

    Args:
        args: The arguments of the command line.
        known: Path -> what is known of an image file already; what is read is
            added.

    Returns:
        The choices.

    Raises:
        MendingError: If one of these files cannot be read.
    """
    folders = args.images or [None]
    # A single folder is that of all files.
    folders = [*folders, *[folders[0]] * len(args.apart_from)]
    if len(args.images or ()) > 1:
        folders = args.images
    others = [read_other(path) for path in args.apart_from]
    # With a format, boxes are taken to fit the images as they are now.
    given = args.unit != RESIZED and (args.boxes or args.unit)
    return Choices(
        folder=folders[0],
        box_format=get_format(args) if given else None,
        are_resized=args.unit == RESIZED,
        like=args.like and read_other(args.like),
        drop_others=args.drop_others,
        drop_unreadable=args.drop_unreadable,
        no_crowds=args.no_crowds,
        drop_many=args.drop_many,
        apart_from=list(map(locate_images, others, folders[1:])),
        known=known,
    )


def get_format(args: argparse.Namespace) -> BoxFormat:
    """Read what the options say that boxes are.

    Args:
        args: The arguments of the command line.

    Returns:
        The format; COCO's for options that are not given.
    """
    unit = 'pixel' if args.unit in (None, RESIZED) else args.unit
    return BoxFormat(args.boxes or 'xywh', unit)


def read_other(path: Path) -> CocoFile:
    """Read a COCO file that is not to be mended itself.

    Args:
        path: The path of the file.

    Returns:
        The file.

    Raises:
        MendingError: If it cannot be read.
    """
    file = read_file(path)
    if isinstance(file, CocoFile):
        return file
    raise MendingError(file.text)


def format_summary(files: Sequence[CocoFile], has_images: bool) -> str:
    """Say what was checked, for files without a problem.

    Args:
        files: The files, at least one.
        has_images: Whether the image files were checked.

    Returns:
        One line.
    """
    num_images = sum(len(file.images.entries) for file in files)
    num_annotations = sum(len(file.annotations.entries) for file in files)
    num_categories = len(files[0].categories.entries)
    counts = (
        f'{num_images:,} images, {num_annotations:,} annotations, '
        f'{num_categories} categories'
    )
    names = ', '.join(file.path for file in files)
    state = '' if has_images else ' (image files not checked: no --images)'
    return f'{names}: {counts}: nothing wrong{state}'


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Mend the file if that is asked for, check all files, and report."""
    args = parse_args()
    escape_output()
    known: dict[str, ImageFacts] = {}
    failure = ''
    if args.fix:
        try:
            write_mended(args, known)
        except MendingError as error:
            failure = f'error: {args.files[0]}: not mended: {error}'
        args.files = [args.fix if args.fix.exists() else args.files[0]]
        args.images = args.images and args.images[:1]
    read = [read_for_masks(path) for path in args.files]
    files = [file for file in read if isinstance(file, CocoFile)]
    unread = [problem for problem in read if isinstance(problem, Problem)]
    if (args.boxes or args.unit) and args.unit != RESIZED:
        files = [replace(file, has_known_boxes=True) for file in files]
    found = find_problems(files, args.images, known)
    of_masks = itertools.chain(*map(check_segmentations, files))
    every = itertools.chain(unread, found, of_masks)
    lines = format_problems(every, args.max_shown)
    print(*lines or [format_summary(files, bool(args.images))], sep='\n')
    for note in itertools.chain(*map(describe_objects, files)):
        print(f'note: {note}')
    # What was asked for is not done, also if nothing is wrong with the file.
    sys.exit(failure or bool(lines))


if __name__ == '__main__':
    main()
