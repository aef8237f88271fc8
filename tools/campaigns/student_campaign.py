"""Train teacher, control, student and oracle on several datasets and splits.

Everything is as `init_experiment.py` writes it and `distill.py` runs it, with
the tiny detector of `label_campaign.py`. It takes about half an hour a split
on an idle core, and goes on where it was stopped. The figures are in
docs/results.md.

Example:
    python tools/campaigns/student_campaign.py --data data --splits 0 1 2
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from label_campaign import Split, call, run_all

MODELS = ('teacher', 'supervised_long', 'student', 'oracle')


def measure(split: Split) -> None:
    """Run an experiment, and print its row of the table.

    Args:
        split: The dataset and the split.
    """
    split.prepare()
    work_dir = split.folder / 'distilled'
    call(
        'distill.py', split.folder / 'experiment', '--control', '--oracle',
        '--seed', 0, '--work-dir', work_dir,
    )  # fmt: skip
    summary = json.loads((work_dir / 'summary.json').read_bytes())
    print(format_row(split.name, split.split, summary))


def format_row(name: str, split: int, summary: dict) -> str:
    """Format a row of the table of docs/results.md.

    Args:
        name: The name of the dataset.
        split: The number of the split.
        summary: The summary that distill.py wrote.

    Returns:
        The row, in Markdown.
    """
    mean_aps = [100 * summary[model]['bbox_mAP'] for model in MODELS]
    gap, labels = summary['gap_closed'], summary['pseudo_labels']
    gain = summary['gains']['supervised_long']
    cells = [
        name,
        str(split),
        *(f'{mean_ap:.1f}' for mean_ap in mean_aps),
        '-' if gap is None else f'{gap:.0%}',
        f'{100 * gain["value"]:+.1f} ({100 * gain["low"]:+.1f} to '
        f'{100 * gain["high"]:+.1f})',
        f'{labels["precision"]:.2f} / {labels["recall"]:.2f}',
    ]
    return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
    run_all(measure, __doc__)
