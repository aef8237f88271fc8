"""Marks the samples of images that could not be read."""

import torch
from mmdet.structures import DetDataSample


def make_unreadable(reason: str) -> dict:
    """Make the data that stand for an image that could not be read.

    Args:
        reason: The reason why it could not be read.

    Returns:
        `inputs`, a black image of one pixel (shape (3, 1, 1), uint8), and
        `data_samples`, a sample of the size (1, 1) that carries the reason as
        `unreadable` in its metainfo.
    """
    # A size, because every sample is asked for one.
    sample = DetDataSample(metainfo=dict(ori_shape=(1, 1), unreadable=reason))
    return dict(
        inputs=torch.zeros(3, 1, 1, dtype=torch.uint8), data_samples=sample
    )


def is_unreadable(sample: DetDataSample) -> bool:
    """Return whether a sample stands for an image that could not be read.

    Args:
        sample: A sample; `make_unreadable` and `mark_unreadable` mark it.

    Returns:
        True if the sample carries a reason.
    """
    return 'unreadable' in sample.metainfo


def mark_unreadable(data: dict, reason: str) -> dict:
    """Mark all images of a batch as unreadable, so that they get no views.

    Args:
        data: The batch, in either form that `MultiViewTTA.test_step` takes. It
            is changed in place.
        reason: The reason why the images could not be read.

    Returns:
        The batch that was given. Its images are left as they are.
    """
    for samples in data['data_samples']:
        one_view = isinstance(samples, DetDataSample)
        for sample in [samples] if one_view else samples:
            sample.set_metainfo(dict(unreadable=reason))
    return data
