"""The texts and the tables of a report."""

import pytest
from report_files import write_selection

from projects.data_distillation.report.page import (
    describe_losses,
    describe_maps,
)
from projects.data_distillation.report.report_tables import (
    collect_notes,
    count_instances,
    describe_labels,
    describe_origin,
    find_ap_columns,
    format_call_or_dash,
    format_teacher,
    format_views,
    make_class_table,
    make_comparison,
)
from projects.data_distillation.report.shown_labels import read_labels
from projects.data_distillation.report.stage_history import (
    StageRecord,
    find_unevaluated,
)


def stage(name: str, losses=(), validation=(), **metrics) -> StageRecord:
    return StageRecord(
        name, None, list(losses), list(validation), metrics or None
    )


def test_labels_are_described_by_their_files(tmp_path):
    source = write_selection(tmp_path, 3, ('a', 'b'), per_image=2)
    labels = read_labels(source)

    rows = dict(describe_labels(labels, source))

    assert [*rows] == [
        'Labeled', 'Unlabeled', 'Teacher', 'Views', 'Merger', 'Selection',
        'Packages', 'Selected',
    ]  # fmt: skip
    assert rows['Labeled'] == (
        f'{tmp_path}/labeled.json: 1 images, 2 instances of 2 classes'
    )
    assert rows['Unlabeled'] == (
        f'{tmp_path}/images: 3 images read, 0 not readable; 4 detections, '
        f'{labels.num_labels.sum()} labels'
    )
    assert rows['Views'] == (
        '4: Resize 0x0; Resize 1x1; Resize 2x2; Resize 3x3'
    )
    assert rows['Merger'] == '-'


def test_files_whose_objects_are_counted_are_named(tmp_path):
    counted = [str(tmp_path / 'truth.json')]
    source = write_selection(tmp_path, 3, ('a', 'b'), 2, counted=counted)

    rows = dict(describe_labels(read_labels(source), source))

    files = f'{tmp_path}/labeled.json and {tmp_path}/truth.json: 4 images'
    assert rows['Labeled and other'].startswith(files)


def test_labels_that_nothing_selected_are_noted(tmp_path):
    source = write_selection(tmp_path, 3, ('a', 'b'), per_image=2)
    source.pseudo_labels.unlink()
    labels = read_labels(source)

    (note,) = collect_notes(labels, None)

    assert note == (
        'Nothing has been selected yet. The page shows all detections with a '
        'score of at least 0.5 as labels.'
    )
    assert 'Selection' not in dict(describe_labels(labels, source))


def test_detections_that_are_hidden_or_came_later_are_noted(tmp_path):
    filters = [dict(type='MinViews', num_views=5)]
    source = write_selection(tmp_path, 3, ('a', 'b'), 2, filters=filters)
    labels = read_labels(source)
    assert [*collect_notes(labels, None)] == [
        '4 detections are not shown: MinViews(num_views=5) stops them.'
    ]
    labels.origin['num_detections'] = 3

    first, _ = collect_notes(labels, None)

    assert first == (
        'The pseudo labels were selected from 3 detections, and there are 4 '
        'now: images were added or removed since.'
    )


def test_selection_is_described_by_its_rules():
    origin = dict(
        selection=dict(
            selector=dict(type='FixedSelector', min_score=0.5),
            filters=[dict(type='MinViews', num_views=2), dict(type='Other')],
            ignore=dict(type='ScoreBand', low=0.1),
        ),
        num_ignored=1234,
        packages=dict(torch='2.1', mmdet='3.3'),
        date='2026-01-01',
    )

    assert [*describe_origin(origin)] == [
        ('Selection', 'FixedSelector(min_score=0.5)'),
        ('Filters', 'MinViews(num_views=2), Other()'),
        ('Ignored', 'ScoreBand(low=0.1): 1,234 regions'),
        ('Packages', 'torch 2.1, mmdet 3.3'),
        ('Selected', '2026-01-01'),
    ]
    del origin['date'], origin['packages']
    origin['selection'] = dict(selector=None)
    assert [*describe_origin(origin)] == [
        ('Selection', '-'), ('Packages', ''), ('Selected', '-')
    ]  # fmt: skip


def test_teacher_is_named_by_its_weights_and_its_run():
    made = dict(
        checkpoint='w/iter_9.pth',
        checkpoint_sha256='0123456789abcdef' * 4,
        teacher_config='annotate.py',
    )

    text = format_teacher(made)

    assert text.startswith('w/iter_9.pth')
    assert '0123456789ab' in text
    assert text.endswith(', run with annotate.py')
    more = format_teacher(dict(made, other_teachers=[{}, {}]))
    assert more == f'{text}, and 2 more'


def test_views_are_listed_by_their_steps():
    views = [
        [dict(type='Resize', scale=[400, 60], keep_ratio=True)],
        [dict(type='Resize', scale=(8, 9)), dict(type='Flip')],
        [dict(type='Brightness', factor=0.8)],
    ]

    assert format_views(views) == (
        '3: Resize 400x60; Resize (8, 9) + Flip; Brightness 0.8'
    )
    assert format_views(None).startswith("as in the detector's own")
    assert format_call_or_dash(None) == format_call_or_dash({}) == '-'


STAGES = [
    stage('teacher', bbox_mAP=0.3, bbox_mAP_50=0.5, a_precision=0.25),
    stage('annotate'),
    stage('student', bbox_mAP=0.4, segm_mAP=0.2, b_segm_precision=0.125),
    stage('oracle'),
]


def test_models_are_compared_by_what_was_measured():
    names = dict(teacher='labeled', student='both')

    assert make_comparison(STAGES, names) == [
        ('teacher', 'labeled', '30.0', '50.0', '-', '-', '-', '-'),
        ('student', 'both', '40.0', '-', '-', '20.0', '-', '-'),
    ]
    assert make_comparison(STAGES[:1], names) == [
        ('teacher', 'labeled', '30.0', '50.0', '-')
    ]
    assert [*find_unevaluated(STAGES)] == ['oracle was not evaluated.']


def test_class_has_a_row_with_its_bars_and_aps(tmp_path):
    source = write_selection(tmp_path, 3, ('a', 'b'), per_image=2)
    labels = read_labels(source)

    table = make_class_table(labels, STAGES, None)

    assert table['header'] == [
        'labeled', 'pseudo', 'min_score', 'AP teacher', 'mask AP student',
    ]  # fmt: skip
    numbers, rates = count_instances(labels)
    assert numbers[:, 0].tolist() == [1, 1]
    assert rates.tolist() == (numbers / [1, 3]).tolist()
    for row, name, (labeled, pseudo), aps in zip(
        table['rows'], 'ab', numbers, (['25.0', '-'], ['-', '12.5'])
    ):
        assert row['name'] == name
        assert row['bars'] == [
            ('1.00', 1.0), (f'{pseudo / 3:.2f}', pytest.approx(pseudo / 3))
        ]  # fmt: skip
        assert row['cells'][:2] == [f'{labeled}', f'{pseudo}']
        assert row['cells'][3:] == aps
    assert find_ap_columns(STAGES, ['c']) == []


def test_plots_are_described_in_words():
    stages = [
        stage('teacher', [(1, 2.0), (50, 0.5)], [(50, 0.25)]),
        stage('student', [(1, 1.0)], bbox_mAP=0.5),
        stage('oracle', [(3, 4.0)]),
    ]

    assert describe_losses(stages) == (
        'Training loss: teacher from 2 to 0.5 at iteration 50; student from '
        '1 to 1 at iteration 1; oracle from 4 to 4 at iteration 3'
    )
    assert describe_maps(stages) == (
        'Box mAP: teacher 25.0 at 50; student 50.0 at 1'
    )
