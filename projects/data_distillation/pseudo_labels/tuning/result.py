"""Writes what tuning has chosen: a table, a JSON file and configs."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from ...files.atomic import replacing, write_json
from ...text import format_call, format_table
from ..annotation.merging_again import find_numbers
from .judge import IOUS, Choice, Judge
from .search import NUM_FOLDS, Unseen, Verdict

Trial = TypeVar('Trial')
# The number of trials that a table shows, besides those that have a name.
NUM_SHOWN = 8
# Lines fit into a terminal of 80 columns.
WIDTH = 79
# The mAP of a teacher is at more IoUs, and without views.
METRIC = (
    f'mAP is that of merged views, at the IoUs {", ".join(map(str, IOUS))}, '
    "so other than the teacher's"
)
CARD = '''"""{base}, with the views and the merger that tuning chose.

{why} (docs/tuning.md). Copy `views` and `merger` into
your own config to keep them, or change them there.
"""

'''
CHEAPEST = (
    'They are the cheapest ones whose mAP on {num_images} validation images\n'
    'is not measurably below the best'
)
KEPT = (
    'They are those of the experiment: on {num_images} validation images,\n'
    'other choices were measurably worse where they were not made'
)


@dataclass(frozen=True)
class TuningResult:
    """What tuning found.

    Args:
        judge: The judge.
        verdicts: The verdict on each trial.
        chosen: The chosen one.
        reference: The views and the merger of `annotate.py`; None if they are
            not among the candidates.
        unseen: How good choices are on images that they were not made on;
            None if there is no reference, or only one image.
    """

    judge: Judge
    verdicts: Sequence[Verdict]
    chosen: Verdict
    reference: Verdict | None
    unseen: Unseen | None

    @property
    def is_kept(self) -> bool:
        """Whether the reference is chosen since other choices do not hold."""
        return self.unseen is not None and self.unseen.is_worse

    @property
    def merger(self) -> dict:
        """The config of the chosen merger."""
        return self.judge.configs[self.chosen.trial.choice.merger]

    @property
    def views(self) -> list | None:
        """The configs of the chosen views; None if the pipeline makes them."""
        views = self.judge.store.require_provenance()['views']
        numbers = self.chosen.trial.choice.numbers
        return None if views is None else [views[n] for n in numbers]

    def format(self) -> str:
        """Format a table of the best trials, and what was chosen.

        Returns:
            Lines for the user; the trials of `choose_shown`, by descending
            mAP.
        """
        table = Table('views', title=self._title())
        table.add_column('merger', min_width=29)
        for name in ('cost', 'mAP', 'below the best'):
            table.add_column(name, justify='right')
        best_first = sorted(self.verdicts, key=lambda v: -v.mean_ap)
        named = [verdict for _, verdict in self._named()]
        for verdict in choose_shown(best_first, named):
            table.add_row(*self._format_row(verdict))
        return '\n'.join([format_table(table), *self._conclude()])

    def _title(self) -> str:
        return (
            f'{len(self.verdicts)} choices on {len(self.judge.rows):,} '
            f'validation images\n{METRIC}'
        )

    def _named(self) -> list[tuple[str, Verdict]]:
        """Return the trials that have a name."""
        named = [('chosen', self.chosen)]
        if self.reference:
            named.append(('annotate.py', self.reference))
        return named

    def _format_row(self, verdict: Verdict) -> list[str]:
        choice = verdict.trial.choice
        # Different trials have different choices, at which the comparison ends
        # before it comes to arrays.
        names = [name for name, one in self._named() if one == verdict]
        return [
            ' '.join(map(str, choice.numbers)),
            '\n'.join([choice.merger, *names]),
            f'{self.compare_cost(verdict):.2f}',
            f'{100 * verdict.mean_ap:.1f}',
            f'{100 * verdict.deficit:.1f} ± {100 * verdict.error:.1f}',
        ]

    def compare_cost(self, verdict: Verdict) -> float:
        """Compare the cost of a trial with that of `annotate.py`.

        Without a reference, it is compared with the cost of all views.

        Args:
            verdict: The trial.

        Returns:
            The share; above 1 if the trial costs more.
        """
        if self.reference:
            return verdict.trial.cost / self.reference.trial.cost
        all_views = range(len(self.judge.list_views()))
        return verdict.trial.cost / self.judge.cost(all_views)

    def _conclude(self) -> list[str]:
        choice = self.chosen.trial.choice
        numbers = ' '.join(map(str, choice.numbers))
        lines = [f'chosen: views {numbers}, merged by {choice.merger}']
        if self.is_kept:
            lines[0] += ', as in annotate.py, since other choices do not hold'
        if self.views is not None:
            lines.append(name_views(choice.numbers, self.views))
        if self.unseen:
            lines.append(explain_unseen(self.unseen, len(self.judge.rows)))
        fill = partial(textwrap.fill, width=WIDTH, subsequent_indent='  ')
        return list(map(fill, lines))

    def write(self, folder: Path, experiment: Path) -> None:
        """Write `tune.json`, and configs with the chosen views and merger.

        Args:
            folder: The folder to write to.
            experiment: The folder of `annotate.py` and `validate.py`, which
                the configs inherit from.

        Raises:
            OSError: If one of the files cannot be written.
        """
        write_json(folder / 'tune.json', self.to_dict())
        # Otherwise MMEngine would keep arguments of the inherited merger.
        merger = dict(_delete_=True, **self.merger)
        lines = [f'    merger={format_dict(merger)},']
        if self.views is not None:
            views = [', '.join(map(format_dict, view)) for view in self.views]
            inside = '\n'.join(f'        [{view}],' for view in views)
            lines.append(f'    views=[\n{inside}\n    ],')
        for stage in ('annotate', 'validate'):
            base = experiment.resolve() / f'{stage}.py'
            why = KEPT if self.is_kept else CHEAPEST
            why = why.format(num_images=f'{len(self.judge.rows):,}')
            card = CARD.format(base=base.name, why=why)
            text = f'{card}_base_ = {base.as_posix()!r}\n\n'
            text += '\n'.join(['model = dict(', *lines, ')\n'])
            with replacing(folder / base.name) as file:
                file.write(text.encode())

    def to_dict(self) -> dict:
        """Collect what tuning found, for a JSON file.

        Returns:
            Figures and configs by name; None for the reference and for
            `unseen` if there is no reference, and for `unseen` if there is
            only one image.
        """
        return dict(
            num_images=len(self.judge.rows),
            views=self.views,
            merger=self.merger,
            chosen=describe_verdict(self.chosen),
            reference=self.reference and describe_verdict(self.reference),
            unseen=self.unseen and asdict(self.unseen),
            trials=[describe_verdict(verdict) for verdict in self.verdicts],
        )


def name_views(numbers: Sequence[int], views: Sequence) -> str:
    """Say what some views are.

    Args:
        numbers: Their numbers.
        views: The configs of the transforms of each, in the same order.

    Returns:
        Such as `view 0 is 192x144, view 5 is 224x168 flipped (horizontal)`.
    """
    return ', '.join(
        f'view {number} is {" ".join(map(name_step, view)) or "the image"}'
        for number, view in zip(numbers, views, strict=True)
    )


def name_step(step: Mapping) -> str:
    """Name a transform of a view in a word or two.

    Args:
        step: The config of the transform.

    Returns:
        Such as `1333x800` (the scale of a resizing, as in the config) or
        `flipped (horizontal)`; all other transforms as a call.
    """
    if step['type'] == 'Resize' and 'scale' in step:
        return 'x'.join(map(str, step['scale']))
    if step['type'] == 'Flip':
        direction = step.get('direction', 'horizontal')
        return f'flipped ({direction})'
    return format_call(step)


def explain_unseen(unseen: Unseen, num_images: int) -> str:
    """Say how choices do on images that they were not made on, and why.

    Args:
        unseen: The figures.
        num_images: The number of validation images.

    Returns:
        Sentences, the first one in lower case and the last one without a full
        stop.
    """
    chosen, reference, error = (
        f'{100 * value:.1f}'
        for value in (unseen.chosen, unseen.reference, unseen.error)
    )
    if unseen.is_worse:
        follows = 'so its views and its merger are kept'
    elif unseen.chosen < unseen.reference:
        follows = 'so within its standard error, and the choice is used'
    else:
        follows = 'so the choice holds there'
    return (
        f'on images that a choice was not made on, choices have {chosen} mAP '
        f'and annotate.py has {reference}, the difference ± {error}, '
        f'{follows}. These are means over {min(NUM_FOLDS, num_images)} parts '
        'of the images: mAP on fewer images is mostly higher, and says '
        'nothing beside the table'
    )


def format_dict(config: Mapping) -> str:
    """Write a config on one line, with its type first.

    Args:
        config: A config with values of JSON.

    Returns:
        A call of `dict`, as Python code. Lists become tuples, but not those
        within other values.
    """
    # False sorts before True.
    in_order = sorted(config.items(), key=lambda item: item[0] != 'type')
    arguments = ', '.join(
        # A list of JSON was a tuple.
        f'{key}={tuple(value) if isinstance(value, list) else value!r}'
        for key, value in in_order
    )
    return f'dict({arguments})'


def choose_shown(
    best_first: Sequence[Trial], named: Collection[Trial | None]
) -> list[Trial]:
    """Choose the trials that a table shows.

    Args:
        best_first: All trials, by descending mAP.
        named: Those that have a name; None is none of them.

    Returns:
        The best `NUM_SHOWN` trials and those with a name, in the same order.
    """
    return [
        trial
        for place, trial in enumerate(best_first)
        if place < NUM_SHOWN or trial in named
    ]


def describe_verdict(verdict: Verdict) -> dict:
    """Collect the figures of a verdict for a JSON file.

    Args:
        verdict: The verdict.

    Returns:
        Views as numbers counted from 0, the merger by its name in the judge,
        the cost (see `Judge.cost`), and mAP, deficit and error from 0 to 1.
    """
    choice = verdict.trial.choice
    return dict(
        views=list(choice.numbers),
        merger=choice.merger,
        cost=verdict.trial.cost,
        mAP=verdict.mean_ap,
        deficit=verdict.deficit,
        error=verdict.error,
    )


def find_choice(
    views: Sequence | None, merger: dict, judge: Judge
) -> Choice | None:
    """Find views and a merger among the candidates.

    Args:
        views: The configs of the views; None if the pipeline makes them.
        merger: The config of the merger.
        judge: The judge.

    Returns:
        The choice; None if it is not among the candidates, or if the pipeline
        makes the views.

    Raises:
        StoreError: If the store of the judge has no provenance.
    """
    candidates = judge.store.require_provenance()['views']
    numbers = find_numbers(candidates, views)
    names = [n for n, config in judge.configs.items() if config == merger]
    if numbers is None or not names:
        return None
    return Choice(tuple(numbers), names[0])
