"""Train a detector: MMDetection's `tools/train.py`, with all its flags.

It also finds this repository's packages, trains distributed on CPUs, and gives
each stage of each experiment a work folder of its own.
Example: `python tools/train.py configs/digits/teacher.py`
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.mmdet_tools import run_mmdet_tool

if __name__ == '__main__':
    run_mmdet_tool('train.py')
