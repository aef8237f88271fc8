"""The writer's text, read back as JSON, against plain Python objects."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from projects.data_distillation.pseudo_labels.detections.columns import (
    Detections,
)
from projects.data_distillation.pseudo_labels.selection import coco_writer
from projects.data_distillation.pseudo_labels.selection.coco_writer import (
    hash_labels,
    read_origin,
    write_pseudo_labels,
)

CATEGORIES = [dict(id='07', name='r"\\é'), dict(id=3, name='green', x=[1])]
NAMES = ['a.jpg', 'sub dir/"quoted" \\ é\n.jpg', '<b>.png']


def images(num: int = 3) -> pa.Table:
    return pa.table(
        dict(
            id=[5, 9, 12][:num],
            file_name=NAMES[:num],
            width=[100] * num,
            height=[50] * num,
        )
    )


def annotations(num: int) -> Detections:
    random = np.random.default_rng(0)
    return Detections(
        np.sort(random.integers(0, 3, num)).astype(np.int32),
        (random.random((num, 4)) * 5000).round(2).astype(np.float32),
        (random.random(num) ** 8).astype(np.float32),
        random.integers(0, 2, num).astype(np.int32),
        random.integers(1, 19, num).astype(np.int32),
        random.random(num).astype(np.float32),
    )


@pytest.mark.parametrize(
    'num', [0, 1, 2, 3, pytest.param(500, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize('at_once', [1, 2, 499, 1000])
def test_file_holds_what_was_given(tmp_path, monkeypatch, num, at_once):
    monkeypatch.setattr(coco_writer, 'ANNOTATIONS_AT_ONCE', at_once)
    monkeypatch.setattr(coco_writer, 'IMAGES_AT_ONCE', at_once)
    given = annotations(num)
    is_crowd = np.arange(num) % 3 == 0
    file = tmp_path / 'new' / 'labels.json'

    write_pseudo_labels(
        file, dict(by='é"'), images(), given, is_crowd, CATEGORIES
    )

    content = json.loads(file.read_text())
    assert content['info'] == dict(by='é"')
    assert content['images'] == images().to_pylist()
    assert content['categories'] == CATEGORIES
    assert len(content['annotations']) == num
    for i, found in enumerate(content['annotations']):
        box = [float(str(v)) for v in given.bbox_xywh[i]]
        assert found == dict(
            id=i + 1,
            image_id=[5, 9, 12][given.image_index[i]],
            category_id=CATEGORIES[given.labels[i]]['id'],
            bbox=box,
            area=pytest.approx(box[2] * box[3], abs=0.0051),
            iscrowd=int(i % 3 == 0),
            score=float(str(given.scores[i])),
            views=given.num_views[i],
        )
        assert np.float32(found['score']) == given.scores[i]


def test_origin_is_read_without_the_rest(tmp_path):
    file = tmp_path / 'labels.json'
    origin = dict(selection='é\n"', min_scores=[])
    info = dict(data_distillation=origin)
    nothing = annotations(0), np.zeros(0, bool)
    write_pseudo_labels(file, info, images(), *nothing, CATEGORIES)
    assert read_origin(file) == origin

    first, _, _ = file.read_bytes().partition(b'\n')
    file.write_bytes(first + b'\nnot JSON')
    assert read_origin(file) == origin


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (dict(info=dict(data_distillation=dict(a=1))), dict(a=1)),
        (dict(images=[], info=dict(data_distillation=dict(a=1))), dict(a=1)),
        (dict(info=dict(description='COCO')), {}),
        (dict(info='text'), {}),
        (dict(info=None), {}),
        (dict(), {}),
    ],
)
@pytest.mark.parametrize('indent', [None, 1])
def test_origin_of_files_that_others_wrote(
    tmp_path, content, expected, indent
):
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(content, indent=indent))

    assert read_origin(file) == expected


def test_origin_that_goes_on_after_the_first_line(tmp_path):
    file = tmp_path / 'labels.json'
    file.write_text('{"info": {"a": 1,\n"data_distillation": {"b": 2}}}')

    assert read_origin(file) == dict(b=2)


def test_old_file_stays_if_writing_fails(tmp_path):
    file = tmp_path / 'labels.json'
    file.write_text('old')

    with pytest.raises(TypeError, match='not JSON serializable'):
        write_pseudo_labels(
            file,
            dict(unknown=object()),
            images(),
            annotations(2),
            np.zeros(2, bool),
            CATEGORIES,
        )

    assert file.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [file]


def test_digest_is_that_of_the_labels_not_of_the_date(tmp_path):
    file = tmp_path / 'labels.json'

    def digest(info: str, images: str) -> str:
        file.write_text(f'{{"info": {info},\n"images": [{images}]}}\n')
        return hash_labels(file)

    assert digest('"monday"', '1') == digest('"tuesday"', '1')
    assert digest('"monday"', '1') != digest('"monday"', '2')


@pytest.mark.parametrize(
    'text', ['{{"images": [{}],\n"info": 1}}', '{{"info": 1, "images": [{}]}}']
)
def test_digest_of_a_file_of_another_writer_is_of_all_in_it(tmp_path, text):
    digests = set()
    for number in (1, 2):
        file = tmp_path / 'labels.json'
        file.write_text(text.format(number))
        digests.add(hash_labels(file))

    assert len(digests) == 2


# --- masks -------------------------------------------------------------------


def noise_masks(num: int) -> list[np.ndarray]:
    """Masks of all kinds, of images as `images` has them."""
    random = np.random.default_rng(1)
    masks = []
    for _ in range(num):
        mask = np.zeros((50, 100), np.uint8, order='F')
        x, y = random.integers(0, 40, 2)
        part = mask[y : y + random.integers(1, 40), x : x + 30]
        part[:] = random.random(part.shape) < random.choice([0.3, 0.8, 1])
        part[0, 0] = 1
        masks.append(mask)
    return masks


@pytest.mark.parametrize('at_once', [7, 1000])
@pytest.mark.parametrize('segmentation', ['rle', 'polygon'])
def test_masks_are_written_as_they_are(
    tmp_path, monkeypatch, segmentation, at_once
):
    monkeypatch.setattr(coco_writer, 'MASKS_AT_ONCE', at_once)
    masks = noise_masks(40)
    counts = [coco_mask.encode(mask)['counts'] for mask in masks]
    assert any(b'\\' in one for one in counts)  # which JSON escapes
    given = dataclasses.replace(
        annotations(40),
        masks=pa.array(counts, pa.large_binary()),
        mask_areas=np.array([mask.sum() for mask in masks], np.int32),
    )
    file = tmp_path / 'labels.json'

    write_pseudo_labels(
        file,
        {},
        images(),
        given,
        np.arange(40) % 3 == 0,
        CATEGORIES,
        segmentation,
    )

    for found, mask in zip(COCO(str(file)).anns.values(), masks):
        written = found['segmentation']
        assert found['area'] == mask.sum()
        assert isinstance(written, dict) == (segmentation == 'rle')
        if segmentation == 'polygon':
            # Whole numbers would be truncated further on.
            assert not any(n.is_integer() for ring in written for n in ring)
            written = coco_mask.merge(coco_mask.frPyObjects(written, 50, 100))
        assert np.array_equal(coco_mask.decode(written), mask)
