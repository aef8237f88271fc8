"""Run a whole experiment with a detector of every family.

It takes an hour or two. Each family goes through `tools/init_experiment.py`
and `tools/distill.py` on 40 photographs of BCCD, with two iterations for each
training from scratch, and nobody changes a config by hand. The figures are in
docs/own_data.md.

Examples:
    python tools/campaigns/family_campaign.py
    python tools/campaigns/family_campaign.py --families RetinaNet YOLOX
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / 'tests'))

from builders import ROOT

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.files.atomic import write_json

COUNTS = dict(train=40, labeled=8, val=2)
# Short trainings and few views; `init_experiment.py` chooses the rest.
NUMBERS = [
    '--from-scratch',
    *('--batch-size', '2'),
    *('--iterations', '2'),
    *('--student-iterations', '2'),
    *('--scales', '1'),
]
MODELS = {'teacher', 'supervised_long', 'student', 'oracle'}
# A user's own module, which only `custom_imports` imports. Two iterations
# teach nothing, so the hook makes the scores high enough for pseudo labels.
OWN_MODULE = """
from mmdet.models import ResNet
from mmdet.registry import HOOKS, MODELS
from mmengine.hooks import Hook
from torch import Tensor


@MODELS.register_module()
class OwnResNet(ResNet):
    pass


@HOOKS.register_module()
class SureHook(Hook):
    def before_train(self, runner):
        for layer in runner.model.modules():
            # Heads begin with a score of 0.01, log-odds of -4.6.
            bias = getattr(layer, 'bias', None)
            if isinstance(bias, Tensor) and (bias < -2).all():
                bias.data.zero_()
                layer.weight.data.normal_()
"""
OWN_CONFIG = """
_base_ = 'mmdet::{base}.py'
{own}
imports = _base_.get('custom_imports', dict(imports=[]))['imports']
custom_imports = dict(imports=[*imports, 'own_module'])
custom_hooks = [*_base_.get('custom_hooks', []), dict(type='SureHook')]
"""


@dataclass(frozen=True)
class Family:
    """A detector, and the outcome that is expected of it.

    Args:
        base: The name of its config in MMDetection.
        own: The lines that a user's own config adds to this config.
        image_size: The value of `--image-size`; None for detectors that take
            images of one size only.
        refused: A part of the error with which `init_experiment.py` must
            refuse the detector; empty if it must work.
    """

    base: str
    own: str = ''
    image_size: int | None = 320
    refused: str = ''


FAMILIES = {
    'Faster R-CNN': Family('faster_rcnn/faster-rcnn_r50_fpn_1x_coco'),
    'Cascade R-CNN': Family('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco'),
    'Dynamic R-CNN': Family('dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco'),
    'Sparse R-CNN': Family('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco'),
    'RetinaNet': Family('retinanet/retinanet_r18_fpn_1x_coco'),
    'FCOS': Family('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco'),
    'ATSS': Family('atss/atss_r50_fpn_1x_coco'),
    'GFL': Family('gfl/gfl_r50_fpn_1x_coco'),
    'TOOD': Family('tood/tood_r50_fpn_1x_coco'),
    'VarifocalNet': Family('vfnet/vfnet_r50_fpn_1x_coco'),
    'PAA': Family('paa/paa_r50_fpn_1x_coco'),
    'YOLOF': Family('yolof/yolof_r50-c5_8xb8-1x_coco'),
    # It has mosaics and EMA, and a hook that switches the pipeline.
    # Without `exp` the boxes of an untrained detector have no size. Without
    # any label, the pipeline has no image for the student.
    'RTMDet': Family(
        'rtmdet/rtmdet_tiny_8xb32-300e_coco',
        own='model = dict(bbox_head=dict(exp_on_reg=True))',
    ),
    # It has mosaics by `MultiImageMixDataset`; a hook switches its mode.
    'YOLOX': Family('yolox/yolox_tiny_8xb8-300e_coco'),
    # It has a `RepeatDataset`.
    'YOLOv3': Family('yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco'),
    'SSD': Family('ssd/ssd300_coco', image_size=None),
    'SSDLite': Family(
        'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco', image_size=None
    ),
    # The `tta_pipeline` of its config makes the views.
    'CenterNet': Family(
        'centernet/centernet_r18_8xb16-crop512-140e_coco', image_size=None
    ),
    'DETR': Family('detr/detr_r18_8xb2-500e_coco'),
    'Deformable DETR': Family(
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco'
    ),
    # Its 900 queries need an image with 900 places.
    'DINO': Family('dino/dino-4scale_r50_8xb2-12e_coco', image_size=800),
    'Swin': Family('swin/retinanet_swin-t-p4-w7_fpn_1x_coco'),
    'PVT': Family('pvt/retinanet_pvtv2-b0_fpn_1x_coco'),
    'EfficientNet': Family(
        'efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco'
    ),
    'NAS-FPN': Family('nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco'),
    'RepeatDataset of ConcatDataset': Family(
        'pascal_voc/retinanet_r50_fpn_1x_voc0712'
    ),
    'by iterations': Family('retinanet/retinanet_r50_fpn_90k_coco'),
    'backbone of custom_imports': Family(
        'retinanet/retinanet_r18_fpn_1x_coco',
        own="model = dict(backbone=dict(type='OwnResNet'))",
    ),
    'Mask R-CNN': Family(
        'mask_rcnn/mask-rcnn_r50_fpn_1x_coco', refused='is trained on masks'
    ),
    # mmpretrain is not among the requirements.
    'ConvNeXt without mmpretrain': Family(
        'rtmdet/rtmdet_l_convnext_b_4xb32-100e_coco',
        refused="No module named 'mmpretrain'",
    ),
}


def main() -> None:
    """Run the families one after the other, and count those that work."""
    args = parse_args()
    data = write_data(args.work_dir, args.bccd)
    num_right = 0
    for name in args.families:
        folder = args.work_dir / name.replace(' ', '_')
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        begin = time.monotonic()
        verdict = run_family(FAMILIES[name], folder, data)
        num_right += verdict.startswith('ok')
        seconds = time.monotonic() - begin
        print(f'{name:31}{seconds:5.0f} s  {verdict}', flush=True)
    print(f'{num_right} of {len(args.families)} families')


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    parser.add_argument(
        '--families',
        nargs='+',
        choices=FAMILIES,
        default=list(FAMILIES),
        metavar='NAME',
        help=f'the families to run (default: all of {", ".join(FAMILIES)})',
    )
    parser.add_argument(
        '--bccd',
        type=Path,
        default=ROOT / 'data/bccd',
        metavar='DIR',
        help='the folder of BCCD (default: data/bccd)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=ROOT / 'work_dirs/family_campaign',
        metavar='DIR',
        help='the folder of the results (default: work_dirs/family_campaign)',
    )
    return parser.parse_args()


def write_data(work_dir: Path, bccd: Path) -> list[str]:
    """Write the COCO files of the campaign.

    Args:
        work_dir: The work folder of the campaign.
        bccd: The folder of the BCCD dataset.

    Returns:
        The options of init_experiment.py that name the files.

    Raises:
        OSError: If a file cannot be written.
    """
    folder = work_dir / 'data'
    shutil.rmtree(folder, ignore_errors=True)
    for part, source in dict(train='train', val='test').items():
        content = json.loads((bccd / f'annotations/{source}.json').read_text())
        write_json(folder / f'{part}.json', take_images(content, COUNTS[part]))
    (work_dir / 'own_module.py').write_text(OWN_MODULE)
    split = ('split_coco', folder / 'train.json', '--keep-classes')
    code = run_tool(
        work_dir / 'split.txt', *split, '--count', COUNTS['labeled']
    )
    if code:
        sys.exit(read_last_line(work_dir / 'split.txt'))
    options = []
    for part in ('labeled', 'val', 'unlabeled'):
        options += [f'--{part}', str(folder / f'{part}.json')]
        options += [f'--{part}-images', str(bccd / 'images')]
    truth = str(folder / 'unlabeled_truth.json')
    return [*options, '--unlabeled-truth', truth]


def take_images(content: dict, count: int) -> dict:
    """Take the first images of a COCO file with their annotations.

    Args:
        content: The content of the file; it is not changed.
        count: The number of images; all if there are fewer.

    Returns:
        A new object.
    """
    images = content['images'][:count]
    ids = {image['id'] for image in images}
    annotations = [a for a in content['annotations'] if a['image_id'] in ids]
    return dict(content, images=images, annotations=annotations)


def run_family(family: Family, folder: Path, data: Sequence[str]) -> str:
    """Run a family.

    Args:
        family: The family.
        folder: The folder of its results.
        data: The options that name the data.

    Returns:
        `ok ...`, or where it failed and with which error.

    Raises:
        OSError: If a file in the folder cannot be written.
    """
    log = folder / 'init_experiment.txt'
    detector = folder / 'own_detector.py'
    detector.write_text(OWN_CONFIG.format(base=family.base, own=family.own))
    options = [*data, *NUMBERS]
    if family.image_size:
        options += ['--image-size', str(family.image_size)]
    tool = ('init_experiment', folder / 'cells', '--detector', detector)
    code = run_tool(log, *tool, *options)
    if family.refused:
        is_right = code and family.refused in read_last_line(log)
        return f'{"ok" if is_right else "FAILED"}, {read_last_line(log)}'
    if code:
        return f'FAILED init_experiment: {read_last_line(log)}'
    return run_stages(folder)


def run_stages(folder: Path) -> str:
    """Run all stages of a family.

    Args:
        folder: The folder of the family's results.

    Returns:
        `ok ...`, or where it failed and with which error.

    Raises:
        OSError: If the file of the output cannot be written.
    """
    log, work_dir = folder / 'distill.txt', folder / 'work_dir'
    tool = ('distill', folder / 'cells', '--work-dir', work_dir)
    if run_tool(log, *tool, '--control', '--oracle'):
        return f'FAILED {find_error(log)}'
    summary = json.loads((work_dir / 'summary.json').read_text())
    if missing := MODELS - summary.keys():
        return f'FAILED: no {missing} in the table'
    labels = summary['pseudo_labels']
    if labels['images'] != COUNTS['train'] - COUNTS['labeled']:
        return f'FAILED: {labels["images"]} images annotated'
    return f'ok, {labels["instances"]} pseudo labels'


def run_tool(log: Path, tool: str, *arguments: object) -> int:
    """Run a tool as a user does, with its output in a file.

    Args:
        log: The file for the output; what it held is replaced.
        tool: The name of the tool, without suffix.
        *arguments: The arguments of the tool.

    Returns:
        The exit code.

    Raises:
        OSError: If the file of the output cannot be written.
    """
    command = [sys.executable, ROOT / f'tools/{tool}.py', *arguments]
    # The user's own module is there.
    environment = dict(os.environ, PYTHONPATH=str(log.parents[1]))
    with log.open('w') as output:
        return subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        ).returncode


def read_last_line(log: Path) -> str:
    """Find the last line that is not empty.

    Args:
        log: The file with the output.

    Returns:
        The line; `no output` if there is none.
    """
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return lines[-1] if lines else 'no output'


def find_error(log: Path) -> str:
    """Find the first error of the last stage; the others follow from it.

    Args:
        log: The file with the output of distill.py.

    Returns:
        The stage and the error; without an error, the last line.
    """
    *_, stage = log.read_text().split('\n$ ')
    lines = stage.splitlines()
    errors = [x for x in lines if 'Error: ' in x or 'Exception: ' in x]
    error = errors[0] if errors else read_last_line(log)
    return f'{stage.split(" --work-dir")[0]}: {error}'


if __name__ == '__main__':
    main()
