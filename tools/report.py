"""Write `report.html`, the page that shows what an experiment did.

`tools/distill.py` ends with it; this makes it again, also while the experiment
still runs or after it has failed. See docs/report.md.

Example:
    python tools/report.py configs/digits
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config, DictAction

from projects.data_distillation.mmdet_tools import default_work_dir
from projects.data_distillation.report.page import write_report


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('experiment', type=Path, help='folder of teacher.py, annotate.py, ...')
    add(
        '--work-dir',
        type=Path,
        help='default: work_dirs/ and its path below configs/',
    )
    add(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='as tools/distill.py was given them',
    )
    return parser.parse_args()


def main() -> None:
    """Write the page and name it."""
    args = parse_args()
    work_dir = args.work_dir or default_work_dir(args.experiment)
    try:
        annotate = Config.fromfile(args.experiment / 'annotate.py')
        annotate.merge_from_dict(args.cfg_options)
        print(f'report: {write_report(annotate, work_dir)}')
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
