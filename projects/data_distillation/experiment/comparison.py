"""The table of an experiment: the paper's Table 1a."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ..coco.evaluation import METRICS
from ..text import format_table
from .names import TRAINED


def newest_metrics(folder: Path) -> dict | None:
    """Read the metrics that the last evaluation wrote.

    Args:
        folder: The work folder of `tools/test.py`.

    Returns:
        COCO's metrics without their prefix, such as `bbox_mAP`, and, if they
        were evaluated by class, `CLASS_precision`, None for a class without
        objects; None if there is no evaluation.
    """
    files = sorted(folder.glob('*/[0-9]*.json'))
    if not files:
        return None
    metrics = json.loads(files[-1].read_bytes())
    # CocoMetric reports nothing at all for a model that detects nothing.
    nothing = dict.fromkeys(METRICS, 0.0)
    prefix = 'coco/'
    return nothing | {
        # NaN, of a class without objects, is no JSON.
        name.removeprefix(prefix): None if value != value else value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }


def summary_of(models: Mapping[str, dict], rounds: Sequence[dict]) -> dict:
    """Make the summary of an experiment.

    Args:
        models: The metrics of each model but the student.
        rounds: Of each round `student`, its metrics, and `pseudo_labels`.

    Returns:
        The metrics of each model, `gap_closed` and `pseudo_labels`; student
        and labels are those of the best round, the first of equal ones. All
        rounds are in `rounds`, if there were several.
    """
    best = max(rounds, key=lambda one: one['student']['bbox_mAP'])
    found = dict(models, student=best['student'])
    summary = {model: found[model] for model in TRAINED if model in found}
    summary['gap_closed'] = gap_closed(summary)
    summary['pseudo_labels'] = best['pseudo_labels']
    if len(rounds) > 1:
        summary['rounds'] = list(rounds)
    return summary


def gap_closed(summary: Mapping) -> float | None:
    """Return the share of the gap from teacher to oracle that is closed.

    Args:
        summary: The metrics of each model.

    Returns:
        (student - teacher) / (oracle - teacher) in box mAP; None without an
        oracle, or if the oracle is not above the teacher.
    """
    if 'oracle' not in summary:
        return None
    teacher, student, oracle = (
        summary[model]['bbox_mAP']
        for model in ('teacher', 'student', 'oracle')
    )
    if oracle <= teacher:
        return None
    return (student - teacher) / (oracle - teacher)


def summary_of_seeds(summaries: Mapping[int, dict]) -> dict:
    """Average the summaries of several seeds.

    Args:
        summaries: Of each seed.

    Returns:
        The means, in the shape of a summary, with the standard deviations of
        the sample in the same shape as `std`, and the summaries as `seeds`.
        A figure that one of them lacks is None in both.
    """
    alone = [
        {k: v for k, v in summary.items() if k != 'rounds'}
        for summary in summaries.values()
    ]
    seeds = {str(seed): summary for seed, summary in summaries.items()}
    return dict(
        combined(alone, statistics.fmean),
        std=combined(alone, statistics.stdev),
        seeds=seeds,
    )


def combined(
    dicts: Sequence[dict], how: Callable[[Sequence[float]], float]
) -> dict:
    """Combine numbers, or dicts of them, of equal shape; None stays None."""

    def one(values: Sequence) -> dict | float | None:
        """Combine the values of one key."""
        if isinstance(values[0], dict):
            return combined(values, how)
        return None if None in values else how(values)

    return {key: one([each.get(key) for each in dicts]) for key in dicts[0]}


def comparison(summary: Mapping) -> str:
    """Make the table of the paper's Table 1a.

    Args:
        summary: Of an experiment, or of several seeds.

    Returns:
        The table and a line each on the rounds, on the pseudo labels and on
        the gap.
    """
    table = Table(
        'model', 'trained on', title='Comparison on the validation set'
    )
    for metric in METRICS:
        table.add_column(metric.removeprefix('bbox_'), justify='right')
    for model in (model for model in TRAINED if model in summary):
        values = [cell(summary, model, metric) for metric in METRICS]
        table.add_row(model, TRAINED[model], *values)
    lines = [format_table(table), *rounds_line(summary), labels_line(summary)]
    if summary['gap_closed'] is not None:
        gap = f'gap from teacher to oracle closed: {summary["gap_closed"]:.0%}'
        if 'seeds' in summary:
            gap += f' ± {100 * summary["std"]["gap_closed"]:.0f}'
        lines.append(gap)
    return '\n'.join(lines)


def cell(summary: Mapping, model: str, metric: str) -> str:
    """Write a metric in percent, with its deviation over seeds."""
    text = f'{100 * summary[model][metric]:.1f}'
    if 'seeds' in summary:
        text += f' ± {100 * summary["std"][model][metric]:.1f}'
    return text


def rounds_line(summary: Mapping) -> list[str]:
    """Say what each round's student reached, if there were several."""
    if 'rounds' not in summary:
        return []
    values = [
        f'{100 * one["student"]["bbox_mAP"]:.1f}' for one in summary['rounds']
    ]
    return [
        f'students of {len(values)} rounds: {", ".join(values)} mAP; the best '
        'by these images is in the table'
    ]


def labels_line(summary: Mapping) -> str:
    """Say how many pseudo labels there are, and how good."""
    quality = summary['pseudo_labels']
    text = '{instances:,.0f} pseudo labels on {images:,.0f} images'
    if quality.get('precision') is not None:
        text += ', precision {precision:.3f}, recall {recall:.3f} at IoU 0.5'
    return text.format(**quality)
