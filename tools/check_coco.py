"""Find the problems of COCO files that would ruin a run later.

Give all files of an experiment together: then the tool also checks that their
categories agree and that no image is in two of them. The exit code is 1 if
there is a problem. docs/checking.md lists the problems.

Examples:
    python tools/check_coco.py labeled.json val.json --images images/
    python tools/check_coco.py labeled.json --fix labeled_fixed.json
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.coco.image_checks import find_problems
from projects.data_distillation.coco.problems import (
    Problem,
    format_problems,
)
from projects.data_distillation.coco.repair import repair
from projects.data_distillation.coco.tables import CocoFile, read_file
from projects.data_distillation.command_line import escape_output, make_parser
from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line."""
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
    args = parser.parse_args()
    check_args(parser, args)
    return args


def check_args(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """End with an error if the arguments do not fit each other."""
    num_files, num_folders = len(args.files), len(args.images or ())
    if num_folders not in (0, 1, num_files):
        parser.error(
            f'--images takes one folder for all files or one for each of the '
            f'{num_files}, got {num_folders}'
        )
    for folder in args.images or ():
        if not folder.is_dir():
            parser.error(f'--images: there is no folder {folder}')
    if args.fix and num_files > 1:
        parser.error(f'--fix takes one FILE, got {num_files}: fix each alone')
    if args.fix and args.fix.exists():
        parser.error(f'--fix: {args.fix} exists already, delete it first')


def write_repaired(path: Path, out: Path) -> None:
    """Write the mended file and print what was done.

    Nothing is written or printed for a file that cannot be read.
    """
    file = read_file(path, polygons=True)
    if not isinstance(file, CocoFile):
        return
    content, counts = repair(file)
    write_json(out, content)
    done = ', '.join(f'{n} {what}' for what, n in counts.items() if n)
    print(f'{path} -> {out}: {done or "nothing to mend"}')


def format_summary(files: Sequence[CocoFile], has_images: bool) -> str:
    """Return what was checked, for files without a problem."""
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
def main() -> None:
    """Mend the file if that is asked for, check all files, and report."""
    args = parse_args()
    escape_output()
    if args.fix:
        write_repaired(args.files[0], args.fix)
        args.files = [args.fix if args.fix.exists() else args.files[0]]
    read = [read_file(path) for path in args.files]
    files = [file for file in read if isinstance(file, CocoFile)]
    unread = [problem for problem in read if isinstance(problem, Problem)]
    problems = itertools.chain(unread, find_problems(files, args.images))
    lines = format_problems(problems, args.max_shown)
    print(*lines or [format_summary(files, bool(args.images))], sep='\n')
    sys.exit(bool(lines))


if __name__ == '__main__':
    main()
