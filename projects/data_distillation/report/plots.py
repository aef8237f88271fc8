"""The plots of a report, as SVG with the colors and fonts of the page."""

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..pseudo_labels.quality.curves import MAX_NAMED
from .stage_history import StageRecord

# The page's own colors (report.css) take the place of these, because they
# differ between the light and the dark scheme.
SERIES = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
COLORS = {
    '#000000': 'currentColor',
    '#ffffff': 'var(--surface)',
    **{color: f'var(--series-{n})' for n, color in enumerate(SERIES, 1)},
}
STYLE: dict = {
    'svg.fonttype': 'none',  # Text stays text.
    'text.parse_math': False,  # The name of a class may be '$x$'.
    'axes.spines.top': False,
    'axes.spines.right': False,
    'font.size': 11,
}
# More points in a curve would not be visible.
MAX_POINTS = 500
# A bin is 0.02 wide, so that `min_score` is seen between two bins.
NUM_BINS = 50
# The histograms in a row: more would be too narrow for names of classes.
COLUMNS = 3


def render_svg(figure: Figure, name: str, description: str) -> Markup:
    """Render a figure as SVG for a page.

    Args:
        figure: The figure, made within `matplotlib.rc_context(STYLE)`.
        name: The start of the element's ids, which must differ from plot to
            plot. It is not escaped.
        description: The text that replaces the picture for those who cannot
            see it.

    Returns:
        An `svg` element without a size of its own.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
    with warnings.catch_warnings():
        # A class name may have a glyph that is missing here; the browser has
        # other fonts.
        warnings.filterwarnings('ignore', 'Glyph .* missing from')
        figure.savefig(file, format='svg', transparent=True, metadata=nothing)
    svg = re.sub('<metadata>.*?</metadata>', '', file.getvalue(), flags=re.S)
    # Without the declaration of XML, which HTML may not have inside.
    svg = svg[svg.index('<svg') :]
    # The ids of all plots must differ, because they are in one page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf'\g<1>{name}-', svg)
    # The page sets the size.
    svg = re.sub(r' (width|height)="[\d.]+pt"', '', svg, count=2)
    for color, of_page in COLORS.items():
        svg = svg.replace(color, of_page)
    label = f'<svg role="img" aria-label="{escape(description)}"'
    return Markup(svg.replace('<svg', label, 1))


def draw_losses(stages: Sequence[StageRecord]) -> Figure:
    """Draw the training loss of each stage over its iterations.

    Args:
        stages: All stages, so that each keeps its color; at least one must
            have losses. Those without are left out.

    Returns:
        A figure that `pyplot` does not know; the losses are on a logarithmic
        scale.
    """
    figure, axes = make_plot('iteration', 'training loss')
    for number, stage in enumerate(stages):
        draw_curve(axes, stage.losses, number, label=stage.name)
    set_log_scale(axes, '{x:g}')
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    add_legend(figure)
    return figure


def draw_maps(stages: Sequence[StageRecord]) -> Figure:
    """Draw the box mAP (0 to 1) of each stage over its iterations.

    Rings mark the validations and the evaluation at the end.

    Args:
        stages: All stages, so that each keeps its color; at least one must
            have a validation or an evaluation.

    Returns:
        A figure that `pyplot` does not know; the mAP is in percent.

    Raises:
        ValueError: If there is no validation and no evaluation.
    """
    figure, axes = make_plot('iteration', 'box mAP in percent')
    for number, stage in enumerate(stages):
        points = [(x, 100 * value) for x, value in stage.join_evaluations()]
        draw_curve(
            axes, points, number, label=stage.name, marker='o', mfc='none'
        )
    highest = 100 * max(
        value for stage in stages for _, value in stage.join_evaluations()
    )
    axes.set(xlim=(0, None), ylim=(0, 1.1 * highest or 100))
    add_legend(figure)
    return figure


def make_plot(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Make a figure with one plot.

    Args:
        xlabel: The text at the x axis.
        ylabel: The text at the y axis.

    Returns:
        A figure that `pyplot` does not know, and its axes.
    """
    figure = Figure(figsize=(5.6, 3.8), layout='constrained')
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    return figure, axes


def draw_curve(
    axes: Axes, points: Sequence[tuple], number: int, **style: Any
) -> None:
    """Draw a curve with the color and the dashes of its number.

    Args:
        axes: The plot, which is changed.
        points: The x and y of each point, of which about `MAX_POINTS` are
            drawn, among them the first and the last; nothing is drawn without
            points.
        number: The number of the curve, counted from 0.
        **style: More arguments of `Axes.plot`.
    """
    if not points:
        return
    step = -(-len(points) // MAX_POINTS) or 1
    # The last point is always among them.
    x, y = zip(*points[:-1:step], points[-1], strict=True)
    dashes = ('-', '--', '-.', ':')[number // len(SERIES) % 4]
    color = SERIES[number % len(SERIES)]
    axes.plot(x, y, color=color, linestyle=dashes, lw=1.8, **style)


def add_legend(figure: Figure) -> None:
    """Name the lines below the plot.

    Args:
        figure: The figure, which is changed; its lines have labels.
    """
    figure.legend(loc='outside lower center', ncols=4, frameon=False)


def draw_scores(
    scores_by_class: Sequence[np.ndarray],
    min_scores: dict[str, float | None],
) -> tuple[Figure, int]:
    """Draw the distribution of the scores of each class.

    The labels are drawn in a stronger color, and a line marks `min_score`.

    Args:
        scores_by_class: The scores of each class, each of shape (n,); at least
            one class.
        min_scores: Class name -> `min_score`, in the same order; None if the
            class has no label.

    Returns:
        The figure and its number of classes. It shows up to `MAX_NAMED`
        classes, those with the most detections (of equal ones, the first), in
        the order of the classes.

    Raises:
        ValueError: If there are no classes.
    """
    order = sorted(
        range(len(scores_by_class)), key=lambda c: -len(scores_by_class[c])
    )
    shown = sorted(order[:MAX_NAMED])
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(9, 0.6 + 2 * rows), layout='constrained')
    panels = figure.subplots(rows, COLUMNS, squeeze=False)
    names = list(min_scores)
    # The last row may have more panels than classes; see below.
    for axes, label in zip(panels.flat, shown, strict=False):
        name = names[label]
        draw_histogram(axes, scores_by_class[label], min_scores[name])
        axes.set_title(shorten_name(name), fontsize='medium')
    for axes in list(panels.flat)[len(shown) :]:
        axes.set_axis_off()
    figure.supxlabel('score', fontsize='medium')
    figure.supylabel('detections', fontsize='medium')
    return figure, len(shown)


def draw_histogram(
    axes: Axes, scores: np.ndarray, min_score: float | None
) -> None:
    """Draw the scores of one class, on a logarithmic scale.

    Args:
        axes: The axes to draw on, which are changed.
        scores: Shape (n,), float32, from 0 to 1; n may be 0.
        min_score: The lowest score of a label; None if nothing is one.
    """
    edges = np.linspace(0, 1, NUM_BINS + 1)
    counts = np.histogram(scores, edges)[0]
    axes.stairs(counts, edges, fill=True, color=SERIES[0], alpha=0.45)
    if min_score is not None:
        labels = np.histogram(scores[scores >= np.float32(min_score)], edges)
        axes.stairs(*labels, fill=True, color=SERIES[0])
        axes.axvline(min_score, color=SERIES[1], lw=1.8)
    # Without limits, matplotlib warns of a class that has no detections.
    # The lower limit is below 1, or a bar of one detection would have no
    # height.
    axes.set(xlim=(0, 1), ylim=(0.7, max(2 * counts.max(), 10)))
    set_log_scale(axes, '{x:,.0f}')


def set_log_scale(axes: Axes, text: str) -> None:
    """Make the y axis logarithmic, with plain numbers.

    matplotlib's powers of ten would appear as source text, because `STYLE`
    switches the parsing of formulas off.

    Args:
        axes: The plot, which is changed.
        text: The format of the numbers, in which `x` is the number.
    """
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(text)
    axes.yaxis.set_minor_formatter(NullFormatter())


def shorten_name(name: str) -> str:
    """Cut a name that is too long for the title of a plot.

    Args:
        name: The name.

    Returns:
        At most 24 characters; an ellipsis stands for what was cut.
    """
    return name if len(name) <= 24 else f'{name[:23]}…'
