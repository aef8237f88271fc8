"""What is said about the labels of a new experiment."""

import json

import pytest

from projects.data_distillation.experiment.scaffold.plan import Data, Images
from projects.data_distillation.experiment.scaffold.trained_images import (
    check_data,
)
from projects.data_distillation.label_files.coco.class_checks import (
    check_any_object,
)
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.label_files.coco.tables import read_file

PARTS = ('labeled', 'val')


@pytest.fixture
def write(tmp_path):
    """Writes the file of four images, with objects of these classes."""

    def write(name: str, *classes: int, **changes: object) -> Images:
        annotations = [
            dict(
                id=i,
                image_id=i,
                category_id=number,
                bbox=[1, 1, 9, 9],
                area=81,
                iscrowd=0,
                **changes,
            )
            for i, number in enumerate(classes, 1)
        ]
        content = dict(
            images=[
                dict(id=i, file_name=f'{name}{i}.png', width=20, height=20)
                for i in range(1, 5)
            ],
            annotations=annotations,
            categories=[dict(id=1, name='red'), dict(id=2, name='green')],
        )
        file = tmp_path / f'{name}.json'
        file.write_text(json.dumps(content))
        return Images(str(file), str(tmp_path), len(content['images']))

    return write


def make_data(labeled: Images, val: Images) -> Data:
    return Data(('red', 'green'), labeled, Images('', '', 0), val)


def check(filters=(), **parts) -> list[str]:
    # There are no images: the problem is allowed, and not what is tested.
    notes = check_data(make_data(**parts), dict(filters), True)
    return [note for note in notes if not note.startswith('problem, allowed')]


def test_allowed_problems_are_still_named(write):
    data = make_data(write('labeled', 1, 2), write('val', 1))

    notes = check_data(data, {}, True)

    assert notes[0].startswith('problem, allowed: ')
    assert any('labeled1.png' in note for note in notes)
    assert any('val1.png' in note for note in notes)


@pytest.mark.parametrize('part', PARTS)
def test_folder_without_any_image_may_be_the_wrong_one(write, tmp_path, part):
    parts = dict(labeled=write('labeled', 1, 2), val=write('val', 1, 2))
    for name in ('labeled', 'val'):
        (tmp_path / f'{name}1.png').touch()
    (tmp_path / f'{part}1.png').unlink()

    message = f'none of the 4 images of .*{part}.json .*the right folder'
    with pytest.raises(FileNotFoundError, match=message):
        check_data(make_data(**parts), {})


@pytest.mark.parametrize('part', PARTS)
def test_class_without_objects_is_named(write, part):
    parts = dict(labeled=write('labeled', 1, 2, 1, 1), val=write('val', 1, 2))
    parts[part] = write(part, 1, 1, 1, 1)

    (note,) = check(**parts)

    assert note.endswith(
        f"{part}.json: 1 of 2 classes have no object: ['green']"
    )


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize(
    ('classes', 'changes', 'message'),
    [
        ((), {}, 'has no annotation'),
        ((1, 2), dict(ignore=1), 'none of 2 annotations is an object'),
    ],
)
def test_labels_without_any_object_are_refused(
    write, part, classes, changes, message
):
    parts = {name: write(name, 1, 2, 1, 1) for name in PARTS}
    parts[part] = write(part, *classes, **changes)

    with pytest.raises(CocoError, match=rf'{part}.json: {message}'):
        check(**parts)


def test_images_without_annotations_are_counted_once(write):
    parts = dict(labeled=write('labeled', 1, 2), val=write('val', 1, 2))

    (note,) = check(**parts)

    assert '2 of 4 images have no annotation' in note
    # Then `TrainedImages` says it.
    assert check(dict(filter_empty_gt=True), **parts) == []


def test_problems_are_found_unless_allowed(write, tmp_path):
    parts = {name: write(name, 1, 2, 1, 1) for name in PARTS}
    for name in PARTS:
        (tmp_path / f'{name}1.png').touch()

    with pytest.raises(ValueError, match='the data has problems:'):
        check_data(make_data(**parts), {})


def test_categories_that_are_no_ids_are_not_called_crowds(write):
    crowds = write('crowds', 1, 2, ignore=1)
    names = write('names', 'red', 'green')

    assert len([*check_any_object(read_file(crowds.ann_file))]) == 1
    assert not [*check_any_object(read_file(names.ann_file))]
