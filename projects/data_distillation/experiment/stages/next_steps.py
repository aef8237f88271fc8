"""What a run says about itself: what went wrong, and what to try next."""

import textwrap
from collections.abc import Iterator, Mapping

from .model_names import CONTROL

# How `CocoMetric` with `classwise=True` ends the name of a metric of a class.
OF_CLASS = '_precision'
# Lines fit into a terminal of 80 columns.
WIDTH = 79
# A model with less box mAP has hardly learned anything.
MIN_MEAN_AP = 0.02
# The weakest teacher whose student gained had 0.14 (docs/results.md, cards).
WEAK_MEAN_AP = 0.14
# With a lower share of right labels no student was tried. The lowest with
# which one gained was 0.34 (docs/results.md, cards).
MIN_PRECISION = 0.25
# The fewest passes over the pseudo-labeled images with which students are
# known to gain (configs/bccd). With 3.9, one of nuclei with masks was below
# its teacher (docs/results.md).
MIN_PASSES = 4.4
BETTER_TEACHER = (
    'A longer training (--iterations of tools/init_experiment.py) or more '
    'labeled images may pay more than the stages that follow'
)
STOP = 'Ctrl-C ends the run; what is done is kept'
# A difference in box mAP that is more than the noise of a training.
NOTABLE = 0.01


def describe_teacher(teacher: Mapping) -> str:
    """Describe the box mAP of a teacher, and that of each class.

    Args:
        teacher: The metrics of the teacher on the validation images, 0 to 1,
            see `comparison.read_newest_metrics`.

    Returns:
        One or more lines, in points of mAP (0 to 100), with the classes in the
        order of the metrics. A class without an object has a dash.
    """
    text = f'teacher: {100 * teacher["bbox_mAP"]:.1f} mAP'
    by_class = {
        key.removesuffix(OF_CLASS): value
        for key, value in teacher.items()
        if key.endswith(OF_CLASS)
    }
    if not by_class:
        return text
    parts = [
        f'{name} {"-" if value is None else f"{100 * value:.1f}"}'
        for name, value in by_class.items()
    ]
    return textwrap.fill(
        f'{text}; of each class: {", ".join(parts)}',
        WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )


def warn_of_teacher(teacher: Mapping) -> Iterator[str]:
    """Warn of a teacher that has not learned, or has learned too little.

    That is one which is weaker than any whose student is known to gain.

    Args:
        teacher: The metrics of the teacher on the validation images, 0 to 1.

    Yields:
        At most one line; none for a box mAP of `WEAK_MEAN_AP` or more.
    """
    mean_ap = teacher['bbox_mAP']
    if mean_ap < MIN_MEAN_AP:
        yield (
            f'warning: the teacher has not learned: {100 * mean_ap:.1f} mAP '
            'on the validation images. Its labels will be mostly wrong. '
            'Look at its loss, check the data (tools/check_coco.py), and '
            'train it longer'
        )
    elif mean_ap < WEAK_MEAN_AP:
        yield (
            f'warning: the teacher is weak: {100 * mean_ap:.1f} mAP. The '
            'weakest one whose student is known to gain had '
            f'{100 * WEAK_MEAN_AP:.0f} (docs/no_gain.md). {BETTER_TEACHER}. '
            f'{STOP}'
        )


def warn_of_labels(expected: Mapping) -> Iterator[str]:
    """Warn if too few labels are right for a student to gain.

    Args:
        expected: The expected quality, see `Expectation.to_dict`.

    Yields:
        At most one line; none for a precision of `MIN_PRECISION` or more.
    """
    precision = expected['precision']
    if precision['value'] < MIN_PRECISION:
        yield (
            f'warning: only {precision["value"]:.0%} of the labels are '
            f'expected to be right ({precision["low"]:.0%} to '
            f'{precision["high"]:.0%}), so the student may end below the '
            f'control. {BETTER_TEACHER}. {STOP}'
        )


def warn_of_passes(passes: float | None) -> Iterator[str]:
    """Warn of a student that sees its pseudo-labeled images too seldom.

    Args:
        passes: How often it sees each of them, see `count_passes`; None if
            that is not known.

    Yields:
        At most one line; none for `MIN_PASSES` or more.
    """
    if passes is not None and passes < MIN_PASSES:
        yield (
            'warning: the student sees each pseudo-labeled image '
            f'{passes:.1f} times; those that are known to gain saw it at '
            f'least {MIN_PASSES} times (docs/no_gain.md). '
            '--student-iterations and --overwrite of tools/init_experiment.py '
            f'make its training longer. {STOP}'
        )


def give_verdict(
    mean_aps: Mapping[str, float],
    interval: Mapping | None = None,
    is_label_free: bool = False,
) -> str:
    """Say in a sentence what the pseudo labels have gained.

    Args:
        mean_aps: The box mAP of each model, 0 to 1, among them `student` and
            `teacher`.
        interval: The 95 % interval of student minus control in box mAP (-1 to
            1), with `low` and `high`; None if it is not known.
        is_label_free: Whether no image is labeled, so that there can be no
            control.

    Returns:
        The sentence, in points of mAP (0 to 100).
    """
    student, teacher = mean_aps['student'], mean_aps['teacher']
    total = f'{100 * (student - teacher):+.1f} mAP over the teacher'
    if is_label_free:
        return f'verdict: with pseudo labels alone, the student has {total}'
    if CONTROL not in mean_aps:
        return (
            f'verdict: the student has {total}. What of it a longer schedule '
            'gains alone is not known: run with --control'
        )
    control = mean_aps[CONTROL]
    gain = f'{100 * (student - control):+.1f} mAP (student - control)'
    what, after = 'gain', ''
    if interval:
        gain += (
            f', 95 % between {100 * interval["low"]:+.1f} and '
            f'{100 * interval["high"]:+.1f}'
        )
        if interval['low'] <= 0 <= interval['high']:
            after = '. It may be the chance of these images'
    if student <= control:
        is_sure = interval and interval['high'] < 0
        what = 'harm:' if is_sure else 'gain nothing,'
        after = f'{after}. See docs/no_gain.md'
    return (
        f'verdict: the pseudo labels {what} {gain}; '
        f'{divide_gain(student - teacher, control - teacher)}{after}'
    )


def divide_gain(gain: float, of_schedule: float) -> str:
    """Say how much of a gain is that of the longer schedule.

    Args:
        gain: The box mAP of the student minus that of the teacher, -1 to 1.
        of_schedule: The same difference between the control and the teacher.

    Returns:
        A clause, in points of mAP. It names a part of the gain only if the
        schedule gains no more than all, and not less than nothing.
    """
    total, longer = f'{100 * gain:+.1f}', f'{100 * of_schedule:+.1f}'
    if 0 <= of_schedule <= gain:
        return (
            f'of {total} mAP over the teacher, {longer} are the longer '
            'schedule'
        )
    return (
        f'the longer schedule alone gives {longer} mAP over the teacher, the '
        f'student {total}'
    )


def advise_on_gain(summary: Mapping) -> Iterator[str]:
    """Say what to try next if the student has not gained.

    Its rivals are the control and the teacher; beside a control, a teacher
    that is given is none.

    Args:
        summary: The summary of a run, see `comparison.summarize_models`.

    Yields:
        Lines for the user: a warning if the oracle is not above the control,
        and what to try unless the student is above all its rivals.
    """
    mean_aps = {
        name: summary[name]['bbox_mAP']
        for name in ('teacher', CONTROL, 'student', 'oracle')
        if name in summary
    }
    yield from advise_on_oracle(mean_aps)
    names = [CONTROL, 'teacher']
    if 'given' in summary and CONTROL in mean_aps:
        # A teacher that is given may be larger than any student here.
        names.remove('teacher')
    rivals = {name: mean_aps[name] for name in names if name in mean_aps}
    best = max(rivals, key=lambda name: rivals[name])
    if mean_aps['student'] > rivals[best]:
        return
    yield (
        f'the student is not better than {best} '
        f'({100 * mean_aps["student"]:.1f} and {100 * rivals[best]:.1f} mAP). '
        'What to try next (more in docs/no_gain.md):'
    )
    yield from list_remedies(summary, mean_aps)


def advise_on_oracle(mean_aps: Mapping[str, float]) -> Iterator[str]:
    """Warn if the trainings are too short to compare models.

    Args:
        mean_aps: The box mAP of each model, 0 to 1.

    Yields:
        At most one line; none without an oracle and a control.
    """
    if not {'oracle', CONTROL} <= mean_aps.keys():
        return
    oracle, control = mean_aps['oracle'], mean_aps[CONTROL]
    if oracle <= control:
        yield (
            f'warning: the oracle ({100 * oracle:.1f} mAP) is not above the '
            f'control ({100 * control:.1f}), though it sees the true labels '
            'of all images. The schedule is too short to tell whether labels '
            'help: train all models longer'
        )


def list_remedies(
    summary: Mapping, mean_aps: Mapping[str, float]
) -> Iterator[str]:
    """List remedies, each with the figure of the run that speaks for it.

    Args:
        summary: The summary of a run, see `comparison.summarize_models`.
        mean_aps: The box mAP of each model, 0 to 1.

    Yields:
        A line for each remedy, at least one.
    """
    longer = mean_aps.get(CONTROL, 0) - mean_aps['teacher']
    is_given = 'given' in summary
    if mean_aps['teacher'] < MIN_MEAN_AP and not is_given:
        yield (
            '- a longer schedule for all models: the teacher has not '
            f'learned, with {100 * mean_aps["teacher"]:.1f} mAP (--iterations '
            'of tools/init_experiment.py)'
        )
        return
    if longer > NOTABLE and not is_given:
        yield (
            f'- a longer schedule for the teacher: the control gains '
            f'{100 * longer:+.1f} mAP by it alone (--iterations and '
            '--overwrite of tools/init_experiment.py)'
        )
    passes = summary.get('pseudo_labels', {}).get('passes', MIN_PASSES)
    if passes < MIN_PASSES:
        yield (
            '- a longer schedule for the student: it saw each pseudo-labeled '
            f'image {passes:.1f} times, and those that are known to gain at '
            f'least {MIN_PASSES} times (--student-iterations and --overwrite '
            'of tools/init_experiment.py)'
        )
    if expected := summary.get('expected_labels'):
        yield advise_on_labels(expected)
    else:
        yield '- more labeled images'


def advise_on_labels(expected: Mapping) -> str:
    """Say what the expected quality of the labels speaks for.

    Args:
        expected: The expected quality, see `Expectation.to_dict`.

    Returns:
        A line with the figure that speaks for it.
    """
    precision, recall = (
        expected[name]['value'] for name in ('precision', 'recall')
    )
    if precision < MIN_PRECISION:
        return (
            f'- more labeled images: {precision:.0%} of the labels are '
            'expected to be right, too few to choose from'
        )
    if precision < recall or precision < 2 * MIN_PRECISION:
        return (
            f'- fewer labels: {precision:.0%} are expected to be right '
            '(--method precision of tools/select_labels.py, '
            'docs/selection.md)'
        )
    return (
        f'- more labeled images: {recall:.0%} of the objects are expected to '
        'have a label'
    )
