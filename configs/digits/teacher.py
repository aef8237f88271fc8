"""Teacher of the digits example: the labeled images only (paper, section 3).

The detector and its schedule are decided here; the other stages inherit them.

Command: python tools/train.py configs/digits/teacher.py
Time: 1 to 1.5 min on one core.
Expected: bbox mAP on val 0.49 (seed 0), the lower bound of the comparison.
"""

_base_ = [
    '../_base_/datasets/digits.py',
    '../_base_/models/gfl_r18_tiny.py',
    '../_base_/schedules/digits.py',
    '../_base_/default_runtime.py',
]
