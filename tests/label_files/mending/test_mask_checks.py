"""Segmentations that training on masks cannot use, and what is mended."""

import copy
import itertools
import json
import re

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from pycocotools import mask as coco_mask

from projects.data_distillation.label_files.coco.tables import CocoFile
from projects.data_distillation.label_files.column_matching.mask_ious import (
    read_mask,
)
from projects.data_distillation.label_files.mending.mask_checks import (
    check_segmentations,
    read_for_masks,
)
from projects.data_distillation.label_files.mending.mend import mend_file

SIZE_HW = (60, 90)
# Not symmetric, and at no symmetric place.
SHAPE = [50.5, 10.0, 80.0, 12.0, 70.0, 40.0, 52.0, 30.0]
BBOX = [50.5, 10, 29.5, 30]


def rle_of(polygons: list, size_hw=SIZE_HW) -> np.ndarray:
    return coco_mask.merge(coco_mask.frPyObjects(polygons, *size_hw))


def as_json(rle: dict) -> dict:
    return dict(size=list(rle['size']), counts=rle['counts'].decode())


MASK = coco_mask.decode(rle_of([SHAPE]))


def encode(pixels: np.ndarray, **changes) -> dict:
    rle = coco_mask.encode(np.asfortranarray(pixels, np.uint8))
    return as_json(rle) | changes


def runs_of(pixels: np.ndarray) -> list[int]:
    flat = np.concatenate([[0], pixels.T.ravel(), [1 - pixels.T.ravel()[-1]]])
    return np.diff(np.flatnonzero(np.diff(flat)), prepend=0).tolist()


def content_of(*segmentations, bbox=BBOX) -> dict:
    """A file with these segmentations, and one that is right."""
    annotations = [
        dict(
            id=n,
            image_id=1,
            category_id=1,
            # No two objects are the same.
            bbox=[*bbox[:2], bbox[2] + n / 100, bbox[3]],
            area=500,
            iscrowd=0,
            segmentation=value,
        )
        for n, value in enumerate([[SHAPE], *segmentations], 1)
    ]
    return dict(
        images=[
            dict(id=1, file_name='a.png', width=SIZE_HW[1], height=SIZE_HW[0])
        ],
        categories=[dict(id=1, name='a')],
        annotations=annotations,
    )


def check(content: dict, tmp_path) -> list[tuple]:
    """Kind, text and whether it can be mended, from the file itself."""
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(content))
    return [
        (one.kind.removeprefix('segmentation '), one.what, one.is_fixable)
        for one in check_segmentations(read_for_masks(file))
    ]


SHIFTED = [x + (20 if n % 2 == 0 else 0) for n, x in enumerate(SHAPE)]
RIGHT = [
    pytest.param(
        [SHAPE, [1.5, 1, 4, 1, 4, 4]], [1.5, 1, 78.5, 39], id='parts'
    ),
    pytest.param(encode(MASK), BBOX, id='rle'),
    pytest.param(dict(size=[60, 90], counts=runs_of(MASK)), BBOX, id='runs'),
    pytest.param([SHAPE], [48, 8, 34, 34], id='box drawn by hand'),
    pytest.param(
        [[x + 10.4 for x in SHAPE]], [61, 20, 28, 30], id='tolerance'
    ),
]


@pytest.mark.parametrize(('value', 'bbox'), RIGHT)
def test_right_segmentations_have_no_problem(value, bbox, tmp_path):
    content = content_of(value, bbox=bbox)
    content['annotations'] = content['annotations'][1:]

    assert check(content, tmp_path) == []
    file = CocoFile.of('a.json', content)
    assert mend_file(file)[0]['annotations'] == content['annotations']


WRONG = [
    ('missing', None, 'is missing, though', False),
    ('empty', [], 'has no pixel', False),
    ('empty', [[]], 'has no pixel', False),
    ('empty', encode(0 * MASK), 'has no pixel', False),
    ('empty', dict(size=[60, 90], counts=[1, 0, 5399]), 'no pixel', False),
    ('empty', [[5.5, 5, 5.5, 9, 5.5, 7]], 'has no pixel', False),
    ('empty', [[50.5, 10, 60.5, 20, 70.5, 30]], 'has no pixel', False),
    ('short', [SHAPE, []], 'a polygon of 0 points', True),
    ('odd', [SHAPE[:-1]], 'a polygon of 7 numbers', False),
    ('odd', [SHAPE, SHAPE[:-1]], 'a polygon of 7 numbers', False),
    ('short', [SHAPE[:4]], 'a polygon of 2 points', False),
    ('short', [SHAPE, SHAPE[:4]], 'a polygon of 2 points', True),
    ('wrong', 'a', 'is str', False),
    ('wrong', [[1.5, 'a', 3, 4, 5, 6]], 'is no list of polygons', False),
    ('wrong', [[1.5, float('nan'), 3, 4, 5, 6]], 'is no list of', False),
    ('wrong', dict(size=[60, 90]), 'is no RLE', False),
    ('wrong', dict(size=[60.5, 90], counts='11'), 'is no RLE', False),
    ('wrong', encode(MASK, counts='é'), 'is no RLE', False),
    ('counts', encode(MASK, size=[60, 91]), 'not as many pixels', False),
    ('counts', dict(size=[60, 90], counts=[5, 9]), 'not as many', False),
    # pycocotools reads on behind the end of such a text.
    ('counts', encode(MASK, counts=encode(MASK)['counts'] + 'o'), '', False),
    ('counts', encode(MASK, counts=encode(MASK)['counts'] + 'oP'), '', False),
    ('not nested', SHAPE, 'has points or numbers', True),
    (
        'not nested',
        [SHAPE[i : i + 2] for i in (0, 2, 4, 6)],
        'has points',
        True,
    ),
    ('not nested', [[SHAPE[i : i + 2] for i in (0, 2, 4)]], 'points', True),
    ('not plain', encode(MASK, size=[60.0, 90.0]), 'is RLE in a list', True),
    ('not plain', [encode(MASK)], 'is RLE in a list', True),
    (
        'not plain',
        [dict(size=[60, 90], counts=[float(n) for n in runs_of(MASK)])],
        'is RLE in a list',
        True,
    ),
    ('wrong', [encode(MASK), encode(MASK)], 'is no list of polygons', False),
    ('of another size', encode(MASK[:50]), r'has the size \[50, 90\]', False),
    ('of swapped sides', encode(MASK, size=[90, 60]), 'swapped', True),
    ('of swapped sides', encode(MASK.T), 'are swapped', True),
    ('of swapped sides', encode(np.rot90(MASK)), 'are swapped', True),
    ('of swapped sides', encode(np.rot90(MASK, -1)), 'swapped', True),
    ('outside', [SHIFTED], 'reaches 10 pixels outside', True),
    ('away', [[x + 90 for x in SHAPE]], 'lies outside its image', False),
    ('elsewhere', [[x - 8.5 for x in SHAPE]], 'but `bbox` is', False),
    ('elsewhere', encode(np.roll(MASK, 9, 0)), 'lies in the box', False),
    ('of integers', [[50, 10, 80, 12, 70, 40]], 'rounds the polygon', True),
]


@pytest.mark.parametrize(('kind', 'value', 'what', 'is_fixable'), WRONG)
def test_wrong_segmentations_are_named(
    kind, value, what, is_fixable, tmp_path
):
    found = check(content_of(value), tmp_path)

    ((found_kind, text, fixable),) = found
    assert (found_kind, fixable) == (kind, is_fixable)
    assert re.search(what, text)


def test_files_for_boxes_alone_have_no_problem(tmp_path):
    assert check(content_of(None, None, [SHAPE[:4]]), tmp_path) != []
    assert check(content_of(None, None, []), tmp_path) == []
    for empty in (None, [], [[]]):
        content = content_of(empty)
        content['annotations'] = content['annotations'][1:]
        assert check(content, tmp_path) == []
        content['annotations'][0].pop('segmentation')
        assert check(content, tmp_path) == []


@pytest.mark.parametrize(('kind', 'value', 'what', 'is_fixable'), WRONG)
def test_what_can_be_mended_is_mended_and_all_else_stays(
    kind, value, what, is_fixable, tmp_path
):
    content = content_of(value)
    before = copy.deepcopy(content)

    mended, counts = mend_file(CocoFile.of('a.json', content))

    assert content == before or kind == 'wrong'  # NaN
    if not is_fixable:
        assert mended['annotations'] == content['annotations']
        return
    assert counts.total() >= 1
    left = check(mended, tmp_path)
    # Three of four points are no longer in the box.
    assert not any(fixable for _, _, fixable in left)
    shape = read_mask(mended['annotations'][1]['segmentation'], SIZE_HW)
    if kind in ('of swapped sides', 'not plain'):
        assert left == [] and (coco_mask.decode(shape) == MASK).all()
    if kind == 'outside':
        inside = coco_mask.decode(rle_of([SHIFTED]))
        assert (coco_mask.decode(shape) != inside).sum() <= 3
        (polygon,) = mended['annotations'][1]['segmentation']
        assert np.array_equal(polygon, np.round(polygon, 2))


def test_mended_file_trains_on_all_its_polygons(tmp_path):
    values = [
        value
        for kind, value, _, is_fixable in WRONG
        if is_fixable and isinstance(value, list) and kind != 'not plain'
    ]
    mended, _ = mend_file(CocoFile.of('a.json', content_of(*values)))
    file = tmp_path / 'mended.json'
    file.write_text(json.dumps(mended))
    data = CocoDataset(
        ann_file=str(file),
        data_prefix=dict(img=''),
        metainfo=dict(classes=('a',)),
        pipeline=[],
    )
    load = LoadAnnotations(with_bbox=True, with_mask=True, poly2mask=False)

    given = dict(img=np.zeros((*SIZE_HW, 3)), ori_shape=SIZE_HW)
    results = load.transform(data.get_data_info(0) | given)

    assert len(results['gt_masks']) == len(values) + 1
    assert not results['gt_ignore_flags'].any()
    polygons = itertools.chain(*results['gt_masks'].masks)
    assert {one.dtype.kind for one in polygons} == {'f'}


def test_polygon_that_touches_a_corner_of_its_image_is_kept(tmp_path):
    corner = [[85.0, -5, 95, -5, 95, 5]]
    content = content_of(corner, bbox=[85, 0, 5, 5])

    mended, counts = mend_file(CocoFile.of('a.json', content))

    assert mended['annotations'][1]['segmentation'] == corner
    assert 'polygons clipped' not in counts


def test_area_is_that_of_the_clipped_polygon(tmp_path):
    content = content_of([[80.0, 10, 100, 10, 100, 30, 80, 30]])
    content['annotations'][1].update(bbox=[80, 10, 10, 20], area=400)

    mended, _ = mend_file(CocoFile.of('a.json', content))

    assert mended['annotations'][1]['area'] == 200


def test_missing_area_is_that_of_the_mask(tmp_path):
    content = content_of(encode(MASK), [SHAPE], None)
    for one in content['annotations'][1:]:
        one['area'] = 0

    mended, _ = mend_file(CocoFile.of('a.json', content))

    of_mask, of_polygon, of_box = mended['annotations'][1:]
    assert of_mask['area'] == MASK.sum()
    assert of_polygon['area'] == coco_mask.area(read_mask([SHAPE], SIZE_HW))
    assert of_box['area'] == of_box['bbox'][2] * of_box['bbox'][3]


def test_box_that_fits_two_turns_does_not_decide(tmp_path):
    square = np.zeros((90, 60), np.uint8)
    square[20:40, 20:40] = 1

    found = check(content_of(encode(square), bbox=[20, 20, 20, 20]), tmp_path)

    assert found[-1][0] == 'of swapped sides' and not found[-1][2]
