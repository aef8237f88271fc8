r"""Choose the unlabeled images whose labels would bring the most.

Writes a COCO file with these images and their pseudo labels to correct, a list
and a page with the reasons. docs/review.md explains the choice.

Example:
    python tools/next_images.py work_dirs/digits --count 20
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.registry import init_default_scope

from projects.data_distillation.command_line import (
    add_custom_imports,
    ending_at_os_errors,
    import_own_modules,
    make_parser,
)
from projects.data_distillation.files.sealed import check_unchanged
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.report.next_images import (
    Proposal,
    propose_images,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('work_dir', type=Path, help='the work folder of an experiment')
    add(
        '--count',
        type=int,
        default=20,
        metavar='N',
        help='the number of images (default: 20)',
    )
    add(
        '--out',
        type=Path,
        metavar='DIR',
        help='the folder to write to (default: WORK_DIR/review)',
    )
    add_custom_imports(parser)
    return parser.parse_args()


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Choose, write, and say what was written."""
    args = parse_args()
    import_own_modules(args.custom_imports)
    init_default_scope('mmdet')
    out = args.out or args.work_dir / 'review'
    try:
        check_unchanged(Proposal.list_files(out)[0])
        proposal = propose_images(args.work_dir, args.count)
        files = proposal.write(out)
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f'error: {error}')
    for note in proposal.notes:
        print(note)
    for file in files:
        print(file)


if __name__ == '__main__':
    main()
