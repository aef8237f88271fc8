"""`--unlabeled rest`: the images that no file lists."""

import json
import shutil

import cv2
import numpy as np
import pytest

from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.unlisted_images import (
    find_empty,
    find_unlisted,
)


@pytest.fixture
def folder(tmp_path):
    """Six different images, one of them in a folder of its own."""
    images = tmp_path / 'images'
    (images / 'more').mkdir(parents=True)
    names = ['a.png', 'b.png', 'c.png', 'd.png', 'e.png', 'more/f.png']
    for number, name in enumerate(names):
        pixels = np.full((8, 9, 3), 10 * number, np.uint8)
        assert cv2.imwrite(str(images / name), pixels)
    return images


def write(file, names, annotated=()):
    images = [
        dict(id=i, file_name=name, width=9, height=8)
        for i, name in enumerate(names, 1)
    ]
    annotations = [
        dict(
            id=i, image_id=i, category_id=1, bbox=[1, 1, 3, 3], area=9,
            iscrowd=0,
        )
        for i, name in enumerate(names, 1)
        if name in annotated
    ]  # fmt: skip
    categories = [dict(id=1, name='x')]
    content = dict(
        images=images, annotations=annotations, categories=categories
    )
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def sources(folder, tmp_path) -> dict:
    labeled = write(tmp_path / 'l.json', ['a.png', 'b.png'], {'a.png'})
    return dict(
        labeled=labeled,
        labeled_images=folder,
        val=write(tmp_path / 'v.json', ['c.png'], {'c.png'}),
        val_images=folder,
        unlabeled='rest',
    )


def names_in(images) -> list[str]:
    with open(images.ann_file) as file:
        return [image['file_name'] for image in json.load(file)['images']]


def test_images_that_no_file_lists_are_unlabeled(sources, tmp_path):
    data = Sources(**sources).gather(tmp_path / 'out')

    assert names_in(data.unlabeled) == ['d.png', 'e.png', 'more/f.png']
    assert data.unlabeled.count == 3
    assert data.unlabeled.folder == data.labeled.folder
    assert data.labeled.count == 2
    assert '3 of the 6 images in' in data.notes[0]


def test_test_images_stay_unseen(sources, tmp_path):
    test = write(tmp_path / 't.json', ['e.png'])

    data = Sources(**sources, left_out=[test]).gather(tmp_path / 'out')

    assert names_in(data.unlabeled) == ['d.png', 'more/f.png']


def test_labeled_images_without_objects_can_be_annotated(sources, tmp_path):
    data = Sources(**sources, annotates_empty=True).gather(tmp_path / 'out')

    assert names_in(data.unlabeled) == [
        'b.png',
        'd.png',
        'e.png',
        'more/f.png',
    ]
    assert names_in(data.labeled) == ['a.png']
    assert data.labeled.count == 1
    assert any('1 labeled images without any object' in n for n in data.notes)


def test_copies_of_known_images_are_left_out(sources, folder, tmp_path):
    shutil.copy(folder / 'a.png', folder / 'd (1).png')
    shutil.copy(folder / 'c.png', folder / 'more/copy.png')

    data = Sources(**sources).gather(tmp_path / 'out')

    assert names_in(data.unlabeled) == ['d.png', 'e.png', 'more/f.png']
    assert '2 more are left out' in data.notes[1]


def test_validation_images_may_be_in_another_folder(sources, folder, tmp_path):
    other = tmp_path / 'val'
    other.mkdir()
    (folder / 'c.png').rename(other / 'c.png')

    data = Sources(**dict(sources, val_images=other)).gather(tmp_path / 'out')

    assert names_in(data.unlabeled) == ['d.png', 'e.png', 'more/f.png']


def test_folder_of_which_all_is_listed_can_be_annotated(
    sources, folder, tmp_path
):
    every = [p.relative_to(folder).as_posix() for p in folder.rglob('*.png')]
    every.remove('c.png')
    labeled = write(tmp_path / 'l.json', every, ['a.png'])
    settings = dict(sources, labeled=labeled, annotates_empty=True)

    data = Sources(**settings).gather(tmp_path / 'out')

    assert names_in(data.labeled) == ['a.png']
    assert names_in(data.unlabeled) == sorted({*every} - {'a.png'})
    write(tmp_path / 'l.json', every, every)
    with pytest.raises(ValueError, match='no image is left'):
        Sources(**settings).gather(tmp_path / 'out')


def test_folder_of_which_all_is_known_is_refused(folder, tmp_path):
    every = [p.relative_to(folder).as_posix() for p in folder.rglob('*.png')]
    file = write(tmp_path / 'all.json', every)

    with pytest.raises(ValueError, match='no image is left, because all 6 in'):
        find_unlisted(folder, [(file, folder)])


@pytest.mark.parametrize(
    'option', [dict(left_out=['t.json']), dict(annotates_empty=True)]
)
def test_options_of_the_rest_need_it(sources, tmp_path, option):
    share = dict(sources, unlabeled='50%', **option)

    with pytest.raises(ValueError, match='go only with --unlabeled rest'):
        Sources(**share).gather(tmp_path / 'out')


def test_empty_images_are_those_without_annotation():
    content = dict(
        images=[dict(id=1, file_name='a'), dict(id=2, file_name='b')],
        annotations=[dict(image_id=2)],
    )

    assert find_empty(content) == ['a']


@pytest.mark.parametrize(
    'option', [('--leave-out', 't.json'), ('--annotate-empty',)]
)
def test_tool_passes_the_options_on(sources, call_tool, option):
    given = [
        part
        for name, value in dict(sources, unlabeled='50%').items()
        for part in (f'--{name.replace("_", "-")}', value)
    ]

    result = call_tool(
        'init_experiment', 'out', *given, *option,
        '--detector', 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
    )  # fmt: skip

    assert result.returncode == 1
    assert 'go only with --unlabeled rest, got --unl' in result.stderr


def test_names_that_a_coco_file_cannot_have_are_left_out(
    sources, folder, tmp_path
):
    shutil.copy(folder / 'd.png', folder / 'A: front.png')
    pixels = cv2.imread(str(folder / 'A: front.png'))
    cv2.imwrite(str(folder / 'A: front.png'), pixels // 2)

    data = Sources(**sources).gather(tmp_path / 'out')

    assert names_in(data.unlabeled) == ['d.png', 'e.png', 'more/f.png']
    assert any("for example 'A: front.png': rename" in n for n in data.notes)
