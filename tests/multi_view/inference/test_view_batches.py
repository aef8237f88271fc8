"""Which views are made, what a detector is told, and what goes together."""

import pytest
import torch
from mmdet.structures import DetDataSample

from projects.data_distillation import View
from projects.data_distillation.multi_view.inference.unreadable import (
    mark_unreadable,
)
from projects.data_distillation.multi_view.inference.view_batches import (
    LoadedView,
    MadeView,
    list_loaded_views,
    list_made_views,
    make_batches,
    make_pixels,
    split_images,
)

CPU = torch.device('cpu')


def views_of_scales(*scales):
    return [
        View([dict(type='Resize', scale=scale), *flip])
        for scale in scales
        for flip in ([], [dict(type='Flip')])
    ]


def image_and_sample(height, width, **metainfo):
    sample = DetDataSample(
        metainfo=dict(ori_shape=(height, width), **metainfo)
    )
    return torch.zeros(3, height, width, dtype=torch.uint8), sample


def views_to_make(views, *shapes, **kwargs):
    pairs = [image_and_sample(*shape, **kwargs) for shape in shapes]
    return list_made_views(views, *zip(*pairs), CPU)


def test_detector_is_told_that_a_view_is_an_image_of_its_own():
    image, original = image_and_sample(80, 120, img_id=3, flip=True)
    (view,) = views_of_scales((100, 60))[1:]

    sample = MadeView(0, 0, view, image, original, (0,)).sample()

    assert (sample.ori_shape, sample.img_shape) == ((60, 90), (60, 90))
    assert sample.scale_factor == (1.0, 1.0)
    assert (sample.flip, sample.flip_direction) == (False, None)
    assert sample.img_id == 3
    assert original.ori_shape == (80, 120)


def test_boxes_come_back_through_scale_and_flip():
    image, original = image_and_sample(80, 120)
    (view,) = views_of_scales((100, 60))[1:]  # 60 x 90

    boxes, is_whole = MadeView(0, 0, view, image, original, (0,)).invert(
        torch.tensor([[0.0, 0, 30, 15]])
    )

    assert boxes.tolist() == [[80, 0, 120, 20]]
    assert is_whole.tolist() == [True]


def test_view_of_the_pipeline_is_told_and_inverted_as_the_pipeline_says():
    image, _ = image_and_sample(60, 90)
    metainfo = dict(
        ori_shape=(80, 120),
        img_shape=(60, 90),
        scale_factor=(0.75, 0.75),
        flip=True,
        flip_direction='vertical',
    )
    view = LoadedView(0, 0, image, DetDataSample(metainfo=metainfo))

    boxes, _ = view.invert(torch.tensor([[0.0, 0, 30, 15]]))

    assert view.sample().metainfo == metainfo
    assert boxes.tolist() == [[0, 65, 30, 80]]  # of the original's 80 rows


def test_views_that_look_the_same_are_made_once():
    views = views_to_make(
        views_of_scales((400, 60), (90, 60)), (80, 120), (80, 160)
    )

    assert [(v.image_index, v.index, v.size_hw) for v in views] == [
        (0, 0, (60, 90)),
        (0, 1, (60, 90)),
        (1, 0, (60, 120)),
        (1, 1, (60, 120)),
        (1, 2, (45, 90)),
        (1, 3, (45, 90)),
    ]


def test_images_that_the_pipeline_has_resized_are_refused():
    image, _ = image_and_sample(40, 60)
    _, sample = image_and_sample(80, 120)

    with pytest.raises(ValueError, match=r'\(40, 60\) for \(80, 120\)'):
        list_made_views(views_of_scales((8, 8)), [image], [sample], CPU)


def test_unreadable_images_have_no_views():
    pairs = [image_and_sample(8, 8, unreadable='x'), image_and_sample(8, 8)]

    made = list_made_views(views_of_scales((8, 8)), *zip(*pairs), CPU)
    loaded = list_loaded_views(*zip(*[list(zip(*pairs))] * 3))

    assert [view.image_index for view in made] == [1, 1]
    assert [(v.image_index, v.index) for v in loaded] == [
        (1, 0),
        (1, 1),
        (1, 2),
    ]


def sizes_of(batches_):
    return [[(v.image_index, v.index) for v in batch] for batch in batches_]


def test_views_of_one_padded_size_go_together_within_the_budget():
    views = views_to_make(
        views_of_scales((90, 60), (64, 64)), *[(80, 120)] * 3
    )
    # 60 x 90 becomes 64 x 96, and 43 x 64 becomes 64 x 64.
    largest = 4 * 64 * 96

    assert sizes_of(make_batches(views, 32, largest)) == [
        [(0, 2), (0, 3), (1, 2), (1, 3), (2, 2), (2, 3)],
        [(0, 0), (0, 1), (1, 0), (1, 1)],
        [(2, 0), (2, 1)],
    ]


def test_a_flip_pair_goes_together_whatever_the_budget():
    views = views_to_make(views_of_scales((90, 60)), *[(80, 120)] * 2)

    for max_pixels in (1, 3 * 64 * 96):  # 3 views would part a pair
        assert sizes_of(make_batches(views, 32, max_pixels)) == [
            [(0, 0), (0, 1)],
            [(1, 0), (1, 1)],
        ]


def test_sizes_that_are_padded_alike_go_together_and_others_do_not():
    views = views_to_make(views_of_scales((90, 60), (93, 62)), (80, 120))

    assert len(list(make_batches(views, 32, 10**9))) == 1
    assert len(list(make_batches(views, 1, 10**9))) == 2


def test_pixels_are_those_of_each_image():
    images = [torch.full((3, 4, 6), n, dtype=torch.uint8) for n in (10, 20)]
    images[1][:, :, :3] = 99
    samples = [image_and_sample(4, 6)[1]] * 2
    views = list_made_views(views_of_scales((6, 4)), images, samples, CPU)

    pixels = make_pixels(views)

    rows = [view[0, 0].tolist() for view in pixels]
    assert rows[:2] == [[10] * 6, [10] * 6]
    assert rows[2:] == [[99] * 3 + [20] * 3, [20] * 3 + [99] * 3]


def test_batch_is_split_into_its_images_however_the_views_are_made():
    images, samples = zip(*[image_and_sample(8, n) for n in (5, 6, 7)])
    plain = dict(inputs=list(images), data_samples=list(samples))
    with_views = {key: [values, values] for key, values in plain.items()}

    for i, part in enumerate(split_images(plain)):
        assert part['data_samples'] == [samples[i]]
        assert [image.shape for image in part['inputs']] == [(3, 8, 5 + i)]
    for i, part in enumerate(split_images(with_views)):
        assert part['data_samples'] == [[samples[i]], [samples[i]]]
        assert [len(view) for view in part['inputs']] == [1, 1]
    assert len([*split_images(plain)]) == len([*split_images(with_views)]) == 3


def test_image_that_is_marked_as_unreadable_has_no_views():
    views = views_of_scales((8, 8))
    made = [image_and_sample(8, 8)]
    loaded = [image_and_sample(8, 8) for _ in range(2)]
    plain = dict(zip(('inputs', 'data_samples'), map(list, zip(*made))))
    with_views = dict(
        zip(
            ('inputs', 'data_samples'),
            ([[x] for x in y] for y in zip(*loaded)),
        )
    )

    marked = mark_unreadable(plain, 'torn')
    assert marked['data_samples'][0].unreadable == 'torn'
    assert list_made_views(views, *marked.values(), CPU) == []
    marked = mark_unreadable(with_views, 'torn')
    assert marked['data_samples'][0][0].unreadable == 'torn'
    assert list_loaded_views(*marked.values()) == []
