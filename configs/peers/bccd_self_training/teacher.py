"""The teacher of plain self-training on BCCD, which is that of configs/bccd.

Paper: none; STAC is arXiv 2005.04757.
Command: python tools/distill.py configs/peers/bccd_self_training
Time: 5 min on one core of a Xeon.
Result: 29.8 mAP on the 72 validation images (seed 0).
"""

_base_ = '../../bccd/teacher.py'
