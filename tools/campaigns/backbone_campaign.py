"""Measure what another runtime would save of a detector's backbone and neck.

In turns: the detector as it is loaded, as annotation prepares it, with a
compiled backbone, and OpenVINO (`pip install openvino`; without it, its row is
left out). A whole pass of the prepared detector tells which share the backbone
and the neck are. The figures are in docs/benchmarks.md.

Example:
    OMP_NUM_THREADS=1 python tools/campaigns/backbone_campaign.py \
        configs/digits/teacher.py TEACHER.pth --size 128 128 --batch-size 8
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from projects.data_distillation.multi_view.inference.acceleration import (
    prepare_detector,
)


class Features(nn.Module):
    """The backbone and the neck of a detector, which OpenVINO can convert.

    Args:
        detector: The detector.
    """

    def __init__(self, detector: BaseDetector) -> None:
        super().__init__()
        self.backbone, self.neck = detector.backbone, detector.neck

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the features.

        Args:
            images: Shape (n, 3, h, w), normalized.

        Returns:
            The features of each level, (n, c, h', w').
        """
        return tuple(self.neck(self.backbone(images)))


def load_detector(args: argparse.Namespace) -> BaseDetector:
    """Load the detector.

    Args:
        args: The arguments of the command line.

    Returns:
        The detector in evaluation mode.
    """
    init_default_scope('mmdet')
    detector = MODELS.build(Config.fromfile(args.config).model).eval()
    load_checkpoint(detector, args.checkpoint, 'cpu', strict=True)
    return detector


def make_openvino(features: nn.Module, images: Tensor) -> Callable:
    """Convert backbone and neck for OpenVINO, on one thread, in fp32.

    Args:
        features: Backbone and neck.
        images: The images of the benchmark, whose shape it gets.

    Returns:
        A function without arguments that computes the features.

    Raises:
        ImportError: If OpenVINO is not installed.
    """
    import openvino

    converted = openvino.convert_model(
        features, example_input=images, input=[list(images.shape)]
    )
    settings = dict(
        INFERENCE_NUM_THREADS=torch.get_num_threads(),
        # Its default on CPUs with AMX is bf16.
        INFERENCE_PRECISION_HINT='f32',
        PERFORMANCE_HINT='LATENCY',
    )
    compiled = openvino.Core().compile_model(converted, 'CPU', settings)
    request, inputs = compiled.create_infer_request(), {0: images.numpy()}

    def run() -> list[Tensor]:
        """Compute the features, as tensors of their own."""
        found = request.infer(inputs, share_inputs=True)
        return [torch.from_numpy(value.copy()) for value in found.values()]

    return run


def make_contenders(
    args: argparse.Namespace, images: Tensor
) -> dict[str, Callable]:
    """Make what is measured.

    Args:
        args: The arguments of the command line.
        images: Shape (n, 3, h, w), normalized.

    Returns:
        Name -> a function without arguments; the first four compute the
        features of the images, the last one a whole pass.
    """
    loaded, exact, compiled = (load_detector(args) for _ in range(3))
    prepare_detector(exact, 'exact', compiled=False)
    prepare_detector(compiled, 'exact', compiled=True)
    contenders = {
        'as loaded': lambda: loaded.extract_feat(images),
        'ours, exact mode': lambda: exact.extract_feat(images),
        'ours, with compile_backbone': lambda: compiled.extract_feat(images),
    }
    try:
        contenders['OpenVINO'] = make_openvino(Features(loaded), images)
    except ImportError as error:
        print(f'OpenVINO is left out: {error}')
    size = args.size[::-1]
    data = dict(ori_shape=size, img_shape=size, scale_factor=(1.0, 1.0))
    noise = [torch.randint(256, image.shape).byte() for image in images]
    contenders['a pass, exact mode'] = lambda: exact.test_step(
        dict(
            inputs=noise,
            data_samples=[DetDataSample(metainfo=data) for _ in noise],
        )
    )
    return contenders


def measure(
    contenders: Mapping[str, Callable], num_turns: int
) -> dict[str, float]:
    """Measure in turns.

    Args:
        contenders: Name -> a function without arguments.
        num_turns: How often each is measured, after two runs that are not.

    Returns:
        Name -> the median of the wall times in milliseconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(num_turns + 2):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {n: 1000 * statistics.median(all) for n, all in seconds.items()}


def main() -> None:
    """Print the table and the share of backbone and neck in a pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('config', help='the config of the teacher')
    add('checkpoint', help='its weights')
    add('--size', type=int, nargs=2, required=True, metavar=('W', 'H'))
    add('--batch-size', type=int, default=8)
    add('--turns', type=int, default=20)
    args = parser.parse_args()
    images = torch.randn(args.batch_size, 3, *args.size[::-1])
    with torch.no_grad():
        medians = measure(make_contenders(args, images), args.turns)
    for name, milliseconds in medians.items():
        print(f'| {name} | {milliseconds:.1f} ms |')
    share = medians['ours, exact mode'] / medians['a pass, exact mode']
    print(f'share of backbone and neck in a pass: {share:.0%}')


if __name__ == '__main__':
    main()
