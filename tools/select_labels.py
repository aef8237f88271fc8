r"""Select pseudo labels again from stored detections, without a GPU.

Writes a COCO file, prints a table, and warns of what looks wrong.
docs/selection.md explains the methods.

Example:
    python tools/select_labels.py work_dirs/digits/annotate/detections \
        --labeled data/digits/annotations/labeled.json \
        --out work_dirs/digits/precise.json --method fixed --min-score 0.9
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from projects.data_distillation.api import list_rule_files
from projects.data_distillation.command_line import (
    add_custom_imports,
    check_not_read,
    ending_at_os_errors,
    import_own_modules,
    make_parser,
)
from projects.data_distillation.pseudo_labels.detections.shard_files import (
    list_shards,
)
from projects.data_distillation.pseudo_labels.selection.export import (
    read_rules,
    select_labels,
)
from projects.data_distillation.pseudo_labels.selection.rule_options import (
    add_options,
    find_given,
    make_rules,
)
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.report.page import write_selection_report
from projects.data_distillation.report.shown_labels import LabelSource


def parse_args() -> argparse.Namespace:
    """Read the command line; options that are not given are left out.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    # An option with its default looks like one that was given, and --like goes
    # with none that was.
    parser = make_parser(__doc__, argument_default=argparse.SUPPRESS)
    add_files(parser)
    add_custom_imports(parser)
    add_rules(parser.add_argument_group('rules'))
    args = parser.parse_args()
    try:
        args.rules = choose_rules(args)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    return args


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name files.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add('detections', type=Path, help='the folder of detections/*.parquet')
    add(
        '--labeled',
        required=True,
        metavar='ANN',
        help='the COCO file of the labeled images',
    )
    add(
        '--out',
        type=Path,
        required=True,
        metavar='ANN',
        help='the COCO file to write',
    )
    add(
        '--images',
        type=Path,
        default=None,
        metavar='ANN',
        help='select only on the images of this COCO file (default: on all '
        'images that have detections)',
    )
    add(
        '--report',
        type=Path,
        default=None,
        metavar='FILE.html',
        help='also write a page that shows the labels (docs/report.md)',
    )


def add_rules(group: argparse._ArgumentGroup) -> None:
    """Add the options that choose the labels.

    Args:
        group: The group of options to add to; it is changed in place.
    """
    group.add_argument(
        '--like',
        type=Path,
        metavar='ANN',
        help='select by the rules of these pseudo labels; goes with none of '
        'the options below',
    )
    add_options(group)


def choose_rules(args: argparse.Namespace) -> dict:
    """Make the arguments of `SelectionRules`.

    Args:
        args: The arguments of the command line.

    Returns:
        Keyword arguments.

    Raises:
        FileNotFoundError: If the file of `--like` does not exist.
        ValueError: If options do not go together, or one is missing.
    """
    if 'like' not in args:
        return make_rules(args)
    if given := find_given(args):
        raise ValueError(f'--like goes with no other rule, got {given}')
    return read_rules(args.like)


def list_read(args: argparse.Namespace) -> list[str | Path | None]:
    """List the files that the selection reads.

    Args:
        args: The arguments of the command line.

    Returns:
        Paths; None for options that are not given.
    """
    return [
        args.labeled,
        args.images,
        getattr(args, 'like', None),
        *list_rule_files(args.rules),
        *list_shards(args.detections),
    ]


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Select, and write the labels and the page."""
    args = parse_args()
    import_own_modules(args.custom_imports)
    files = args.detections, args.labeled
    try:
        check_not_read((args.out, args.report), list_read(args))
        print(select_labels(*files, args.rules, args.out, args.images))
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f'error: {error}')
    # After the labels, which are worth having even if the page fails.
    if args.report:
        source = LabelSource(
            args.detections, args.out, args.labeled, images=args.images
        )
        write_selection_report(args.report, source)
        print(f'report: {args.report}')


if __name__ == '__main__':
    main()
