"""What becomes of each detection, and the validation that judges them."""

import dataclasses
import json

import numpy as np
import pytest
from builders import CATEGORIES, write_coco

from projects.data_distillation import (
    DetectionStore,
    FixedSelector,
    SelectionRules,
)
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.detections.columns import (
    Detections,
)
from projects.data_distillation.pseudo_labels.detections.differences import (
    TEACHER_KEYS,
)
from projects.data_distillation.pseudo_labels.detections.shards import SCHEMA
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.selection.labeled_counts import (
    name_counted,
)
from projects.data_distillation.pseudo_labels.selection.selectors import (
    LabeledCounts,
)

LABELED = LabeledCounts(1, np.array([1, 1]), ('red', 'green'))
FIXED = dict(type='FixedSelector', min_score=0.5)


def detections(*rows: tuple) -> Detections:
    """Of (image, score[, changes]); apart from each other on an image."""
    images, scores, changes = zip(*((*r, {})[:3] for r in rows))
    columns = [
        [c.get(name, default) for c in changes]
        for name, default in (
            ('label', 0),
            ('num_views', 2),
            ('corner_spread', 0.1),
        )
    ]
    boxes = [c.get('box', [20 * n, 0, 9, 9]) for n, c in enumerate(changes)]
    return Detections(
        np.array(images, np.int32),
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        *map(np.array, columns),
    )


def apply(found: Detections, num_images=1, is_read=None, **rules):
    is_read = np.ones(num_images, bool) if is_read is None else is_read
    return SelectionRules(**rules).apply(found, is_read, LABELED)


def test_filters_combine_and_each_is_counted():
    found = detections(
        (0, 0.9),
        (0, 0.9, dict(num_views=1)),
        (0, 0.9, dict(corner_spread=0.3)),
        (0, 0.9, dict(num_views=1, corner_spread=0.3)),
        (0, 0.9, dict(box=[0, 0, 0.5, 9], num_views=1)),
        (0, 0.4),
    )

    selection = apply(
        found,
        selector=FIXED,
        filters=[
            dict(type='MinViews', num_views=2),
            dict(type='MaxCornerSpread', spread=0.2),
        ],
    )

    assert selection.is_selected.tolist() == [True] + [False] * 5
    assert selection.num_stopped == {
        'MinViews(num_views=2)': 2,
        'MaxCornerSpread(spread=0.2)': 2,
    }
    assert selection.num_thin == 1
    assert not selection.is_ignored.any()


def test_detections_without_a_mask_become_nothing_and_are_counted():
    found = detections(
        (0, 0.9), (0, 0.8), (0, 0.4), (0, 0.4), (0, 0.9, dict(box=[0] * 4))
    )
    areas = np.array([9, 0, 9, 0, 0], np.int32)
    found = dataclasses.replace(found, mask_areas=areas)

    ignore = dict(type='FixedSelector', min_score=0.3)
    selection = apply(found, selector=FIXED, ignore=ignore)

    assert selection.is_selected.tolist() == [True] + [False] * 4
    assert selection.is_ignored.tolist() == [False, False, True, False, False]
    assert (selection.num_thin, selection.num_maskless) == (1, 2)


def test_unknown_segmentation_is_refused():
    with pytest.raises(ValueError, match="segmentation .* got 'polygons'"):
        SelectionRules(segmentation='polygons')


def test_what_filters_stop_does_not_use_up_what_is_wanted():
    found = detections((0, 0.9, dict(num_views=1)), (0, 0.6), (0, 0.5))

    selection = apply(found, filters=[dict(type='MinViews', num_views=2)])

    # One instance of the class an image.
    assert selection.is_selected.tolist() == [False, True, False]


def test_doubtful_detections_are_ignored_but_for_what_covers_a_label():
    found = detections(
        (0, 0.9, dict(box=[0, 0, 10, 10])),
        (0, 0.8, dict(num_views=1)),  # stopped by the filter
        (0, 0.4),
        (0, 0.3, dict(box=[0, 0, 10, 6], label=1)),  # covers the label
        (0, 0.3, dict(box=[0, 0, 10, 5])),  # only half of it
        (0, 0.1),  # too low
        (0, 0.4, dict(box=[50, 50, 0.9, 9])),  # thin
        (1, 0.3, dict(box=[0, 0, 10, 10])),  # on another image
    )

    selection = apply(
        found,
        num_images=2,
        selector=FIXED,
        filters=[dict(type='MinViews', num_views=2)],
        ignore=dict(type='FixedSelector', min_score=0.2),
    )

    assert np.flatnonzero(selection.is_selected).tolist() == [0]
    assert np.flatnonzero(selection.is_ignored).tolist() == [1, 2, 4, 7]
    assert selection.ignore_scores.tolist() == np.float32([0.2, 0.2]).tolist()


@pytest.mark.parametrize(
    ('share', 'kept'),
    [
        (1.0, [1, 1, 1, 1, 1, 0]),
        (0.0, [1, 1, 0, 0, 0, 0]),
        (0.34, [1, 1, 1, 0, 0, 0]),
        (0.5, [1, 1, 1, 0, 1, 0]),
        (0.51, [1, 1, 1, 0, 1, 0]),
        (0.6, [1, 1, 1, 1, 1, 0]),
    ],
)
def test_surest_empty_images_stay(share, kept):
    # Images 0 and 1 have a label; 2 nothing, 3 and 4 something doubtful; 5
    # could not be read.
    found = detections((0, 0.9), (1, 0.9), (3, 0.4), (3, 0.1), (4, 0.3))
    is_read = np.array([1, 1, 1, 1, 1, 0], bool)

    selection = apply(
        found,
        is_read=is_read,
        selector=FIXED,
        ignore=dict(type='FixedSelector', min_score=0.1),
        max_empty_share=share,
    )

    assert selection.keeps_image.tolist() == [bool(k) for k in kept]
    assert (selection.num_images, selection.num_empty) == (5, 3)
    # No region of an image that is dropped.
    images = found.image_index[selection.is_ignored]
    assert set(images) == {3, 4} & set(np.flatnonzero(kept))


def test_share_that_comes_out_as_a_hair_less_is_met():
    found = detections(*((i, 0.9) for i in range(80)))

    selection = apply(
        found, num_images=120, selector=FIXED, max_empty_share=0.2
    )

    assert selection.keeps_image.sum() == 100


def test_rules_are_kept_whole_to_be_repeated():
    rules = SelectionRules(FIXED, max_empty_share=0.5)

    again = SelectionRules(**json.loads(json.dumps(rules.config)))

    assert again.config == rules.config
    assert SelectionRules().config['selector'] == dict(type='MatchedSelector')


def test_share_out_of_range_is_refused():
    with pytest.raises(ValueError, match='max_empty_share must .* got 1.5'):
        SelectionRules(max_empty_share=1.5)


# --- validation -----------------------------------------------------------

TEACHER = dict.fromkeys(TEACHER_KEYS, 'x')


@pytest.fixture
def validation(tmp_path) -> dict:
    """Two detections of red: the better one is right, but of one view.

    It has an IoU of 0.6 with its object.
    """
    bboxes = [[0.0, 0.0, 10.0, 10.0], [30.0, 30.0, 40.0, 40.0]]
    row = dict(
        file_name='a',
        image_id=1,
        width=100,
        height=100,
        unreadable=None,
        bboxes_xyxy=bboxes,
        scores=[0.9, 0.8],
        labels=[0, 0],
        num_views=[1, 2],
        corner_spread=[0.0, 0.0],
    )
    broken = dict(row, file_name='not in the truth', unreadable='torn')
    store = DetectionStore(tmp_path / 'store', dict(TEACHER, image_folder='v'))
    store.add(row, broken)
    store.flush()
    truth = dict(
        images=[dict(id=1, file_name='a', width=100, height=100)],
        categories=CATEGORIES,
        annotations=[
            dict(
                id=1,
                image_id=1,
                category_id=7,
                bbox=[0, 0, 10, 6],
                area=60,
                iscrowd=0,
            )
        ],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    return dict(
        detections=str(tmp_path / 'store'),
        ann_file=str(tmp_path / 'truth.json'),
    )


def test_validation_is_matched_with_its_truth(validation):
    rules = SelectionRules(validation=validation)

    red, green = rules.match_validation(
        dict(TEACHER, image_folder='u'), LABELED
    )

    assert red.scores.tolist() == np.float32([0.9, 0.8]).tolist()
    assert red.is_right.tolist() == [True, False]
    assert len(green.scores) == 0


def test_filters_hold_for_validation_too(validation):
    rules = SelectionRules(
        validation=validation, filters=[dict(type='MinViews', num_views=2)]
    )

    red, _ = rules.match_validation(TEACHER, LABELED)

    assert red.is_right.tolist() == [False]


@pytest.mark.parametrize('key', TEACHER_KEYS)
def test_validation_by_another_teacher_is_refused(validation, key):
    rules = SelectionRules(validation=validation)

    with pytest.raises(StoreError, match=rf"differs in \['{key}'\].*validate"):
        rules.match_validation(TEACHER | {key: 'y'}, LABELED)


def test_validation_without_detections_is_refused(validation, tmp_path):
    folder = tmp_path / 'none'
    rules = SelectionRules(validation=dict(validation, detections=str(folder)))

    with pytest.raises(StoreError, match=f'in {folder}: run .*validate.py'):
        rules.match_validation(TEACHER, LABELED)


def test_validation_without_truth_is_refused(validation):
    rules = SelectionRules(validation=dict(validation, ann_file='none.json'))

    with pytest.raises(FileNotFoundError, match='not found: none.json'):
        rules.match_validation(TEACHER, LABELED)


def test_validation_of_other_classes_is_refused(validation):
    reversed_names = LabeledCounts(1, np.array([1, 1]), ('green', 'red'))
    rules = SelectionRules(validation=validation)

    with pytest.raises(CocoError, match='the order differs'):
        rules.match_validation(TEACHER, reversed_names)


def test_validation_of_unreadable_images_has_no_matches(validation, tmp_path):
    store = DetectionStore(tmp_path / 'torn', TEACHER)
    store.add(
        {name: [] for name in SCHEMA.names}
        | dict(file_name='a', image_id=1, width=1, height=1, unreadable='torn')
    )
    store.flush()
    rules = SelectionRules(
        validation=dict(validation, detections=str(tmp_path / 'torn'))
    )

    matches = rules.match_validation(TEACHER, LABELED)

    assert [len(m.scores) for m in matches] == [0, 0]


@pytest.mark.parametrize(
    ('rules', 'error', 'message'),
    [
        (
            dict(selector=dict(type='FixedSelector', min_score=dict(x=0.5))),
            ValueError,
            'each class',
        ),
        (
            dict(ignore=dict(type='PrecisionSelector', target=0.5)),
            ValueError,
            'got none',
        ),
        (
            dict(selector=dict(FIXED, type=FixedSelector)),
            TypeError,
            'JSON',
        ),
    ],
)
def test_rules_that_would_fail_are_found_before(rules, error, message):
    with pytest.raises(error, match=message):
        SelectionRules(**rules).check(TEACHER, LABELED)


def test_good_rules_pass_the_check(validation):
    rules = SelectionRules(
        dict(type='PrecisionSelector', target=0.5), validation=validation
    )

    assert rules.check(TEACHER, LABELED) is None


def test_boxes_of_masks_are_not_calibrated(validation):
    rules = SelectionRules(validation=validation, calibrates_boxes=True)

    with pytest.raises(ValueError, match='these detections have masks'):
        rules.check(dict(TEACHER, segmentation='rle'), LABELED)


def test_images_of_other_files_are_counted_too(tmp_path):
    objects = [(1, 7, [0, 0, 9, 9]), (2, 7, [0, 0, 9, 9])]
    files = [
        str(write_coco(tmp_path / f'{len(some)}.json', some))
        for some in (objects, objects[:1])
    ]
    rules = SelectionRules(counted=files)

    counts = rules.count(LABELED)

    # Each file has two images.
    assert counts.num_images == 1 + 2 + 2
    assert counts.num_instances.tolist() == [1 + 2 + 1, 1]
    assert counts.classes == LABELED.classes
    assert LABELED.num_instances.tolist() == [1, 1]
    assert rules.config['counted'] == files


@pytest.mark.parametrize(
    ('counted', 'truth', 'name'),
    [
        ([], 'val.json', 'labeled'),
        (['val.json'], 'val.json', 'labeled and validation'),
        (('val.json',), 'val.json', 'labeled and validation'),
        (['more.json'], 'val.json', 'labeled and other'),
        (['more.json', 'val.json'], 'val.json', 'labeled and other'),
        (['more.json'], None, 'labeled and other'),
    ],
)
def test_what_is_counted_has_a_name(counted, truth, name):
    validation = truth and dict(detections='there', ann_file=truth)

    assert name_counted(dict(counted=counted, validation=validation)) == name
    assert name_counted({}) == LABELED.name == 'labeled'


def test_counts_know_what_was_counted(tmp_path):
    file = str(write_coco(tmp_path / 'val.json', [(1, 7, [0, 0, 9, 9])]))
    validation = dict(detections='there', ann_file=file)

    counts = SelectionRules(counted=[file], validation=validation).count(
        LABELED
    )

    assert counts.name == 'labeled and validation'
    assert (counts + LABELED).name == 'labeled and validation'
    assert SelectionRules().count(LABELED).name == 'labeled'


def test_labeled_images_without_an_object_need_not_count(tmp_path):
    # One of the two images of each file has an object.
    file = write_coco(tmp_path / 'a.json', [(1, 7, [0, 0, 9, 9])])
    content = json.loads(file.read_text())
    stray = dict(content['annotations'][0], image_id=99)
    content['annotations'].append(stray)
    labeled = LabeledCounts.of(content)

    annotated = SelectionRules(counts_empty=False).count(labeled)
    with_others = SelectionRules(
        counts_empty=False, counted=[str(file)]
    ).count(labeled)

    assert SelectionRules().count(labeled).num_images == 2
    assert annotated.num_images == 1
    assert with_others.num_images == 1 + 2
    assert (labeled + labeled).num_empty == 2


def test_counted_file_of_other_classes_is_found_before(tmp_path):
    file = write_coco(tmp_path / 'val.json', [(1, 7, [0, 0, 9, 9])])
    content = dict(json.loads(file.read_text()), categories=CATEGORIES[::-1])
    file.write_text(json.dumps(content))
    rules = SelectionRules(counted=[str(file)])

    with pytest.raises(CocoError, match='the order differs'):
        rules.check(TEACHER, LABELED)


def test_detections_of_unknown_classes_are_refused():
    with pytest.raises(CocoError, match='2 categories, but .* number 2'):
        apply(detections((0, 0.9, dict(label=2))))


@pytest.mark.parametrize(
    'rules', [dict(filters=[dict(num_views=2)]), dict(selector=dict(n=2))]
)
def test_config_without_a_type_is_named(rules):
    with pytest.raises(KeyError, match=r'must contain the key "type".*: 2}'):
        SelectionRules(**rules)
