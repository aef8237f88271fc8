"""The plots are SVG that suits a page."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from projects.data_distillation.report.plots import (
    MAX_POINTS,
    STYLE,
    draw_losses,
    draw_maps,
    draw_scores,
    render_svg,
)
from projects.data_distillation.report.stage_history import StageRecord

SVG = '{http://www.w3.org/2000/svg}'


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context(STYLE):
        yield


def stage(name: str, losses=(), validation=(), mean=None) -> StageRecord:
    metrics = None if mean is None else dict(bbox_mAP=mean)
    return StageRecord(name, None, list(losses), list(validation), metrics)


def texts_of(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [''.join(text.itertext()) for text in root.iter(f'{SVG}text')]


NAME = '<b>&"$x$數'


@pytest.fixture
def svg() -> str:
    """A plot of a class whose name is not easy to write."""
    figure, _ = draw_scores([np.array([0.1, 0.9])], {NAME: 0.5})
    return render_svg(figure, 'scores', 'Scores of "<b>"')


@pytest.mark.slow
def test_svg_has_a_text_for_who_cannot_see_it(svg):
    root = ElementTree.fromstring(svg)

    assert root.get('role') == 'img'
    assert root.get('aria-label') == 'Scores of "<b>"'


@pytest.mark.slow
def test_svg_shows_any_name_without_a_warning(recwarn, svg):
    assert NAME in texts_of(svg)
    assert not [w for w in recwarn if 'Glyph' in str(w.message)]


@pytest.mark.slow
def test_svg_has_the_width_of_the_page(svg):
    root = ElementTree.fromstring(svg)

    assert {root.get('width'), root.get('height')} == {None}
    assert root.get('viewBox')


@pytest.mark.slow
def test_svg_takes_the_colors_of_the_page(svg):
    assert 'currentColor' in svg
    assert 'var(--series-1)' in svg
    assert not re.search('#000000|#ffffff|<metadata', svg)


@pytest.mark.slow
def test_plots_share_no_ids():
    stages = [stage('teacher', losses=[(1, 2.0), (2, 1.0)], mean=0.5)]

    plots = [
        render_svg(draw_losses(stages), 'loss', ''),
        render_svg(draw_maps(stages), 'map', ''),
    ]

    ids = [re.findall(r'\bid="([^"]+)"', plot) for plot in plots]
    assert min(map(len, ids)) > 5
    assert not set(ids[0]) & set(ids[1])
    for plot, known in zip(plots, ids):
        used = re.findall(r'(?:href="|url\()#([^")]+)', plot)
        assert used
        assert set(used) <= set(known)


def test_stage_keeps_its_color_where_another_has_no_data():
    stages = [stage('teacher'), stage('student', [(1, 2.0)], mean=0.5)]

    for figure in (draw_losses(stages), draw_maps(stages)):
        (line,) = figure.axes[0].lines
        assert line.get_label() == 'student'
        assert line.get_color() == '#d55e00'


def test_long_curve_keeps_its_ends():
    losses = [(n, 1 + 1 / n) for n in range(1, 12_346)]

    figure = draw_losses([stage('teacher', losses)])

    x = figure.axes[0].lines[0].get_xdata()
    assert (x[0], x[-1]) == (1, 12_345)
    assert MAX_POINTS / 2 < len(x) <= MAX_POINTS + 1


def test_map_of_zero_is_drawn():
    figure = draw_maps([stage('teacher', mean=0.0)])

    assert figure.axes[0].get_ylim() == (0, 100)


def test_map_is_in_percent_as_in_the_tables():
    (axes,) = draw_maps([stage('teacher', mean=0.5)]).axes

    assert axes.lines[0].get_ydata().tolist() == [50]
    assert axes.get_ylabel() == 'box mAP in percent'
    assert axes.get_ylim() == (0, pytest.approx(55))


@pytest.mark.slow
def test_classes_with_most_detections_are_drawn_in_their_order():
    scores = [np.full(n, 0.5) for n in [1, *range(20, 4, -1)]]
    min_scores = {f'class {n}': 0.5 for n in range(len(scores))}

    figure, num_shown = draw_scores(scores, min_scores)

    titles = [axes.get_title() for axes in figure.axes[:num_shown]]
    assert titles == [f'class {n}' for n in range(1, 13)]


def test_line_of_min_score_is_where_labels_begin():
    scores = [np.array([0.2, 0.4, 0.6], np.float32), np.array([0.9])]

    figure, _ = draw_scores(scores, dict(a=0.4, b=None))

    first, second = figure.axes[:2]
    assert first.lines[0].get_xdata()[0] == 0.4
    of_all, of_labels = (p.get_data().values.sum() for p in first.patches)
    assert (of_all, of_labels) == (3, 2)
    assert not second.lines
    assert len(second.patches) == 1


def test_few_detections_are_seen_beside_many():
    scores = np.repeat([0.1, 0.9], [5_000, 1])

    (axes, *_) = draw_scores([scores], dict(a=0.5))[0].axes

    assert axes.get_yscale() == 'log'
    assert axes.get_ylim() == (0.7, 10_000)
    assert axes.yaxis.get_major_formatter()(1_000) == '1,000'
    assert axes.yaxis.get_minor_formatter()(2_000) == ''


@pytest.mark.slow
@pytest.mark.filterwarnings('error')
def test_class_without_detections_is_drawn():
    figure, _ = draw_scores([np.array([])], dict(a=0.5))

    assert figure.axes[0].get_ylim() == (0.7, 10)


def test_long_name_is_cut():
    figure, _ = draw_scores([np.array([0.5])], {'a' * 99: 0.5})

    assert figure.axes[0].get_title() == 'a' * 23 + '…'
