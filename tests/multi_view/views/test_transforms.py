"""Views: sizes, pixels and the way back, for every registered transform."""

import random

import pytest
import torch
from mmcv.image import imrescale

from projects.data_distillation import VIEW_TRANSFORMS, View
from projects.data_distillation.multi_view.views.masks import cut_masks
from projects.data_distillation.multi_view.views.rotation import Rotate
from projects.data_distillation.multi_view.views.transforms import (
    Flip,
    Resize,
    ViewTransform,
)
from projects.data_distillation.multi_view.views.windows import (
    Crop,
    Tile,
    Window,
)

TRANSFORMS = sorted(VIEW_TRANSFORMS.module_dict)
# Other arguments than the default, where a transform has kinds.
VARIANTS = [
    dict(type='Resize', scale=(97, 64)),
    dict(type='Resize', scale=(300, 40), keep_ratio=False),
    dict(type='Flip', direction='vertical'),
    dict(type='Flip', direction='diagonal'),
    dict(type='Rotate', degrees=180),
    dict(type='Rotate', degrees=270),
    dict(type='Crop', left=0.2, top=0.1, right=0.9, bottom=0.85),
    dict(type='Tile', rows=3, columns=2, row=2, column=1, overlap=0.3),
    dict(type='Contrast', factor=0.5),
]
DEFAULTS = [
    dict(type=name, scale=(150, 90)) if name == 'Resize' else dict(type=name)
    for name in TRANSFORMS
]
SIZES_HW = [
    pytest.param((80, 120), marks=pytest.mark.slow),
    (96, 64),
    (77, 101),
    pytest.param((90, 90), marks=pytest.mark.slow),
]


def drawn(size_hw, bbox_xyxy):
    """A black image with a white rectangle."""
    image = torch.zeros(3, *size_hw, dtype=torch.uint8)
    left, top, right, bottom = bbox_xyxy
    image[:, top:bottom, left:right] = 255
    return image


def seen_bbox(image):
    """The box of the bright pixels, or None."""
    ys, xs = torch.nonzero(image[0] > 127, as_tuple=True)
    if not len(xs):
        return None
    corners = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    return torch.stack(corners)[None].float()


def seen_mask(image):
    """The bright pixels, as a detector would segment them."""
    return cut_masks((image[0] > 127)[None])[0]


def whole(mask, size_hw):
    """A mask on the whole of its image, which must hold it."""
    full = torch.zeros(size_hw)
    height, width = mask.size_hw
    rows = slice(mask.top, mask.top + height)
    columns = slice(mask.left, mask.left + width)
    assert full[rows, columns].shape == mask.size_hw
    full[rows, columns] = mask.probabilities()
    return full


def mask_of(bbox_xyxy, size_hw):
    return drawn(size_hw, bbox_xyxy)[0] / 255


def mask_iou(one, other):
    return torch.minimum(one, other).sum() / torch.maximum(one, other).sum()


def random_bbox(size_hw, rng):
    height, width = size_hw
    left, top = rng.randrange(width - 8), rng.randrange(height - 8)
    right = min(left + rng.randint(8, 30), width)
    bottom = min(top + rng.randint(8, 30), height)
    return [left, top, right, bottom]


@pytest.mark.parametrize('size_hw', SIZES_HW)
@pytest.mark.parametrize(
    'transform', DEFAULTS + VARIANTS, ids=lambda config: str(config)
)
def test_inverse_finds_the_drawn_box_again(transform, size_hw):
    view, rng = View([transform]), random.Random(0)
    num_seen = 0
    for _ in range(30):
        bbox = random_bbox(size_hw, rng)
        image = view.apply(drawn(size_hw, bbox), {})
        assert tuple(image.shape) == (3, *view.size_hw(size_hw))
        assert image.dtype == torch.uint8
        seen = seen_bbox(image)
        if seen is None:  # outside of a crop
            continue
        (back,), (is_whole,) = view.invert(seen, size_hw)
        if is_whole:
            num_seen += 1
            # Interpolation moves a border by less than a pixel of either.
            assert (back - torch.tensor(bbox)).abs().max() < 1.6
            mask = view.invert_mask(seen_mask(image), size_hw)
            is_there = whole(mask, size_hw) >= 0.5
            (of_mask,) = seen_bbox(255 * is_there[None])
            assert (of_mask - torch.tensor(bbox)).abs().max() < 1.6
            assert mask_iou(is_there, mask_of(bbox, size_hw)) > 0.6
    assert num_seen >= 3


@pytest.mark.parametrize('size_hw', [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize(
    'transform', DEFAULTS + VARIANTS, ids=lambda config: str(config)
)
def test_no_view_has_a_side_without_pixels(transform, size_hw):
    view = View([transform])

    pixels = view.apply(drawn(size_hw, (0, 0, *size_hw[::-1])), {})

    assert min(pixels.shape[-2:]) >= 1
    assert tuple(pixels.shape[-2:]) == view.size_hw(size_hw)
    bboxes, _ = view.invert(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), size_hw)
    assert bboxes.isfinite().all()
    mask = view.invert_mask(seen_mask(pixels), size_hw)
    assert whole(mask, size_hw).isfinite().all()


@pytest.mark.parametrize('transform', TRANSFORMS)
def test_every_transform_says_what_it_does(transform):
    assert VIEW_TRANSFORMS.get(transform).__doc__
    assert VIEW_TRANSFORMS.build(
        next(one for one in DEFAULTS if one['type'] == transform)
    ).inverts_masks


@pytest.mark.parametrize('method', ['invert', 'size_hw'])
def test_transform_that_leaves_masks_in_the_view_says_so(method):
    def move(self, *args):
        raise NotImplementedError

    mover = type('Mover', (ViewTransform,), {method: move})
    both = type('Both', (mover,), dict(invert_mask=move))

    assert not mover().inverts_masks
    assert both().inverts_masks and ViewTransform().inverts_masks


@pytest.mark.parametrize(
    'seed',
    [
        *range(5),
        *[pytest.param(n, marks=pytest.mark.slow) for n in range(5, 20)],
    ],
)
def test_any_chain_is_inverted(seed):
    rng, size_hw = random.Random(seed), (77, 101)
    exact = [
        dict(type='Flip', direction=rng.choice(['horizontal', 'diagonal'])),
        dict(type='Rotate', degrees=rng.choice([90, 180, 270])),
        dict(type='Tile', row=rng.randrange(2), column=rng.randrange(2)),
        dict(type='Crop', left=0.1, bottom=0.8),
        dict(type='Pad', size_divisor=rng.choice([16, 32]), value=0),
        dict(type='Flip', direction='vertical'),
        dict(type='Gamma'),
    ]
    rng.shuffle(exact)
    view = View(exact[: rng.randint(2, 6)])
    num_seen = 0
    for _ in range(150):
        bbox = random_bbox(size_hw, rng)
        image = drawn(size_hw, bbox)
        image[:, bbox[1], bbox[0]] = 0  # the same box, but not from all sides
        pixels = view.apply(image, {})
        seen = seen_bbox(pixels)
        if seen is None:
            continue
        (back,), (is_whole,) = view.invert(seen, size_hw)
        if is_whole:
            num_seen += 1
            assert back.tolist() == bbox
            mask = view.invert_mask(seen_mask(pixels), size_hw)
            assert torch.equal(whole(mask, size_hw), image[0] / 255)
    assert num_seen


@pytest.mark.parametrize('count', [1, 2, 3])
@pytest.mark.parametrize('overlap', [0.0, 0.25, 0.6])
def test_tiles_cover_the_image(count, overlap):
    covered = torch.zeros(77, 101, dtype=torch.int)
    for row in range(count):
        for column in range(count):
            tile = Tile(count, count, row, column, overlap)
            tile.apply(covered[None]).add_(1)

    assert covered.min() == 1
    assert (covered.max() > 1) == (overlap > 0 and count > 1)


def test_an_object_in_the_overlap_is_kept_by_the_tile_that_shows_it_whole():
    size_hw, kept = (100, 100), []
    # Of width 57: the left tile ends at 57, the right one starts at 43.
    for bbox in ([45, 10, 55, 20], [35, 10, 50, 20], [30, 10, 80, 20]):
        image = drawn(size_hw, bbox)
        kept.append([])
        for column in (0, 1):
            view = View([dict(type='Tile', rows=1, column=column)])
            seen = seen_bbox(view.apply(image, {}))
            if view.invert(seen, size_hw)[1].item():
                kept[-1].append(column)

    assert kept == [[0, 1], [0], []]


def test_a_box_at_the_border_of_the_image_is_not_cut():
    whole = Crop(right=0.5).is_whole(
        torch.tensor([[0.0, 0, 30, 80], [5, 5, 60, 20], [5, 5, 59.3, 20]]),
        (80, 120),
    )

    assert whole.tolist() == [True, False, True]


@pytest.mark.parametrize('scale', [(200, 50), (50, 200), (101, 77), (99, 300)])
def test_size_is_that_of_mmcv(scale):
    expected = imrescale(torch.zeros(77, 101, 3).numpy(), scale).shape[:2]

    assert Resize(scale).size_hw((77, 101)) == expected


def test_tiny_image_keeps_a_pixel():
    assert Resize((100, 50)).size_hw((1, 1000)) == (1, 100)
    assert Crop(left=0.99).size_hw((1, 1)) == (1, 1)
    assert Crop(right=0.01).size_hw((1, 1)) == (1, 1)


def test_mask_that_reaches_into_the_padding_is_cut():
    view = View([dict(type='Pad', size_divisor=32)])
    everything = torch.ones(1, *view.size_hw((40, 50)), dtype=torch.bool)

    (mask,) = cut_masks(everything)
    back = view.invert_mask(mask, (40, 50))

    assert (back.left, back.top, *back.size_hw) == (0, 0, 40, 50)


def test_quarter_turns_are_counterclockwise():
    image = torch.tensor([[[1, 2], [3, 4], [5, 6]]])

    assert Rotate(90).apply(image).tolist() == [[[2, 4, 6], [1, 3, 5]]]


def test_views_share_what_they_have_in_common():
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    resize, flip = dict(type='Resize', scale=(30, 20)), dict(type='Flip')
    made = {}
    resized = View([resize]).apply(image, made)
    for transforms in ([resize, flip], [flip]):
        View(transforms).apply(image, made)

    assert next(iter(made.values())) is resized  # not made a second time
    assert [key[-1] for key in made] == [(Resize, (20, 30)), Flip(), Flip()]


def test_scales_that_make_one_size_look_the_same():
    views = [
        View([dict(type='Resize', scale=s)]) for s in ((90, 60), (99, 60))
    ]

    assert views[0].key((80, 120)) == views[1].key((80, 120))
    assert views[0].key((80, 140)) != views[1].key((80, 140))


def test_photometric_transforms_change_gray_levels_as_they_say():
    image = torch.tensor([[[0, 100, 200]]], dtype=torch.uint8)

    def levels(**transform):
        return View([transform]).apply(image, {}).flatten().tolist()

    assert levels(type='Brightness', factor=1.5) == [0, 150, 255]
    assert levels(type='Contrast', factor=0.5) == [50, 100, 150]
    assert levels(type='Gamma', gamma=2.0) == [0, 39, 157]


@pytest.mark.parametrize(
    ('transform', 'match'),
    [
        (dict(type='Flip', direction='sideways'), "direction .*'sideways'"),
        (dict(type='Flip', direction=['vertical']), r"got \['vertical'\]"),
        (dict(type='Resize', scale=(100, 0)), r'positive, got \(100, 0\)'),
        (dict(type='Resize', scale=(100,)), r'scale=\(longest side, short'),
        (dict(type='Rotate', degrees=45), 'degrees must be 90, .* got 45'),
        (dict(type='Crop', left=0.5, right=0.5), r'left < right <= 1.*0\.5'),
        (dict(type='Crop', bottom=1.1), r'bottom <= 1.*1\.1'),
        (dict(type='Tile', row=2), 'row < rows.*row=2'),
        (dict(type='Tile', overlap=1.0), r'overlap < 1.*overlap=1\.0'),
        (dict(type='Pad', size_divisor=0), 'size_divisor .* 1, got 0'),
        (dict(type='Pad', size_divisor=1.5), 'size_divisor .* 1, got 1.5'),
        (dict(type='Pad', value=256), 'value from 0 to 255.*256'),
        (dict(type='Gamma', gamma=0), r'above 0, got Gamma\(gamma=0\)'),
    ],
)
def test_bad_transform_is_refused(transform, match):
    with pytest.raises(ValueError, match=match):
        View([transform])


def test_transform_must_say_what_it_does():
    with pytest.raises(NotImplementedError, match='^ViewTransform .* `apply`'):
        ViewTransform().apply(torch.zeros(3, 1, 1))
    with pytest.raises(NotImplementedError, match='^Window .* `parts_xyxy`'):
        Window().window_xyxy((1, 1))
