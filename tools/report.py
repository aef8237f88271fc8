"""Write `report.html`, the page that shows what an experiment did.

`tools/distill.py` writes it at its end. This tool writes it again, also while
the experiment runs or after it has failed. See docs/report.md.

Example:
    python tools/report.py configs/digits
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.base_configs.stage_config import (
    read_stage_config,
)
from projects.data_distillation.command_line import (
    add_experiment,
    add_own_modules,
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.experiment.stages.stage_options import (
    change_config,
)
from projects.data_distillation.mmdet_tools import name_work_dir
from projects.data_distillation.quiet import quiet_screen
from projects.data_distillation.report.page import write_report


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add_experiment(parser)
    parser.add_argument(
        '--cfg-options',
        action='extend',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='the same changes of the configs that tools/distill.py was given',
    )
    return parser.parse_args()


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Write the page, and print where it is."""
    args = parse_args()
    add_own_modules()
    work_dir = args.work_dir or name_work_dir(args.experiment)
    try:
        file = args.experiment / 'annotate.py'
        annotate = read_stage_config(file)
        change_config(annotate, args.cfg_options, str(file))
        print(f'report: {write_report(annotate, work_dir)}')
    except (ValueError, ImportError, KeyError, TypeError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
