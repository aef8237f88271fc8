"""Merging the stored boxes of views again is like annotating again."""

from pathlib import Path

import numpy as np
import pytest
from builders import DrawnImages, annotate, annotate_cfg
from mmengine.config import Config

from projects.data_distillation import DetectionStore, NMSMerger
from projects.data_distillation.pseudo_labels.annotation.merging_again import (
    choose_views,
    describe_merge,
    find_numbers,
    iter_rows,
    merge_again,
    merge_views,
)
from projects.data_distillation.pseudo_labels.detections.differences import (
    as_json,
)
from projects.data_distillation.pseudo_labels.detections.shards import (
    read_index,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)

WBF = dict(type='WBFMerger', iou_threshold=0.6)
# On the square image, the second and the last view look the same.
VIEWS = [
    [],
    [dict(type='Resize', scale=(70, 60))],
    [dict(type='Flip')],
    [dict(type='Resize', scale=(400, 60))],
]


def run(drawn: DrawnImages, checkpoint: Path, folder: Path, **model) -> Config:
    """Annotate with `VIEWS`, unless told otherwise."""
    cfg = annotate_cfg(drawn, checkpoint, folder)
    cfg.model.views = VIEWS
    cfg.custom_hooks[0].max_unreadable_share = 0.2
    cfg.model.update(model)
    annotate(cfg)
    return cfg


@pytest.fixture
def kept(drawn, checkpoint, tmp_path) -> Path:
    """A store that keeps the boxes of views, with an unreadable image."""
    (drawn.folder / 'unlabeled' / '0.png').write_bytes(b'not an image')
    run(drawn, checkpoint, tmp_path / 'kept', keep_views=True)
    return tmp_path / 'kept' / 'detections'


@pytest.mark.slow
@pytest.mark.parametrize('numbers', [(0, 1, 2, 3), (3, 1), (2,), (2, 3)])
def test_store_is_that_of_a_run_with_these_views(
    drawn, checkpoint, tmp_path, kept, numbers
):
    views = [VIEWS[number] for number in sorted(numbers)]
    run(drawn, checkpoint, tmp_path / 'run', views=views, merger=WBF)

    again = merge_again(kept, tmp_path / 'again', WBF, numbers)

    direct = DetectionStore(tmp_path / 'run' / 'detections')
    assert DetectionStore(again.folder).read() == direct.read()
    assert again.provenance == direct.provenance


def test_what_is_known_of_the_image_files_is_kept(kept, tmp_path):
    def read_contents(store: DetectionStore) -> dict:
        indices = map(read_index, store.list_shards())
        return {n: c for i in indices for n, c in zip(i.names, i.contents)}

    again = merge_again(kept, tmp_path / 'again')

    contents = read_contents(again)
    assert contents == read_contents(DetectionStore(kept))
    assert {len(content.digest) for content in contents.values()} == {64}


def test_all_views_are_merged_as_before_unless_told_otherwise(kept, tmp_path):
    again = merge_again(kept, tmp_path / 'again')

    assert again.read() == DetectionStore(kept).read()


@pytest.mark.slow
def test_boxes_of_several_teachers_are_kept(drawn, checkpoint, tmp_path):
    others = [dict(checkpoint=str(checkpoint))]
    keep = dict(keep_views=True, other_teachers=others)
    run(drawn, checkpoint, tmp_path / 'kept', **keep)
    some = dict(views=VIEWS[::2], other_teachers=others, merger=WBF)
    run(drawn, checkpoint, tmp_path / 'run', **some)

    again = merge_again(
        tmp_path / 'kept' / 'detections', tmp_path / 'again', WBF, [0, 2]
    )

    direct = DetectionStore(tmp_path / 'run' / 'detections').read()
    assert again.read() == direct
    assert set(np.concatenate(again.read()['num_views'].to_pylist())) == {4}


@pytest.mark.slow
def test_views_of_the_pipeline_are_kept(drawn, checkpoint, tmp_path):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'kept')
    load, pack = cfg.test_dataloader.dataset.pipeline
    of_view = ('img_shape', 'scale_factor', 'flip', 'flip_direction')
    views = dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(240, 160), keep_ratio=True)],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(pack, meta_keys=(*pack.meta_keys, *of_view))],
        ],
    )
    cfg.test_dataloader.dataset.pipeline = [load, views]
    cfg.model.update(views=None, keep_views=True)
    annotate(cfg)

    again = merge_again(
        tmp_path / 'kept' / 'detections', tmp_path / 'again', numbers=[1]
    )

    assert again.provenance['views'] == dict(of_pipeline=[1])
    assert set(np.concatenate(again.read()['num_views'].to_pylist())) == {1}
    for number in (-1, 2):
        with pytest.raises(ValueError, match=r'must be from 0 to 1, got \['):
            merge_again(
                tmp_path / 'kept' / 'detections',
                tmp_path / f'{number}',
                numbers=[number],
            )


@pytest.mark.slow
def test_images_that_are_done_are_left_out(kept, tmp_path):
    first = merge_again(kept, tmp_path / 'again')
    shards = first.list_shards()

    merge_again(kept, tmp_path / 'again')

    assert first.list_shards() == shards


def test_other_views_need_another_folder(kept, tmp_path):
    merge_again(kept, tmp_path / 'again', numbers=[0])

    with pytest.raises(StoreError, match=r"differs in \['views'\]"):
        merge_again(kept, tmp_path / 'again', numbers=[1])


@pytest.mark.slow
def test_store_without_the_boxes_of_views_is_refused(
    drawn, checkpoint, tmp_path
):
    run(drawn, checkpoint, tmp_path / 'run')

    with pytest.raises(StoreError, match='annotate with keep_views'):
        merge_again(tmp_path / 'run' / 'detections', tmp_path / 'again')


def test_folder_without_detections_is_refused(tmp_path):
    with pytest.raises(StoreError, match='no detections'):
        merge_again(tmp_path, tmp_path / 'again')


def test_numbers_that_the_pipeline_did_not_make_are_refused(kept):
    (table,) = DetectionStore(kept).iter_views()
    rows = {row['file_name']: boxes for row, boxes in iter_rows(table)}

    for number in (-1, 4):
        with pytest.raises(ValueError, match=rf'0 to 3, got \[{number}\]'):
            merge_views(rows['1.png'], NMSMerger(), [number])
    # No view of this one was run.
    assert len(merge_views(rows['0.png'], NMSMerger(), [4])['scores']) == 0


@pytest.mark.parametrize('numbers', [[], [0, 0], [4], [-1]])
def test_numbers_of_other_views_are_refused(numbers):
    with pytest.raises(ValueError, match='numbers of views must be'):
        choose_views(VIEWS, numbers)


def test_views_of_the_pipeline_are_named_in_their_order():
    assert choose_views(None, [2, 0]) == dict(of_pipeline=[0, 2])


def test_numbers_of_views_are_found_in_their_order():
    assert find_numbers(VIEWS, [VIEWS[3], VIEWS[1], VIEWS[3]]) == [1, 3]
    assert find_numbers(VIEWS, [VIEWS[1], ['other']]) is None
    assert find_numbers(None, VIEWS) is find_numbers(VIEWS, None) is None


def test_provenance_is_that_of_the_chosen_views_without_masks(tmp_path):
    made_by = dict(
        views=VIEWS, merger=dict(type='NMSMerger'), keep_views=True,
        masks=dict(min_score=0.1), segmentation='rle',
    )  # fmt: skip
    store = DetectionStore(tmp_path, made_by)

    with pytest.raises(StoreError, match='have masks, and those of the'):
        describe_merge(store, WBF, [2, 0], boxes_only=False)

    assert describe_merge(store, WBF, [2, 0], boxes_only=True) == dict(
        views=as_json(VIEWS[::2]), merger=WBF
    )
    assert describe_merge(store, None, None, boxes_only=True) == dict(
        views=as_json(VIEWS), merger=dict(type='NMSMerger')
    )
    assert store.provenance == as_json(made_by)


def test_folder_to_read_is_not_written_to(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path)

    with pytest.raises(ValueError, match='link would be written to, but'):
        merge_again(tmp_path, tmp_path / 'link')


def test_images_that_were_read_since_are_merged(
    drawn, checkpoint, kept, tmp_path
):
    image = drawn.folder / 'unlabeled' / '0.png'
    first = merge_again(kept, tmp_path / 'again')
    assert first.list_images()['0.png'] is False
    image.write_bytes((drawn.folder / 'unlabeled' / '1.png').read_bytes())
    run(drawn, checkpoint, tmp_path / 'kept', keep_views=True)

    again = merge_again(kept, tmp_path / 'again')

    assert again.list_images()['0.png'] is True
    assert len(again.read()) == 5


def test_image_that_was_exchanged_since_is_not_mixed_with_the_old_one(
    drawn, checkpoint, kept, tmp_path
):
    merge_again(kept, tmp_path / 'again')
    image = drawn.folder / 'unlabeled' / '1.png'
    image.write_bytes((drawn.folder / 'unlabeled' / '2.png').read_bytes())
    run(drawn, checkpoint, tmp_path / 'kept', keep_views=True)

    with pytest.raises(StoreError, match='1.png is another image than the'):
        merge_again(kept, tmp_path / 'again')
