"""The views of a batch of images, and which of them share a forward pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from torch import Tensor

from ..views.transforms import Size, size_hw_of
from ..views.view import View
from .unreadable import is_unreadable


@dataclass(frozen=True)
class MadeView:
    """One view of one image, made on the device when it is its turn.

    Args:
        image_index: Which image of the batch.
        index: Which view of the image.
        view: How it is made.
        image: The image, shape (3, h, w), uint8.
        original: The image's sample.
    """

    image_index: int
    index: int
    view: View
    image: Tensor
    original: DetDataSample

    @property
    def size_hw(self) -> Size:
        """Its height and width in pixels."""
        return self.view.size_hw(self._original_hw)

    def pixels(self, made: dict[tuple, Tensor]) -> Tensor:
        """Make the view; `made` is what this image's views share."""
        return self.view.apply(self.image, made)

    def sample(self) -> DetDataSample:
        """Describe the view to a detector: as an image of its own.

        So the detector gives boxes in the view's pixels.
        """
        metainfo = dict(
            ori_shape=self.size_hw,
            img_shape=self.size_hw,
            scale_factor=(1.0, 1.0),
            flip=False,
            flip_direction=None,
        )
        return DetDataSample(metainfo={**self.original.metainfo, **metainfo})

    def invert(self, bboxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Take boxes back to the original image; see `View.invert`."""
        return self.view.invert(bboxes_xyxy, self._original_hw)

    @property
    def _original_hw(self) -> Size:
        return size_hw_of(self.image)


@dataclass(frozen=True)
class LoadedView:
    """One view of one image, made by the data loader (mmcv's `TestTimeAug`).

    Args:
        image_index: Which image of the batch.
        index: Which view of the image.
        image: The view, shape (3, h, w), uint8.
        original: Its sample, with its scale and flip.
    """

    image_index: int
    index: int
    image: Tensor
    original: DetDataSample

    @property
    def size_hw(self) -> Size:
        """Its height and width in pixels."""
        return size_hw_of(self.image)

    def pixels(self, made: dict[tuple, Tensor]) -> Tensor:
        """Return the view; `made` is not used."""
        return self.image

    def sample(self) -> DetDataSample:
        """Describe the view to a detector, as the pipeline did."""
        return DetDataSample(metainfo=self.original.metainfo)

    def invert(self, bboxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Undo the flip; the detector has undone the scale."""
        is_whole = torch.ones_like(bboxes_xyxy[:, 0], dtype=torch.bool)
        if not self.original.metainfo.get('flip'):
            return bboxes_xyxy, is_whole
        flipped = bbox_flip(
            bboxes_xyxy,
            self.original.ori_shape[:2],
            direction=self.original.flip_direction,
        )
        return flipped, is_whole


def made_views(
    views: Sequence[View],
    images: Sequence[Tensor],
    samples: Sequence[DetDataSample],
    device: torch.device,
) -> list[MadeView]:
    """List the views to make of each image of a batch.

    Args:
        views: The views.
        images: Each of shape (3, h, w), uint8, on the host.
        samples: One for each image; unreadable ones get no view.
        device: Where the views shall be made: each image is copied there
            once, while the device goes on computing if the memory is pinned.

    Returns:
        By image, then view. Of views that look the same (two scales that an
        image's shape makes equal) only the first.

    Raises:
        ValueError: If an image has not the size that it was decoded with.
    """
    listed: list[MadeView] = []
    for i, (image, sample) in enumerate(zip(images, samples, strict=True)):
        if is_unreadable(sample):
            continue
        check_is_original(image, sample)
        on_device = image.to(device, non_blocking=True)
        listed += [
            MadeView(i, index, view, on_device, sample)
            for index, view in enumerate(different(views, on_device))
        ]
    return listed


def check_is_original(image: Tensor, sample: DetDataSample) -> None:
    """Check that the data pipeline has not changed an image's size.

    Raises:
        ValueError: If it has: boxes would be those of the changed image.
    """
    if tuple(image.shape[-2:]) != tuple(sample.ori_shape[:2]):
        raise ValueError(
            'MultiViewTTA needs images as they are decoded, got one of '
            f'{tuple(image.shape[-2:])} for {sample.ori_shape[:2]} (height, '
            "width): leave Resize and the like out of the data set's pipeline"
        )


def different(views: Sequence[View], image: Tensor) -> list[View]:
    """Return the views of an image that look different, the first of each."""
    size_hw = size_hw_of(image)
    by_key: dict = {}
    for view in views:
        by_key.setdefault(view.key(size_hw), view)
    return list(by_key.values())


def loaded_views(
    images: Sequence[Sequence[Tensor]],
    samples: Sequence[Sequence[DetDataSample]],
) -> list[LoadedView]:
    """List the views that the data loader has made.

    Args:
        images: For each view, for each image: shape (3, h, w), uint8.
        samples: For each view, for each image; unreadable ones get no view.

    Returns:
        By image, then view.
    """
    return [
        LoadedView(i, index, view_images[i], view_samples[i])
        for i in range(len(images[0]))
        for index, (view_images, view_samples) in enumerate(
            zip(images, samples, strict=True)
        )
        if not is_unreadable(view_samples[i])
    ]


def batches(
    views: Sequence[MadeView | LoadedView], size_divisor: int, max_pixels: int
) -> Iterator[list[MadeView | LoadedView]]:
    """Put views into batches that need no more padding than each on its own.

    Args:
        views: In any order.
        size_divisor: To a multiple of which the detector pads each side.
        max_pixels: How many pixels, padding included, to put into a batch.

    Yields:
        Views of one padded size. An even number, so that the pairs of a set
        of views and their flips stay together, unless none is left; two even
        if they have more pixels.
    """

    def padded_hw(view: MadeView | LoadedView) -> Size:
        """Return the size to which the detector pads a view."""
        height, width = (-(-n // size_divisor) for n in view.size_hw)
        return height * size_divisor, width * size_divisor

    def place(view: MadeView | LoadedView) -> tuple:
        """Return what views are sorted by."""
        return padded_hw(view), view.image_index, view.index

    for (height, width), group in groupby(sorted(views, key=place), padded_hw):
        same_size = list(group)
        count = max(max_pixels // (height * width) // 2 * 2, 2)
        for start in range(0, len(same_size), count):
            yield same_size[start : start + count]


def make_pixels(views: Sequence[MadeView | LoadedView]) -> list[Tensor]:
    """Make the views of a batch, each shape (3, h, w), uint8, in order."""
    made: dict[int, dict] = {view.image_index: {} for view in views}
    return [view.pixels(made[view.image_index]) for view in views]


def one_by_one(data: dict) -> Iterator[dict]:
    """Split a batch, as `MultiViewTTA.test_step` takes it, into its images.

    Args:
        data: `inputs` and `data_samples`, of each image or, if the data
            loader has made the views, of each image for each view.

    Yields:
        Batches of one image, in order.
    """
    samples = data['data_samples']
    if isinstance(samples[0], DetDataSample):
        for i in range(len(samples)):
            yield {key: values[i : i + 1] for key, values in data.items()}
    else:
        for i in range(len(samples[0])):
            yield {
                key: [view[i : i + 1] for view in views]
                for key, views in data.items()
            }
