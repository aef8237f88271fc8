"""Teacher"""

_base_ = [
    '../_base_/datasets/digits.py',
    '../_base_/models/gfl_r18_tiny.py',
    '../_base_/schedules/digits.py',
    '../_base_/default_runtime.py',
]
