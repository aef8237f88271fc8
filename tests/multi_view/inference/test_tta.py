"""Images that need more memory than there is."""

from pathlib import Path

import pytest
import torch
from builders import ToyDetector, annotate, annotate_cfg, toy_detector_cfg
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from projects.data_distillation import MultiViewTTA, View
from projects.data_distillation.multi_view.inference.view_batches import (
    MadeView,
)
from projects.data_distillation.multi_view.inference.view_boxes import (
    take_back,
)

ERRORS = {
    error.__name__: error
    for error in (torch.cuda.OutOfMemoryError, RuntimeError)
}


@MODELS.register_module()
class HungryDetector(ToyDetector):
    """Runs out of memory where a forward pass has too many pixels."""

    def __init__(self, max_pixels: int, error: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.max_pixels, self.error = max_pixels, ERRORS[error]

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        if batch_inputs[:, 0].numel() > self.max_pixels:
            raise self.error(
                'CUDA out of memory. Tried to allocate 9 GiB.\nSee the manual'
            )
        return super().predict(batch_inputs, batch_data_samples, rescale)


def hungry_cfg(drawn, checkpoint, work_dir, max_pixels):
    """All images in a batch; both views of an image in a forward pass."""
    cfg = annotate_cfg(drawn, checkpoint, work_dir)
    cfg.custom_hooks[0].max_unreadable_share = 1.0
    cfg.test_dataloader.batch_size = 5
    cfg.model.module.update(
        type='HungryDetector', max_pixels=max_pixels, error='OutOfMemoryError'
    )
    cfg.model.views = [[], [dict(type='Flip')]]
    return cfg


def with_loaded_views(cfg):
    """Let the data loader make the views."""
    load, pack = cfg.test_dataloader.dataset.pipeline
    pack.meta_keys = (
        *pack.meta_keys, 'flip', 'flip_direction', 'scale_factor', 'img_shape'
    )  # fmt: skip
    cfg.model.pop('views')
    options = [
        [dict(type='Resize', scale_factor=1.0, keep_ratio=True)],
        [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)],
        [pack],
    ]
    cfg.test_dataloader.dataset.pipeline = [
        load, dict(type='TestTimeAug', transforms=options)
    ]  # fmt: skip
    return cfg


# The padded sizes of the images, in order, are 96 x 128, 96 x 64, 96 x 128,
# 96 x 128 and 96 x 96: all those of 96 x 128 share a forward pass.
TWO_VIEWS = 2 * 96 * 128


@pytest.mark.slow
@pytest.mark.parametrize('change', [lambda cfg: cfg, with_loaded_views])
def test_batch_that_needs_too_much_goes_on_image_by_image(
    drawn, checkpoint, tmp_path, change
):
    expected, found = (
        annotate(change(hungry_cfg(drawn, checkpoint, tmp_path / name, most)))
        for name, most in (('enough', 10**9), ('little', TWO_VIEWS))
    )

    assert len(found['annotations']) == 10
    for key in ('images', 'annotations'):
        assert found[key] == expected[key]
    assert found['info']['data_distillation']['unreadable'] == []
    (log,) = (tmp_path / 'little').glob('*/*.log')
    assert 'goes on image by image (CUDA out of memory' in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize('change', [lambda cfg: cfg, with_loaded_views])
def test_image_that_needs_too_much_alone_is_listed(
    drawn, checkpoint, tmp_path, change
):
    cfg = hungry_cfg(drawn, checkpoint, tmp_path, TWO_VIEWS - 1)

    labels = annotate(change(cfg))

    ids = [drawn.truth['images'][i]['id'] for i in (1, 4)]
    assert [image['id'] for image in labels['images']] == ids
    assert len(labels['annotations']) == 4
    assert labels['info']['data_distillation']['unreadable'] == [
        dict(
            file_name=f'{i}.png',
            unreadable='out of memory: CUDA out of memory. Tried to allocate '
            '9 GiB.',
        )
        for i in (0, 2, 3)
    ]


def test_any_other_error_ends_the_run(drawn, checkpoint, tmp_path):
    cfg = hungry_cfg(drawn, checkpoint, tmp_path, TWO_VIEWS)
    cfg.model.module.error = 'RuntimeError'

    with pytest.raises(RuntimeError, match='Tried to allocate'):
        Runner.from_cfg(cfg).test()

    assert not (Path(cfg.work_dir) / 'pseudo_labels.json').exists()


def boxes_of_view(*rows: tuple) -> InstanceData:
    """Rows are (bbox_xyxy, score)."""
    return InstanceData(
        bboxes=torch.tensor([bbox for bbox, _ in rows]).reshape(-1, 4).float(),
        scores=torch.tensor([score for _, score in rows]),
        labels=torch.zeros(len(rows), dtype=torch.long),
    )


def take_back_whole_views(*images):
    """Each image is a list of what was found on views that change nothing."""
    view = MadeView(
        0, 0, View([]), torch.zeros(3, 60, 60), DetDataSample(), (0,)
    )
    found = [[(view, one) for one in views] for views in images]
    return take_back(found, torch.device('cpu'), with_masks=False)


def test_views_are_merged_image_by_image():
    tta = MultiViewTTA(toy_detector_cfg(), dict(type='NMSMerger'))
    box, far = [0, 0, 10, 10], [50, 50, 60, 60]

    first, second, unreadable = tta.merge_preds(
        take_back_whole_views(
            [
                boxes_of_view((box, 0.5)),
                boxes_of_view((box, 0.75), (far, 0.25)),
            ],
            [boxes_of_view((far, 0.5)), boxes_of_view(), boxes_of_view()],
            [],
        )
    )

    assert first.bboxes.tolist() == [box, far]
    assert first.scores.tolist() == [0.75, 0.25]
    assert first.num_views.tolist() == [2, 1]
    assert second.bboxes.tolist() == [far]
    assert second.num_views.tolist() == [1]
    assert unreadable.bboxes.shape == (0, 4)


class ListeningTTA(MultiViewTTA):
    """Notes what is given to `merge_preds`."""

    def merge_preds(self, data_samples_list):
        self.heard = data_samples_list
        return super().merge_preds(data_samples_list)


def heard_boxes(image: torch.Tensor, *scales: tuple) -> list[list]:
    """The boxes that each view of one image shows, in the order of merging."""
    views = [[dict(type='Resize', scale=scale)] for scale in scales]
    tta = ListeningTTA(toy_detector_cfg(), dict(type='NMSMerger'), views=views)
    sample = DetDataSample(metainfo=dict(ori_shape=tuple(image.shape[-2:])))
    tta.test_step(dict(inputs=[image], data_samples=[sample]))
    (found,) = tta.heard
    return [
        found.bboxes_xyxy[found.view_ids == index].tolist()
        for index in range(found.num_views)
    ]


def test_views_are_merged_in_their_order_whatever_their_size():
    image = torch.zeros(3, 77, 101, dtype=torch.uint8)
    image[2, 13:40, 20:51] = 255  # A red box, which is BGR's last channel.
    small, large = (101, 40), (300, 200)
    (of_small,), (of_large,) = (heard_boxes(image, s) for s in (small, large))

    assert of_small != of_large
    assert heard_boxes(image, large, small) == [of_large, of_small]
    assert heard_boxes(image, small, large) == [of_small, of_large]


@MODELS.register_module()
class SynchronizedDetector(ToyDetector):
    """Has a norm that only processes with GPUs can train, as RTMDet."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.norm = torch.nn.SyncBatchNorm(3)


def test_norms_do_not_need_gpus(drawn, tmp_path):
    detector = dict(toy_detector_cfg(), type='SynchronizedDetector')
    weights = MODELS.build(detector).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'teacher.pth')
    other = dict(checkpoint=str(tmp_path / 'teacher.pth'))

    tta = MultiViewTTA(
        detector, dict(type='NMSMerger'), views=[[]], other_teachers=[other]
    )

    kinds = [type(teacher.norm) for teacher in tta.teachers]
    assert len(kinds) == 2 and torch.nn.SyncBatchNorm not in kinds
    assert tta.module.state_dict().keys() == weights.keys()


@pytest.mark.slow
def test_preprocessor_may_be_at_the_top_of_the_config(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'own')
    above = annotate_cfg(drawn, checkpoint, tmp_path / 'above')
    above.data_preprocessor = above.model.module.pop('data_preprocessor')
    both = annotate_cfg(drawn, checkpoint, tmp_path / 'both')
    both.data_preprocessor = dict(type='mmdet.DetDataPreprocessor')
    for one in (cfg, above, both):
        one.model.other_teachers = [dict(checkpoint=str(checkpoint))]

    expected = annotate(cfg)['annotations']
    for one in (above, both):
        assert annotate(one)['annotations'] == expected
    assert len(expected) == 10


@MODELS.register_module()
class CanvasDetector(ToyDetector):
    """The score of its only box says how large the padded images are."""

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        height, width = batch_inputs.shape[-2:]
        for sample in batch_data_samples:
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([[0.0, 0.0, 9.0, 9.0]]),
                scores=torch.tensor([1000.0 * height + width]),
                labels=torch.zeros(1, dtype=torch.long),
            )
        return batch_data_samples


class ListMerger:
    """Keeps the boxes of all views as they are."""

    def merge_images(self, images):
        return [
            InstanceData(
                bboxes=image['bboxes_xyxy'],
                scores=image['scores'],
                labels=image['labels'],
                num_views=image['view_ids'],
                corner_spread=image['scores'],
            )
            for image in images
        ]


@pytest.mark.parametrize(
    'divisors', [(1, 32), (32, 1), (1, 1), (16, 24, 1, 16)]
)
@pytest.mark.parametrize('max_pixels', [1, 10**9])
def test_padding_does_not_depend_on_the_other_images(
    tmp_path, monkeypatch, divisors, max_pixels
):
    modules = [
        dict(
            type='CanvasDetector',
            data_preprocessor=dict(
                type='DetDataPreprocessor', pad_size_divisor=divisor
            ),
        )
        for divisor in divisors
    ]
    file = tmp_path / 'teacher.pth'
    torch.save(MODELS.build(modules[0]).state_dict(), file)
    model = MultiViewTTA(
        modules[0],
        dict(type='NMSMerger'),
        views=[[]],
        max_pixels_per_forward=max_pixels,
        other_teachers=[
            dict(checkpoint=str(file), module=module) for module in modules[1:]
        ],
    )
    monkeypatch.setattr(model, 'merger', ListMerger())
    # All but the last one are 64 x 96 with a divisor of 32.
    sizes = [(60, 90), (64, 96), (33, 65), (60, 90), (20, 20)]
    shown = [
        (torch.zeros(3, *hw, dtype=torch.uint8), dict(ori_shape=hw, img_id=i))
        for i, hw in enumerate(sizes)
    ]

    def annotate_all(part):
        return model.test_step(
            dict(
                inputs=[image for image, _ in part],
                data_samples=[DetDataSample(metainfo=m) for _, m in part],
            )
        )

    together = annotate_all(shown)

    for (height, width), image, sample in zip(sizes, shown, together):
        (alone,) = annotate_all([image])
        # In the order of the teachers.
        expected = [
            1000 * (-(-height // divisor) * divisor)
            + -(-width // divisor) * divisor
            for divisor in divisors
        ]
        assert sample.pred_instances.scores.tolist() == expected
        assert alone.pred_instances.scores.tolist() == expected
        assert sample.pred_instances.num_views.tolist() == list(
            range(len(divisors))
        )
