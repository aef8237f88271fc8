r"""Measure the speed of annotation beside MMDetection's own TTA.

Our annotation, MMDetection's `DetTTAModel` on the same views, and the bare
forward passes take turns in one run, so that all of them meet the same load.
Compare the ratios of their times, not the times themselves. If the config
keeps masks, which MMDetection's TTA cannot, the same annotation without masks
takes its place.

Example:
    python tools/benchmark_annotation.py configs/bccd_gfl/annotate.py \
        TEACHER.pth --images 24 --mode exact fast
"""

import argparse
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from mmengine.config import Config, DictAction

from projects.data_distillation.arguments import check_at_least_1
from projects.data_distillation.benchmarks.annotation import Comparison
from projects.data_distillation.benchmarks.annotation_report import (
    format_report,
)
from projects.data_distillation.command_line import (
    add_own_modules,
    add_trust,
    check_not_read,
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.multi_view.inference.acceleration import MODES
from projects.data_distillation.multi_view.inference.safe_loading import (
    refusing_code,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('config', help='an annotate.py whose views are scales and flips')
    add('checkpoint', help='the checkpoint of the teacher')
    add(
        '--images',
        type=int,
        default=24,
        metavar='N',
        help='the number of images to annotate (default: 24)',
    )
    add(
        '--images-per-turn',
        type=int,
        default=4,
        metavar='N',
        help='the number of images before the next one has its turn '
        '(default: 4)',
    )
    add(
        '--mode',
        nargs='+',
        choices=MODES,
        default=list(MODES),
        help='the modes of MultiViewTTA to measure (default: all)',
    )
    add('--out', type=Path, metavar='FILE', help='the JSON file to write')
    add(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='changes of the config',
    )
    add_trust(parser)
    return check_args(parser, parser.parse_args())


def check_args(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> argparse.Namespace:
    """Check the numbers, and that the output replaces no file that is read.

    Args:
        parser: It ends the process with exit code 2 if something is wrong.
        args: The arguments.

    Returns:
        The same arguments.
    """
    try:
        check_at_least_1('--images', args.images)
        check_at_least_1('--images-per-turn', args.images_per_turn)
        check_not_read([args.out], [args.config, args.checkpoint])
    except ValueError as error:
        parser.error(str(error))
    return args


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Run the benchmark, and print its table."""
    args = parse_args()
    add_own_modules()
    try:
        report = measure(args)
    except ValueError as error:
        sys.exit(f'error: {error}')
    # First the table: a file that cannot be written must not cost the figures.
    print(format_report(report))
    if args.out:
        write_json(args.out, report)


def measure(args: argparse.Namespace) -> dict:
    """Run the benchmark.

    Args:
        args: The arguments of the command line.

    Returns:
        What `Comparison.run` returns, and the `machine`.

    Raises:
        ValueError, OSError: See `Comparison`.
        Exception: Whatever else the config or the detector raises.
    """
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    trusted = args.trust_checkpoint
    with refusing_code(trusted), tempfile.TemporaryDirectory() as work_dir:
        comparison = Comparison(
            cfg, args.checkpoint, args.mode, Path(work_dir)
        )
        report = comparison.run(args.images, args.images_per_turn)
    return dict(report, machine=describe_machine())


def describe_machine() -> dict:
    """Describe what the figures were measured on.

    Returns:
        The device, the number of threads, and the version of torch.
    """
    has_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if has_gpu else platform.machine()
    return dict(
        device=device,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )


if __name__ == '__main__':
    main()
