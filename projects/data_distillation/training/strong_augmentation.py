"""StrongAugmentation: what a student sees of pseudo-labeled images."""

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.registry import TRANSFORMS

# As in MMDetection's semi_coco_detection.py, hence of random magnitude each;
# `ColorTransform` leaves the image as it is.
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
    """One change of color, one of geometry, and up to five gray patches.

    The strong augmentation of Soft Teacher as MMDetection's
    `_base_/datasets/semi_coco_detection.py` has it, for the pipeline of the
    pseudo-labeled images, before `PackDetInputs`. Boxes and regions to ignore
    follow the pixels, as upright boxes around their moved corners: a turned
    one is looser than it was. One that is covered by more than 90 % or moved
    out of the image is dropped; an image may be left without any.

    Args:
        geometric: Whether to rotate, shear or shift (up to 30 degrees, 30
            degrees, a tenth of the image). Unbiased Teacher does not.

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
                # An image without objects teaches, too: it is not replaced.
                dict(type='FilterAnnotations', keep_empty=False),
            ]
        )

    def transform(self, results: dict) -> dict:
        """Augment an image.

        Args:
            results: What the transforms before made; pixels may be floats.

        Returns:
            The same with other pixels, of type uint8, and boxes.
        """
        # PhotoMetricDistortion leaves floats, in and out of [0, 255].
        pixels = np.rint(results['img'].astype(np.float32)).clip(0, 255)
        results['img'] = pixels.astype(np.uint8)
        return self.transforms(results)


def choose_one(names: tuple[str, ...]) -> dict:
    """Return the config that applies one of these transforms at random."""
    space = [[dict(type=name)] for name in names]
    return dict(type='RandAugment', aug_space=space, aug_num=1)
