"""Writes `report.html`, which shows what ran and what the teacher labeled.

The page is one file. It opens from disk, without a server or a network. See
docs/report.md.
"""

import base64
import datetime
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import matplotlib
from markupsafe import Markup
from mmengine.config import Config

from ..experiment.given_teachers.evaluation import (
    add_speeds,
    describe_models,
    is_label_free,
    name_data,
    read_record,
)
from ..experiment.stages.comparison import name_metric
from ..experiment.stages.model_names import TRAINED
from ..files.atomic import replacing
from ..label_files.coco.reading import read_truth
from ..pseudo_labels.quality.curves import draw_curves
from ..pseudo_labels.quality.label_quality import Quality
from ..text import format_duration
from .error_tab import make_errors
from .gallery import make_gallery
from .next_images import make_tab
from .plots import STYLE, draw_losses, draw_maps, draw_scores, render_svg
from .report_tables import (
    Row,
    collect_notes,
    describe_labels,
    find_metrics,
    make_class_table,
    make_comparison,
)
from .shown_labels import (
    LabelSource,
    StoredLabels,
    evaluate_labels,
    find_labels,
    read_labels,
)
from .stage_history import (
    StageRecord,
    conclude_from_stages,
    find_newest_annotation,
    find_unevaluated,
    read_stages,
)
from .templates import TEMPLATES, get_template
from .tuning import make_tuning_table
from .validation import Validation, choose_models, read_validation

REPORT = 'report.html'
# The errors that occur if an experiment has not ended, if its files were moved
# or if they have rules that this version does not know.
MISSING = (FileNotFoundError, ValueError, KeyError, TypeError)

Found = TypeVar('Found')


def write_report(annotate: Config, work_dir: Path) -> Path:
    """Write the report of the work folder of an experiment.

    The page names what is missing, for example because a stage has not ended.

    Args:
        annotate: The config of the stage `annotate`.
        work_dir: The work folder, with `teacher/`, `annotate/` and so on. Of
            several rounds, the page shows the labels of the last with some.

    Returns:
        The file, `report.html` in the work folder.

    Raises:
        FileNotFoundError: If there is no work folder.
        CocoError: If the file of the validation images cannot be used.
        ValueError: If a file with metrics or with trials is no JSON, or no
            hook in `annotate` names labeled images.
        KeyError: If this hook names no `ann_file`, `tune.json` lacks a part,
            or see `write_page`.
        OSError: If the file cannot be written.
    """
    if not work_dir.is_dir():
        raise FileNotFoundError(
            f'work folder not found: {work_dir}; run tools/distill.py first'
        )
    given = read_record(work_dir)
    stages = read_stages(
        work_dir, [one['name'] for one in given.get('teachers', ())]
    )
    folder = find_newest_annotation(work_dir, stages)
    source = find_labels(annotate, folder)
    facts = [
        ('Work folder', str(work_dir)),
        ('Detector', str(annotate.model.get('module', {}).get('type'))),
        *describe_models(add_speeds(given, work_dir)),
    ]
    file = work_dir / REPORT
    tuning = make_tuning_table(folder.with_name('tune'))
    trained_on = {**TRAINED, **name_data(given)}
    validation = read_validation(work_dir, choose_models(stages))
    write_page(
        file,
        work_dir.name,
        facts,
        stages,
        source,
        tuning,
        trained_on,
        validation,
    )
    return file


def write_selection_report(file: Path, source: LabelSource) -> None:
    """Write the report of a selection alone, without stages.

    The page names what is missing.

    Args:
        file: The file to write, in a folder that exists.
        source: The files of the detections and the pseudo labels.

    Raises:
        KeyError, OSError: See `write_page`.
    """
    facts = [('Pseudo labels', str(source.pseudo_labels))]
    write_page(file, source.pseudo_labels.name, facts, [], source)


def write_page(
    file: Path,
    title: str,
    facts: Sequence[Row],
    stages: Sequence[StageRecord],
    source: LabelSource,
    tuning: dict | None = None,
    trained_on: Mapping[str, str] = TRAINED,
    validation: Validation | None = None,
) -> None:
    """Write a page. It names what is missing of the labels and of the truth.

    Args:
        file: The file to write.
        title: The title of the page.
        facts: The first rows of the section "What ran", each with a term and
            its description.
        stages: The stages of the experiment; empty for a selection alone.
        source: The files of the labels.
        tuning: The table of the tuning, see `make_tuning_table`; None without
            one.
        trained_on: The name of each model -> the data on which it was trained.
        validation: What the models found on the validation images; None for a
            selection alone.

    Raises:
        KeyError: If `trained_on` lacks an evaluated model, the pseudo labels
            do not say which selector chose them, or an image has no size.
        OSError: If the file cannot be written.
    """
    notes: list[str] = []
    labels = read_or_note(notes, partial(read_labels, source))
    truth, quality = judge_labels(notes, labels, source)
    content: dict = dict(title=title, notes=notes, tuning=tuning)
    content['facts'] = list(facts)
    content |= describe_stages(stages, trained_on)
    content |= conclude_from_stages(
        stages, is_label_free(trained_on), file.parent
    )
    if labels:
        notes += collect_notes(labels, quality, truth, source.pseudo_labels)
        content['facts'] += describe_labels(labels, source)
        content['by_class'] = make_class_table(labels, stages, quality)
        # A selection alone has no labeled images to compare with.
        tab = make_tab(source.pseudo_labels.parent, labels) if stages else None
        content['gallery'] = make_gallery(
            labels, source, truth, quality, tab, is_trained_on=bool(stages)
        )
    notes += find_unevaluated(stages)
    if validation:
        notes += validation.notes
        content['errors'] = make_errors(validation)
    # matplotlib reads these settings when it saves too, so `list` waits.
    with matplotlib.rc_context(STYLE):
        content['plots'] = list(make_plots(stages, labels, quality))
    with replacing(file) as out:
        out.write(render_page(content).encode())


def judge_labels(
    notes: list[str], labels: StoredLabels | None, source: LabelSource
) -> tuple[dict | None, Quality | None]:
    """Compare the labels with the truth, as far as both can be read.

    Args:
        notes: The notes of the page; what is missing is added.
        labels: The labels; None without any.
        source: The files of the labels.

    Returns:
        The truth and the quality; None for both if they were not compared.
    """
    if not source.truth:
        return None, None
    truth = read_or_note(notes, partial(read_truth, source.truth))
    if not labels or not truth:
        return None, None
    judge = partial(evaluate_labels, labels, truth, source.truth)
    quality = read_or_note(notes, judge)
    return (truth, quality) if quality else (None, None)


def read_or_note(notes: list[str], read: Callable[[], Found]) -> Found | None:
    """Return what `read` returns; if it is missing, add a note.

    Args:
        notes: The notes of the page; the note is added to them.
        read: The function that reads something.

    Returns:
        What was read; None if `read` raises one of the errors of `MISSING`.

    Raises:
        Exception: Whatever else `read` raises.
    """
    try:
        return read()
    except MISSING as error:
        notes.append(f'Missing: {error}')
        return None


def describe_stages(
    stages: Sequence[StageRecord], trained_on: Mapping[str, str] = TRAINED
) -> dict:
    """Collect the times, the names of the metrics and the comparison.

    Args:
        stages: The stages of the experiment.
        trained_on: Name of a model -> what it is trained on.

    Returns:
        What the template needs: `times`, the name and the time of each stage
        with a log of at least 1 s; `metrics`, the headings; and `comparison`,
        the rows. Without stages, `times` and `comparison` are empty.

    Raises:
        KeyError: If `trained_on` lacks an evaluated model.
    """
    return dict(
        times=[
            (s.name, format_duration(s.seconds)) for s in stages if s.seconds
        ],
        metrics=list(map(name_metric, find_metrics(stages))),
        comparison=make_comparison(stages, trained_on),
    )


def make_plots(
    stages: Sequence[StageRecord],
    labels: StoredLabels | None,
    quality: Quality | None,
) -> Iterator[tuple[str, str, Markup]]:
    """Draw the plots for which there are data.

    Args:
        stages: The stages of the experiment.
        labels: The detections and the selection; None if there are none.
        quality: The quality of the labels; None if the truth is unknown.

    Yields:
        The title, the text and the picture of each plot.
    """
    trained = [stage for stage in stages if stage.losses]
    if trained:
        text = 'Training loss of each stage.'
        picture = render_svg(
            draw_losses(stages), 'loss', describe_losses(trained)
        )
        yield 'Loss', text, picture
    evaluated = [s for s in stages if s.metrics or s.validation]
    if evaluated:
        text = 'On the validation set. The last ring is the final evaluation.'
        picture = render_svg(
            draw_maps(stages), 'map', describe_maps(evaluated)
        )
        yield 'Box mAP', text, picture
    if labels:
        yield make_score_plot(labels)
    if quality:
        text = (
            'Each line shows a class at all scores, and the dot its '
            'min_score. The cross is for all labels together.'
        )
        figure = draw_curves(quality, 'Labels')
        described = (
            'Precision over recall; see the table by class for figures.'
        )
        yield 'Precision and recall', text, render_svg(figure, 'pr', described)


def make_score_plot(labels: StoredLabels) -> tuple[str, str, Markup]:
    """Draw the scores of each class.

    Args:
        labels: The detections and the selection.

    Returns:
        The title, the text and the picture.
    """
    scores = labels.divide_scores()
    text = (
        'Detections of each class by score, on a logarithmic scale. The line '
        'is min_score. The detections in solid color became labels.'
    )
    figure, num_shown = draw_scores(scores, labels.min_scores)
    if num_shown < len(scores):
        text += (
            f' Only the {num_shown} of {len(scores)} classes with the most '
            'detections are shown.'
        )
    described = 'Histograms of scores; see the table by class for figures.'
    return 'Scores', text, render_svg(figure, 'scores', described)


def describe_losses(stages: Sequence[StageRecord]) -> str:
    """Describe in words how the losses changed.

    Args:
        stages: The stages, each with at least one loss.

    Returns:
        One sentence, for those who do not see the picture.
    """
    return 'Training loss: ' + '; '.join(
        f'{stage.name} from {stage.losses[0][1]:.3g} to '
        f'{stage.losses[-1][1]:.3g} at iteration {stage.losses[-1][0]}'
        for stage in stages
    )


def describe_maps(stages: Sequence[StageRecord]) -> str:
    """Describe in words how the box mAP changed.

    Args:
        stages: The stages; those without an evaluation are left out.

    Returns:
        One sentence, for those who do not see the picture.
    """
    return 'Box mAP: ' + '; '.join(
        f'{stage.name} '
        + ', '.join(f'{100 * value:.1f} at {x}' for x, value in points)
        for stage in stages
        if (points := stage.join_evaluations())
    )


def render_page(content: dict) -> str:
    """Render the page.

    Args:
        content: The values that `report.html.j2` shows, see `write_page`. Of
            them `by_class`, `gallery` and `errors` may be missing, as their
            sections then are.

    Returns:
        The page as HTML, with its style, its script and the present date.

    Raises:
        jinja2.UndefinedError: If another value is missing.
    """
    # The template is strict: a name that it is not given raises an error.
    content = dict(by_class=None, gallery=None, errors=None) | content
    names = [name for name in ('gallery', 'errors') if content[name]]
    script = ''.join(
        (TEMPLATES / f'{name}.js').read_text()
        # Both scripts call functions of drawing.js.
        for name in (names and ['drawing', *names])
    )
    # The policy of the page lets the browser run this script and no other.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    now = datetime.datetime.now().astimezone()
    return get_template('report.html.j2').render(
        content,
        date=now.strftime('%Y-%m-%d %H:%M %Z'),
        style=Markup((TEMPLATES / 'report.css').read_text()),
        script=Markup(script),
        script_sha256=digest.decode(),
    )
