"""Samples that stand for images that could not be read."""

import torch
from mmdet.structures import DetDataSample


def unreadable_sample(reason: str) -> dict:
    """Make the sample that stands for an image that could not be read.

    Args:
        reason: Why it could not be read.

    Returns:
        `inputs`, one black pixel, and `data_samples`.
    """
    sample = DetDataSample(metainfo=dict(ori_shape=(1, 1), unreadable=reason))
    return dict(
        inputs=torch.zeros(3, 1, 1, dtype=torch.uint8), data_samples=sample
    )


def is_unreadable(sample: DetDataSample) -> bool:
    """Whether the sample stands for an image that could not be read."""
    return 'unreadable' in sample.metainfo


def as_unreadable(data: dict, reason: str) -> dict:
    """Mark the images of a batch as such that could not be read.

    Args:
        data: As for `one_by_one`.
        reason: Why not.

    Returns:
        The batch, changed in place: its images get no views.
    """
    for samples in data['data_samples']:
        one_view = isinstance(samples, DetDataSample)
        for sample in [samples] if one_view else samples:
            sample.set_metainfo(dict(unreadable=reason))
    return data
