"""Finds what views cannot do of a detector's test pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .config_reading import get_type, list_mappings

RESIZES = ('Resize', 'FixScaleResize')
# Transforms that leave the pixels of a test image as they are.
WITHOUT_PIXELS = {
    'FilterAnnotations',
    'LoadAnnotations',
    'LoadEmptyAnnotations',
    'PackDetInputs',
}
# Transforms that change pixels, but move none, so that a pipeline with flips
# can have them, too.
PIXELWISE = {
    'AutoContrast',
    'Brightness',
    'Color',
    'ColorTransform',
    'Contrast',
    'Equalize',
    'Invert',
    'Normalize',
    'PhotoMetricDistortion',
    'Posterize',
    'RandomGrayscale',
    'Sharpness',
    'Solarize',
    'SolarizeAdd',
    'YOLOXHSVRandomAug',
}


def find_transform(
    pipeline: Sequence[Mapping], *types: str
) -> Mapping[str, Any] | None:
    """Find the first transform of one of some types.

    Args:
        pipeline: The configs of the transforms.
        *types: Names of types, without a scope.

    Returns:
        Its config; None if there is none.

    Raises:
        KeyError: If a transform before it has no `type`.
    """
    found = (step for step in pipeline if get_type(step) in types)
    return next(found, None)


def find_unmade(pipeline: Sequence[Mapping]) -> list[Mapping]:
    """Find the transforms of test images that no view can have.

    A view resizes an image once, as OpenCV does, may flip it, and then pads
    it. The first transform loads the image; that of a view does it in color,
    with OpenCV, and turns the image as its EXIF data say.

    Args:
        pipeline: The configs of the transforms.

    Returns:
        The configs of these transforms, in order; empty if views can have all,
        or if there are none. A flip that never happens and those of
        `WITHOUT_PIXELS` are among them only as the first one of all.

    Raises:
        KeyError: If a transform has no `type`.
    """
    unmade = [step for step in pipeline[:1] if not is_plain_load(step)]
    made = set()
    for step in pipeline[1:]:
        name = get_type(step)
        role = 'Resize' if name in RESIZES else name
        # A view resizes first: what comes before a resize cannot be kept.
        is_in_order = role == 'Resize' or 'Resize' in made
        if name in WITHOUT_PIXELS or is_never(step):
            continue
        if role in made or not is_in_order or not is_view_transform(step):
            unmade.append(step)
        made.add(role)
    return unmade


def is_plain_load(step: Mapping) -> bool:
    """Return whether a transform gets the pixels that views are made of.

    Args:
        step: The config of the transform.

    Returns:
        True for `LoadImageFromFile` in color, with OpenCV, as by default.

    Raises:
        KeyError: If the transform has no `type`.
    """
    # The defaults are those of mmcv. Nobody sets another backend for all.
    return (
        get_type(step) == 'LoadImageFromFile'
        and step.get('color_type', 'color') == 'color'
        and step.get('imdecode_backend') in (None, 'cv2')
    )


def is_never(step: Mapping) -> bool:
    """Return whether a transform is a flip that never happens.

    Args:
        step: The config of the transform.

    Returns:
        True for a `RandomFlip` whose `prob` is 0 or is left out.

    Raises:
        KeyError: If the transform has no `type`.
    """
    return get_type(step) == 'RandomFlip' and not step.get('prob')


def is_view_transform(step: Mapping) -> bool:
    """Return whether a view can have a transform, if it is in its place.

    Args:
        step: The config of the transform.

    Returns:
        True for `Pad`, and for a resize that is bilinear, with OpenCV.

    Raises:
        KeyError: If the transform has no `type`.
    """
    if get_type(step) in RESIZES:
        # The defaults are those of mmcv.
        backend = step.get('backend', 'cv2')
        return (step.get('interpolation', 'bilinear'), backend) == (
            'bilinear',
            'cv2',
        )
    return get_type(step) == 'Pad'


def find_unmovable(pipeline: Sequence[Mapping]) -> list[str]:
    """Find transforms that not even a pipeline with flips can have.

    They may move pixels, and boxes could not be taken back.

    Args:
        pipeline: The configs of the transforms of test images.

    Returns:
        The names of their types without a scope, in order; empty if it can
        have all. The first transform and the first resize are never among
        them.

    Raises:
        KeyError: If a transform has no `type`.
    """
    first = find_transform(pipeline, *RESIZES)
    return [
        get_type(step)
        for step in find_unmade(pipeline)
        # By identity: a second resize may have the same settings.
        if step is not first
        and step is not pipeline[0]
        and get_type(step) not in PIXELWISE
    ]


def list_types(value: object) -> Iterator[str]:
    """List the types of all transforms in a pipeline, at any depth.

    Args:
        value: The pipeline, or a part of it.

    Yields:
        Names without a scope, the outer before the inner. What has no `type`
        is passed over.
    """
    for part in list_mappings(value):
        if 'type' in part:
            yield get_type(part)
