"""The table of what tuning tried, of a file with known answers."""

import html
import json
from pathlib import Path

import pytest
from report_files import write_selection

from projects.data_distillation.report.page import write_page
from projects.data_distillation.report.tuning import make_tuning_table


def trial(views, mean_ap, cost, merger='NMSMerger()') -> dict:
    return dict(
        views=views, merger=merger, cost=cost, mAP=mean_ap,
        deficit=0.5 - mean_ap, error=0.012,
    )  # fmt: skip


@pytest.fixture
def found() -> dict:
    """Ten good trials, then `annotate.py` and the cheapest one."""
    trials = [trial([n, 10], 0.5 - n / 100, 600) for n in range(10)]
    trials += [trial([0, 1], 0.3, 300), trial([0], 0.2, 150)]
    return dict(
        num_images=1200,
        views=[[dict(type='Resize', scale=[90, 60])], [dict(type='Flip')]],
        chosen=trials[2],
        reference=trials[10],
        unseen=dict(chosen=0.456, reference=0.3, error=0.01),
        trials=trials[::-1],
    )


def write(folder: Path, content: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / 'tune.json').write_text(json.dumps(content))
    return folder


def test_best_trials_come_first_and_named_ones_last(found, tmp_path):
    table = make_tuning_table(write(tmp_path, found))

    assert [row[0] for row in table['rows']] == [
        *(f'{n} 10' for n in range(8)),
        *('0 1', '0'),
    ]
    assert [row[2] for row in table['rows']] == [
        *('best', '', 'chosen', '', '', '', '', ''),
        *('annotate.py', 'cheapest'),
    ]
    assert table['num_trials'] == 12
    assert table['num_images'] == 1200


def test_figures_are_relative_to_annotate(found, tmp_path):
    table = make_tuning_table(write(tmp_path, found))

    assert table['rows'][2][1:] == [
        *('NMSMerger()', 'chosen', '2.00', '48.0', '2.0 ± 1.2'),
    ]
    assert table['rows'][-1][3:] == ['0.50', '20.0', '30.0 ± 1.2']
    assert (
        'choices have 45.6 mAP and annotate.py has 30.0, the difference ± 1.0'
    ) in table['unseen']
    assert table['unseen'].startswith('On images that a choice was not made')
    assert 'at the IoUs 0.5, 0.6, 0.7, 0.8, 0.9, so' in table['metric']


def test_chosen_views_are_named(found, tmp_path):
    table = make_tuning_table(write(tmp_path, found))
    made_by_the_pipeline = make_tuning_table(
        write(tmp_path, dict(found, views=None))
    )

    assert table['views'] == (
        'Of the choice, view 2 is 90x60, view 10 is flipped (horizontal).'
    )
    assert made_by_the_pipeline['views'] == ''


@pytest.mark.parametrize(('reference', 'is_kept'), [(0.465, 0), (0.467, 1)])
def test_what_is_kept_is_said(found, tmp_path, reference, is_kept):
    found['unseen']['reference'] = reference

    table = make_tuning_table(write(tmp_path, found))

    words = ', so its views and its merger are kept. These are means over 5'
    assert (words in table['unseen']) == is_kept


def test_file_of_an_earlier_version_has_no_error(found, tmp_path):
    found['unseen'] = dict(chosen=0.456, reference=0.457)

    table = make_tuning_table(write(tmp_path, found))

    assert 'the difference ± 0.0, so its views' in table['unseen']


def test_one_trial_may_have_several_names(found, tmp_path):
    best = found['trials'][-1]
    found.update(chosen=best, trials=[best])

    table = make_tuning_table(write(tmp_path, found))

    assert [row[2] for row in table['rows']] == ['chosen, best, cheapest']


def test_without_a_reference_the_chosen_one_is_the_unit(found, tmp_path):
    found.update(reference=None, unseen=None)

    table = make_tuning_table(write(tmp_path, found))

    assert table['rows'][2][3] == '1.00'
    assert table['unseen'] == ''


def test_nothing_is_shown_if_nothing_was_tuned(tmp_path):
    assert make_tuning_table(tmp_path) is None


@pytest.mark.slow
def test_page_shows_the_table(found, tmp_path):
    source = write_selection(tmp_path / 's')
    tuning = make_tuning_table(write(tmp_path / 'tune', found))
    pages = []
    for table in (tuning, None):
        write_page(tmp_path / 'p.html', 'cells', [], [], source, table)
        pages.append((tmp_path / 'p.html').read_text())

    assert '<td class="number">2.0 ± 1.2</td>' in pages[0]
    assert 'The best of 12 choices on 1,200 validation images.' in pages[0]
    for words in (tuning['metric'], tuning['views'], tuning['unseen']):
        assert words in html.unescape(pages[0])
    assert 'id="tuning"' not in pages[1]


@pytest.mark.parametrize('content', [[], {}, dict(trials=[])])
def test_file_without_trials_is_named(tmp_path, content):
    with pytest.raises(ValueError, match='tune.json must be an object with'):
        make_tuning_table(write(tmp_path, content))
