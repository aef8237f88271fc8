"""Makes the texts and the tables of a report."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..arguments import is_number
from ..label_files.coco.measures import MASK_METRICS, METRICS
from ..pseudo_labels.quality.label_quality import Quality, format_share
from ..text import format_call, format_checkpoint
from .shown_labels import START_SCORE, LabelSource, StoredLabels
from .stage_history import StageRecord
from .validation import note_broken_masks

Row = tuple[str, ...]
DASH = '-'


def describe_labels(
    labels: StoredLabels, source: LabelSource
) -> Iterator[Row]:
    """Describe how the labels were made.

    Args:
        labels: The detections and the selection.
        source: The files of the labels.

    Yields:
        Pairs of a term and its description. Without pseudo labels, nothing is
        said of their selection.

    Raises:
        KeyError: See `describe_origin`.
    """
    made, origin = labels.provenance, labels.origin
    labeled = labels.labeled
    # The validation images may tell how many objects an image has, too.
    counted = origin.get('selection', {}).get('counted', ())
    yield (
        labeled.name.capitalize(),
        f'{" and ".join([source.labeled, *counted])}: '
        f'{labeled.num_images:,} images, '
        f'{labeled.num_instances.sum():,} instances of '
        f'{len(labeled.classes)} classes',
    )
    yield (
        'Unlabeled',
        f'{made.get("image_folder", "")}: {len(labels.table):,} images read, '
        f'{labels.num_unreadable:,} not readable; '
        f'{len(labels.detections):,} detections, '
        f'{labels.num_labels.sum():,} labels',
    )
    yield 'Teacher', format_teacher(made)
    yield 'Views', format_views(made.get('views'))
    yield 'Merger', format_call_or_dash(made.get('merger'))
    if origin:
        yield from describe_origin(origin)


def format_teacher(made: Mapping) -> str:
    """Write the weights of the teacher, and the config of its run.

    Args:
        made: The provenance of the detections.

    Returns:
        One line, with the first 12 digits of the SHA-256 if it is known, and
        the number of other teachers if there are any.
    """
    others = len(made.get('other_teachers', ()))
    text = format_checkpoint(
        made.get('checkpoint'), made.get('checkpoint_sha256')
    )
    text += f', run with {made.get("teacher_config")}'
    return text + (f', and {others} more' if others else '')


def describe_origin(origin: Mapping) -> Iterator[Row]:
    """Describe how the labels were selected.

    Args:
        origin: The `info.data_distillation` of the pseudo labels.

    Yields:
        Pairs of a term and its description.

    Raises:
        KeyError: If it does not say how the labels were selected, or how many
            regions are ignored where some rule ignores them.
    """
    selection = origin['selection']
    yield 'Selection', format_call_or_dash(selection['selector'])
    filters = [format_call(config) for config in selection.get('filters', ())]
    if filters:
        yield 'Filters', ', '.join(filters)
    if selection.get('ignore'):
        regions = f'{origin["num_ignored"]:,} regions'
        yield (
            'Ignored',
            f'{format_call_or_dash(selection["ignore"])}: {regions}',
        )
    packages = origin.get('packages', {})
    yield 'Packages', ', '.join(f'{k} {v}' for k, v in packages.items())
    yield 'Selected', str(origin.get('date', DASH))


def format_call_or_dash(config: Mapping | None) -> str:
    """Write a config as a call.

    Args:
        config: The config; None or empty if there is none.

    Returns:
        Such as `Name(key=value)`, or a dash.
    """
    return format_call({'type': '', **config}) if config else DASH


def format_views(views: Sequence | None) -> str:
    """Write the number of views and each of them, such as `Resize 400x60`.

    Args:
        views: The transforms of each view; None if the pipeline makes them.

    Returns:
        One line; views are in the order in which they were made.
    """
    if not views:
        return "as in the detector's own test pipeline"
    texts = [' + '.join(map(format_step, view)) for view in views]
    return f'{len(views)}: {"; ".join(texts)}'


def format_step(step: Mapping) -> str:
    """Write a transform of a view, such as `Resize 400x60`.

    Args:
        step: The config of the transform.

    Returns:
        The type and the values, without `keep_ratio`.
    """
    values = [
        'x'.join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in step.items()
        if key not in ('type', 'keep_ratio')
    ]
    return ' '.join([str(step.get('type')), *values])


def collect_notes(
    labels: StoredLabels,
    quality: Quality | None,
    truth: Mapping | None = None,
    pseudo_labels: Path | None = None,
) -> Iterator[str]:
    """Collect what a reader must know about the labels.

    Args:
        labels: The detections and the selection.
        quality: The quality of the labels; None if the truth is unknown.
        truth: A COCO object with the true objects; None if it is unknown.
        pseudo_labels: The file of the labels; None if it does not matter.

    Yields:
        Sentences; none if there is nothing.
    """
    if not labels.origin:
        yield (
            f'{pseudo_labels} does not say how it was selected.'
            if pseudo_labels and pseudo_labels.is_file()
            else 'Nothing has been selected yet.'
        ) + (
            ' The page shows all detections with a score of at least '
            f'{START_SCORE} as labels.'
        )
    elif not is_number(number := labels.origin.get('num_detections')):
        yield (
            'The pseudo labels do not say from how many detections they were '
            'selected, so images may have been added or removed since.'
        )
    elif number != len(labels.detections):
        yield (
            f'The pseudo labels were selected from {number:,} detections, and '
            f'there are {len(labels.detections):,} now: images were added or '
            'removed since.'
        )
    if labels.num_left:
        yield (
            f'{labels.num_left:,} images are not shown, since the file of '
            'pseudo labels does not list them.'
        )
    for name, number in labels.selection.num_stopped.items():
        yield f'{number:,} detections are not shown: {name} stops them.'
    if quality:
        yield from note_quality(labels, quality)
    yield from note_broken_masks(truth or dict(images=[], annotations=[]))


def note_quality(labels: StoredLabels, quality: Quality) -> Iterator[str]:
    """Say of which boxes and images the quality is.

    Args:
        labels: The detections and the selection.
        quality: The quality of the labels.

    Yields:
        Sentences; none if it is that of all labels as they are.
    """
    if labels.origin.get('selection', {}).get('calibrates_boxes'):
        yield (
            'Precision and recall are those of boxes before they were '
            'calibrated; the pseudo labels have the calibrated ones.'
        )
    if quality.num_images < len(labels.table):
        yield (
            f'Precision and recall are those of {quality.num_images:,} '
            'randomly chosen images.'
        )


def make_comparison(
    stages: Sequence[StageRecord], trained_on: Mapping[str, str]
) -> list[Row]:
    """Collect the name, the data and the metrics of each evaluated model.

    Args:
        stages: The stages of the experiment.
        trained_on: Model name -> the data on which it was trained.

    Returns:
        A row of cells for each, in the order of the stages; metrics in percent
        with one decimal, and a dash for one that was not measured.

    Raises:
        KeyError: If `trained_on` lacks an evaluated model.
    """
    metrics = find_metrics(stages)
    return [
        (
            stage.name,
            trained_on[stage.name.rpartition('/')[2]],
            *(format_percent(stage.metrics.get(name)) for name in metrics),
        )
        for stage in stages
        if stage.metrics
    ]


def find_metrics(stages: Sequence[StageRecord]) -> list[str]:
    """Choose the metrics to show: those of masks too if a model has them.

    Args:
        stages: The stages of the experiment.

    Returns:
        Names of metrics, without the prefix `coco/`.
    """
    has_masks = any(MASK_METRICS[0] in (one.metrics or {}) for one in stages)
    return [*METRICS, *(MASK_METRICS if has_masks else ())]


def make_class_table(
    labels: StoredLabels,
    stages: Sequence[StageRecord],
    quality: Quality | None,
) -> dict:
    """Make the table with a row per class.

    Args:
        labels: The detections and the selection.
        stages: The stages of the experiment.
        quality: The precision and recall of each class; None if the truth is
            unknown.

    Returns:
        `header`, of which the first is the name of what is counted as labeled,
        and `rows`, in the order of the classes. A row has the `name` of the
        class, the `bars` (the labeled and the pseudo instances per image, each
        as text and as a share, 0 to 1, of the largest in the table), and the
        `cells` below the header.

    Raises:
        KeyError: If `quality` lacks a class.
    """
    columns = find_ap_columns(stages, labels.min_scores)
    header = [labels.labeled.name, 'pseudo', 'min_score']
    header += ['precision', 'recall'] if quality else []
    header += [title for title, _, _ in columns]
    numbers, rates = count_instances(labels)
    highest = rates.max() or 1
    rows = [
        dict(
            name=name,
            bars=[(f'{rate:.2f}', rate / highest) for rate in of_class],
            cells=[
                f'{num_labeled:,}',
                f'{num_pseudo:,}',
                format_share(min_score),
                *format_quality(name, quality),
                *(
                    format_percent(stage.find_class_ap(name + suffix))
                    for _, stage, suffix in columns
                ),
            ],
        )
        for (name, min_score), (num_labeled, num_pseudo), of_class in zip(
            labels.min_scores.items(), numbers, rates, strict=True
        )
    ]
    return dict(header=header, rows=rows)


def find_ap_columns(
    stages: Sequence[StageRecord], classes: Collection[str]
) -> list[tuple[str, StageRecord, str]]:
    """Find the stages that have an AP of a class, by boxes and by masks.

    Args:
        stages: The stages of the experiment.
        classes: The names of the classes.

    Returns:
        The title of a column, its stage, and what `CocoMetric` appends to the
        name of a class there: those by boxes, then those by masks, each in the
        order of the stages. Empty if no stage has an AP of a class.
    """
    return [
        (f'{title} {stage.name}', stage, suffix)
        for title, suffix in (('AP', ''), ('mask AP', '_segm'))
        for stage in stages
        # A class without objects has no AP even where the others have one.
        if any(
            stage.find_class_ap(name + suffix) is not None for name in classes
        )
    ]


def count_instances(labels: StoredLabels) -> tuple[np.ndarray, np.ndarray]:
    """Count the labeled and the pseudo instances of each class.

    Args:
        labels: The detections and the selection.

    Returns:
        The numbers (int) and those per image (float), both of shape (number of
        classes, 2), labeled before pseudo. Labeled images that are none count
        as one.
    """
    numbers = np.stack([labels.labeled.num_instances, labels.num_labels], 1)
    # Without labeled images, their column is 0. The division is (number of
    # classes, 2) by (2,): each column by its own images.
    num_images = max(labels.labeled.num_images, 1), len(labels.table)
    return numbers, numbers / num_images


def format_quality(name: str, quality: Quality | None) -> list[str]:
    """Write the precision and recall of a class.

    Args:
        name: The name of the class.
        quality: The quality of the labels; None if the truth is unknown.

    Returns:
        Two cells; none without the truth.

    Raises:
        KeyError: If there is no such class.
    """
    if quality is None:
        return []
    counts = quality.classes[name].counts
    return [format_share(counts.precision), format_share(counts.recall)]


def format_percent(value: float | None) -> str:
    """Write a share as percent without the sign.

    Args:
        value: The share, from 0 to 1; None if it was not measured.

    Returns:
        One digit after the point, or a dash.
    """
    return DASH if value is None else f'{100 * value:.1f}'
