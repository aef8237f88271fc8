"""Boxes of a batch come back together as they would one view at a time."""

import warnings

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from projects.data_distillation import View
from projects.data_distillation.multi_view.inference.view_batches import (
    LoadedView,
    MadeView,
)
from projects.data_distillation.multi_view.inference.view_boxes import (
    take_back,
)
from projects.data_distillation.multi_view.views.resizing import put_on_device

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU'
)
VIEWS = [
    View(transforms)
    for transforms in (
        [],
        [dict(type='Resize', scale=(90, 70))],
        [dict(type='Resize', scale=(90, 70)), dict(type='Flip')],
        [dict(type='Crop', left=0.2), dict(type='Rotate', degrees=90)],
    )
]
SIZES = [(80, 120), (50, 40), (80, 120)]


def find(view, count, random, device):
    """What a detector may find on a view; the masks are names of boxes."""
    height, width = view.size_hw
    corners = torch.rand(count, 2, generator=random)
    ends = (corners + torch.rand(count, 2, generator=random)).clamp(max=1)
    size = torch.tensor([width, height] * 2)
    return InstanceData(
        bboxes=(torch.cat([corners, ends], 1) * size).to(device),
        scores=torch.rand(count, generator=random).to(device),
        labels=torch.randint(9, (count,), generator=random).to(device),
        masks=[(view, i) for i in range(count)],
    )


def make_batch(device):
    """Three images, of which the second one could not be read."""
    random = torch.Generator().manual_seed(0)
    sample = DetDataSample()
    batch = []
    for i, (height, width) in enumerate(SIZES):
        image = torch.zeros(3, height, width, dtype=torch.uint8).to(device)
        made = [
            MadeView(i, n, view, image, sample, (n,))
            for n, view in enumerate(VIEWS)
        ]
        views = [] if i == 1 else made * 2  # Two teachers.
        counts = torch.randint(9, (len(views),), generator=random).tolist()
        batch.append(
            [
                (view, find(view, count, random, device))
                for view, count in zip(views, counts, strict=True)
            ]
        )
    return batch


def take_back_slowly(views):
    """Return rows of view, box, score, label and mask, one view at a time."""
    rows = []
    for number, (view, found) in enumerate(views):
        bboxes_xyxy, is_whole = view.invert(found.bboxes)
        rows += [
            (
                number,
                bboxes_xyxy[i].tolist(),
                found.scores[i].item(),
                found.labels[i].item(),
                found.masks[i],
            )
            for i in range(len(found))
            if is_whole[i]
        ]
    return rows


def test_batch_comes_back_as_view_by_view():
    batch = make_batch('cpu')

    images = take_back(batch, torch.device('cpu'), with_masks=True)

    rows = [
        list(
            zip(
                found.view_ids.tolist(),
                found.bboxes_xyxy.tolist(),
                found.scores.tolist(),
                found.labels.tolist(),
                found.masks,
                strict=True,
            )
        )
        for found in images
    ]
    assert rows == [take_back_slowly(views) for views in batch]
    assert [found.num_views for found in images] == [8, 0, 8]
    in_all = sum(len(found) for views in batch for _, found in views)
    assert 0 < sum(map(len, rows)) < in_all  # The crop has cut some.


def test_views_of_the_pipeline_come_back_by_their_flip():
    image = torch.zeros(3, 60, 90, dtype=torch.uint8)
    box = InstanceData(
        bboxes=torch.tensor([[10.0, 20, 30, 50]]),
        scores=torch.ones(1),
        labels=torch.zeros(1, dtype=torch.long),
    )
    flips = [(False, None), (True, 'horizontal'), (True, 'vertical')]
    views = []
    for index, (flip, direction) in enumerate(flips):
        sample = DetDataSample(
            metainfo=dict(
                ori_shape=(60, 90), flip=flip, flip_direction=direction
            )
        )
        views.append((LoadedView(0, index, image, sample), box))

    (found,) = take_back([views], torch.device('cpu'), with_masks=False)

    assert found.bboxes_xyxy.tolist() == [
        [10, 20, 30, 50],
        [60, 20, 80, 50],
        [10, 10, 30, 40],
    ]
    assert list(found.masks) == []


def test_nothing_comes_back_from_a_batch_without_views():
    found = take_back([[], []], torch.device('cpu'), with_masks=False)

    shapes = [tuple(one.bboxes_xyxy.shape) for one in found]
    assert shapes == [(0, 4), (0, 4)]
    assert [one.num_views for one in found] == [0, 0]


def test_image_lies_in_memory_as_opencv_wants_it():
    image = torch.arange(60, dtype=torch.uint8).reshape(3, 4, 5)

    moved = put_on_device(image, torch.device('cpu'))

    assert torch.equal(moved, image)
    assert moved.permute(1, 2, 0).is_contiguous()


def count_waits(function, *arguments, **named):
    """Count how often the host waits for the GPU in a function."""
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            function(*arguments, **named)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return sum('synchronizing' in str(one.message) for one in caught)


@needs_gpu
def test_host_waits_for_the_gpu_once_to_take_a_batch_back():
    device = torch.device('cuda')
    batch = make_batch(device)
    take_back(batch, device, with_masks=True)

    # The flags, and three small copies of what the host has computed.
    assert count_waits(take_back, batch, device, with_masks=True) <= 4
