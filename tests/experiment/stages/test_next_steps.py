"""What a run says about itself, with the figures that it says it by."""

import pytest

from projects.data_distillation.experiment.stages.next_steps import (
    advise_on_gain,
    describe_teacher,
    give_verdict,
    warn_of_labels,
    warn_of_passes,
    warn_of_teacher,
)


def make_summary(**mean_aps: float) -> dict:
    return {name: dict(bbox_mAP=value) for name, value in mean_aps.items()}


def expect(precision: float, recall: float) -> dict:
    return {
        name: dict(value=value, low=value - 0.1, high=value + 0.1)
        for name, value in dict(precision=precision, recall=recall).items()
    }


def test_teacher_is_described_by_its_classes():
    metrics = dict(bbox_mAP=0.321, bbox_mAP_50=0.6)
    assert describe_teacher(metrics) == 'teacher: 32.1 mAP'

    metrics |= {'white cell_precision': 0.5, 'x_precision': None}

    text = describe_teacher(metrics)
    assert text == 'teacher: 32.1 mAP; of each class: white cell 50.0, x -'


def test_teacher_that_has_not_learned_is_named():
    (line,) = warn_of_teacher(dict(bbox_mAP=0.011))

    assert 'the teacher has not learned: 1.1 mAP' in line


@pytest.mark.parametrize('mean_ap', [0.02, 0.044, 0.139])
def test_teacher_of_which_no_student_gained_is_named(mean_ap):
    (line,) = warn_of_teacher(dict(bbox_mAP=mean_ap))

    assert f'the teacher is weak: {100 * mean_ap:.1f} mAP' in line
    assert '--iterations' in line
    assert 'Ctrl-C' in line
    assert not list(warn_of_teacher(dict(bbox_mAP=0.14)))


def test_labels_that_are_mostly_wrong_are_warned_of():
    (line,) = warn_of_labels(expect(0.2, 0.4))

    assert 'only 20% of the labels are expected to be right' in line
    assert '(10% to 30%)' in line
    assert 'Ctrl-C' in line
    assert not list(warn_of_labels(expect(0.25, 0.4)))


def test_student_that_sees_its_images_seldom_is_warned_of():
    (line,) = warn_of_passes(3.85)

    assert 'sees each pseudo-labeled image 3.9 times' in line
    assert 'at least 4.4 times' in line
    assert '--student-iterations' in line
    assert 'Ctrl-C' in line
    assert not list(warn_of_passes(4.4))
    assert not list(warn_of_passes(None))


def test_verdict_parts_the_gain_from_the_longer_schedule():
    mean_aps = dict(teacher=0.3, supervised_long=0.322, student=0.326)

    assert give_verdict(mean_aps) == (
        'verdict: the pseudo labels gain +0.4 mAP (student - control); of '
        '+2.6 mAP over the teacher, +2.2 are the longer schedule'
    )
    for low, is_chance in ((-0.01, True), (0.0, True), (0.001, False)):
        text = give_verdict(mean_aps, dict(low=low, high=0.02))
        assert ('may be the chance of these images' in text) == is_chance


@pytest.mark.parametrize(
    ('student', 'words'),
    [
        (0.31, 'gives +2.0 mAP over the teacher, the student +1.0'),
        (0.32, 'of +2.0 mAP over the teacher, +2.0 are the longer schedule'),
    ],
)
def test_verdict_names_the_page_if_nothing_is_gained(student, words):
    mean_aps = dict(teacher=0.3, supervised_long=0.32, student=student)

    text = give_verdict(mean_aps)

    assert text.startswith('verdict: the pseudo labels gain nothing, ')
    assert text.endswith(f'{words}. See docs/no_gain.md')


@pytest.mark.parametrize(
    ('control', 'student', 'words'),
    [
        (0.363, 0.306, 'the longer schedule alone gives +6.3 mAP over the '
         'teacher, the student +0.6'),
        (0.29, 0.32, 'the longer schedule alone gives -1.0 mAP over the '
         'teacher, the student +2.0'),
        (0.3, 0.32, 'of +2.0 mAP over the teacher, +0.0 are the longer'),
    ],
)  # fmt: skip
def test_verdict_names_parts_only_of_what_has_them(control, student, words):
    text = give_verdict(
        dict(teacher=0.3, supervised_long=control, student=student)
    )

    assert f'; {words}' in text


@pytest.mark.parametrize(
    ('low', 'high', 'words', 'is_chance'),
    [
        (-0.03, -0.01, 'harm: -2.0 mAP (student - control), 95 %', False),
        (-0.03, 0.01, 'gain nothing, -2.0 mAP (student - control)', True),
    ],
)
def test_verdict_tells_harm_from_chance(low, high, words, is_chance):
    mean_aps = dict(teacher=0.3, supervised_long=0.32, student=0.3)

    text = give_verdict(mean_aps, dict(low=low, high=high))

    assert text.startswith(f'verdict: the pseudo labels {words}')
    assert f', 95 % between -3.0 and {100 * high:+.1f}; the' in text
    assert ('may be the chance' in text) == is_chance
    assert text.endswith('. See docs/no_gain.md')


def test_verdict_needs_a_control():
    text = give_verdict(dict(teacher=0.3, student=0.32))

    assert 'the student has +2.0 mAP over the teacher. ' in text
    assert text.endswith('run with --control')


def test_student_that_gains_needs_no_advice():
    summary = make_summary(
        teacher=0.3, supervised_long=0.35, student=0.4, oracle=0.5
    )

    assert list(advise_on_gain(summary)) == []


def test_student_is_compared_with_its_best_rival():
    summary = make_summary(teacher=0.36, supervised_long=0.35, student=0.355)

    first, *_ = advise_on_gain(summary)

    assert 'not better than teacher (35.5 and 36.0 mAP)' in first


def test_student_that_is_as_good_as_its_rival_has_not_gained():
    first, *_ = advise_on_gain(make_summary(teacher=0.3, student=0.3))

    assert 'not better than teacher (30.0 and 30.0 mAP)' in first


def test_advice_needs_no_control():
    summary = make_summary(teacher=0.3, student=0.2, oracle=0.4)

    first, *remedies = advise_on_gain(summary)

    assert 'not better than teacher' in first
    assert remedies == ['- more labeled images']


@pytest.mark.parametrize(
    ('expected', 'remedy'),
    [
        (expect(0.2, 0.3), 'more labeled images: 20% of the labels'),
        (expect(0.25, 0.2), 'fewer labels: 25%'),
        (expect(0.4, 0.3), 'fewer labels: 40%'),
        (expect(0.7, 0.8), 'fewer labels: 70%'),
        (expect(0.8, 0.7), 'more labeled images: 70% of the objects'),
        (None, 'more labeled images'),
    ],
)
def test_remedy_has_the_figure_that_speaks_for_it(expected, remedy):
    summary = make_summary(teacher=0.3, supervised_long=0.305, student=0.2)
    summary['expected_labels'] = expected

    lines = list(advise_on_gain(summary))

    assert len(lines) == 2
    assert lines[1].startswith(f'- {remedy}')


def test_longer_teacher_is_advised_if_length_alone_gains():
    summary = make_summary(teacher=0.105, supervised_long=0.141, student=0.097)

    assert '- a longer schedule for the teacher: the control gains +3.6' in (
        '\n'.join(advise_on_gain(summary))
    )


@pytest.mark.parametrize(('passes', 'number'), [(4.3, 1), (4.4, 0)])
def test_longer_student_is_advised_if_it_saw_its_images_seldom(passes, number):
    summary = make_summary(teacher=0.329, student=0.313)
    summary['pseudo_labels'] = dict(passes=passes)

    text = '\n'.join(advise_on_gain(summary))

    assert text.count('- a longer schedule for the student') == number
    assert text.count(f'pseudo-labeled image {passes:.1f} times') == number


def test_teacher_that_has_not_learned_is_to_train_longer():
    summary = make_summary(teacher=0.008, supervised_long=0.03, student=0.02)
    summary['expected_labels'] = expect(0.1, 0.1)

    first, remedy = advise_on_gain(summary)

    assert 'not better than supervised_long' in first
    assert remedy.startswith('- a longer schedule for all models: the teacher')
    assert '0.8 mAP' in remedy


def test_short_schedule_is_named():
    summary = make_summary(
        teacher=0.1, supervised_long=0.2, student=0.3, oracle=0.2
    )

    (line,) = advise_on_gain(summary)

    assert 'the oracle (20.0 mAP) is not above the control (20.0)' in line


def test_teacher_that_is_given_is_no_rival_of_the_student():
    """It may be larger, and nobody trains it longer."""
    given = dict(teachers=[])
    models = dict(teacher=0.6, supervised_long=0.35, student=0.4)
    summary = dict(make_summary(**models), given=given)
    worse = dict(make_summary(teacher=0.2, supervised_long=0.3, student=0.1))

    assert list(advise_on_gain(summary)) == []
    first, *more = advise_on_gain(dict(worse, given=given))
    assert 'not better than supervised_long (10.0 and 30.0 mAP)' in first
    assert not any('longer schedule' in line for line in more)
    poor = make_summary(teacher=0.01, supervised_long=0.3, student=0.1)
    assert 'longer' not in ' '.join(advise_on_gain(dict(poor, given=given)))
    without_control = make_summary(teacher=0.6, student=0.4)
    assert list(advise_on_gain(dict(without_control, given=given)))
