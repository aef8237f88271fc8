"""Makes the table of what tuning tried."""

import json
from collections.abc import Mapping
from pathlib import Path

from ..pseudo_labels.tuning.result import (
    METRIC,
    choose_shown,
    explain_unseen,
    name_views,
)
from ..pseudo_labels.tuning.search import Unseen
from ..text import format_value


def make_tuning_table(folder: Path) -> dict | None:
    """Make the table of the best trials of tuning.

    Args:
        folder: The work folder of the stage `tune`.

    Returns:
        `rows`, the cells of each trial, all of them texts: the numbers of its
        views, the merger, what it is, the cost relative to `annotate.py` (to
        the choice where that was not tried), the mAP, and the distance from
        the best one with its error, both mAP in percent. The best trial is
        first; trials of equal mAP are in the order of `tune.json`. After some
        first ones (see `choose_shown`), only trials with a name are shown.
        Also `num_trials`, `num_images`, `metric`, which mAP it is, and as
        sentences or `''` what the chosen views are (`views`), and how choices
        do on images that they were not made on (`unseen`). It is None if
        nothing was tuned.

    Raises:
        ValueError: If `tune.json` is no JSON, or has no trials.
        KeyError: If `tune.json` lacks another part.
    """
    file = folder / 'tune.json'
    if not file.is_file():
        return None
    found = json.loads(file.read_bytes())
    if not (isinstance(found, dict) and found.get('trials')):
        raise ValueError(
            f'{file} must be an object with `trials`, got '
            f'{format_value(found)}: tune again, or remove it'
        )
    named = {'chosen': found['chosen'], 'annotate.py': found['reference']}
    best_first = sorted(found['trials'], key=lambda trial: -trial['mAP'])
    named['best'], named['cheapest'] = (
        best_first[0],
        min(best_first, key=lambda trial: trial['cost']),
    )
    shown = choose_shown(best_first, list(named.values()))
    unit = (found['reference'] or found['chosen'])['cost']
    return dict(
        rows=[make_row(trial, named, unit) for trial in shown],
        num_trials=len(best_first),
        num_images=found['num_images'],
        metric=METRIC,
        views=describe_views(found),
        unseen=describe_unseen(found),
    )


def make_row(trial: Mapping, named: Mapping, unit: float) -> list[str]:
    """Make the cells of a trial, see `make_tuning_table`.

    Args:
        trial: The trial.
        named: Name -> the trial that has it, or None.
        unit: The cost that counts as 1, above 0.

    Returns:
        One text for each column; mAP is in percent. A trial with several names
        has all of them, one without has an empty text.

    Raises:
        KeyError: If the trial lacks a part.
    """
    return [
        ' '.join(map(str, trial['views'])),
        trial['merger'],
        # By value: in the file, the named trials are copies of those in the
        # list.
        ', '.join(name for name, one in named.items() if one == trial),
        f'{trial["cost"] / unit:.2f}',
        f'{100 * trial["mAP"]:.1f}',
        f'{100 * trial["deficit"]:.1f} ± {100 * trial["error"]:.1f}',
    ]


def describe_views(found: Mapping) -> str:
    """Say what the chosen views are.

    Args:
        found: The content of `tune.json`.

    Returns:
        A sentence; empty if the pipeline makes the views.

    Raises:
        KeyError: If it lacks the views, or the chosen trial.
    """
    views = found['views']
    if views is None:
        return ''
    return f'Of the choice, {name_views(found["chosen"]["views"], views)}.'


def describe_unseen(found: Mapping) -> str:
    """Say how choices do on images that they were not made on.

    Args:
        found: The content of `tune.json`.

    Returns:
        Sentences; empty if it was not measured.

    Raises:
        KeyError: If it does not say whether it was measured, or lacks the
            number of images.
    """
    if found['unseen'] is None:
        return ''
    # A file of an earlier version has no error.
    unseen = Unseen(**{'error': 0.0, **found['unseen']})
    text = explain_unseen(unseen, found['num_images'])
    return f'{text[0].upper()}{text[1:]}.'
