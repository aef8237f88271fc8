"""Runs detectors on several views of an image and merges what they find."""

import logging
from collections.abc import Iterator, Sequence

import torch
from mmdet.models import BaseDetector
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import nn
from torch.cuda import OutOfMemoryError  # in `torch` since 2.5

from ...text import format_error
from ..views.view import View
from .acceleration import MODES, prepare_detector
from .checkpoints import load_teacher
from .class_maps import JOIN_IOU, ClassMap, ClassNames
from .unreadable import mark_unreadable
from .view_batches import (
    LoadedView,
    MadeView,
    find_size_divisor,
    list_loaded_views,
    list_made_views,
    make_batches,
    make_pixels,
    split_images,
)
from .view_boxes import (
    FoundBoxes,
    FoundOnView,
    copy_boxes_to_host,
    keep_boxes,
    make_merged_sample,
    take_back,
)
from .view_masks import MaskMerger, check_masks_can_be_inverted
from .wrapped_detector import WrappedDetector


@MODELS.register_module()
class MultiViewTTA(WrappedDetector):
    """Test-time augmentation that makes the views itself, on the device.

    MMDetection's own `DetTTAModel` needs every view made on the CPU and copied
    to the device, runs one view at a time, and leaves the flip and the scale
    of the first view in the result. Here the data loader hands over the
    decoded image once. What views share (a resized image) is made once. Views
    of one padded size share a forward pass. The merged detections of a batch
    go to the host in one copy. The only contract with a detector is
    `detector.test_step`.

    ```
    images ──► View.apply ──► detector.test_step ──► View.invert ──► merger
    ```

    Args:
        module: The detector, or its config.
        merger: The config of a merger, see `merging`.
        views: The views, each a list of the configs of its transforms, see
            `views/transforms.py` beside this package. None if the pipeline of
            the dataset makes the views, with `TestTimeAug` as its last
            transform: for detectors whose images need more than the transforms
            of a view.
        mode: `'exact'` or `'fast'`, see `acceleration.prepare_detector`.
        compile_backbone: Whether to compile the backbone with `torch.compile`.
            This takes about a minute, and on a CPU it needs a C++ compiler.
        max_pixels_per_forward: The number of pixels to put into one forward
            pass, which limits the memory. The two views of a flip pair go
            together even if they have more. Results depend on this number by
            rounding only.
        other_teachers: More detectors, whose views are merged with those of
            `module` (model distillation and data distillation in one). Each is
            `dict(checkpoint=..., module=...)`. Without `module`, it has the
            config of the first detector. It may have `classes` and
            `class_map` of its own.
        data_preprocessor: The data preprocessor of the detector, if `module`
            has none; otherwise None. MMEngine hands it to the model if it is
            at the top level of the config.
        keep_views: Whether each sample also has `view_boxes`, a `ViewBoxes`
            with what was found on each view.
        masks: The arguments of `MaskMerger`; `dict()` for the defaults. Then
            detections have masks too, for a detector that segments instances.
            None for boxes only.
        classes: The classes of `module`, or None, see `ClassNames`.
        class_map: The names of its classes in the labeled file, or None, see
            `ClassNames`.

    Raises:
        ValueError: If there is no view, an argument is out of range, or a
            transform cannot take masks back.
        TypeError: If an argument is unknown, or a teacher has no config.
        KeyError: If a type is not registered, or a teacher no `checkpoint`.
        CheckpointError, OSError, RuntimeError: If a checkpoint of
            `other_teachers` cannot be used, see `load_teacher`.

    Source:
        Paper, section 3: multi-transform inference.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        merger: dict,
        views: Sequence[Sequence[dict]] | None = None,
        mode: str = 'exact',
        compile_backbone: bool = False,
        max_pixels_per_forward: int = 4_000_000,
        other_teachers: Sequence[dict] = (),
        data_preprocessor: dict | None = None,
        keep_views: bool = False,
        masks: dict | None = None,
        classes: Sequence[str] | None = None,
        class_map: dict | None = None,
    ) -> None:
        super().__init__(module, data_preprocessor)
        check_arguments(views, mode, max_pixels_per_forward)
        self.views = None if views is None else [View(view) for view in views]
        self.merger = TASK_UTILS.build(merger)
        self.masks = None if masks is None else MaskMerger(**masks)
        if self.masks:
            check_masks_can_be_inverted(self.views or ())
        self.mode = mode
        self.compile_backbone = compile_backbone
        self.max_pixels_per_forward = max_pixels_per_forward
        self.keep_views = keep_views
        self.names = [
            ClassNames(classes, class_map),
            *map(ClassNames.of, other_teachers),
        ]
        default = data_preprocessor
        self.other_teachers = nn.ModuleList(
            load_teacher(one.get('module', module), one['checkpoint'], default)
            for one in other_teachers
        )
        self.class_maps: list[ClassMap | None] = [None] * len(self.names)
        self._is_prepared = False

    def test_step(self, data: dict) -> list[DetDataSample]:
        """Detect on all views of each image of a batch, and merge.

        If the memory of the device does not suffice for a batch, its images
        are run one by one. An image that needs too much memory on its own
        becomes an unreadable one, with the reason.

        Args:
            data: The batch as the data loader collates it. If this model makes
                the views, there is one item per image:

                ```
                dict(inputs=[image1, image2], data_samples=[sample1, sample2])
                ```

                If the pipeline makes the views, there is one list per view:

                ```
                dict(
                    inputs=[[image1_view1, image2_view1],
                            [image1_view2, image2_view2]],
                    data_samples=[[sample1_view1, sample2_view1],
                                  [sample1_view2, sample2_view2]],
                )
                ```

                Each image has the shape (3, h, w), uint8.

        Returns:
            One sample per image, in order, with the metainfo of the original
            image, and with `pred_instances` as `merge_preds` returns them
            (with masks: and `MaskMerger.merge` completes them). They are empty
            for an image that could not be read. After `fit_classes`, labels
            are those of the labeled file. With `keep_views`, each sample has
            `view_boxes`.

        Raises:
            ValueError: If both this model and the pipeline make views, or
                neither does; or if an image or a mask has a wrong size, or
                masks are wanted that the detector does not give, or a detector
                cannot be made fast as wanted, see `prepare_detector`.
        """
        self._prepare()
        try:
            return self._annotate(data)
        except OutOfMemoryError as error:
            reason = format_error(error)
        # This is not in the handler, whose error keeps what fills the memory.
        print_log(
            f'out of memory, so this batch goes on image by image ({reason}). '
            'Halve max_pixels_per_forward if it happens often',
            'current',
            logging.WARNING,
        )
        return [self._annotate_alone(image) for image in split_images(data)]

    def _annotate_alone(self, data: dict) -> DetDataSample:
        """Annotate a batch of one image, which may need too much memory."""
        torch.cuda.empty_cache()  # what the failed try held
        try:
            return self._annotate(data)[0]
        except OutOfMemoryError as error:
            reason = f'out of memory: {format_error(error)}'
        return self._annotate(mark_unreadable(data, reason))[0]

    def _annotate(self, data: dict) -> list[DetDataSample]:
        """Detect and merge, without regard to the memory."""
        views, samples = self._list_views(data)
        # Half precision is for the layers that `mode` chooses: boxes and
        # overlaps need fp32. The context also keeps the weights that those
        # layers have cast until all views are through.
        with torch.autocast(self.device.type, enabled=False):
            detected = self._detect(views, len(samples))
            merged = self.merge_preds(detected)
            if self.masks:
                for one, found, sample in zip(
                    merged, detected, samples, strict=True
                ):
                    self.masks.merge(
                        one,
                        found,
                        self.merger.find_supporters,
                        tuple(sample.ori_shape[:2]),
                    )
        merged_samples = [
            make_merged_sample(sample, instances)
            for sample, instances in zip(samples, merged, strict=True)
        ]
        if self.keep_views:
            for i, sample in enumerate(merged_samples):
                ran = [view for view in views if view.image_index == i]
                sample.view_boxes = keep_boxes(detected[i], ran)
        return merged_samples

    def merge_preds(
        self, data_samples_list: Sequence[FoundBoxes]
    ) -> list[InstanceData]:
        """Merge what was found on the views of each image.

        Args:
            data_samples_list: What was found on the views of each image, as
                `take_back` returns it; at least one image.

        Returns:
            The detections of each image, in order and on the host: `bboxes`
            (shape (k, 4), xyxy, pixels of the original image), `scores`,
            `labels`, `num_views` and `corner_spread` (shape (k,)), by
            descending score, see `Merger.__call__`.
        """
        images = [
            dict(found.columns, num_views=max(found.num_views, 1))
            for found in data_samples_list
        ]
        return copy_boxes_to_host(self.merger.merge_images(images))

    def fit_classes(self, meta: dict, wanted: Sequence[str]) -> None:
        """Let all teachers give the classes of the labeled file.

        Args:
            meta: The `meta` of the checkpoint of the first teacher.
            wanted: The names of the categories of the labeled file, in order.

        Raises:
            CheckpointError: If a teacher lacks a class, see `ClassNames.map`.
        """
        others: list = [one.checkpoint_meta for one in self.other_teachers]
        self.class_maps = [
            names.map(teacher, known, wanted)
            for names, teacher, known in zip(
                self.names, self.teachers, [meta, *others], strict=True
            )
        ]

    @property
    def device(self) -> torch.device:
        """The device that the detectors are on."""
        return next(self.module.parameters()).device

    @property
    def teachers(self) -> list[BaseDetector]:
        """All detectors, in the order in which their views are merged."""
        return [self.module, *self.other_teachers]

    def group_batches(
        self, views: Sequence[MadeView | LoadedView], size_divisor: int
    ) -> Iterator[list[MadeView | LoadedView]]:
        """Group the views that share a forward pass.

        Args:
            views: The views of a batch, in any order.
            size_divisor: That of the detector, see `find_size_divisor`.

        Yields:
            Views of one batch, whose sizes are equal after padding, see
            `view_batches.make_batches`.
        """
        yield from make_batches(
            views, size_divisor, self.max_pixels_per_forward
        )

    def _prepare(self) -> None:
        """Make the detectors fast, once, after their weights were loaded."""
        if self._is_prepared:
            return
        for teacher in self.teachers:
            prepare_detector(
                teacher,
                self.mode,
                self.compile_backbone,
                with_masks=self.masks is not None,
            )
        if self.views is None:
            print_log(
                'the views are made by `TestTimeAug` in the data pipeline, on '
                'the CPU, which is slower than the `views` of MultiViewTTA',
                'current',
                logging.INFO,
            )
        self._is_prepared = True

    def _list_views(
        self, data: dict
    ) -> tuple[Sequence[MadeView | LoadedView], list[DetDataSample]]:
        """Return all views of a batch, and the sample of each image."""
        images, samples = data['inputs'], data['data_samples']
        are_made = not isinstance(samples[0], DetDataSample)
        if self.views is None and are_made:
            return list_loaded_views(images, samples), samples[0]
        if self.views is not None and not are_made:
            views = list_made_views(self.views, images, samples, self.device)
            return views, samples
        raise ValueError(
            'views are made either by MultiViewTTA(views=[...]) or by '
            '`TestTimeAug` at the end of the data pipeline, got '
            f'{"both" if are_made else "neither"}'
        )

    def _group_shared_batches(
        self, views: Sequence[MadeView | LoadedView]
    ) -> Iterator[tuple[list[MadeView | LoadedView], list[int]]]:
        """Yield batches, and the numbers of the teachers to run on each.

        Only teachers that pad alike share a batch. Otherwise one of them would
        pad a view to the size of another image.
        """
        by_divisor: dict[int, list[int]] = {}
        for number, teacher in enumerate(self.teachers):
            divisor = find_size_divisor(teacher)
            by_divisor.setdefault(divisor, []).append(number)
        for divisor, numbers in by_divisor.items():
            for batch in self.group_batches(views, divisor):
                yield batch, numbers

    def _detect(
        self, views: Sequence[MadeView | LoadedView], num_images: int
    ) -> list[FoundBoxes]:
        """Run all teachers on all views; see `merge_preds` for the result."""
        found: list[dict[tuple, FoundOnView]] = [{} for _ in range(num_images)]
        for batch, numbers in self._group_shared_batches(views):
            pixels = make_pixels(batch)
            for number in numbers:
                described = [view.sample() for view in batch]
                detected = self.teachers[number].test_step(
                    dict(inputs=pixels, data_samples=described)
                )
                for view, sample in zip(batch, detected, strict=True):
                    of_view = sample.pred_instances
                    if class_map := self.class_maps[number]:
                        of_view = class_map.apply(of_view, JOIN_IOU)
                    if self.masks:
                        of_view = self.masks.keep(view, of_view)
                    key = number, view.index
                    found[view.image_index][key] = view, of_view
        # Views of one size were run together, whatever their order.
        in_order = [[views[key] for key in sorted(views)] for views in found]
        return take_back(in_order, self.device, bool(self.masks))


def check_arguments(
    views: Sequence[Sequence[dict]] | None, mode: str, max_pixels: int
) -> None:
    """Check arguments of `MultiViewTTA`.

    Args:
        views: The views; None for those of the test pipeline.
        mode: How exactly detectors compute, one of `MODES`.
        max_pixels: The most pixels of one forward pass, with their padding.

    Raises:
        ValueError: If there is no view, or one argument is out of range.
    """
    if views is not None and not len(views):
        raise ValueError('MultiViewTTA needs at least one view, got none')
    if mode not in MODES:
        raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
    if max_pixels < 1:
        raise ValueError(
            f'max_pixels_per_forward must be at least 1, got {max_pixels}'
        )
