"""The table, and what it is made of."""

import json

import pytest

from projects.data_distillation.experiment.stages.comparison import (
    compute_gain_over_control,
    format_comparison,
    read_newest_metrics,
    summarize_models,
    summarize_seeds,
)

QUALITY = dict(images=3, instances=1200, precision=0.75, recall=0.5)


def metrics(value: float) -> dict:
    return dict(bbox_mAP=value, bbox_mAP_50=value, bbox_mAP_75=value)


def summary(**maps: float) -> dict:
    student = metrics(maps.pop('student'))
    models = {model: metrics(value) for model, value in maps.items()}
    return summarize_models(
        models, [dict(student=student, pseudo_labels=QUALITY)]
    )


@pytest.mark.parametrize(
    ('maps', 'expected'),
    [
        (dict(teacher=0.2, student=0.3, oracle=0.4), 0.5),
        (dict(teacher=0.2, student=0.1, oracle=0.4), -0.5),
        (dict(teacher=0.2, student=0.3), None),
        (dict(teacher=0.4, student=0.3, oracle=0.4), None),
    ],
)
def test_gap_closed(maps, expected):
    assert summary(**maps)['gap_closed'] == pytest.approx(expected)


def test_gain_over_the_control_is_beside_the_gap():
    found = summary(teacher=0.2, supervised_long=0.25, student=0.3, oracle=0.4)

    assert found['gain_over_control'] == pytest.approx(0.05)
    assert summary(teacher=0.2, student=0.3)['gain_over_control'] is None
    # Models that nothing has evaluated.
    assert compute_gain_over_control({}) is None
    alone = dict(student={}, supervised_long={})
    assert compute_gain_over_control(alone) is None
    verdict, gap = format_comparison(found).splitlines()[-2:]
    assert 'gain +5.0 mAP (student - control)' in verdict
    assert gap.startswith('gap from teacher to oracle')


def test_gain_over_the_control_is_averaged_over_seeds():
    both = summarize_seeds(
        {
            seed: summary(teacher=0.2, supervised_long=0.25, student=student)
            for seed, student in enumerate((0.28, 0.32))
        }
    )

    assert both['gain_over_control'] == pytest.approx(0.05)
    text = format_comparison(both)
    assert 'gain +5.0 mAP' in text
    assert 'student - control varies by 2.8' in text


def test_table_has_a_row_per_model_from_lower_to_upper_bound():
    text = format_comparison(summary(oracle=0.4, student=0.3, teacher=0.2))

    rows = [line.split()[1] for line in text.splitlines() if '40.0' in line
            or '30.0' in line or '20.0' in line]  # fmt: skip
    assert rows == ['teacher', 'student', 'oracle']
    assert '1,200 pseudo labels on 3 images' in text
    assert 'precision 0.750, recall 0.500' in text
    assert text.splitlines()[-1] == 'gap from teacher to oracle closed: 50%'


def with_masks(boxes: float, masks: float) -> dict:
    found = {k.replace('bbox', 'segm'): masks for k in metrics(0)}
    return dict(metrics(boxes), **found)


def test_table_has_masks_where_they_were_evaluated():
    models = dict(teacher=with_masks(0.2, 0.1), oracle=with_masks(0.4, 0.3))
    student = dict(student=with_masks(0.3, 0.15), pseudo_labels=QUALITY)

    content = summarize_models(models, [student])

    assert content['gap_closed'] == pytest.approx(0.5)
    assert content['mask_gap_closed'] == pytest.approx(0.25)
    lines = format_comparison(content).splitlines()
    assert any('mask' in line for line in lines[:4])
    (row,) = (line for line in lines if 'oracle' in line and '40.0' in line)
    assert (row.count('40.0'), row.count('30.0')) == (3, 1)
    assert 'labeled + truth: upper bound' in row
    assert lines[-1] == 'gap from teacher to oracle closed in masks: 25%'
    both = summarize_seeds({0: content, 1: content})
    text = format_comparison(both)
    assert 'closed in masks: 25% ± 0' in text and '30.0 ± 0.0' in text


def test_model_that_found_nothing_has_no_masks_in_the_table():
    models = dict(teacher=metrics(0), oracle=with_masks(0.4, 0.2))
    student = dict(student=with_masks(0.3, 0.1), pseudo_labels=QUALITY)

    content = summarize_models(models, [student])

    assert content['mask_gap_closed'] == pytest.approx(0.5)
    rows = format_comparison(content).splitlines()
    (row,) = (line for line in rows if 'teacher' in line and ' 0.0 ' in line)
    assert row.count(' - ') == 1


def test_boxes_alone_have_no_columns_of_masks():
    content = summary(student=0.3, teacher=0.2)

    assert 'mask_gap_closed' not in content
    assert 'mask' not in format_comparison(content)


def test_table_without_oracle_and_truth_says_less():
    content = summary(student=0.3, teacher=0.2)
    content['pseudo_labels'] = dict(images=3, instances=7)

    text = format_comparison(content)

    assert text.splitlines()[-2] == '7 pseudo labels on 3 images'


def test_newest_evaluation_counts(tmp_path):
    assert read_newest_metrics(tmp_path) is None
    for time, value in (('20250102_000000', 0.5), ('20250101_000000', 0.1)):
        (tmp_path / time).mkdir()
        (tmp_path / time / f'{time}.json').write_text(
            json.dumps(
                {
                    'coco/bbox_mAP': value,
                    'coco/cell_precision': float('nan'),
                    'data_time': 3,
                }
            )
        )

    assert read_newest_metrics(tmp_path) == dict(
        bbox_mAP=0.5, bbox_mAP_50=0.0, bbox_mAP_75=0.0, cell_precision=None
    )


def test_best_round_is_in_the_table():
    rounds = [
        dict(
            student=dict(metrics(value), bbox_mAP_50=1 - value),
            pseudo_labels=dict(QUALITY, images=n),
            expected_labels=dict(images=n),
        )
        for n, value in enumerate((0.3, 0.4, 0.4, 0.2))
    ]

    made = summarize_models(
        dict(teacher=metrics(0.2), oracle=metrics(0.6)), rounds
    )

    assert made['student']['bbox_mAP'] == 0.4
    assert made['pseudo_labels']['images'] == 1
    assert made['expected_labels']['images'] == 1
    assert made['gap_closed'] == pytest.approx(0.5)
    assert made['rounds'] == rounds
    assert (
        'students of 4 rounds: 30.0, 40.0, 40.0, 20.0 mAP'
        in format_comparison(made)
    )


def test_gains_and_the_best_model_are_said():
    gain = dict(value=0.1, low=-0.05, high=0.15)
    content = dict(
        summary(student=0.3, teacher=0.2),
        gains=dict(teacher=gain),
        best_model='student',
    )

    lines = format_comparison(content).splitlines()

    assert lines[-3:-1] == [
        'student - teacher: +10.0 mAP, 95 % between -5.0 and +15.0',
        'best on these images: student',
    ]


@pytest.fixture
def two_seeds() -> dict[int, dict]:
    return {
        3: summary(teacher=0.2, student=0.3, oracle=0.4),
        5: summary(teacher=0.2, student=0.4, oracle=0.6),
    }


def test_seeds_are_averaged(two_seeds):
    made = summarize_seeds(two_seeds)

    assert made['student']['bbox_mAP'] == pytest.approx(0.35)
    assert made['gap_closed'] == pytest.approx(0.5)
    assert made['pseudo_labels'] == QUALITY
    assert made['seeds'] == {'3': two_seeds[3], '5': two_seeds[5]}


def test_spread_of_seeds_is_that_of_a_sample(two_seeds):
    made = summarize_seeds(two_seeds)

    # Of a sample of two: their distance by the root of two.
    assert made['std']['student']['bbox_mAP'] == pytest.approx(
        0.0707, abs=1e-4
    )


def test_table_of_seeds_has_the_spread(two_seeds):
    lines = format_comparison(summarize_seeds(two_seeds)).splitlines()

    assert any('35.0 ± 7.1' in line for line in lines)
    assert lines[-1] == 'gap from teacher to oracle closed: 50% ± 0'


def test_seeds_that_ran_different_numbers_of_rounds_are_averaged():
    one = summary(teacher=0.2, student=0.3)
    other = dict(one, rounds=[1, 2])

    made = summarize_seeds({0: other, 1: one})

    assert 'rounds' not in made
    assert made['gap_closed'] is None
    assert made['std']['gap_closed'] is None
    assert made['teacher'] == metrics(0.2)
    assert '20.0 ± 0.0' in format_comparison(made)


def test_given_teachers_are_those_of_every_seed():
    models = [
        dict(name=name, checkpoint=f'/a/{name}.pth', sha256='1', parameters=3)
        for name in ('teacher', 'teacher2')
    ]
    one = dict(
        summary(teacher=0.2, teacher2=0.25, student=0.3),
        given=dict(teachers=models, student=dict(parameters=2_000_000)),
    )

    made = summarize_seeds({0: one, 1: one})
    lines = format_comparison(made).splitlines()

    assert made['given'] == one['given']
    rows = [line for line in lines if ' as given' in line and '│' in line]
    assert ['teacher.pth' in rows[0], 'teacher2.pth' in rows[1]] == [True] * 2
    assert '25.0 ± 0.0' in rows[1]
    assert 'student: 2.00 million parameters' in lines
