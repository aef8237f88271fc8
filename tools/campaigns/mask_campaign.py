"""Train students with masks on nuclei: teacher, control, student and oracle.

12 of the 260 images are labeled. A tiny Mask R-CNN is trained from scratch at
256 pixels; the rest is as `init_experiment.py` writes it. The oracle is
trained on all 260 images, which are the same for each split, so split 0 alone
has one. It takes about 105 minutes a split on an idle core, and goes on where
it was stopped. The figures are in docs/results.md.

Example:
    python tools/campaigns/mask_campaign.py --data data --names nuclei
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from label_campaign import ROOT, Split, call, run_all
from student_campaign import MODELS

NUM_LABELED = 12
OPTIONS = '--image-size', 256, '--batch-size', 2
# Nuclei have no upright position, and 25 of them are in an image: hence the
# flips of the blood cells, and twice the proposals of the digits. The median
# nucleus has 13 pixels.
DETECTOR = """
_base_ = [
    {base!r} + '/datasets/bccd_256x192.py',
    {base!r} + '/models/mask-rcnn_r18_tiny.py',
    {base!r} + '/schedules/from_scratch_1200.py',
    {base!r} + '/default_runtime.py',
]
load_masks = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_pipeline = [
    _base_.load,
    load_masks,
    dict(_base_.random_resize, scale=(256, 256)),
    *_base_.train_pipeline[3:],
]
test_pipeline = [
    _base_.load, dict(_base_.resize, scale=(256, 256)), _base_.pack_for_test
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
proposals = dict(nms_pre=200, max_per_img=100)
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[3], ratios=[0.5, 1.0, 2.0])),
    roi_head=dict(
        bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)
    ),
    train_cfg=dict(
        rpn_proposal=proposals, rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=proposals),
)
"""


class MaskSplit(Split):
    """A split of a dataset with masks."""

    def prepare(self) -> None:
        """Split the data and write the experiment, unless that was done.

        Raises:
            OSError: If a file in the folder of the split cannot be written.
        """
        self.split_data(NUM_LABELED)
        detector = self.folder / 'detector.py'
        base = str(ROOT / 'configs/_base_')
        detector.write_text(DETECTOR.format(base=base))
        self.write_experiment(detector, *OPTIONS)


def measure(split: Split) -> None:
    """Run an experiment, and print its row of the table.

    Args:
        split: The dataset and the split.
    """
    split = MaskSplit(**vars(split))
    split.prepare()
    work_dir = split.folder / 'distilled'
    call(
        'distill.py', split.folder / 'experiment',
        '--control', *(['--oracle'] if split.split == 0 else []),
        '--seed', 0, '--work-dir', work_dir,
    )  # fmt: skip
    summary = json.loads((work_dir / 'summary.json').read_bytes())
    print(format_row(split.split, summary))


def format_row(split: int, summary: dict) -> str:
    """Format a row of the table of docs/results.md.

    Args:
        split: The number of the split.
        summary: The summary that distill.py wrote.

    Returns:
        The row, in Markdown: box and mask mAP of each model.
    """
    cells = [str(split)]
    for model in MODELS:
        measured = summary.get(model, {})
        found = [
            f'{100 * measured[metric]:.1f}'
            for metric in ('bbox_mAP', 'segm_mAP')
            if metric in measured
        ]
        cells.append(' / '.join(found) or '-')
    return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
    run_all(measure, __doc__)
