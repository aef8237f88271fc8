"""The comparison of an experiment's models, as in the paper's Table 1a."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ...label_files.coco.measures import MASK_METRICS, METRICS
from ...pseudo_labels.quality.expectation import Estimate
from ...text import format_table
from ..given_teachers.evaluation import describe_models, name_data
from .gains import format_gain
from .model_names import CONTROL, TRAINED
from .next_steps import give_verdict

# Of a model whose masks were evaluated too. The table has room for one.
MASK_METRIC = MASK_METRICS[0]


def read_newest_metrics(folder: Path) -> dict | None:
    """Read the metrics that the last evaluation wrote.

    Args:
        folder: The work folder of `tools/test.py`.

    Returns:
        COCO's metrics from 0 to 1 without their prefix, `bbox_mAP` and so on,
        and `segm_mAP` and so on of an instance segmentor. One of a size of
        which there is no object is -1. Those of `METRICS` are 0 for a model
        that detects nothing. If they were evaluated by class, there is
        `CLASS_precision` too; it is None for a class without objects. The
        result is None if there is no evaluation.

    Raises:
        ValueError: If the file of the metrics is no JSON.
    """
    file = find_newest_metrics(folder)
    if file is None:
        return None
    metrics = json.loads(file.read_bytes())
    # CocoMetric has no metrics for a model that detects nothing.
    nothing = dict.fromkeys(METRICS, 0.0)
    prefix = 'coco/'
    return nothing | {
        # A class without objects has NaN, which JSON does not know.
        name.removeprefix(prefix): None if value != value else value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }


def find_newest_metrics(folder: Path) -> Path | None:
    """Find the file that `read_newest_metrics` reads.

    Args:
        folder: The work folder of the evaluation.

    Returns:
        The file whose path comes last, since MMEngine names its folder by the
        time; None if there is none.
    """
    return max(folder.glob('*/[0-9]*.json'), default=None)


def summarize_models(
    models: Mapping[str, dict], rounds: Sequence[dict]
) -> dict:
    """Summarize an experiment.

    Args:
        models: The metrics of each model except the student, by its name.
        rounds: The result of each round, in order: the metrics of its student
            as `student`, and the quality of its labels as `pseudo_labels`.
            There is at least one.

    Returns:
        The metrics of each model, `gap_closed`, `gain_over_control` (in box
        mAP) and `pseudo_labels`; `mask_gap_closed` if a model has masks, and
        `expected_labels` if the round has them. The student and the labels are
        those of the round whose student has the best box mAP; of equal rounds,
        the first. If there is more than one round, all are in `rounds`.
    """
    best = rounds[find_best_round(rounds)]
    found = dict(models, student=best['student'])
    # Given teachers after the first have names that no other model has.
    more = [model for model in found if model not in TRAINED]
    names = list(TRAINED)
    names[1:1] = more  # After the first teacher.
    summary = {model: found[model] for model in names if model in found}
    summary['gap_closed'] = compute_gap_closed(summary)
    if has_masks(summary):
        closed = compute_gap_closed(summary, MASK_METRIC)
        summary['mask_gap_closed'] = closed
    summary['gain_over_control'] = compute_gain_over_control(summary)
    summary['pseudo_labels'] = best['pseudo_labels']
    if 'expected_labels' in best:
        summary['expected_labels'] = best['expected_labels']
    if len(rounds) > 1:
        summary['rounds'] = list(rounds)
    return summary


def find_best_round(rounds: Sequence[dict]) -> int:
    """Find the best round by the box mAP of its student.

    Args:
        rounds: The result of each round, at least one, see `summarize_models`.

    Returns:
        Its index; of equal ones, the first, as of those that nobody could
        evaluate.
    """
    mean_aps = [one['student'].get('bbox_mAP', 0.0) for one in rounds]
    return mean_aps.index(max(mean_aps))


def has_masks(summary: Mapping) -> bool:
    """Return whether masks of a model in a summary were evaluated.

    Args:
        summary: The summary of a run, see `summarize_models`.

    Returns:
        Whether a model of `TRAINED` has `MASK_METRIC`.
    """
    models = [summary[model] for model in TRAINED if model in summary]
    return any(MASK_METRIC in metrics for metrics in models)


def compute_gap_closed(
    summary: Mapping, metric: str = METRICS[0]
) -> float | None:
    """Return the share of the gap between teacher and oracle that is closed.

    Args:
        summary: The metrics of each model, by its name.
        metric: The metric, in which a model without it has 0.

    Returns:
        (student - teacher) / (oracle - teacher); below 0 if the student is
        worse than the teacher. It is None if there is no oracle or the oracle
        is not above the teacher.
    """
    if 'oracle' not in summary:
        return None
    teacher, student, oracle = (
        summary[model].get(metric, 0.0)
        for model in ('teacher', 'student', 'oracle')
    )
    if oracle <= teacher:
        return None
    return (student - teacher) / (oracle - teacher)


def compute_gain_over_control(summary: Mapping) -> float | None:
    """Compute student minus control in box mAP.

    Args:
        summary: The summary of a run, see `summarize_models`.

    Returns:
        The difference, from -1 to 1; None without a control, or if models were
        not evaluated.
    """
    maps = [
        summary.get(model, {}).get('bbox_mAP')
        for model in ('student', CONTROL)
    ]
    return None if None in maps else maps[0] - maps[1]


# What is averaged over seeds.
AVERAGED = {
    *TRAINED,
    'gain_over_control',
    'gap_closed',
    'mask_gap_closed',
    'pseudo_labels',
}


def summarize_seeds(summaries: Mapping[int, dict]) -> dict:
    """Average the summaries of several seeds.

    Args:
        summaries: The summary of each seed; two or more.

    Returns:
        The means of what is in `AVERAGED` and of all teachers, in the shape of
        a summary. `std` holds the standard deviations of the sample in the
        same shape, `seeds` the summaries, and `given` the teachers of the
        first. If a later summary lacks a figure of the first, its mean and its
        deviation are None; other figures are left out.

    Raises:
        StatisticsError: If there is only one summary.
    """
    alone = [
        {
            k: v
            for k, v in summary.items()
            if k in AVERAGED or k.startswith('teacher')
        }
        for summary in summaries.values()
    ]
    seeds = {str(seed): summary for seed, summary in summaries.items()}
    # The teachers are those of every seed.
    first = next(iter(summaries.values()))
    given = {k: v for k, v in first.items() if k == 'given'}
    return dict(
        combine_dicts(alone, statistics.fmean),
        std=combine_dicts(alone, statistics.stdev),
        seeds=seeds,
        **given,
    )


def combine_dicts(
    dicts: Sequence[dict], how: Callable[[Sequence[float]], float]
) -> dict:
    """Combine dicts of numbers, or of such dicts, that have the same keys.

    Args:
        dicts: The dicts, at least one. A dict in the first is one in all.
        how: The function that makes one number of several.

    Returns:
        A dict of numbers in the shape of the first. A number is None where a
        value is None or is missing.
    """

    def combine(values: Sequence) -> dict | float | None:
        """Combine the values of one key."""
        if isinstance(values[0], dict):
            return combine_dicts(values, how)
        return None if None in values else how(values)

    return {key: combine([d.get(key) for d in dicts]) for key in dicts[0]}


def format_comparison(summary: Mapping) -> str:
    """Return a summary as text, with a table like the paper's Table 1a.

    Args:
        summary: The summary of an experiment, or of several seeds.

    Returns:
        The table, and lines about the given teachers, the rounds, the pseudo
        labels, the gains, the best model, the verdict and the gap, as far as
        the summary has them.
    """
    title = 'Comparison on the validation set'
    if not summary['student']:
        title = 'Models, which nothing compares'
    table = Table('model', 'trained on', title=title)
    metrics = list(METRICS)
    if has_masks(summary):
        metrics.append(MASK_METRIC)
    for metric in metrics:
        # Narrow: one on two lines.
        heading = name_metric(metric).replace(' ', '\n')
        table.add_column(heading, justify='right')
    given = summary.get('given', {})
    named = name_data(given)
    for model in (model for model in {**named, **TRAINED} if model in summary):
        values = [format_cell(summary, model, metric) for metric in metrics]
        trained_on = named.get(model) or TRAINED[model]
        table.add_row(model, trained_on, *values)
    lines = [
        format_table(table),
        *(f'{name}: {text}' for name, text in describe_models(given)),
        *format_rounds(summary),
        format_labels(summary),
    ]
    for name, gain in summary.get('gains', {}).items():
        lines.append(format_gain(name, Estimate(**gain)))
    if 'best_model' in summary:
        lines.append(f'best on these images: {summary["best_model"]}')
    lines.append(format_verdict(summary))
    lines += format_gap(summary, 'gap_closed')
    lines += format_gap(summary, 'mask_gap_closed', ' in masks')
    return '\n'.join(lines)


def format_verdict(summary: Mapping) -> str:
    """Format a line about what the pseudo labels have gained.

    Args:
        summary: The summary of a run, or of several seeds.

    Returns:
        The line; with several seeds, it says how much the gain varies.
    """
    if not summary['student']:
        return 'verdict: not known, since there are no validation images'
    mean_aps = {
        name: summary[name]['bbox_mAP'] for name in TRAINED if name in summary
    }
    interval = summary.get('gains', {}).get(CONTROL)
    is_label_free = summary.get('given', {}).get('is_label_free', False)
    text = give_verdict(mean_aps, interval, is_label_free)
    if 'seeds' in summary and summary['gain_over_control'] is not None:
        deviation = 100 * summary['std']['gain_over_control']
        text += (
            f' (over the seeds, student - control varies by {deviation:.1f})'
        )
    return text


def format_gap(summary: Mapping, key: str, what: str = '') -> list[str]:
    """Format a line about a gap that is closed.

    Args:
        summary: The summary of a run, or of several seeds.
        key: The key of the share in the summary.
        what: What the gap is of, such as ` in masks`.

    Returns:
        One line; none if the share is not known.
    """
    if summary.get(key) is None:
        return []
    gap = f'gap from teacher to oracle closed{what}: {summary[key]:.0%}'
    if 'seeds' in summary:
        gap += f' ± {100 * summary["std"][key]:.0f}'
    return [gap]


def name_metric(metric: str) -> str:
    """Write the heading of a metric.

    Args:
        metric: The name, such as `bbox_mAP_50` or `segm_mAP`.

    Returns:
        Such as `mAP_50` or `mask mAP`.
    """
    return metric.removeprefix('bbox_').replace('segm_', 'mask ')


def format_cell(summary: Mapping, model: str, metric: str) -> str:
    """Format a metric in percent.

    Args:
        summary: The summary of a run, or of several seeds.
        model: The name of the model in the summary.
        metric: The name of the metric.

    Returns:
        The value with one decimal; with several seeds, also its deviation. A
        dash if there is no value.
    """
    value = summary[model].get(metric)
    if value is None:
        return '-'
    text = f'{100 * value:.1f}'
    if 'seeds' in summary:
        text += f' ± {100 * summary["std"][model][metric]:.1f}'
    return text


def format_rounds(summary: Mapping) -> list[str]:
    """Format a line about the students of several rounds.

    Args:
        summary: The summary of a run.

    Returns:
        One line; none if there is only one round.
    """
    if 'rounds' not in summary:
        return []
    values = [
        f'{100 * one["student"]["bbox_mAP"]:.1f}' for one in summary['rounds']
    ]
    return [
        f'students of {len(values)} rounds: {", ".join(values)} mAP; the best '
        'on these images is in the table'
    ]


def format_labels(summary: Mapping) -> str:
    """Format a line about the number of pseudo labels and their quality.

    Args:
        summary: The summary of a run, or of several seeds.

    Returns:
        The line; without the truth, it says nothing of their quality.
    """
    quality = summary['pseudo_labels']
    text = '{instances:,.0f} pseudo labels on {images:,.0f} images'
    if quality.get('precision') is not None:
        text += ', precision {precision:.3f}, recall {recall:.3f} at IoU 0.5'
    if quality.get('mask_precision') is not None:
        text += ' of boxes; of masks {mask_precision:.3f}, {mask_recall:.3f}'
    return text.format(**quality)
