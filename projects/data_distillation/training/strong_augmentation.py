"""StrongAugmentation: makes pseudo-labeled images harder for a student."""

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks, PolygonMasks

# The same transforms as in MMDetection's semi_coco_detection.py, each with a
# random magnitude. `ColorTransform` leaves the image as it is.
COLOR = (
    'ColorTransform',
    'AutoContrast',
    'Equalize',
    'Sharpness',
    'Posterize',
    'Solarize',
    'Color',
    'Contrast',
    'Brightness',
)
GEOMETRY = ('Rotate', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY')


@TRANSFORMS.register_module()
class StrongAugmentation(BaseTransform):
    """Changes the color and the geometry, and adds one to five gray patches.

    This is the strong augmentation of Soft Teacher, in the form that it has in
    MMDetection's `_base_/datasets/semi_coco_detection.py`. It belongs in the
    pipeline of the pseudo-labeled images, before `PackDetInputs`. Boxes and
    regions to ignore follow the pixels. The new box is the upright box around
    the moved corners, cut off at the border of the image, so it is looser if
    the image was rotated. A box is dropped if the patches cover 90 % of it or
    more (what two of them cover counts twice), or if no more than a pixel of
    its width or height is left. Masks follow in the same way, and patches are
    cut out of them; polygons become bitmaps, since MMDetection cuts nothing
    else. An image may be left without boxes.

    Args:
        geometric: Whether to rotate (by up to 30 degrees), shear (by up to 30
            degrees) or shift the image (by up to a tenth of its size).
            Unbiased Teacher does not do this.

    Source:
        Soft Teacher, arXiv 2106.09018; STAC, arXiv 2005.04757.
    """

    def __init__(self, geometric: bool = True) -> None:
        changes = [choose_one(COLOR)]
        if geometric:
            changes.append(choose_one(GEOMETRY))
        self.transforms = Compose(
            [
                dict(type='RandomOrder', transforms=changes),
                dict(type='RandomErasing', n_patches=(1, 5), ratio=(0, 0.2)),
                # An image without objects is not replaced: it teaches as well.
                dict(type='FilterAnnotations', keep_empty=False),
            ]
        )

    def transform(self, results: dict) -> dict:
        """Augment an image.

        Args:
            results: The results of the transforms before: `img`, shape (h, w,
                3), BGR, whose pixels may be floats, its `img_shape`, and
                `gt_bboxes` (`HorizontalBoxes`, xyxy in pixels of `img`) with
                `gt_bboxes_labels` and `gt_ignore_flags`; maybe also
                `gt_masks`, of either kind. It is changed in place.

        Returns:
            The same results, with new pixels (uint8, of the same shape) and
            new boxes, of which there may be none; masks are `BitmapMasks`.

        Raises:
            AssertionError: If there are no `gt_bboxes`.
        """
        # PhotoMetricDistortion leaves floats, some of them out of [0, 255].
        pixels = np.rint(results['img'].astype(np.float32)).clip(0, 255)
        results['img'] = pixels.astype(np.uint8)
        if isinstance(masks := results.get('gt_masks'), PolygonMasks):
            # Not `to_bitmap`: OpenCV moves no bool.
            pixels = masks.to_ndarray().astype(np.uint8)
            results['gt_masks'] = BitmapMasks(pixels, *pixels.shape[1:])
        return self.transforms(results)


def choose_one(names: tuple[str, ...]) -> dict:
    """Make a config that applies one of some transforms at random.

    Args:
        names: The types of the transforms; each is as likely as the others.

    Returns:
        The config of MMDetection's `RandAugment`.
    """
    # RandAugment draws among lists, and applies all transforms of a list.
    space = [[dict(type=name)] for name in names]
    return dict(type='RandAugment', aug_space=space, aug_num=1)
