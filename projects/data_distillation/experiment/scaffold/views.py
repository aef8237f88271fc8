"""Writes how the stage configs make the views of an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...base_configs.augmentation import list_directions
from ...base_configs.config_reading import get_type
from ...base_configs.view_support import (
    RESIZES,
    WITHOUT_PIXELS,
    find_transform,
)
from ...pseudo_labels.selection.summary import MAX_PER_IMG
from .config_text import Expression, format_as_python
from .detector import DetectorConfig, get_sides
from .image_size import resize_transform
from .plan import Plan, ViewRecipe

DIRECTIONS = 'horizontal', 'vertical', 'diagonal'
META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape')
OF_VIEW = ('scale_factor', 'flip', 'flip_direction')
# The largest number of images by which views are chosen. More images take
# longer, and change little.
MAX_TUNING_IMAGES = 500


@dataclass(frozen=True)
class Views:
    """The views of an image, as the stage configs make them.

    Args:
        detector: The detector.
        plan: The numbers of the experiment.
        keys: What else the detector must know of an image: more `meta_keys`.
    """

    detector: DetectorConfig
    plan: Plan
    keys: tuple[str, ...] = ()

    @property
    def recipe(self) -> ViewRecipe:
        """How the views are chosen and merged."""
        return self.plan.recipe

    @property
    def may_be_tuned(self) -> bool:
        """Whether `tune.py` can choose from more views."""
        is_made_here = not self.detector.pipeline_makes_views
        return bool(self.recipe.candidates) and is_made_here

    def list_scales(self, factors: Sequence[float]) -> list[tuple[int, int]]:
        """Compute the sizes of the views.

        Args:
            factors: The sizes, as multiples of the detector's test scale.

        Returns:
            The two sides of each view in whole pixels, in the order of the
            factors, for the size of images that the user wants.

        Raises:
            KeyError: If the test pipeline resizes to no `scale`.
        """
        sides = get_sides(self.detector.test_resize or {})
        exact = [f * self.plan.size_factor for f in factors]
        return [(round(sides[0] * f), round(sides[1] * f)) for f in exact]

    def settings(self, factors: Sequence[float]) -> dict:
        """Make the setting `scales`, with a comment.

        Args:
            factors: The sizes, as multiples of the detector's test scale.

        Returns:
            Two items: the comment as a key without a value, and `scales`.

        Raises:
            KeyError: If the test pipeline resizes to no `scale`.
        """
        multiples = ', '.join(f'{f:g}' for f in factors)
        return {
            f'# The test scale, times {multiples}.': None,
            'scales': self.list_scales(factors),
        }

    def on_device(self, flips: Sequence[str]) -> Expression:
        """Make the argument `views` of `MultiViewTTA`.

        Args:
            flips: The directions of the flipped views at each scale.

        Returns:
            Python text that lists the views, scale by scale, each time first
            the one that is not flipped. It names the scales `scales`.
        """
        resize = self.detector.test_resize or {}
        scaled = "type='Resize', scale=scale"
        # MMDetection's default is False, and that of a view is True.
        if not resize.get('keep_ratio', False):
            scaled += ', keep_ratio=False'
        view_pad = self.detector.view_pad
        pad = f', {format_as_python(view_pad)}' if view_pad else ''
        if not flips:
            return Expression(f'[[dict({scaled}){pad}] for scale in scales]')
        steps = [[], *([make_flip(direction)] for direction in flips)]
        return Expression(
            f'[[dict({scaled}), *flip{pad}] for scale in scales '
            f'for flip in {format_as_python(tuple(steps))}]'
        )

    def pipeline(self) -> list | Expression:
        """Make the pipeline of the unlabeled images.

        It loads an image, and makes its views if `MultiViewTTA` cannot.

        Returns:
            The configs of the transforms, or Python text that names them.
        """
        if not self.detector.pipeline_makes_views:
            keys = (*META_KEYS, *self.keys)
            pack = dict(type='PackDetInputs', meta_keys=keys)
            return [self._load(), pack]
        if self.detector.has_own_views:
            return Expression(self.detector.tta_path)
        pack = dict(
            type='PackDetInputs',
            meta_keys=(*META_KEYS, *OF_VIEW, *self.keys),
        )
        steps = [*self._steps(), [pack]]
        return [
            Expression(self._path(0)),
            dict(type='TestTimeAug', transforms=steps),
        ]

    def _path(self, number: int) -> str:
        return f'{self.detector.test_dataset.path}.pipeline[{number}]'

    def _load(self) -> Expression:
        # Views are made of bytes, as which images are stored.
        load = self.detector.test_dataset.config['pipeline'][0]
        changes = dict(to_float32=False) if load.get('to_float32') else None
        return Expression(self._path(0), changes)

    def _steps(self) -> list[list]:
        """Return, for each step of the views, its alternatives."""
        pipeline = self.detector.test_dataset.config['pipeline']
        resize = find_transform(pipeline, *RESIZES)
        steps: list[list] = []
        for number, step in enumerate(pipeline[1:], 1):
            path = self._path(number)
            if step is resize:
                scales = self.list_scales(self.plan.recipe.scales)
                steps.append([Expression(path, dict(scale=s)) for s in scales])
                probs = (0.0, 1.0) if self.plan.flip else (0.0,)
                steps.append([dict(type='RandomFlip', prob=p) for p in probs])
            elif get_type(step) == 'Pad':
                steps.append([self._pad()])
            elif get_type(step) not in {*WITHOUT_PIXELS, 'RandomFlip'}:
                steps.append([self._make_resized(step, path)])
        return steps

    def _pad(self) -> dict:
        # Views have several sizes, so that none can be that of the pipeline.
        pad = self.detector.view_pad or {}
        value = dict(img=pad['value'])
        return dict(
            type='Pad', size_divisor=pad['size_divisor'], pad_val=value
        )

    def _make_resized(self, step: Mapping, path: str) -> Expression:
        factor = self.plan.size_factor
        changes = resize_transform(step, factor) if factor != 1 else None
        return Expression(path, changes or None)


def keep_all_detections(
    recipe: ViewRecipe, detector: DetectorConfig
) -> ViewRecipe:
    """Let mergers keep as many detections of an image as the detector.

    Args:
        recipe: The recipe.
        detector: The detector.

    Returns:
        The recipe; it is another one if the detector keeps more than the 100
        that mergers keep by default.
    """
    test_cfg = detector.cfg.model.get('test_cfg') or {}
    # Two-stage detectors have it in `rcnn`; that in `rpn` is of proposals.
    parts = test_cfg, test_cfg.get('rcnn') or {}
    most = max(part.get('max_per_img') or 0 for part in parts)
    if most <= MAX_PER_IMG:
        return recipe
    return replace(
        recipe,
        merger=dict(recipe.merger, max_per_img=most),
        masks=dict(recipe.masks, max_per_img=most),
    )


def find_flips(detector: DetectorConfig) -> list[str]:
    """Find the directions that views may be flipped in.

    Args:
        detector: The detector.

    Returns:
        The directions of the flips that it sees in training, and
        `'horizontal'`, in which most objects look natural; in the order of
        `DIRECTIONS`.
    """
    seen = {'horizontal'}
    for transform in detector.train_dataset.iter_transforms():
        seen.update(list_directions(transform))
    return [direction for direction in DIRECTIONS if direction in seen]


def make_flip(direction: str) -> dict:
    """Make the config of a flip, without its default.

    Args:
        direction: `horizontal`, `vertical` or `diagonal`.

    Returns:
        The config of a view transform.
    """
    flip = dict(type='Flip')
    if direction == 'horizontal':
        return flip
    return dict(flip, direction=direction)


def choose_tuning_images(number: int) -> dict:
    """Choose some validation images if there are too many to choose views by.

    Args:
        number: The number of validation images.

    Returns:
        Settings of `tune.py` for at most `MAX_TUNING_IMAGES` images, spread
        evenly; empty for all images.
    """
    if number <= MAX_TUNING_IMAGES:
        return {}
    # Rounded up, so that no more than the most are left.
    step = -(-number // MAX_TUNING_IMAGES)
    indices = Expression(f'list(range(0, {number}, {step}))')
    return {
        '# Enough to choose by.': None,
        'test_dataloader': dict(dataset=dict(indices=indices)),
    }
