r"""Measure what our parts add to an iteration of a training.

The student of an experiment and the same training with MMDetection's sampler,
dataset and hooks take turns in one run. Compare the ratios of their times.

Example:
    python tools/benchmark_training.py configs/digits/student.py --turns 10
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config, DictAction

from projects.data_distillation.benchmarks.training_cost import (
    compare_training,
)
from projects.data_distillation.command_line import (
    add_own_modules,
    ending_at_os_errors,
    make_parser,
)
from projects.data_distillation.quiet import quiet_screen


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('config', help='the student.py of an experiment')
    add(
        '--turns',
        type=int,
        default=10,
        metavar='N',
        help='the number of turns of each training, at least 2 (default: 10)',
    )
    add(
        '--iterations',
        type=int,
        default=10,
        metavar='N',
        help='the number of iterations in a turn (default: 10)',
    )
    add(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='changes of the config',
    )
    args = parser.parse_args()
    if args.turns < 2:
        parser.error(f'--turns must be at least 2, got {args.turns}')
    return args


@quiet_screen()
@ending_at_os_errors()
def main() -> None:
    """Run the benchmark, and print its figures."""
    args = parse_args()
    add_own_modules()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    with tempfile.TemporaryDirectory() as work_dir:
        report = compare_training(
            cfg, Path(work_dir), args.turns, args.iterations
        )
    print(f'{report["seconds"]:.3f} s an iteration')
    for name in ('wall', 'cpu'):
        ratios = report[name]
        # A single turn of a busy machine may be far off, so no mean.
        quarters = statistics.quantiles(ratios, n=4)
        print(
            f'{name} time, ours / stock: median '
            f'{statistics.median(ratios):.3f}, half of the turns from '
            f'{quarters[0]:.3f} to {quarters[2]:.3f}'
        )
    print(describe_rest(report))


def describe_rest(report: dict) -> str:
    """Say what an iteration spends outside of the model.

    The model is the same in both, so its noise hides nothing here.

    Args:
        report: What `compare_training` returns.

    Returns:
        A line with the means, their difference, and its standard error.
    """
    added = [
        one - other
        for one, other in zip(report['ours'], report['stock'], strict=True)
    ]
    error = statistics.stdev(added) / len(added) ** 0.5
    return (
        'loading and hooks: '
        f'{1000 * statistics.fmean(report["ours"]):.2f} ms, stock '
        f'{1000 * statistics.fmean(report["stock"]):.2f} ms; ours add '
        f'{statistics.fmean(added) / report["seconds"]:.2%} of an iteration '
        f'(standard error {error / report["seconds"]:.2%})'
    )


if __name__ == '__main__':
    main()
