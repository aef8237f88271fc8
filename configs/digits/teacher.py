"""Teacher of the digits example, on the labeled images only.

The detector and its schedule are decided here. The other stages inherit them.

Paper: section 3, step 1.
Command: python tools/train.py configs/digits/teacher.py
Time: 1 min on two cores.
Result: 54.7 mAP on val (seed 0), the lower bound.
"""

_base_ = [
    '../_base_/datasets/digits.py',
    '../_base_/models/gfl_r18_tiny.py',
    '../_base_/schedules/from_scratch_600.py',
    '../_base_/default_runtime.py',
]

# A fifth less time on one core, as docs/benchmarks.md has it.
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
