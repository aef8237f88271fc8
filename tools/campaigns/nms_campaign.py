"""Measure the share of an annotation that NMS within each view takes.

The detector's own NMS (mmcv's `nms`) is timed in the bare forward passes, and
the annotation takes turns with them. The figures are in docs/benchmarks.md.

Example:
    OMP_NUM_THREADS=1 python tools/campaigns/nms_campaign.py \
        configs/digits/annotate.py TEACHER.pth --images 80
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmengine.config import Config

from projects.data_distillation.benchmarks.annotation import Comparison
from projects.data_distillation.benchmarks.stopwatch import Stopwatch
from projects.data_distillation.quiet import quiet_screen


def measure(
    comparison: Comparison, num_images: int, images_per_turn: int
) -> tuple[float, float, float]:
    """Measure in turns, after a first image that does not count.

    Args:
        comparison: The comparison, in the exact mode.
        num_images: The number of images to annotate.
        images_per_turn: The number of images in a turn.

    Returns:
        The seconds of NMS within the views, of the bare passes, and of the
        annotation.
    """
    # `mmcv.ops.nms` is the function, since its package takes it from the
    # module.
    module = importlib.import_module('mmcv.ops.nms')
    nms = Stopwatch(module.nms)
    ours = comparison.contenders['exact']
    bare = comparison.contenders['bare exact']
    ours.take_turn([0])
    ours.seconds.clear()
    for start in range(0, num_images, images_per_turn):
        indices = range(start, min(start + images_per_turn, num_images))
        ours.take_turn(indices)
        with mock.patch.object(module, 'nms', nms):
            bare.take_turn(indices)
    return nms.seconds, sum(bare.seconds), sum(ours.seconds)


@quiet_screen()
def main() -> None:
    """Print the share of NMS, and what can be gained without it."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('config', help='an annotate.py whose views are scales and flips')
    add('checkpoint', help='the checkpoint of the teacher')
    add('--images', type=int, default=80, metavar='N')
    add('--images-per-turn', type=int, default=8, metavar='N')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work_dir:
        comparison = Comparison(
            Config.fromfile(args.config),
            args.checkpoint,
            ['exact'],
            Path(work_dir),
        )
        num_images = min(args.images, len(comparison.dataset))
        nms, bare, ours = measure(comparison, num_images, args.images_per_turn)
    print(f'{num_images} images, bare passes / annotation: {bare / ours:.3f}')
    print(f'NMS within views: {nms / ours:.1%} of the annotation')
    print(f'without any, it would be {ours / (ours - nms):.3f} times as fast')


if __name__ == '__main__':
    main()
