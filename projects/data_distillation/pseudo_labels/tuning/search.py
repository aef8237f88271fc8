"""Searches for the cheapest views and merger whose detections are best.

```
each scale alone ──► add scale after scale ──► with flips ──► other mergers
                     while mAP rises
```
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..annotation.annotation_log import log_from_any_rank
from ..quality.bootstrap import weigh_images
from .judge import Choice, Judge, Trial

# The other mergers are tried on as many of the best choices.
NUM_MERGED = 3
# So a choice is judged that was made on four fifths of the images, nearly all.
NUM_FOLDS = 5
# So that the log shows how a long search goes, with few lines.
TRIALS_PER_LINE = 10
# A standard error from so many draws is right to 5 % (1 / sqrt(2 * 200)).
NUM_DRAWS = 200


@dataclass(frozen=True)
class Verdict:
    """A trial beside the best one.

    Args:
        trial: The trial.
        mean_ap: The mAP of the trial, 0 to 1.
        deficit: How much the mAP of the best trial is higher, 0 to 1.
        error: The standard error of the deficit, by paired bootstrap over the
            images.
    """

    trial: Trial
    mean_ap: float
    deficit: float
    error: float

    @property
    def is_as_good(self) -> bool:
        """Whether the deficit is at most its standard error."""
        return self.deficit <= self.error


@dataclass(frozen=True)
class Unseen:
    """How good choices are on images that they were not made on.

    Args:
        chosen: The mAP of the choices, 0 to 1.
        reference: The mAP of the views and the merger of `annotate.py` on the
            same images.
        error: The standard error of the difference, by paired bootstrap over
            the images.
    """

    chosen: float
    reference: float
    error: float

    @property
    def is_worse(self) -> bool:
        """Whether the choices are worse by more than the standard error."""
        return self.reference - self.chosen > self.error


def group_views(views: Sequence[Sequence[dict]]) -> list[tuple[int, ...]]:
    """Group views into blocks: a view and its flips.

    Args:
        views: The configs of the views.

    Returns:
        The numbers of the views of each block, ascending; the blocks in the
        order of their first views.
    """
    blocks: dict[str, list[int]] = {}
    for number, view in enumerate(views):
        others = [step for step in view if step['type'] != 'Flip']
        key = json.dumps(others, sort_keys=True)
        blocks.setdefault(key, []).append(number)
    return [tuple(numbers) for numbers in blocks.values()]


def search_trials(
    judge: Judge,
    blocks: Sequence[tuple[int, ...]],
    images: np.ndarray,
    max_cost: float = np.inf,
) -> list[Trial]:
    """Try views and mergers.

    Args:
        judge: The judge, with at least one merger. The first is used while
            views are searched.
        blocks: The numbers of the views of each block, see `group_views`.
        images: Shape (m,), bool, the images to look at, in the order of
            `Trial.matches`.
        max_cost: The highest cost of a choice, see `Judge.cost`.

    Returns:
        The trials, each once, in the order of the search; none if each view
        costs too much.

    Raises:
        CocoError: If the truth lacks an image or the class of a detection.
        IndexError: If there is no view of a number in the blocks.
    """
    first, *others = judge.mergers
    mean_aps: dict[Choice, float] = {}

    def attempt(choice: Choice) -> float:
        """Try a choice, note it, and return its mAP; -1 if too costly."""
        if judge.cost(choice.numbers) > max_cost:
            return -1.0
        mean_aps[choice] = mean_ap(judge.try_choice(choice), images)
        if not len(mean_aps) % TRIALS_PER_LINE:
            log_progress(mean_aps)
        return mean_aps[choice]

    path = add_blocks(
        blocks,
        lambda added: attempt(Choice(take_first_views(added, 1), first)),
    )
    for added in path:
        # The blocks were chosen by their first views alone, which takes fewer
        # trials. Now come their flips.
        for size in range(2, 1 + max(map(len, added))):
            attempt(Choice(take_first_views(added, size), first))
    ranked = sorted(mean_aps, key=lambda choice: -mean_aps[choice])
    for choice in ranked[:NUM_MERGED]:
        for merger in others:
            attempt(Choice(choice.numbers, merger))
    return [judge.try_choice(choice) for choice in mean_aps]


def log_progress(mean_aps: Mapping[Choice, float]) -> None:
    """Log how many choices were tried, and how good the best one is.

    Args:
        mean_aps: The mAP of each choice that was tried, at least one.
    """
    best = max(mean_aps.values())
    log_from_any_rank(
        f'{len(mean_aps)} choices tried, the best has {100 * best:.1f} mAP'
    )


def mean_ap(trial: Trial, images: np.ndarray) -> float:
    """Compute the mAP of a trial on some images.

    Args:
        trial: The trial.
        images: Shape (m,), bool, which images count, in the order of
            `Trial.matches`.

    Returns:
        From 0 to 1; 0 if no image counts, or none has an object.
    """
    return float(trial.mean_ap(images[None].astype(float))[0])


def take_first_views(
    blocks: Sequence[tuple[int, ...]], size: int
) -> tuple[int, ...]:
    """Take the first views of each block.

    Args:
        blocks: The blocks.
        size: The number of views to take of a block, if it has as many.

    Returns:
        The numbers of the views, ascending.
    """
    return tuple(sorted(n for block in blocks for n in block[:size]))


def add_blocks(
    blocks: Sequence[tuple[int, ...]],
    quality: Callable[[Sequence[tuple[int, ...]]], float],
) -> list[list[tuple[int, ...]]]:
    """Add block after block, each time the best one, while quality rises.

    Of equally good blocks, the first one is added.

    Args:
        blocks: The blocks, at least one.
        quality: The function that judges several blocks together; more is
            better, 0 is the least, and -1 is for blocks that must not be
            added.

    Returns:
        The blocks of each step, in the order in which they were added: one,
        two, and so on. Empty if no block may be added.
    """
    left, best = list(blocks), -1.0
    path: list[list[tuple[int, ...]]] = []
    while left:
        added = path[-1] if path else []
        scores = [quality([*added, block]) for block in left]
        if max(scores) <= best:
            break
        best = max(scores)
        path.append([*added, left.pop(int(np.argmax(scores)))])
    return path


def compare_trials(
    trials: Sequence[Trial], images: np.ndarray
) -> list[Verdict]:
    """Compare trials with the best of them; of equal ones, the first.

    Args:
        trials: The trials, at least one.
        images: Shape (m,), bool, the images to look at, in the order of
            `Trial.matches`.

    Returns:
        The verdict on each trial, in order; that on the best has the deficit 0
        and the error 0.

    Raises:
        ValueError: If there is no image to look at.
    """
    weights = weigh_images(images, NUM_DRAWS)
    # (number of trials, 1 + number of draws)
    mean_aps = np.stack([trial.mean_ap(weights) for trial in trials])
    # Both trials have the same draws. So what makes images hard for both does
    # not count as an error.
    deficits = mean_aps[mean_aps[:, 0].argmax()] - mean_aps
    return [
        Verdict(trial, float(own[0]), float(gap[0]), float(gap[1:].std()))
        for trial, own, gap in zip(trials, mean_aps, deficits, strict=True)
    ]


def choose_trial(verdicts: Sequence[Verdict]) -> Trial:
    """Choose the cheapest trial that is as good as the best.

    Args:
        verdicts: The verdicts on all trials, at least one.

    Returns:
        The trial; of equally cheap ones, the one with the highest mAP, and of
        these the first.

    Source:
        The one-standard-error rule: Breiman et al., Classification and
        Regression Trees, 1984.
    """
    good = [one for one in verdicts if one.is_as_good]
    return min(good, key=lambda one: (one.trial.cost, -one.mean_ap)).trial


def choose_or_keep(
    verdicts: Sequence[Verdict], reference: Trial | None
) -> tuple[Trial, Unseen | None]:
    """Choose a trial, unless choices do not hold on other images.

    So little can be chosen by few images, or with a weak teacher, that what
    was measured on other datasets is the better guess.

    Args:
        verdicts: The verdicts on all trials.
        reference: The trial that is kept then; None to choose in any case.

    Returns:
        The trial, and what `cross_validate` has measured: None without a
        reference, or with less than two images.
    """
    chosen = choose_trial(verdicts)
    if reference is None:
        return chosen, None
    unseen = cross_validate([one.trial for one in verdicts], reference)
    is_kept = unseen is not None and unseen.is_worse
    return (reference if is_kept else chosen), unseen


def cross_validate(trials: Sequence[Trial], reference: Trial) -> Unseen | None:
    """Measure how good choices are on images that they were not made on.

    Args:
        trials: The trials to choose from.
        reference: The trial to compare with.

    Returns:
        The means over `NUM_FOLDS` parts of the images, or as many as there are
        images. For each part the choice is made on the other parts. None for
        less than two images, of which none are left to choose on.
    """
    num_images = len(reference.matches.num_truth)
    if num_images < 2:
        return None
    # A part without images would count as one with an mAP of 0.
    num_folds = min(NUM_FOLDS, num_images)
    # The sizes of the parts differ by one image at most.
    folds = np.random.default_rng(0).permutation(num_images) % num_folds
    log_from_any_rank(
        f'choosing again without each of {num_folds} parts of the images, to '
        'see how choices do on others'
    )
    mean_aps = []
    for fold in range(num_folds):
        is_seen = folds != fold
        chosen = choose_trial(compare_trials(trials, is_seen))
        weights = weigh_images(~is_seen, NUM_DRAWS)
        mean_aps.append([one.mean_ap(weights) for one in (chosen, reference)])
    # (folds, 2, 1 + k) to (2, folds, 1 + k)
    of_choices, of_reference = np.swapaxes(mean_aps, 0, 1)
    # The images of each part are drawn apart from those of the others.
    errors = (of_reference - of_choices)[:, 1:].std(axis=1)
    return Unseen(
        float(of_choices[:, 0].mean()),
        float(of_reference[:, 0].mean()),
        float(np.hypot.reduce(errors) / num_folds),
    )
