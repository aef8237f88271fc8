"""Changes the image sizes in a detector's config."""

from collections.abc import Mapping

# Other sizes of pipelines and batch augmentations, all in pixels.
SIZE_KEYS = (
    'scale',
    'scales',
    'img_scale',
    'crop_size',
    'size',
    'border',
    'random_size_range',
)


# Detectors want sides that their strides divide.
STRIDE = 32


def find_strides(value: object) -> list[int]:
    """Return the strides of feature maps that a model names, at any depth."""
    if isinstance(value, (list, tuple)):
        return [n for child in value for n in find_strides(child)]
    if not isinstance(value, Mapping):
        return []
    found = [n for child in value.values() for n in find_strides(child)]
    own = value.get('strides')
    own = own if isinstance(own, (list, tuple)) else []
    return [*found, *(n for n in own if isinstance(n, int))]


def resize_transform(part: Mapping, factor: float) -> dict:
    """Return what to replace in a transform for images of another size."""
    return {
        # A border is half an image.
        key: resize_value(
            part[key], factor, STRIDE // 2 if key == 'border' else STRIDE
        )
        for key in SIZE_KEYS
        if part.get(key)
    }


def resize_value(value: object, factor: float, stride: int) -> object:
    """Scale numbers of pixels, in lists and tuples too.

    A multiple of the stride stays one, and so does a part of an image.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(resize_value(v, factor, stride) for v in value)
    if not isinstance(value, (int, float)) or 0 <= value <= 1:
        return value
    unit = 1 if value % stride else stride
    size = round(value * factor / unit) * unit
    return size or (unit if value > 0 else -unit)
