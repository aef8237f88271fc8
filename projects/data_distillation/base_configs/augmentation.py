"""Names the augmentation that a detector's config brings along."""

from collections.abc import Iterable, Iterator, Mapping

from .reading import get_type

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
    'one, change `direction` of RandomFlip in `labeled.pipeline` of '
    'teacher.py to "horizontal", and `prob` to one number'
)


def list_directions(transform: Mapping) -> Iterator[str]:
    """List the directions of a `RandomFlip`; other transforms have none.

    Args:
        transform: The config of the transform.

    Yields:
        Each direction, in the order of the config.
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
        The directions; empty for other transforms, and for a flip that never
        happens.
    """
    if transform.get('prob') == 0:
        return []
    return list(list_directions(transform))


def describe_augmentation(transforms: Iterable[Mapping]) -> Iterator[str]:
    """Describe all augmentations, and warn of unusual flips.

    Args:
        transforms: The transforms of the training pipeline.

    Yields:
        A line with all, and perhaps one with a warning.
    """
    names, flips = [], []
    for transform in transforms:
        name = get_type(transform)
        found = list_flips(transform)
        flips += found
        if name == 'RandomFlip':
            names += [f'RandomFlip ({", ".join(found)})'] * bool(found)
        elif name not in PLAIN:
            names.append(name)
    yield ', '.join(names) or 'none'
    if unusual := [name for name in UNUSUAL if name in flips]:
        yield ADVICE.format(' and '.join(unusual))
