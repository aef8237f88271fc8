"""Measure the speed of annotation, beside MMDetection's own TTA.

Our annotation, MMDetection's `DetTTAModel` on the same views, and the bare
forward passes take turns in one run: compare their ratios, not their times.

Example:
    python tools/benchmark_annotation.py configs/bccd_gfl/annotate.py \
        TEACHER.pth --images 24 --mode exact fast
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from mmengine.config import Config, DictAction

from projects.data_distillation.benchmarks.annotation import (
    Comparison,
    format_report,
)
from projects.data_distillation.inference.acceleration import MODES
from projects.data_distillation.inference.safe_loading import refusing_code


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='annotate config, views: scales, flips')
    parser.add_argument('checkpoint', help="the teacher's")
    parser.add_argument('--images', type=int, default=24, help='default: 24')
    parser.add_argument(
        '--images-per-turn', type=int, default=4, help='default: 4'
    )
    parser.add_argument(
        '--mode', nargs='+', choices=MODES, default=list(MODES)
    )
    parser.add_argument('--out', type=Path, help='JSON file to write')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    with refusing_code(), tempfile.TemporaryDirectory() as work_dir:
        comparison = Comparison(
            cfg, args.checkpoint, args.mode, Path(work_dir)
        )
        report = comparison.run(args.images, args.images_per_turn)
    report['machine'] = machine()
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')
    print(format_report(report))


def machine() -> dict:
    """Say what the figures were measured on."""
    has_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if has_gpu else platform.machine()
    return dict(
        device=device,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )


if __name__ == '__main__':
    main()
