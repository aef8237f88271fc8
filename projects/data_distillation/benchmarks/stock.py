"""Makes configs of MMDetection's own test-time augmentation, to compare."""

from collections.abc import Iterable, Sequence

from mmdet.models.test_time_augs import DetTTAModel
from mmengine.config import Config, ConfigDict

META_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'flip_direction',
)


def make_stock_config(cfg: Config) -> Config:
    """Make the config with which MMDetection runs the same views.

    `DetTTAModel` joins the boxes of all views with NMS. It gets the threshold,
    0.5 by default, and the number of boxes, 100 by default, of our merger.

    Args:
        cfg: The config of an annotation, with `views` and a `merger`.

    Returns:
        A new config; the given one stays as it is.

    Raises:
        ValueError: If the views are not all flips of all scales.
        IndexError, KeyError: See `make_stock_views`.
    """
    cfg = Config(cfg.to_dict())
    merger = cfg.model.merger
    nms = dict(type='nms', iou_threshold=merger.get('iou_threshold', 0.5))
    if merger.get('class_agnostic'):
        nms['class_agnostic'] = True
    dataset = cfg.test_dataloader.dataset
    dataset.pipeline = [dataset.pipeline[0], make_stock_views(cfg.model.views)]
    cfg.model = dict(
        type=DetTTAModel.__name__,
        module=cfg.model.module,
        tta_cfg=dict(nms=nms, max_per_img=merger.get('max_per_img', 100)),
    )
    cfg.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    cfg.custom_hooks = []
    return cfg


def make_stock_views(views: Sequence[Sequence[ConfigDict]]) -> dict:
    """Make the `TestTimeAug` that makes the same views.

    Args:
        views: The views of the annotation, each a list of one transform or
            more: a resize, and then a flip if there is one.

    Returns:
        The config of the transform. It has the scales and the flips in the
        order in which they come up first.

    Raises:
        ValueError: If the views are not all flips of all scales.
        IndexError: If a view has no transforms.
        KeyError: If a transform has no `type`.
    """
    scales = drop_repeats(view[0] for view in views)
    flips = drop_repeats(list(view[1:]) for view in views)
    kinds = {step['type'] for flip in flips for step in flip}
    # TestTimeAug makes every combination of its steps, no fewer.
    is_grid = len(views) == len(scales) * len(flips)
    is_grid &= all(scale['type'] == 'Resize' for scale in scales)
    is_grid &= kinds <= {'Flip'} and all(len(flip) < 2 for flip in flips)
    if not is_grid:
        raise ValueError(
            'to compare with TestTimeAug, `views` must be every flip of every '
            f'scale, as [Resize] or [Resize, Flip], got {views}'
        )
    # MMDetection's default is False, and that of a view is True.
    resizes = [
        dict(scale, keep_ratio=scale.get('keep_ratio', True))
        for scale in scales
    ]
    return dict(
        type='TestTimeAug',
        transforms=[
            resizes,
            [make_stock_flip(*flip) for flip in flips],
            [dict(type='PackDetInputs', meta_keys=META_KEYS)],
        ],
    )


def make_stock_flip(flip: dict | None = None) -> dict:
    """Make MMDetection's transform for one of our flips.

    Args:
        flip: The config of the flip, horizontal by default; None for no flip.

    Returns:
        The config of a `RandomFlip` that always or never flips.
    """
    if flip is None:
        return dict(type='RandomFlip', prob=0.0)
    direction = flip.get('direction', 'horizontal')
    return dict(type='RandomFlip', prob=1.0, direction=direction)


def drop_repeats(values: Iterable) -> list:
    """Keep each value once.

    Args:
        values: The values, which need not be hashable.

    Returns:
        The different values, in the order in which they come up.
    """
    different: list = []
    for value in values:
        # A search in a list: dicts cannot be hashed, and there are few.
        if value not in different:
            different.append(value)
    return different
