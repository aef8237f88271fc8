"""Changes the image sizes in the config of a detector."""

from collections.abc import Mapping

# The settings of pipelines and batch augmentations that are sizes in pixels.
SIZE_KEYS = (
    'scale',
    'scales',
    'img_scale',
    'crop_size',
    'size',
    'border',
    'random_size_range',
)
# Detectors need sides that are multiples of their strides.
STRIDE = 32


def find_strides(value: object) -> list[int]:
    """Find the strides of feature maps in a model's config, at any depth.

    Args:
        value: The config of the model, or a part of it.

    Returns:
        The strides in pixels, with repeats; empty if there are none.
    """
    if isinstance(value, (list, tuple)):
        return [n for child in value for n in find_strides(child)]
    if not isinstance(value, Mapping):
        return []
    found = [n for child in value.values() for n in find_strides(child)]
    own = value.get('strides')
    own = own if isinstance(own, (list, tuple)) else []
    return [*found, *(n for n in own if isinstance(n, int))]


def resize_transform(part: Mapping, factor: float) -> dict:
    """Find the sizes to replace in a transform for images of another size.

    Args:
        part: The config of the transform.
        factor: The factor by which sizes are multiplied.

    Returns:
        Key -> value, in the order of `SIZE_KEYS`, also if it stays the same;
        empty if the transform has no size.
    """
    return {
        # A border is half as long as an image.
        key: resize_value(
            part[key], factor, STRIDE // 2 if key == 'border' else STRIDE
        )
        for key in SIZE_KEYS
        if part.get(key)
    }


def resize_value(value: object, factor: float, stride: int) -> object:
    """Scale a size in pixels, or each size in a list or tuple.

    Args:
        value: The size. Numbers from 0 to 1 are shares of an image, and those
            that are not whole are factors: they stay as they are.
        factor: The factor.
        stride: The stride, whose multiples stay multiples of it. No size
            becomes 0.

    Returns:
        The scaled size, a whole number (halves go to the even one); a list or
        tuple of the same type for one of sizes. What is no size stays.
    """
    if isinstance(value, (list, tuple)):
        # A range of factors, such as (0.5, 2.0).
        if any(isinstance(v, float) and v % 1 for v in value):
            return value
        return type(value)(resize_value(v, factor, stride) for v in value)
    # Factors and shares stay, and so do bools, which are integers too.
    if not isinstance(value, (int, float)) or 0 <= value <= 1 or value % 1:
        return value
    unit = 1 if value % stride else stride
    size = round(value * factor / unit) * unit
    # Rounding must leave no 0. The border of a mosaic is negative.
    return size or (unit if value > 0 else -unit)
