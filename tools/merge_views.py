r"""Merge the boxes of views again, by other rules and without a GPU.

The annotation must have been made with `model.keep_views=True`. The result is
that of an annotation with these views and this merger. docs/annotation.md
describes both.

Example:
    python tools/merge_views.py work_dirs/digits/annotate/detections \
        work_dirs/digits/merged --views 0 1 --merger type=WBFMerger
    python tools/select_labels.py work_dirs/digits/merged \
        --labeled data/digits/annotations/labeled.json \
        --out work_dirs/digits/merged.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction

from projects.data_distillation.command_line import (
    add_custom_imports,
    ending_at_os_errors,
    import_own_modules,
    make_parser,
)
from projects.data_distillation.pseudo_labels.annotation.merging_again import (
    merge_again,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
)
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.text import format_call


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('detections', type=Path, help='the folder of detections/*.parquet')
    add('out', type=Path, nargs='?', help='the folder to write to')
    add(
        '--views',
        type=int,
        nargs='+',
        metavar='N',
        help='the numbers of the views to merge (default: all)',
    )
    add(
        '--merger',
        action=DictAction,
        nargs='+',
        metavar='KEY=VALUE',
        help='the config of the merger, such as type=WBFMerger '
        'iou_threshold=0.6 (default: as in the annotation)',
    )
    add(
        '--boxes-only',
        action='store_true',
        help='leave out the masks of the detections, which cannot be merged '
        'again',
    )
    add(
        '--list', action='store_true', help='print the views and their numbers'
    )
    add_custom_imports(parser)
    args = parser.parse_args()
    # Exactly one of the two.
    if args.list == bool(args.out):
        parser.error('either OUT or --list must be given')
    return args


def list_views(detections: Path) -> str:
    """List the views of a store.

    Args:
        detections: The folder of the store.

    Returns:
        A line for each view, with its number from 0 and its transforms.

    Raises:
        StoreError: If the store has no detections.
    """
    made_by = DetectionStore(detections).require_provenance()
    views = made_by['views']
    if views is None:
        return 'the pipeline made the views, see `TestTimeAug` in annotate.py'
    return '\n'.join(
        f'{number:3} {format_view(view)}' for number, view in enumerate(views)
    )


def format_view(view: list[dict]) -> str:
    """Write the transforms of a view.

    Args:
        view: The configs of the transforms.

    Returns:
        One line.
    """
    return ' + '.join(map(format_call, view)) or 'the image itself'


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Merge, or list the views."""
    args = parse_args()
    import_own_modules(args.custom_imports)
    try:
        if args.list:
            print(list_views(args.detections))
            return
        files = args.detections, args.out
        store = merge_again(*files, args.merger, args.views, args.boxes_only)
        print(f'{len(store.list_images()):,} images are in {store.folder}')
    # MMEngine raises KeyError for a merger that is not registered, and
    # TypeError for an argument that it does not have.
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
