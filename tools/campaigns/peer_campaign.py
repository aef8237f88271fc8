"""Compare data distillation with Soft Teacher and with plain self-training.

All methods train the detector of configs/bccd on the same 5 labeled and 287
unlabeled photographs of BCCD, and as many images go forward and backward (the
teacher counts as part of a method). A row is kept as soon as it is measured,
and the campaign goes on where it was stopped. With `--table`, it prints the
table of docs/results.md from the rows that are there.

DATA must have `images/`, `annotations/train.json` and `annotations/test.json`.

Example:
    python tools/campaigns/peer_campaign.py --data data/bccd --splits 0 1 2
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from label_campaign import call

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.files.atomic import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
# The rows that were measured, which docs/results.md shows.
ROWS = ROOT / 'docs/peers.json'
# The stages of a run, and what docs/results.md calls them.
STAGES = dict(
    teacher='labeled images alone',
    supervised_long='control',
    student='data distillation',
    oracle='oracle',
)
SELF_TRAINING = 'self-training, one view, 0.9'
SOFT_TEACHERS = dict(
    burn_in='Soft Teacher after a burn-in',
    from_scratch='Soft Teacher from scratch',
)


@dataclass(frozen=True)
class Split:
    """A split of BCCD and the folder of its runs.

    Args:
        data: The folder of BCCD.
        number: The seed of the split.
        out: The folder of all splits.
    """

    data: Path
    number: int
    out: Path

    @property
    def folder(self) -> Path:
        """The folder of this split, which stands for `data/bccd/`."""
        return self.out / f'split_{self.number}'

    def prepare(self) -> None:
        """Split the training photographs, unless that was done."""
        annotations = self.folder / 'annotations'
        if (annotations / 'labeled.json').exists():
            return
        annotations.mkdir(parents=True, exist_ok=True)
        train, test = (
            self.data / 'annotations' / f'{part}.json'
            for part in ('train', 'test')
        )
        call(
            'split_coco.py', train, '--count', 5, '--seed', self.number,
            '--keep-classes', '--out', annotations,
        )  # fmt: skip
        shutil.copy(test, annotations)
        images = self.folder / 'images'
        images.unlink(missing_ok=True)
        images.symlink_to(self.data / 'images')

    def distill(self) -> dict[str, float]:
        """Run configs/bccd.

        Returns:
            What docs/results.md calls a stage -> its mAP.
        """
        call(
            'distill.py', ROOT / 'configs/bccd', '--control', '--oracle',
            '--seed', 0, '--work-dir', self.folder / 'ours',
        )  # fmt: skip
        summary: Any = read_json(self.folder / 'ours/summary.json')
        return {
            name: summary[stage]['bbox_mAP'] for stage, name in STAGES.items()
        }

    def self_train(self) -> dict[str, float]:
        """Train on the labels of one view, with the teacher of `distill`.

        Returns:
            The name of the method -> its mAP.
        """
        work_dir = self.folder / 'self_training'
        call(
            'distill.py', ROOT / 'configs/peers/bccd_self_training',
            '--teacher', self._find_teacher(), '--seed', 0,
            '--work-dir', work_dir,
        )  # fmt: skip
        summary: Any = read_json(work_dir / 'summary.json')
        return {SELF_TRAINING: summary['student']['bbox_mAP']}

    def train_soft_teacher(self, config: str) -> dict[str, float]:
        """Train Soft Teacher.

        Args:
            config: The name of its config.

        Returns:
            The name of the method -> the mAP of its teacher or its student,
            whichever is better.
        """
        work_dir = self.folder / config
        options = ['randomness.seed=0']
        if config == 'burn_in':
            teacher = self._find_teacher()
            options.append(f'model.detector.init_cfg.checkpoint={teacher}')
        call(
            'train.py', ROOT / f'configs/peers/bccd_soft_teacher/{config}.py',
            '--work-dir', work_dir, '--resume', '--cfg-options', *options,
        )  # fmt: skip
        return {SOFT_TEACHERS[config]: read_last_map(work_dir)}

    def _find_teacher(self) -> Path:
        return self.folder / 'ours/teacher/iter_400.pth'


def read_last_map(work_dir: Path) -> float:
    """Read the last mAP of a training that validates two models.

    Args:
        work_dir: The folder of the training.

    Returns:
        The mAP of the better model at the end.
    """
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    last = [line for line in lines if 'teacher/coco/bbox_mAP' in line][-1]
    return max(
        last[f'{model}/coco/bbox_mAP'] for model in ('teacher', 'student')
    )


def measure(split: Split, name: str, run: Callable[[], dict]) -> None:
    """Run a method, and keep its rows, unless they are kept already.

    Args:
        split: The split.
        name: A method whose row tells that this was done.
        run: Returns the name of each method -> its mAP.
    """
    rows = read_rows()
    if any(r['split'] == split.number and r['method'] == name for r in rows):
        return
    start = time.monotonic()
    found = run()
    commit = subprocess.run(
        ['git', 'rev-parse', '--short', 'HEAD'],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    # Rows of stages that run together take the place of earlier ones.
    rows = [
        row
        for row in read_rows()
        if row['split'] != split.number or row['method'] not in found
    ]
    rows += [
        dict(
            data='bccd',
            split=split.number,
            seed=0,
            method=method,
            bbox_mAP=round(value, 4),
            # Of all stages that these rows are of, at this time.
            minutes=round((time.monotonic() - start) / 60, 1),
            commit=commit,
            machine=f'{platform.machine()}, {os.cpu_count()} cores',
        )
        for method, value in found.items()
    ]
    write_json(ROWS, dict(rows=rows))


def read_rows() -> list[dict]:
    """Read the rows that were measured.

    Returns:
        The rows in their order; empty if there are none.
    """
    content: Any = read_json(ROWS) if ROWS.exists() else dict(rows=[])
    return content['rows']


def format_table(rows: list[dict]) -> str:
    """Format rows as the table of docs/results.md.

    Args:
        rows: The rows.

    Returns:
        A table in Markdown with a line for each method, from the lowest mean
        mAP to the highest, and a column for each split; `-` where nothing was
        measured.
    """
    splits = sorted({row['split'] for row in rows})
    found = {
        (row['method'], row['split']): f'{100 * row["bbox_mAP"]:.1f}'
        for row in rows
    }
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row['method'], []).append(row['bbox_mAP'])
    cells = [['method', *(f'split {n}' for n in splits)]]
    cells.append(['---'] * len(cells[0]))
    cells += [
        [method, *(found.get((method, n), '-') for n in splits)]
        for method in sorted(values, key=lambda one: fmean(values[one]))
    ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in cells)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--data', type=Path, default=Path('data/bccd'), metavar='DIR')
    add('--out', type=Path, default=Path('work_dirs/peers'), metavar='DIR')
    add('--splits', type=int, nargs='+', default=[0, 1, 2])
    add('--table', action='store_true', help='print the table, and stop')
    return parser.parse_args()


def main() -> None:
    """Measure the splits, and print the table."""
    args = parse_args()
    for number in () if args.table else args.splits:
        split = Split(args.data.resolve(), number, args.out.resolve())
        split.prepare()
        os.environ['BCCD_ROOT'] = f'{split.folder}/'
        measure(split, 'oracle', split.distill)
        measure(split, SELF_TRAINING, split.self_train)
        for config, name in SOFT_TEACHERS.items():
            measure(split, name, partial(split.train_soft_teacher, config))
    print(format_table(read_rows()))


if __name__ == '__main__':
    main()
