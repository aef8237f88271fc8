"""Which labeled images are trained on, against MMDetection's own filter."""

import json

import pytest
from builders import CATEGORIES, CLASSES

from projects.data_distillation.experiment.scaffold.trained_images import (
    TrainedImages,
    compare_densities,
)
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.training.checked_dataset import (
    CheckedCocoDataset,
)


def half_annotated() -> dict:
    """Of 6 images, 1 to 3 have an object, which is a crowd on image 3."""
    sizes = {1: (64, 48), 2: (20, 90), 3: (64, 64), 4: (64, 48), 5: (9, 9)}
    sizes[6] = (32, 32)
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.png', width=w, height=h)
            for i, (w, h) in sizes.items()
        ],
        annotations=[
            dict(
                id=i,
                image_id=i,
                category_id=7,
                bbox=[1, 1, 9, 9],
                area=81,
                iscrowd=int(i == 3),
            )
            for i in (1, 2, 3)
        ],
        categories=CATEGORIES,
    )


@pytest.mark.parametrize(
    ('filters', 'count', 'labeled', 'said'),
    [
        ({}, 6, 6, []),
        (dict(filter_empty_gt=False, min_size=32), 4, 6, ['2 labeled']),
        (dict(filter_empty_gt=True), 3, 3, ['3 of the 6 labeled']),
        (
            dict(filter_empty_gt=True, min_size=32),
            2,
            3,
            ['3 of the 6 labeled', '1 labeled images have a side below 32'],
        ),
    ],
)
def test_images_are_those_that_mmdetection_trains_on(
    tmp_path, filters, count, labeled, said
):
    file = tmp_path / 'labeled.json'
    file.write_text(json.dumps(half_annotated()))
    dataset = CheckedCocoDataset(
        ann_file=str(file),
        data_prefix=dict(img=''),
        metainfo=dict(classes=CLASSES),
        filter_cfg=filters,
        pipeline=[],
    )

    trained = TrainedImages.find(half_annotated(), filters)

    assert trained.count == len(dataset) == count
    assert len(trained.content['images']) == labeled
    assert len(trained.notes) == len(said)
    for note, start in zip(trained.notes, said, strict=True):
        assert note.startswith(start)


def test_filter_that_leaves_no_image_is_named():
    content = dict(half_annotated(), annotations=[])

    with pytest.raises(CocoError, match="filter_cfg={'filter_empty_gt': T"):
        TrainedImages.find(content, dict(filter_empty_gt=True))


@pytest.mark.parametrize('size', [None, '640', 0])
def test_images_of_unknown_size_count_as_large_enough(size):
    content = half_annotated()
    content['images'][0].update(width=size, height=size)

    found = TrainedImages.find(content, dict(min_size=32))

    assert '2 labeled images have a side below 32' in found.notes[0]


def count_as(*numbers: int) -> dict:
    """The content of a file with so many objects on its images."""
    return dict(
        annotations=[
            dict(image_id=image)
            for image, number in enumerate(numbers)
            for _ in range(number)
        ]
    )


def test_validation_images_of_another_density_are_noted():
    labeled = count_as(2, 2, 3, 1, 0, 2)

    (note,) = compare_densities([labeled, count_as(19, 20, 21)])

    assert 'labeled image has 2.0 objects on average' in note
    assert 'validation image 20.0' in note
    assert [*compare_densities([labeled, count_as(3, 4, 4)])] == []
    # Chance explains a mean of five from images that differ so much.
    assert [*compare_densities([labeled, count_as(1, 1, 1, 17)])] == []
    assert [*compare_densities([labeled])] == []
    assert [*compare_densities([count_as(2), count_as(19, 20, 21)])] == []
    # What a selection does not count.
    others = count_as(2, 2)['annotations']
    others += [dict(image_id=0, ignore=1), dict(image_id=1, iscrowd=1)] * 20
    others += [dict(image_id=9) for _ in range(99)]
    others.append(dict(image_id=9, iscrowd=1, unchecked=1))
    assert [*compare_densities([labeled, dict(annotations=others)])] == []
