"""Lists the views of a batch of images, and groups them for forward passes."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from torch import Tensor, nn

from ..views.masks import MaskPatch
from ..views.resizing import put_on_device
from ..views.transforms import Size, flip_mask, get_size_hw
from ..views.view import View
from .unreadable import is_unreadable


@dataclass(frozen=True)
class MadeView:
    """One view of one image, which is made on the device when its turn comes.

    Args:
        image_index: The number of the image in the batch, starting with 0.
        index: The number of the view among those of the image, starting with
            0.
        view: The transforms that make the view.
        image: The image, shape (3, h, w), uint8, on the device.
        original: The sample of the image.
        numbers: The numbers, starting with 0, of all views of the config that
            look like this one.
    """

    image_index: int
    index: int
    view: View
    image: Tensor
    original: DetDataSample
    numbers: tuple[int, ...]

    @property
    def size_hw(self) -> Size:
        """Its height and width in pixels."""
        return self.view.size_hw(self._original_hw)

    def pixels(self, made: dict[tuple, Tensor]) -> Tensor:
        """Make the view.

        Args:
            made: The images that other views of this image have made, see
                `View.apply`.

        Returns:
            Shape (3, *size_hw), uint8.
        """
        return self.view.apply(self.image, made)

    def sample(self) -> DetDataSample:
        """Describe the view to a detector as an image of its own.

        Then the detector gives boxes in the pixels of the view.

        Returns:
            A new sample with the metainfo of the original image, and with the
            size, the scale and the flip of the view.
        """
        metainfo = dict(
            ori_shape=self.size_hw,
            img_shape=self.size_hw,
            # No scale and no flip for the detector to undo: `invert` takes
            # the boxes back, also through windows and rotations.
            scale_factor=(1.0, 1.0),
            flip=False,
            flip_direction=None,
        )
        return DetDataSample(metainfo={**self.original.metainfo, **metainfo})

    def invert(self, bboxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Take boxes back to the original image, see `View.invert`.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the view.

        Returns:
            The boxes (shape (n, 4), pixels of the original image), in order,
            and whether the object of each is whole (shape (n,), bool).
        """
        return self.view.invert(bboxes_xyxy, self._original_hw)

    @property
    def way_back(self) -> Hashable:
        """Equal for two views only if their `invert` does the same."""
        return self.view, self._original_hw

    @property
    def frame_hw(self) -> Size:
        """Height and width of the image in whose pixels boxes are found."""
        return self.size_hw

    def invert_mask(self, mask: MaskPatch) -> MaskPatch:
        """Take a mask back to the original image, see `View.invert_mask`.

        Args:
            mask: The mask in the view.

        Returns:
            The mask in the original image.
        """
        return self.view.invert_mask(mask, self._original_hw)

    @property
    def _original_hw(self) -> Size:
        return get_size_hw(self.image)


@dataclass(frozen=True)
class LoadedView:
    """One view of one image, which the data loader has made.

    mmcv's `TestTimeAug` makes views in the data loader.

    Args:
        image_index: The number of the image in the batch, starting with 0.
        index: The number of the view among those of the image, starting with
            0.
        image: The view, shape (3, h, w), uint8.
        original: The sample of the view, with its scale and its flip.
    """

    image_index: int
    index: int
    image: Tensor
    original: DetDataSample

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of the view in the pipeline; each looks different."""
        return (self.index,)

    @property
    def size_hw(self) -> Size:
        """Its height and width in pixels."""
        return get_size_hw(self.image)

    def pixels(self, made: dict[tuple, Tensor]) -> Tensor:
        """Return the view, which is made already.

        Args:
            made: It is not used.

        Returns:
            Shape (3, h, w), uint8.
        """
        return self.image

    def sample(self) -> DetDataSample:
        """Describe the view to a detector as the pipeline did.

        Then the detector undoes the scale, and gives boxes in pixels of the
        original image, which may be flipped.

        Returns:
            A new sample with the metainfo of the view.
        """
        return DetDataSample(metainfo=self.original.metainfo)

    def invert(self, bboxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Undo the flip of boxes, whose scale the detector has undone.

        Args:
            bboxes_xyxy: Shape (n, 4), pixels of the original image, flipped as
                the view.

        Returns:
            The boxes, shape (n, 4), pixels of the original image, in order;
            and n times True, since these views are taken to cut no object.
        """
        is_whole = torch.ones_like(bboxes_xyxy[:, 0], dtype=torch.bool)
        if not self.original.metainfo.get('flip'):
            return bboxes_xyxy, is_whole
        # In the original's size: the detector has undone the scale already.
        flipped = bbox_flip(
            bboxes_xyxy,
            self.original.ori_shape[:2],
            direction=self.original.flip_direction,
        )
        return flipped, is_whole

    @property
    def way_back(self) -> Hashable:
        """Equal for two views only if their `invert` does the same."""
        metainfo = self.original.metainfo
        flip = metainfo.get('flip') and metainfo['flip_direction']
        return flip, self.frame_hw

    @property
    def frame_hw(self) -> Size:
        """Height and width of the image in whose pixels boxes are found."""
        height, width = self.original.ori_shape[:2]
        return height, width

    def invert_mask(self, mask: MaskPatch) -> MaskPatch:
        """Undo the flip of a mask, whose scale the detector has undone.

        Args:
            mask: The mask in the original image, flipped as the view.

        Returns:
            The mask in the original image; the given one if the view is not
            flipped.
        """
        if not self.original.metainfo.get('flip'):
            return mask
        direction = self.original.flip_direction
        return flip_mask(mask, self.frame_hw, direction)


def list_made_views(
    views: Sequence[View],
    images: Sequence[Tensor],
    samples: Sequence[DetDataSample],
    device: torch.device,
) -> list[MadeView]:
    """List the views to make of each image of a batch.

    Args:
        views: The views of an image.
        images: The images, each of shape (3, h, w), uint8, on the host.
        samples: The samples of the images. Those of unreadable images get no
            view.
        device: The device to make the views on. Each image is copied there
            once. If its memory is pinned, the device goes on computing
            meanwhile.

    Returns:
        The views, ordered by image and then as in `views`. If several views of
        an image look the same (its shape can make two scales equal), only the
        first is there.

    Raises:
        ValueError: If an image no longer has the size it was decoded with.
    """
    to_make: list[MadeView] = []
    for i, (image, sample) in enumerate(zip(images, samples, strict=True)):
        if is_unreadable(sample):
            continue
        check_is_original(image, sample)
        on_device = put_on_device(image, device)
        to_make += [
            MadeView(i, index, views[same[0]], on_device, sample, same)
            for index, same in enumerate(group_equal_views(views, on_device))
        ]
    return to_make


def check_is_original(image: Tensor, sample: DetDataSample) -> None:
    """Check that the data pipeline has not changed the size of an image.

    Args:
        image: The image, shape (3, h, w).
        sample: The sample of the image.

    Raises:
        ValueError: If the size has changed. The boxes would be those of the
            changed image.
    """
    if tuple(image.shape[-2:]) != tuple(sample.ori_shape[:2]):
        raise ValueError(
            'MultiViewTTA needs images in their decoded size, got '
            f'{tuple(image.shape[-2:])} for {sample.ori_shape[:2]} (height, '
            'width): remove Resize and other transforms of the size from the '
            'pipeline of the dataset'
        )


def group_equal_views(
    views: Sequence[View], image: Tensor
) -> list[tuple[int, ...]]:
    """Group the views of an image that look the same.

    Args:
        views: The views.
        image: The image, shape (3, h, w), of which only the size matters.

    Returns:
        The numbers of the views in each group, ascending. The groups are in
        the order of their first views.
    """
    size_hw = get_size_hw(image)
    by_key: dict = {}
    for number, view in enumerate(views):
        by_key.setdefault(view.key(size_hw), []).append(number)
    return [tuple(numbers) for numbers in by_key.values()]


def list_loaded_views(
    images: Sequence[Sequence[Tensor]],
    samples: Sequence[Sequence[DetDataSample]],
) -> list[LoadedView]:
    """List the views that the data loader has made.

    Args:
        images: For each view, at least one, a list with that view of each
            image, (3, h, w), uint8, see `MultiViewTTA.test_step`.
        samples: For each view, a list with its sample of each image. Those of
            unreadable images get no view.

    Returns:
        The views, ordered by image and then as the loader made them.
    """
    return [
        LoadedView(i, index, view_images[i], view_samples[i])
        for i in range(len(images[0]))
        for index, (view_images, view_samples) in enumerate(
            zip(images, samples, strict=True)
        )
        if not is_unreadable(view_samples[i])
    ]


def make_batches(
    views: Sequence[MadeView | LoadedView], size_divisor: int, max_pixels: int
) -> Iterator[list[MadeView | LoadedView]]:
    """Put views into batches that need no more padding than each view alone.

    Args:
        views: The views, in any order.
        size_divisor: The number that each side is padded to a multiple of by
            the detector.
        max_pixels: The number of pixels to put into a batch, with those of the
            padding.

    Yields:
        Views of one padded size, ordered by image and then by view; the sizes
        ascend by height, then width. Each batch has an even number of views,
        apart from the last of a size: so a view and its flip stay together.
        Two views go together even if they have more pixels.
    """

    def padded_hw(view: MadeView | LoadedView) -> Size:
        """Return the size to which the detector pads a view."""
        height, width = (-(-n // size_divisor) for n in view.size_hw)
        return height * size_divisor, width * size_divisor

    def place(view: MadeView | LoadedView) -> tuple:
        """Return what the views are sorted by."""
        return padded_hw(view), view.image_index, view.index

    for (height, width), group in groupby(sorted(views, key=place), padded_hw):
        same_size = list(group)
        count = max(max_pixels // (height * width) // 2 * 2, 2)  # even
        for start in range(0, len(same_size), count):
            yield same_size[start : start + count]


def make_pixels(views: Sequence[MadeView | LoadedView]) -> list[Tensor]:
    """Make the views of a batch.

    Args:
        views: The views.

    Returns:
        The views in order, each (3, h, w), uint8, on the device of its image.
    """
    # Shared by the views of an image: a view and its flip are resized once.
    made: dict[int, dict] = {view.image_index: {} for view in views}
    return [view.pixels(made[view.image_index]) for view in views]


def split_images(data: dict) -> Iterator[dict]:
    """Split a batch into its images.

    Args:
        data: The batch, in either form that `MultiViewTTA.test_step` takes.

    Yields:
        Batches of one image, in order and in the same form.
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


def find_size_divisor(teacher: nn.Module) -> int:
    """Find the number of which a detector makes the sides multiples.

    Args:
        teacher: The detector, with its `data_preprocessor`.

    Returns:
        The number; 1 if its preprocessor does not pad.
    """
    return getattr(teacher.data_preprocessor, 'pad_size_divisor', 1)
