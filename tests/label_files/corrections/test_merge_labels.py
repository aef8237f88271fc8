"""Labels that go out, are corrected, and come back as tools write them."""

import json
from pathlib import Path

import numpy as np
import pytest

from projects.data_distillation.label_files.coco.contents import find_unchecked
from projects.data_distillation.label_files.coco.reading import (
    UNCHECKED,
    CocoError,
)
from projects.data_distillation.label_files.coco.tables import CocoFile
from projects.data_distillation.label_files.corrections.corrected import (
    read_corrected,
)
from projects.data_distillation.label_files.corrections.update import (
    read_numbered,
    update_sets,
)
from projects.data_distillation.label_files.mending.mask_checks import (
    check_segmentations,
)

# What the packages of annotation tools wrote, see record_exports.py.
EXPORTS = Path(__file__).with_name('exports')


def correct(drawn) -> dict:
    """What a person makes of three unlabeled images, by name.

    One box is moved, one gets the other class, one is new.
    """
    names = {c['id']: c['name'] for c in drawn.truth['categories']}
    wanted = {}
    for image in drawn.truth['images'][1:4]:
        wanted[image['file_name']] = [
            (list(map(float, a['bbox'])), names[a['category_id']])
            for a in drawn.truth['annotations']
            if a['image_id'] == image['id']
        ]
    wanted['1.png'][0][0][0] += 2
    wanted['2.png'][1] = (wanted['2.png'][1][0], 'red')
    wanted['3.png'].append(([2.0, 3.0, 10.0, 12.5], 'green'))
    return wanted


def size_of(drawn, name: str) -> tuple[int, int]:
    image = next(i for i in drawn.truth['images'] if i['file_name'] == name)
    return image['width'], image['height']


def as_coco(drawn, wanted: dict, rename=str) -> dict:
    """As CVAT, FiftyOne and Roboflow do: other ids, orders and own keys."""
    coco = dict(
        info=dict(url='https://voxel51.com/fiftyone'),
        licenses=[],
        categories=[
            dict(id=0, name='green', supercategory=None),
            dict(id=1, name='red', supercategory=None),
            dict(id=2, name='never used', supercategory=None),
        ],
        images=[],
        annotations=[],
    )
    classes = {c['name']: c['id'] for c in coco['categories']}
    for number, name in enumerate(reversed(wanted), 70):
        width, height = size_of(drawn, name)
        image = dict(id=number, file_name=rename(name), license=None)
        coco['images'].append(image | dict(width=width, height=height))
        for box, label in reversed(wanted[name]):
            coco['annotations'].append(
                dict(
                    id=1000 - len(coco['annotations']),
                    image_id=number,
                    category_id=classes[label],
                    bbox=box,
                    area=1.0,
                    iscrowd=0,
                    segmentation=[],
                    attributes=dict(occluded=False, rotation=0.0),
                )
            )
    return coco


def as_label_studio(drawn, wanted: dict) -> list:
    """As the JSON export of Label Studio; captured from version 2.1.2."""
    tasks = []
    for name in reversed(wanted):
        width, height = size_of(drawn, name)
        results = [
            dict(
                id=f'fd51{n}',
                type='rectanglelabels',
                value=dict(
                    x=100 * x / width,
                    y=100 * y / height,
                    width=100 * w / width,
                    height=100 * h / height,
                    rotation=0,
                    rectanglelabels=[label],
                ),
                to_name='image',
                from_name='label_rectangles',
                image_rotation=0,
                original_width=width,
                original_height=height,
            )
            for n, ((x, y, w, h), label) in enumerate(wanted[name])
        ]
        old = dict(id=1, was_cancelled=False, result=results[:1])
        skipped = dict(id=3, was_cancelled=True, result=[])
        done = dict(id=2, was_cancelled=False, result=results)
        url = f'/data/local-files/?d=images/{name}'
        tasks.append(
            dict(
                id=50 - len(tasks),
                data=dict(image=url, comment='unclear'),
                annotations=[old, done, skipped],
            )
        )
    return tasks


def write_any_labeling(drawn, wanted: dict, folder) -> None:
    """As X-AnyLabeling: a JSON file beside each image."""
    folder.mkdir()
    for name, boxes in wanted.items():
        width, height = size_of(drawn, name)
        shapes = [
            dict(
                label=label,
                score=0.9,
                points=[[x + w, y + h], [x, y + h], [x, y], [x + w, y]],
                shape_type='rectangle',
                flags={},
                attributes={},
            )
            for (x, y, w, h), label in boxes
        ]
        content = dict(
            version='2.4.4',
            flags={},
            shapes=shapes,
            imagePath=f'..\\images\\{name}',
            imageData=None,
            imageHeight=height,
            imageWidth=width,
        )
        (folder / f'{name[:-4]}.json').write_text(json.dumps(content))


def by_name(coco: dict) -> dict:
    images = {i['id']: i['file_name'] for i in coco['images']}
    classes = {c['id']: c['name'] for c in coco['categories']}
    found: dict = {name: [] for name in images.values()}
    for one in coco['annotations']:
        label = classes[one['category_id']]
        found[images[one['image_id']]].append((label, one['bbox']))
    return found


@pytest.mark.parametrize(
    'tool', ['cvat', 'roboflow', 'label studio', 'x-anylabeling']
)
def test_corrected_images_become_labeled(drawn, tmp_path, call_tool, tool):
    wanted = correct(drawn)
    back = tmp_path / 'back'
    if tool == 'x-anylabeling':
        write_any_labeling(drawn, wanted, back)
    elif tool == 'label studio':
        back.write_text(json.dumps(as_label_studio(drawn, wanted)))
    else:
        renames = {'cvat': str, 'roboflow': roboflow_name}
        coco = as_coco(drawn, wanted, renames[tool])
        back.write_text(json.dumps(coco))

    check_taken_over(drawn, back, wanted, call_tool)


@pytest.mark.parametrize(
    'name',
    [
        'datumaro.json',
        'fiftyone.json',
        'label_studio.json',
        'labelme',
        'supervision.json',
    ],
)
def test_what_the_packages_of_tools_wrote_becomes_labeled(
    drawn, call_tool, name
):
    out = json.loads((EXPORTS / 'out.json').read_text())
    # Otherwise, the exports are of other images, and must be made again.
    assert out['images'] == drawn.truth['images'][1:4]

    check_taken_over(drawn, EXPORTS / name, correct(drawn), call_tool)


def check_taken_over(drawn, back: Path, wanted: dict, call_tool) -> None:
    # The labeled images have the same names in another folder.
    for number, image in enumerate(drawn.labeled['images']):
        image['file_name'] = f'old{number}.png'
    labeled = drawn.write('labeled.json', drawn.labeled)

    done = call_tool(
        *('merge_labels', back, '--labeled', labeled),
        *('--unlabeled', drawn.folder / 'unlabeled.json'),
        *('--out', drawn.folder / 'out'),
    )

    assert done.returncode == 0, done.stderr
    updated = json.loads((drawn.folder / 'out/labeled.json').read_text())
    rest = json.loads((drawn.folder / 'out/unlabeled.json').read_text())
    assert [i['file_name'] for i in rest['images']] == ['0.png', '4.png']
    assert updated['categories'] == drawn.labeled['categories']
    found = by_name(updated)
    assert {k: found[k] for k in ('old0.png', 'old1.png')} == by_name(
        drawn.labeled
    )
    for name, boxes in wanted.items():
        pairs = sorted((label, box) for box, label in boxes)
        assert [label for label, _ in sorted(found[name])] == [
            label for label, _ in pairs
        ]
        for (_, one), (_, other) in zip(sorted(found[name]), pairs):
            assert np.abs(np.subtract(one, other)).max() < 0.011
    for key in ('images', 'annotations'):
        ids = [one['id'] for one in updated[key]]
        assert len(set(ids)) == len(ids)


def roboflow_name(name: str) -> str:
    return name.replace('.png', '_png.rf.0a1B2c3d4e5f.jpg')


def update(drawn, coco: dict, tmp_path, **options):
    file = tmp_path / 'back.json'
    file.write_text(json.dumps(coco))
    # Of the same names, an image is labeled already: 0.png and 1.png.
    return update_sets(
        drawn.labeled,
        dict(images=drawn.truth['images'][2:]),
        read_corrected(file),
        **options,
    )


def test_labels_of_labeled_images_are_replaced(drawn, tmp_path):
    image = drawn.labeled['images'][1]
    coco = json.loads(json.dumps(drawn.labeled))
    coco['images'] = [image]
    coco['annotations'] = [
        dict(one, bbox=[1, 2, 30, 40], iscrowd=1)
        for one in coco['annotations']
        if one['image_id'] == image['id']
    ][:1]

    updated = update(drawn, coco, tmp_path)

    assert updated.labeled['images'] == drawn.labeled['images']
    mine = [
        one
        for one in updated.labeled['annotations']
        if one['image_id'] == image['id']
    ]
    assert [(one['bbox'], one['iscrowd']) for one in mine] == [
        ([1, 2, 30, 40], 1)
    ]
    assert len(updated.labeled['annotations']) == 3
    assert len(updated.unlabeled['images']) == 3


def test_labels_of_images_that_are_taken_leave_the_unlabeled_file(
    drawn, tmp_path
):
    file = tmp_path / 'back.json'
    wanted = correct(drawn)
    del wanted['1.png']  # Another image of this name is labeled.
    file.write_text(json.dumps(as_coco(drawn, wanted)))
    unlabeled = dict(drawn.truth, images=drawn.truth['images'][2:])

    found = update_sets(drawn.labeled, unlabeled, read_corrected(file))

    (left,) = found.unlabeled['images']
    assert found.unlabeled['annotations'] == [
        one
        for one in drawn.truth['annotations']
        if one['image_id'] == left['id']
    ]
    assert found.unlabeled['annotations']


def test_name_of_an_image_in_both_sets_is_refused(drawn, tmp_path):
    file = tmp_path / 'back.json'
    file.write_text(json.dumps(as_coco(drawn, correct(drawn))))

    with pytest.raises(CocoError, match="'1.png' is the name of a labeled an"):
        update_sets(drawn.labeled, drawn.truth, read_corrected(file))


def test_renamed_image_is_found_by_its_present_name(drawn, tmp_path):
    coco = as_coco(drawn, {'2.png': [([1.0, 2.0, 9.0, 9.0], 'red')]})
    name = coco['images'][0]['file_name'] = roboflow_name('2.png')
    coco['images'][0]['extra'] = dict(name='2.png')
    file = tmp_path / 'back.json'
    file.write_text(json.dumps(coco))
    (image,) = (i for i in drawn.truth['images'] if i['file_name'] == '2.png')
    unlabeled = dict(images=[dict(image, file_name=name)])

    updated = update_sets(drawn.labeled, unlabeled, read_corrected(file))

    assert updated.labeled['images'][-1]['file_name'] == name


def test_labels_of_another_version_of_an_image_are_refused(drawn, tmp_path):
    coco = as_coco(drawn, correct(drawn), roboflow_name)
    for image in [*drawn.truth['images'], *drawn.labeled['images']]:
        name = roboflow_name(image['file_name'])
        image['file_name'] = name.replace('0a1B', '9999')

    with pytest.raises(CocoError, match='in neither set'):
        update(drawn, coco, tmp_path)


@pytest.mark.parametrize('is_checked', [False, True])
def test_images_without_a_box_wait_unless_they_are_checked(
    drawn, tmp_path, is_checked
):
    coco = as_coco(drawn, {'2.png': [], '3.png': correct(drawn)['3.png']})

    updated = update(drawn, coco, tmp_path, empty_is_checked=is_checked)

    left = [i['file_name'] for i in updated.unlabeled['images']]
    assert left == (['4.png'] if is_checked else ['2.png', '4.png'])
    assert any('stay as they are' in n for n in updated.notes) != is_checked


@pytest.mark.parametrize('empty_is_checked', [False, True])
@pytest.mark.parametrize(
    ('mark', 'has_box', 'is_labeled'),
    [
        # None: X-AnyLabeling does not say whether somebody has looked.
        (dict(checked=True), True, True),
        (dict(checked=True), False, True),
        (dict(checked=False), True, True),
        (dict(checked=False), False, None),
        ({}, True, True),
        ({}, False, None),
    ],
)
def test_images_that_x_anylabeling_calls_checked_are_labeled(
    drawn, tmp_path, mark, has_box, is_labeled, empty_is_checked
):
    boxes = [([1.0, 2.0, 9.0, 9.0], 'red')] if has_box else []
    write_any_labeling(drawn, {'2.png': boxes}, tmp_path / 'back')
    file = tmp_path / 'back/2.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | mark))

    updated = update_sets(
        drawn.labeled,
        dict(images=drawn.truth['images'][2:]),
        read_corrected(tmp_path / 'back'),
        empty_is_checked=empty_is_checked,
    )

    left = [i['file_name'] for i in updated.unlabeled['images']]
    if is_labeled is None:
        is_labeled = empty_is_checked
    assert ('2.png' not in left) == is_labeled


def test_a_task_that_nobody_annotated_waits(drawn, tmp_path):
    tasks = as_label_studio(drawn, {'2.png': [], '3.png': []})
    tasks[0]['annotations'] = tasks[0]['annotations'][2:]  # skipped 3.png

    updated = update(drawn, tasks, tmp_path, empty_is_checked=True)

    left = [i['file_name'] for i in updated.unlabeled['images']]
    assert left == ['3.png', '4.png']


def test_x_anylabeling_may_not_know_the_size_of_an_image(tmp_path):
    file = tmp_path / 'a.json'
    content = dict(shapes=[], imageWidth=None, imageHeight=None)
    file.write_text(json.dumps(content))

    (image,) = read_corrected(file)

    assert image.size_wh is None


def test_labeled_set_with_a_name_twice_is_refused(drawn):
    drawn.labeled['images'][1]['file_name'] = './0.png'
    file = drawn.write('labeled.json', drawn.labeled)

    with pytest.raises(CocoError, match="file_name '0.png' is that of"):
        read_numbered(file)


def test_new_ids_are_above_those_of_images_of_one_name(drawn, tmp_path):
    for image, number in zip(drawn.labeled['images'], (90, 7, 8)):
        image.update(id=number, file_name='same.png')
    coco = as_coco(drawn, {'2.png': [([1.0, 2.0, 9.0, 9.0], 'red')]})

    updated = update(drawn, coco, tmp_path)

    assert updated.labeled['images'][-1]['id'] == 91


@pytest.mark.parametrize('mark', [True, 1])
def test_what_is_marked_as_deleted_is_left_out_and_counted(
    drawn, tmp_path, mark
):
    wanted = correct(drawn)
    del wanted['1.png']
    coco = as_coco(drawn, wanted)
    images = {i['file_name']: i for i in coco['images']}
    images['3.png']['deleted'] = mark
    images['2.png']['deleted'] = False
    mine = [
        a for a in coco['annotations']
        if a['image_id'] == images['2.png']['id']
    ]  # fmt: skip
    # What is deleted may be broken.
    mine[0].update(deleted=mark, attributes=dict(rotation=30.0))

    updated = update(drawn, coco, tmp_path)

    found = by_name(updated.labeled)
    assert len(found['2.png']) == len(mine) - 1
    assert '3.png' not in found
    left = [i['file_name'] for i in updated.unlabeled['images']]
    assert left == ['3.png', '4.png']
    assert '1 images and 1 labels are left out' in updated.notes[1]


def test_what_is_to_be_ignored_stays_so(drawn, tmp_path):
    coco = as_coco(drawn, {'2.png': [([1.0, 2.0, 9.0, 9.0], 'red')]})
    coco['annotations'][0]['ignore'] = 1

    updated = update(drawn, coco, tmp_path)

    assert updated.labeled['annotations'][-1]['ignore'] == 1


def as_crowd(one: dict, segmentation: object, **keys) -> None:
    one.update(iscrowd=1, segmentation=segmentation, **keys)


HOLLOW = dict(size=[80, 80], counts=[0, 160, 80, 40, 6120])


def test_masks_of_the_brush_of_cvat_are_refused(drawn, tmp_path):
    wanted = correct(drawn)
    del wanted['1.png']
    coco = as_coco(drawn, wanted)
    for one in coco['annotations'][:2]:
        as_crowd(one, HOLLOW)

    with pytest.raises(CocoError, match='has 2 masks .* --no-crowds'):
        update(drawn, coco, tmp_path)


@pytest.mark.parametrize(
    ('segmentation', 'keys'),
    [
        ([], {}),
        ([[10.0, 20.0, 30.0, 20.0, 30.0, 40.0]], {}),
        ([], {UNCHECKED: 1}),
        # As pseudo labels have it.
        (HOLLOW, dict(score=0.4, views=3)),
    ],
)
def test_regions_to_ignore_stay_regions(drawn, tmp_path, segmentation, keys):
    coco = as_coco(drawn, {'2.png': [([1.0, 2.0, 9.0, 9.0], 'red')]})
    as_crowd(coco['annotations'][0], segmentation, **keys)

    updated = update(drawn, coco, tmp_path)

    assert updated.labeled['annotations'][-1]['iscrowd'] == 1


def test_labeled_set_without_ids_of_annotations_is_refused(drawn):
    file = drawn.write('labeled.json', drawn.labeled)
    assert read_numbered(file) == drawn.labeled

    del drawn.labeled['annotations'][1]['id']
    drawn.write('labeled.json', drawn.labeled)

    with pytest.raises(CocoError, match=r'labeled.*annotations\[1\].*`id`'):
        read_numbered(file)


def set_box(box):
    def change(coco):
        coco['annotations'][0]['bbox'] = box

    return change


def set_width(width):
    def change(coco):
        coco['images'][0]['width'] = width

    return change


def rotate_box(coco):
    coco['annotations'][0]['attributes'] = dict(rotation=30.0)


def rename_class(coco):
    coco['categories'][1]['name'] = 'Red'


def rename_image(coco):
    coco['images'][0]['file_name'] = 'other.png'


def repeat_image(coco):
    coco['images'].append(dict(coco['images'][0], id=5, file_name='x/2.png'))
    coco['images'][-2]['file_name'] = '2.png'


def resize(coco):
    coco['images'][0]['width'] *= 2


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (rotate_box, 'rotated by 30.0 degrees'),
        (rename_class, "class 'Red', which the labeled set does not have"),
        (rename_image, "'other.png' is in neither set"),
        (repeat_image, 'came back twice'),
        (resize, 'export it without resizing'),
        (set_box([500, 3, 10, 10]), 'outside the image'),
        (set_box([3, 3, 10, 0.4]), 'thinner than a pixel'),
        (set_box([3, 3, 10]), r'`bbox` must be four .*, got \[3, 3, 10\]: '),
        (set_box([3, 3, 10, 10**400]), 'not what a tool exports: Overflow'),
        (set_width('x'), r"positive whole numbers, got \('x', "),
        *(
            (set_box([*[1.0] * place, number, *[5.0] * (3 - place)]), 'finite')
            for place in range(4)
            for number in (float('nan'), float('inf'))
        ),
    ],
)
def test_what_does_not_fit_is_refused(drawn, tmp_path, change, message):
    wanted = correct(drawn)
    del wanted['1.png']
    coco = as_coco(drawn, wanted)
    change(coco)

    with pytest.raises(CocoError, match=message):
        update(drawn, coco, tmp_path)


def test_boxes_are_cut_at_the_edge_of_the_image(drawn, tmp_path):
    width, height = size_of(drawn, '2.png')
    box = [-3.0, 5.0, width + 10.0, height + 0.0]

    updated = update(
        drawn, as_coco(drawn, {'2.png': [(box, 'red')]}), tmp_path
    )

    label = updated.labeled['annotations'][-1]
    assert label['bbox'] == [0, 5, width, height - 5]
    assert label['area'] == width * (height - 5)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'is not JSON'),
        ('[{"id": 1}]', 'not of tasks of Label Studio'),
        ('{"shapes": [{"shape_type": "circle"}], "imageWidth": 1, '
         '"imageHeight": 1}', 'only rectangles'),
        ('{"shapes": []}', "KeyError 'imageWidth'"),
        ('{"shapes": [], "imagePath": 5, "imageWidth": 1, "imageHeight": 1}',
         '`imagePath` must be a text that is not empty, got 5'),
        ('{"shapes": [{"shape_type": "rectangle", "label": ["a"]}], '
         '"imageWidth": 1, "imageHeight": 1}', r"text .*, got \['a'\]: "),
        pytest.param(
            '{"shapes": [{"shape_type": "rectangle", "label": "a", "points": '
            f'[[1, 2], [{10**400}, 4]]}}], "imageWidth": 1, '
            '"imageHeight": 1}', 'OverflowError', id='large number'),
        ('[{"data": {"image": "a"}, "annotations": [{"result": [{"type": '
         '"rectanglelabels", "original_width": 9, "original_height": 9, '
         '"value": {"rectanglelabels": [["b"]]}}]}]}]', r"got \[\'b\'\]: "),
        pytest.param(
            '[{"data": {"image": "a"}, "annotations": [{"result": [{"type": '
            '"rectanglelabels", "original_width": 9, "original_height": 9, '
            f'"value": {{"rectanglelabels": ["b"], "x": {10**400}, "y": 1, '
            '"width": 1, "height": 1}}]}]}]',
            'OverflowError', id='large number of Label Studio'),
        pytest.param('[' * 100_000, 'exports: RecursionError', id='deep'),
        *((f'{{"shapes": [{{"shape_type": "rectangle", "label": "a", '
           f'"points": {points}}}], "imageWidth": 9, "imageHeight": 9}}',
           'is not what a tool exports: (Type|Value)Error')
          for points in ('[]', '[[1], [2]]', '[[1, 2, 3]]', '[[1, 2], [3]]',
                         '[["a", "b"]]', '[1, 2]')),
        ('[{"data": {"image": "a"}, "annotations": [{"result": [{"type": '
         '"rectanglelabels", "original_width": 9, "original_height": 9, '
         '"value": {"rotation": 30}}]}]}]', 'rotated by 30'),
        ('[{"data": {"image": "a"}, "annotations": [{"result": [{"type": '
         '"rectanglelabels", "original_width": 9, "original_height": 9, '
         '"value": {"rectanglelabels": []}}]}]}]', 'each needs one'),
    ],
)  # fmt: skip
def test_files_of_other_kinds_are_refused(tmp_path, content, message):
    file = tmp_path / 'back.json'
    file.write_text(content)

    with pytest.raises(CocoError, match=message) as refused:
        read_corrected(file)

    # What is known to be wrong is said in words, and not as an error's name.
    assert ('Error' in str(refused.value)) == ('Error' in message)


def test_missing_files_are_named(drawn, tmp_path, call_tool):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(CocoError, match=r'has no \*.json'):
        read_corrected(tmp_path / 'empty')
    missing = tmp_path / 'nothing.json'
    words = f'corrected labels not found: {missing}'
    with pytest.raises(FileNotFoundError, match=words):
        read_corrected(missing)
    file = drawn.write('back.json', as_coco(drawn, correct(drawn)))
    sets = [
        *('--labeled', drawn.write('none.json', dict(
            images=[dict(id=1, file_name='x.png')],
            annotations=[dict(id=1, image_id=1, category_id=7,
                              bbox=[1, 1, 5, 5], area=25, iscrowd=0)],
            categories=drawn.truth['categories']))),
        *('--unlabeled', drawn.folder / 'unlabeled.json'),
    ]  # fmt: skip
    out = ['--out', tmp_path / 'out']

    images = ['--images', drawn.folder / 'labeled']
    failed = call_tool('merge_labels', file, *sets, *out, *images)

    assert '3 images are not in' in failed.stderr
    assert not (tmp_path / 'out').exists()
    assert call_tool('merge_labels', file, *sets, *out).returncode == 0
    again = call_tool('merge_labels', file, *sets, *out)
    assert 'exists already' in again.stderr


def test_only_the_boxes_are_checked_of_images_that_come_partly(
    drawn, tmp_path, call_tool
):
    wanted = {'2.png': correct(drawn)['2.png'], '3.png': []}
    back = drawn.write('back.json', as_coco(drawn, wanted))
    labeled = drawn.write('labeled.json', drawn.labeled)

    done = call_tool(
        *('merge_labels', back, '--partly', '--labeled', labeled),
        *('--unlabeled', drawn.folder / 'unlabeled.json'),
        *('--out', tmp_path / 'out'),
    )

    assert done.returncode == 0, done.stderr
    assert 'a training ignores 1 images' in done.stdout
    assert f'with {len(wanted["2.png"])} labels' in done.stdout
    left = json.loads((tmp_path / 'out/unlabeled.json').read_text())
    assert '3.png' in [image['file_name'] for image in left['images']]
    updated = json.loads((tmp_path / 'out/labeled.json').read_text())
    image = next(i for i in updated['images'] if i['file_name'] == '2.png')
    labels = [
        a for a in updated['annotations'] if a['image_id'] == image['id']
    ]
    *boxes, rest = labels
    assert len(boxes) == len(wanted['2.png'])
    assert not any(one['iscrowd'] or UNCHECKED in one for one in boxes)
    assert rest[UNCHECKED]
    assert rest['iscrowd'] == 1
    assert rest['bbox'] == [0, 0, image['width'], image['height']]
    checked = call_tool('check_coco', tmp_path / 'out/labeled.json')
    assert checked.returncode == 0, checked.stdout + checked.stderr
    both = call_tool(
        *('merge_labels', back, '--partly', '--empty-is-checked'),
        *('--labeled', labeled, '--unlabeled', labeled, '--out', tmp_path),
    )
    assert 'not allowed with argument --partly' in both.stderr


def test_masks_of_a_partly_checked_image_cover_its_rest(drawn, tmp_path):
    drawn.labeled['annotations'][0]['segmentation'] = [[1, 1, 9, 1, 9, 9]]
    coco = as_coco(drawn, {'2.png': correct(drawn)['2.png']})

    updated = update(drawn, coco, tmp_path, partly=True)

    width, height = size_of(drawn, '2.png')
    assert updated.labeled['annotations'][-1]['segmentation'] == [
        [0, 0, width, 0, width, height, 0, height]
    ]
    rest = updated.labeled['annotations'][-1]
    file = CocoFile.of('a.json', dict(updated.labeled, annotations=[rest]))
    assert list(check_segmentations(file)) == []


def test_all_objects_of_a_partly_checked_image_can_be_checked_later(
    drawn, tmp_path
):
    coco = as_coco(drawn, {'2.png': correct(drawn)['2.png']})
    first = update(drawn, coco, tmp_path, partly=True)

    back = read_corrected(drawn.write('back.json', coco))
    second = update_sets(first.labeled, first.unlabeled, back)

    assert find_unchecked(first.labeled['annotations'])
    assert not find_unchecked(second.labeled['annotations'])


def test_the_rest_of_an_image_without_a_size_cannot_be_ignored(
    drawn, tmp_path
):
    coco = as_coco(drawn, {'2.png': correct(drawn)['2.png']})
    for image in [*coco['images'], *drawn.truth['images']]:
        image.pop('width')

    with pytest.raises(CocoError, match='has no size'):
        update(drawn, coco, tmp_path, partly=True)


def test_masks_and_original_names_are_kept(drawn, tmp_path):
    coco = as_coco(drawn, {'2.png': [([1.0, 2.0, 9.0, 9.0], 'red')]})
    polygon = [[1, 2, 10, 2, 10, 11, 1, 11]]
    coco['annotations'][0]['segmentation'] = polygon
    coco['images'][0].update(file_name='0f.jpg', extra=dict(name='2.png'))

    updated = update(drawn, coco, tmp_path)

    assert updated.labeled['images'][-1]['file_name'] == '2.png'
    assert updated.labeled['annotations'][-1]['segmentation'] == polygon


POLYGON = [[10.0, 20.0, 30.0, 20.0, 30.0, 40.0]]


@pytest.mark.parametrize('tool', ['label studio', 'x-anylabeling'])
def test_polygons_become_masks(drawn, tmp_path, tool):
    size_wh = width, height = size_of(drawn, '2.png')
    points = np.reshape(POLYGON, (-1, 2))
    file = tmp_path / 'back.json'
    if tool == 'label studio':
        content = as_label_studio(drawn, {'2.png': [([0, 0, 9, 9], 'red')]})
        (result,) = content[0]['annotations'][1]['result']
        of_hundred = (100 * points / size_wh).tolist()
        value = dict(points=of_hundred, polygonlabels=['red'], closed=True)
        result.update(type='polygonlabels', value=value)
    else:
        shape = dict(shape_type='polygon', label='red', points=points.tolist())
        content = dict(imagePath='2.png', shapes=[shape])
        content |= dict(imageWidth=width, imageHeight=height)
    file.write_text(json.dumps(content))

    updated = update_sets(
        drawn.labeled,
        dict(images=drawn.truth['images'][2:]),
        read_corrected(file),
    )

    label = updated.labeled['annotations'][-1]
    np.testing.assert_allclose(label['segmentation'], POLYGON)
    assert label['bbox'] == [10, 20, 20, 20]
    # Half of the box, as pycocotools draws it.
    assert label['area'] == pytest.approx(200, abs=20)


@pytest.mark.parametrize('kind', ['brushlabels', 'rectangle', 'labels'])
def test_regions_that_cannot_become_labels_are_named(drawn, tmp_path, kind):
    content = as_label_studio(drawn, correct(drawn))
    content[1]['annotations'][1]['result'][0]['type'] = kind
    file = tmp_path / 'back.json'
    file.write_text(json.dumps(content))

    with pytest.raises(CocoError, match=f"region of the type '{kind}': only"):
        read_corrected(file)


def test_polygon_of_two_points_is_refused(tmp_path):
    shape = dict(shape_type='polygon', label='a', points=[[1, 2], [3, 4]])
    content = dict(imagePath='a', shapes=[shape], imageWidth=9, imageHeight=9)
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(content))

    with pytest.raises(CocoError, match="polygon of 'a' with 2 points"):
        read_corrected(file)


def test_area_is_that_of_the_mask_and_boxes_among_masks_are_counted(
    drawn, tmp_path
):
    for one in drawn.labeled['annotations']:
        one['segmentation'] = POLYGON
    boxes = [([1.0, 2.0, 9.0, 9.0], 'red'), ([10.0, 20, 20, 20], 'green')]
    coco = as_coco(drawn, {'2.png': boxes})
    coco['annotations'][0]['segmentation'] = HOLLOW

    updated = update(drawn, coco, tmp_path)

    masked, bare = updated.labeled['annotations'][-2:]
    assert (masked['area'], bare['area']) == (200, 81)
    assert updated.notes[-1].startswith('1 of 2 labels that were taken over')
    for one in drawn.labeled['annotations']:
        one.pop('segmentation')
    assert len(update(drawn, coco, tmp_path).notes) == len(updated.notes) - 1


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'a.json is not JSON: Expecting property name'),
        ('[]', 'a.json is not of X-AnyLabeling: it must have `shapes`, got'),
        (
            '{"flags": {}}',
            'a.json is not of X-AnyLabeling: it must have `shapes`, got',
        ),
    ],
)
def test_folder_with_other_files_is_refused(tmp_path, content, message):
    (tmp_path / 'a.json').write_text(content)

    with pytest.raises(CocoError, match=message):
        read_corrected(tmp_path)


def test_copies_of_macos_are_no_labels(tmp_path):
    content = dict(shapes=[], imagePath='a.jpg', imageWidth=9, imageHeight=9)
    (tmp_path / 'a.json').write_text(json.dumps(content))
    (tmp_path / '._a.json').write_bytes(b'\0\5\x16\7')

    assert len(list(read_corrected(tmp_path))) == 1
