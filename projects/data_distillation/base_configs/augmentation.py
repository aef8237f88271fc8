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


def list_flips(transform: Mapping) -> list[str]:
    """Return the directions of a `RandomFlip`; of other transforms, none."""
    if get_type(transform) != 'RandomFlip' or transform.get('prob') == 0:
        return []
    direction = transform.get('direction', 'horizontal')
    return [direction] if isinstance(direction, str) else list(direction)


def describe_augmentation(transforms: Iterable[Mapping]) -> Iterator[str]:
    """Yield a line with all augmentations, and a warning of unusual flips.

    Args:
        transforms: The transforms of the training pipeline.
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
