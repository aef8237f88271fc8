"""Annotate or evaluate: MMDetection's `tools/test.py`, with all its flags.

It also finds this repository's packages, runs distributed on CPUs, and gives
each stage of each experiment a work folder of its own. `--preview N` annotates
N images and writes a page with their labels; `--dry-run` only measures.
Example: `python tools/test.py configs/digits/annotate.py TEACHER.pth`
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.data_distillation.command_line import add_own_modules
from projects.data_distillation.mmdet_tools import run_mmdet_tool
from projects.data_distillation.report.preview import Preview

if __name__ == '__main__':
    # The preview reads the config before the tool does.
    add_own_modules()
    preview = Preview.take(sys.argv)
    run_mmdet_tool('test.py')
    if preview:
        print(f'report: {preview.write_page()}')
