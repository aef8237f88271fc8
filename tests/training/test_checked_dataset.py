"""CheckedCocoDataset refuses what CocoDataset would take silently."""

import pytest
from builders import CLASSES

from projects.data_distillation import CheckedCocoDataset
from projects.data_distillation.label_files.coco.reading import CocoError


def checked(drawn, **changes) -> CheckedCocoDataset:
    arguments = dict(
        ann_file=str(drawn.folder / 'truth.json'),
        data_prefix=dict(img=str(drawn.folder / 'unlabeled')),
        metainfo=dict(classes=CLASSES),
    )
    return CheckedCocoDataset(**{**arguments, **changes})


def test_labels_count_the_categories_in_the_order_of_the_file(drawn):
    dataset = checked(drawn)

    first = dataset.get_data_info(0)['instances']
    assert [i['bbox_label'] for i in first] == [0, 1]
    x, y, w, h = drawn.truth['annotations'][0]['bbox']
    assert first[0]['bbox'] == [x, y, x + w, y + h]


def test_other_order_of_classes_is_refused(drawn):
    with pytest.raises(CocoError, match='truth.json, in its order.*the order'):
        checked(drawn, metainfo=dict(classes=('green', 'red')))


def test_missing_file_is_refused(drawn):
    with pytest.raises(FileNotFoundError, match='absent.json'):
        checked(drawn, ann_file=str(drawn.folder / 'absent.json'))


def test_images_without_an_object_can_be_left_out(drawn):
    left = [one for one in drawn.truth['annotations'] if one['image_id'] != 13]
    drawn.write('truth.json', dict(drawn.truth, annotations=left))

    dataset = checked(drawn, filter_cfg=dict(filter_empty_gt=True))

    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_id'] for info in infos] == [10, 16, 19, 22]


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_file_without_a_list_is_refused(drawn, key):
    del drawn.truth[key]
    drawn.write('truth.json', drawn.truth)

    with pytest.raises(CocoError, match=f'truth.json: `{key}` is missing'):
        checked(drawn)


def test_file_may_have_no_annotation_at_all(drawn):
    drawn.write('truth.json', dict(drawn.truth, annotations=[]))

    assert len(checked(drawn)) == len(drawn.truth['images'])


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(id=[1]), r'annotations\[2\]: `id` must be an integer'),
        (
            dict(id=1),
            r'\[0\] and annotations\[2\] have the same id',
        ),
        (dict(image_id=None), 'annotation 3: `image_id` is missing'),
        (dict(category_id={}), '`category_id` must be an integer'),
        (dict(bbox=[1, 2, 3]), '`bbox` must be a list of four numbers'),
        (
            dict(bbox=[1, float('nan'), 3, 4]),
            r'annotation 3: `bbox` must be finite, got \[1, nan, 3, 4\]',
        ),
        (dict(bbox=[1, 2, 3, 10**400]), '`bbox` must be finite'),
        (dict(area='9'), "`area` must be a finite number, got '9'"),
    ],
)
def test_bad_annotation_is_refused(drawn, change, match):
    drawn.truth['annotations'][2].update(change)
    drawn.write('truth.json', drawn.truth)

    with pytest.raises(CocoError, match=f'truth.json: .*{match}'):
        checked(drawn)


@pytest.mark.parametrize('key', ['width', 'height'])
def test_image_without_size_is_refused(drawn, key):
    del drawn.truth['images'][1][key]
    drawn.write('truth.json', drawn.truth)

    with pytest.raises(CocoError, match=f'image .*: `{key}` is missing'):
        checked(drawn)


def test_annotations_that_are_no_list_are_refused(drawn):
    drawn.write('truth.json', dict(drawn.truth, annotations=dict()))

    with pytest.raises(CocoError, match='`annotations` is not a list'):
        checked(drawn)


def test_count_of_regions_that_is_no_number_is_refused(drawn):
    info = dict(data_distillation=dict(num_ignored='many'))
    drawn.write('truth.json', dict(drawn.truth, info=info))

    with pytest.raises(CocoError, match="must be an integer, got 'many'"):
        checked(drawn)


def test_name_outside_of_the_folder_is_refused(drawn):
    drawn.truth['images'][3]['file_name'] = '../labeled/0.png'
    drawn.write('truth.json', drawn.truth)

    match = "truth.json: image .*'../labeled/0.png' leads outside"
    with pytest.raises(CocoError, match=match):
        checked(drawn)
