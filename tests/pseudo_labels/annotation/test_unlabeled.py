"""UnlabeledDataset: the images of a folder or of a COCO file."""

import os
from pathlib import Path

import pytest
from builders import CLASSES, annotate_cfg
from mmdet.registry import DATASETS
from mmengine.logging import MMLogger

from projects.data_distillation import UnlabeledDataset
from projects.data_distillation.files.digest import compute_sha256
from projects.data_distillation.files.known_digests import read_state
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.annotation.provenance import (
    make_provenance,
)
from projects.data_distillation.pseudo_labels.annotation.unlabeled import (
    spread_indices,
)


def unlabeled(folder, ann_file='') -> UnlabeledDataset:
    return UnlabeledDataset(
        ann_file=str(ann_file),
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=CLASSES),
        pipeline=[],
    )


def test_folder_ids_count_the_names_in_order(drawn):
    dataset = unlabeled(drawn.folder / 'unlabeled')

    names = ['0.png', '1.png', '2.png', '3.png', '4.png']
    assert list(dataset.map_image_ids()) == names
    assert [dataset.get_data_info(i)['img_id'] for i in range(5)] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    assert dataset.get_data_info(0)['image_id'] is None


def test_image_infos_may_come_with_or_without_categories(drawn):
    for name in ('unlabeled.json', 'truth.json'):
        dataset = unlabeled(drawn.folder / 'unlabeled', drawn.folder / name)

        assert len(dataset) == 5
        assert dataset.get_data_info(1)['image_id'] == 13


@pytest.mark.parametrize(
    ('key', 'match'),
    [
        ('id', r'images\[1\] and images\[3\] have the same id'),
        ('file_name', "1 values of `file_name`.*is '1.png'"),
    ],
)
def test_repeated_image_is_refused(drawn, key, match):
    infos = [dict(i) for i in drawn.truth['images']]
    infos[3][key] = infos[1][key]
    file = drawn.write('unlabeled.json', dict(images=infos))

    with pytest.raises(CocoError, match=match):
        unlabeled(drawn.folder / 'unlabeled', file)


def test_name_outside_of_the_folder_is_refused(drawn):
    drawn.truth['images'][3]['file_name'] = '../labeled/0.png'
    file = drawn.write('truth.json', drawn.truth)

    match = "truth.json: image .*'../labeled/0.png' leads outside"
    with pytest.raises(CocoError, match=match):
        unlabeled(drawn.folder / 'unlabeled', file)


def test_link_inside_of_the_folder_may_point_anywhere(drawn):
    folder = drawn.folder / 'unlabeled'
    (folder / 'link.png').symlink_to('../labeled/0.png')
    infos = [dict(id=1, file_name='link.png')]
    file = drawn.write('unlabeled.json', dict(images=infos))

    dataset = unlabeled(folder, file)

    assert dataset.get_data_info(0)['img_path'] == str(folder / 'link.png')


def test_failing_pipeline_is_the_reason_where_the_image_is_whole(drawn):
    dataset = unlabeled(drawn.folder / 'unlabeled')
    dataset.pipeline.transforms.append(lambda info: info[object()])
    (drawn.folder / 'unlabeled' / '1.png').write_bytes(b'P6')

    whole, broken = (dataset[i]['data_samples'] for i in (0, 1))

    assert whole.unreadable == 'KeyError: <object object>'
    assert broken.unreadable == 'OpenCV cannot decode it'
    assert (broken.file_name, broken.image_id) == ('1.png', None)


def test_sample_says_which_file_it_was(drawn):
    cfg = annotate_cfg(drawn, None, drawn.folder)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    file = dataset.get_data_info(0)['img_path']

    sample = dataset[0]['data_samples']

    assert sample.state == read_state(file)
    assert sample.sha256 == compute_sha256(file)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='unlabeled images not found'):
        unlabeled(tmp_path / 'absent')


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (
            dict(id='12'),
            r"images\[1\]: `id` must be an integer .*, got '12'",
        ),
        (dict(id=None), r'images\[1\]: `id` is missing'),
        (dict(id=2**63), 'must be an integer .*, got 9223372036854775808'),
        (dict(file_name=3), '`file_name` must be .* not empty, got 3'),
        (dict(file_name='a\0'), '`file_name` .* holds a null byte'),
        (dict(file_name='\udcff'), '`file_name` .* is not valid Unicode'),
    ],
)
def test_bad_image_info_is_refused(drawn, change, match):
    infos = [dict(i) for i in drawn.truth['images']]
    infos[1].update(change)
    file = drawn.write('unlabeled.json', dict(images=infos))

    with pytest.raises(CocoError, match=match):
        unlabeled(drawn.folder / 'unlabeled', file)


@pytest.mark.parametrize(
    'suffix', ['bmp', 'jpeg', 'JPG', 'png', 'tif', 'Tiff', 'webp']
)
def test_common_suffixes_are_images(tmp_path, suffix):
    (tmp_path / f'a.{suffix}').touch()
    (tmp_path / 'folder.png').mkdir()

    assert list(unlabeled(tmp_path).map_image_ids()) == [f'a.{suffix}']


def test_log_counts_other_files_once(tmp_path, capsys):
    MMLogger.get_instance('other files')  # It prints to what capsys reads.
    (tmp_path / 'a.png').touch()
    unlabeled(tmp_path)
    assert not capsys.readouterr().out
    (tmp_path / 'notes.txt').touch()

    for _ in range(2):
        unlabeled(tmp_path)

    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(
        f'{tmp_path}: 1 images; 1 other files (hidden, or with another '
        'suffix) are left out'
    )


def test_folder_of_hidden_images_only_is_refused(tmp_path):
    (tmp_path / '.a.png').touch()

    with pytest.raises(ValueError, match='none of its 1 files .* are hidden'):
        unlabeled(tmp_path)


def test_linked_folders_are_searched_once(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'a.png').touch()
    pile = tmp_path / 'pile'
    pile.mkdir()
    (pile / 'link').symlink_to(tmp_path / 'elsewhere')
    (pile / 'up').symlink_to(pile)

    assert list(unlabeled(pile).map_image_ids()) == ['link/a.png']


def test_two_names_that_are_stored_as_one_are_refused(tmp_path):
    for name in (b'a\xe9.jpg', b'a\\xe9.jpg'):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b'/' + name))).touch()

    with pytest.raises(CocoError, match='1 values of `file_name` occur more'):
        unlabeled(tmp_path)


def test_prompt_is_part_of_what_makes_detections(drawn):
    cfg = annotate_cfg(drawn, drawn.folder / 'T.pth', drawn.folder)
    prompt = dict(red=dict(prefix='bright '))
    plain = unlabeled(drawn.folder / 'unlabeled')
    prompted = UnlabeledDataset(
        data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
        metainfo=dict(classes=CLASSES),
        return_classes=True,
        caption_prompt=prompt,
    )

    provenance = make_provenance(cfg, plain)
    assert 'prompt' not in provenance
    assert make_provenance(cfg, prompted) == dict(provenance, prompt=prompt)


def test_image_whose_name_no_coco_file_may_have_is_unreadable(drawn):
    file = drawn.folder / 'unlabeled' / 'a\\..\\..\\1.png'
    file.write_bytes((drawn.folder / 'unlabeled' / '1.png').read_bytes())
    dataset = unlabeled(drawn.folder / 'unlabeled')
    dataset.pipeline.transforms.append(dict)
    names = list(dataset.map_image_ids())

    sample = dataset[names.index(file.name)]['data_samples']

    assert sample.unreadable == (
        'its name leads outside the folder of the images: rename it'
    )


@pytest.mark.parametrize(
    ('total', 'num', 'expected'),
    [(10, 3, [0, 3, 6]), (3, 9, [0, 1, 2]), (0, 2, []), (2, 0, [])],
)
def test_images_are_spread_evenly(total, num, expected):
    assert spread_indices(total, num) == expected


@pytest.mark.parametrize('prefix', [{}, dict(data_prefix=dict(img_path='a'))])
def test_folder_of_the_images_must_be_named(prefix):
    with pytest.raises(ValueError, match=r'dict\(img=FOLDER\), got {.*img_pa'):
        UnlabeledDataset(pipeline=[], **prefix)


def test_indices_of_images_that_are_gone_are_left_out(drawn):
    cfg = annotate_cfg(drawn, Path('x'), Path('y')).test_dataloader.dataset

    dataset = DATASETS.build(dict(cfg, indices=[0, 4, 5, 9]))

    names = [*dataset.map_image_ids()]
    assert names == [drawn.truth['images'][n]['file_name'] for n in (0, 4)]
