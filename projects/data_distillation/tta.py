"""Runs a detector on several views of an image and merges what it finds."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .datasets import is_unreadable
from .views import View, resize


@MODELS.register_module()
class MultiViewTTA(BaseTTAModel):
    """Test-time augmentation that makes the views itself, on the device.

    MMDetection's own `DetTTAModel` wants every view made on the CPU and copied
    to the device, and leaves the first view's flip and scale in the result.
    Here the data loader hands over the decoded image once; views are resized
    once per scale, and the views of one size (a flip pair) share a forward
    pass. The only contract with the detector is `detector.test_step`.

    ```
    images ──► View.size_hw, resize, View.apply ──► detector.test_step
                                                        │ boxes, scaled back
    merged sample ◄── merger ◄── View.invert ◄──────────┘
    ```

    Args:
        module: The detector, or its config.
        views: At least one `View`, or its arguments as a dict.
        merger: The config of a merger, see `mergers.py`.

    Raises:
        ValueError: If there is no view.

    Source:
        Paper, section 3: multi-transform inference.
    """

    def __init__(
        self, module: dict | nn.Module, views: Sequence[dict], merger: dict
    ) -> None:
        super().__init__(module)
        if not views:
            raise ValueError('MultiViewTTA needs at least one view, got none')
        self.views = [View(**view) for view in views]
        self.merger = TASK_UTILS.build(merger)

    def test_step(self, data: dict) -> list[DetDataSample]:
        """Detect on all views of each image of a batch and merge.

        Args:
            data: `inputs`, a list of uint8 images of shape (3, h, w), and
                `data_samples`, one `DetDataSample` for each.

        Returns:
            One sample per image, in order, with the metainfo of the original
            image and `pred_instances`: `bboxes` (xyxy, pixels of the original
            image), `scores`, `labels` and `num_views`, by descending score.
            Empty for an image that could not be read.
        """
        pairs = zip(data['inputs'], data['data_samples'], strict=True)
        return [self._detect(image, sample) for image, sample in pairs]

    def merge_preds(self, data_samples_list: list) -> None:
        """Not used: `test_step` merges as soon as it has an image's views.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('MultiViewTTA merges in `test_step`')

    @property
    def device(self) -> torch.device:
        """The device that the detector is on."""
        return next(self.module.parameters()).device

    def _detect(self, image: Tensor, sample: DetDataSample) -> DetDataSample:
        views = [] if is_unreadable(sample) else self.views
        image = image.to(self.device)
        samples = []
        for size_hw, same_size in self._group_by_size(views, image).items():
            resized = resize(image, size_hw)
            samples += self._run(resized, list(same_size.values()), sample)
        return self._merge(samples, sample)

    @staticmethod
    def _group_by_size(
        views: list[View], image: Tensor
    ) -> dict[tuple[int, int], dict[str | None, View]]:
        """Map size -> flip -> view; of equal views only one is left."""
        groups: dict = {}
        for view in views:
            size_hw = view.size_hw(tuple(image.shape[-2:]))
            groups.setdefault(size_hw, {})[view.flip] = view
        return groups

    def _run(
        self, resized: Tensor, views: list[View], original: DetDataSample
    ) -> list[DetDataSample]:
        """Run the detector on the views of one size, in one forward pass."""
        original_hw = tuple(original.ori_shape[:2])
        samples = [
            view_sample(original, view, tuple(resized.shape[-2:]))
            for view in views
        ]
        inputs = [view.apply(resized) for view in views]
        detected = self.module.test_step(
            dict(inputs=inputs, data_samples=samples)
        )
        for view, sample in zip(views, detected, strict=True):
            # fp32: half-precision pixels are off by up to 8 beyond 1,024.
            bboxes_xyxy = sample.pred_instances.bboxes.float()
            sample.pred_instances.bboxes = view.invert(
                bboxes_xyxy, original_hw
            )
        return detected

    def _merge(
        self, samples: Sequence[DetDataSample], original: DetDataSample
    ) -> DetDataSample:
        merged = DetDataSample(metainfo=original.metainfo)
        # Autocast would compute overlaps in half precision.
        with torch.autocast(self.device.type, enabled=False):
            merged.pred_instances = self.merger(
                **concatenate_views(samples, self.device)
            )
        return merged


def view_sample(
    original: DetDataSample, view: View, size_hw: tuple[int, int]
) -> DetDataSample:
    """Describe a view to the detector.

    Args:
        original: The sample of the original image; its `ori_shape` is kept.
        view: The view.
        size_hw: Its height and width in pixels.

    Returns:
        A sample whose `img_shape`, `scale_factor` (width, height) and flip are
        those of the view.
    """
    height, width = original.ori_shape[:2]
    metainfo = dict(
        img_shape=size_hw,
        scale_factor=(size_hw[1] / width, size_hw[0] / height),
        flip=view.flip is not None,
        flip_direction=view.flip,
    )
    return DetDataSample(metainfo={**original.metainfo, **metainfo})


def concatenate_views(
    samples: Sequence[DetDataSample], device: torch.device
) -> dict[str, Tensor]:
    """Put the predictions of all views of an image into one set of tensors.

    Args:
        samples: One sample per view.
        device: Where the tensors shall be if there is no sample.

    Returns:
        `bboxes_xyxy` (n, 4) and `scores` (n), float32; `labels` and `view_ids`
        (n), int64. All empty if there is no sample.
    """
    found = [sample.pred_instances for sample in samples]
    if not found:
        found = [
            InstanceData(
                bboxes=torch.zeros(0, 4, device=device),
                scores=torch.zeros(0, device=device),
                labels=torch.zeros(0, dtype=torch.long, device=device),
            )
        ]
    return dict(
        bboxes_xyxy=torch.cat([view.bboxes for view in found]).float(),
        scores=torch.cat([view.scores for view in found]).float(),
        labels=torch.cat([view.labels for view in found]),
        view_ids=torch.cat(
            [
                view.labels.new_full((len(view),), i)
                for i, view in enumerate(found)
            ]
        ),
    )
