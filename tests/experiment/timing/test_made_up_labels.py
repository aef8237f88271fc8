"""Labels that stand in for those of a teacher."""

import pytest

from projects.data_distillation.experiment.timing.made_up_labels import (
    make_up_labels,
)
from projects.data_distillation.files.atomic import read_json
from projects.data_distillation.label_files.coco.reading import read_coco
from projects.data_distillation.pseudo_labels.annotation.unlabeled import (
    UnlabeledDataset,
)

CATEGORIES = [dict(id=7, name='a'), dict(id=3, name='b')]


def images_of(drawn) -> UnlabeledDataset:
    folder = str(drawn.folder / 'unlabeled')
    return UnlabeledDataset(data_prefix=dict(img=folder), pipeline=[])


def test_each_image_that_can_be_read_has_a_label(drawn, tmp_path):
    (drawn.folder / 'unlabeled/0.png').write_bytes(b'no image')
    file = tmp_path / 'labels.json'

    make_up_labels(images_of(drawn), CATEGORIES, file)

    content = read_coco(file, 'images', 'annotations', 'categories')
    assert content == read_json(file)
    assert content['categories'] == CATEGORIES
    sizes = {
        i['file_name']: (i['width'], i['height'])
        for i in drawn.truth['images']
    }
    for image, label in zip(content['images'], content['annotations']):
        width, height = sizes.pop(image['file_name'])
        assert (image['width'], image['height']) == (width, height)
        assert label['image_id'] == image['id'] and label['category_id'] == 7
        x, y, w, h = label['bbox']
        assert (2 * w, 2 * h) == (width, height)
        assert (2 * x + w, 2 * y + h) == (width, height)
        assert label['area'] == w * h
        (polygon,) = label['segmentation']
        assert (min(polygon[::2]), max(polygon[1::2])) == (x, y + h)
    assert sizes.keys() == {'0.png'}


def test_images_that_cannot_be_read_have_none(drawn, tmp_path):
    for file in (drawn.folder / 'unlabeled').iterdir():
        file.write_bytes(b'no image')

    with pytest.raises(ValueError, match='none of the first 5 unlabeled ima'):
        make_up_labels(images_of(drawn), CATEGORIES, tmp_path / 'x.json')
