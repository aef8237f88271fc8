"""Names the augmentation that a detector's config brings along."""

from collections.abc import Iterator, Mapping

from .config_reading import get_type
from .wrappers import Dataset

# Transforms that show every image in one way only.
PLAIN = {
    'FilterAnnotations',
    'LoadAnnotations',
    'LoadImageFromFile',
    'LoadImageFromNDArray',
    'Normalize',
    'PackDetInputs',
    'Pad',
    'Resize',
}
# Flips after which most photographs are no longer what they show.
UNUSUAL = ('vertical', 'diagonal')
ADVICE = (
    '{} flips suit what has no upright position, such as cells: if yours has '
    'one, write this after `labeled` in teacher.py (in supervised_long.py if '
    'the teacher is given):'
)
MENDED = (
    "{place}['pipeline'] = [dict(t, prob=0.5, direction='horizontal') if "
    "t['type'] == '{type}' else t for t in {place}['pipeline']]"
)


def list_directions(transform: Mapping) -> Iterator[str]:
    """List the directions of a `RandomFlip`; other transforms have none.

    Args:
        transform: The config of the transform.

    Yields:
        Each direction, in the order of the config; `horizontal` if the config
        of a flip names none.

    Raises:
        KeyError: If the transform has no `type`.
    """
    if get_type(transform) != 'RandomFlip':
        return
    direction = transform.get('direction', 'horizontal')
    yield from [direction] if isinstance(direction, str) else direction


def list_flips(transform: Mapping) -> list[str]:
    """List the directions in which a transform flips.

    Args:
        transform: The config of the transform.

    Returns:
        The directions, in the order of the config; empty for other transforms,
        and for a flip with a `prob` of 0, which never happens.

    Raises:
        KeyError: If the transform has no `type`, unless its `prob` is 0.
    """
    if transform.get('prob') == 0:
        return []
    return list(list_directions(transform))


def describe_augmentation(dataset: Dataset) -> Iterator[str]:
    """Describe all augmentations, and warn of unusual flips.

    Args:
        dataset: The dataset of the training, with its pipelines.

    Yields:
        A line with the names of all, in the order in which they act; `none` if
        there are none. Transforms of `PLAIN` and flips that never happen are
        not among them. If images are flipped vertically or diagonally, a
        warning follows, and then the lines of `list_mended`.

    Raises:
        KeyError: If a transform has no `type`.
    """
    names, flips = [], []
    for transform in dataset.iter_transforms():
        name = get_type(transform)
        found = list_flips(transform)
        flips += found
        if name == 'RandomFlip':
            # No name for a flip that never happens.
            names += [f'RandomFlip ({", ".join(found)})'] * bool(found)
        elif name not in PLAIN:
            names.append(name)
    yield ', '.join(names) or 'none'
    if unusual := [name for name in UNUSUAL if name in flips]:
        yield ADVICE.format(' and '.join(unusual))
        yield from list_mended(dataset)


def list_mended(dataset: Dataset) -> Iterator[str]:
    """List what to write into `teacher.py` for horizontal flips only.

    Args:
        dataset: The dataset of the training.

    Yields:
        A line of Python for each pipeline with unusual flips: first that of
        the dataset, then that of the `MultiImageMixDataset` around it. None if
        there are no such flips.

    Raises:
        KeyError: If a transform has no `type`.
    """
    inside = 'labeled' + "['dataset']" * dataset.num_wrappers
    pipelines = [
        (inside, dataset.config.get('pipeline', ())),
        ('labeled', dataset.mix_settings.get('pipeline', ())),
    ]
    for place, pipeline in pipelines:
        for transform in pipeline:
            if set(UNUSUAL) & set(list_flips(transform)):
                yield MENDED.format(place=place, type=transform['type'])
                break
