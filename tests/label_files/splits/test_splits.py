"""Labeled and unlabeled parts of a COCO file."""

import itertools
import json
from fractions import Fraction
from pathlib import Path

import pytest
from builders import CATEGORIES

from projects.data_distillation.files.atomic import write_json
from projects.data_distillation.label_files.coco.reading import (
    CocoError,
    read_splittable,
)
from projects.data_distillation.label_files.splits.splits import (
    compute_percent,
    split_coco,
)

PARTS = ['labeled', 'unlabeled', 'unlabeled_truth']


def coco_of(classes: list[str], num_images: int | None = None) -> dict:
    """Image i has an instance of each of `classes[i]`: r(ed), g(reen)..."""
    ids = dict(r=7, g=3, b=5, y=4)
    categories = [
        *CATEGORIES,
        *(dict(id=ids[c], name=c) for c in 'by' if c in ''.join(classes)),
    ]
    images = [
        dict(id=5 * i, file_name=f'{i}.jpg')
        for i in range(num_images or len(classes))
    ]
    annotations = [
        dict(id=i, image_id=5 * i, category_id=ids[c])
        for i, names in enumerate(classes)
        for c in names
    ]
    return dict(
        images=images,
        annotations=annotations,
        categories=categories,
        info=dict(a=1),
    )


def names_of(part: dict) -> list[int]:
    return [int(i['file_name'].removesuffix('.jpg')) for i in part['images']]


def labeled_of(splits) -> list[list[int]]:
    return [names_of(fold['labeled']) for fold in splits.folds]


def classes_of(part: dict) -> set:
    return {a['category_id'] for a in part['annotations']}


def test_split_has_every_image_once_and_the_count_asked_for():
    coco = coco_of(['rg'] * 20)

    (parts,) = split_coco(coco, 6, seed=3).folds

    labeled, truth = parts['labeled'], parts['unlabeled_truth']
    assert list(parts) == PARTS
    assert len(labeled['images']) == 6
    assert sorted(names_of(labeled) + names_of(truth)) == list(range(20))
    assert parts['unlabeled'] == dict(images=truth['images'])
    for part in (labeled, truth):
        ids = {i['id'] for i in part['images']}
        expected = [a for a in coco['annotations'] if a['image_id'] in ids]
        assert part['annotations'] == expected
        assert part['categories'] == CATEGORIES
        assert part['info'] == dict(a=1)


def test_choice_is_the_one_that_figures_were_measured_with():
    coco = coco_of(['rg'] * 20)

    assert labeled_of(split_coco(coco, 5, 0)) == [[2, 4, 6, 13, 19]]
    assert labeled_of(split_coco(coco, 6, 3)) == [[3, 8, 12, 13, 16, 18]]


@pytest.mark.parametrize('count', [0, 20, -1])
def test_split_of_a_bad_count_is_refused(count):
    with pytest.raises(ValueError, match=f'1 to 19 of the 20, got {count}'):
        split_coco(coco_of(['rg'] * 20), count, 0)


def test_no_fold_is_refused():
    with pytest.raises(ValueError, match='folds must be 1 or more, got 0'):
        split_coco(coco_of(['rg'] * 20), 3, 0, num_folds=0)


def test_folds_share_no_image_as_long_as_there_are_enough():
    coco = coco_of(['rg'] * 20)

    splits = split_coco(coco, 4, 0, num_folds=5)

    assert sorted(itertools.chain(*labeled_of(splits))) == list(range(20))
    assert labeled_of(splits)[:1] == labeled_of(split_coco(coco, 4, 0))
    assert set(labeled_of(splits)[0]) < set(
        *labeled_of(split_coco(coco, 5, 0))
    )
    assert splits.notes == []
    for fold in splits.folds:
        both = names_of(fold['labeled']) + names_of(fold['unlabeled'])
        assert sorted(both) == list(range(20))


def test_more_folds_overlap_and_say_so():
    coco = coco_of(['rg'] * 20)

    splits = split_coco(coco, 5, 0, num_folds=5)

    parts = labeled_of(splits)
    assert parts[:1] == labeled_of(split_coco(coco, 5, 0))
    assert len({tuple(part) for part in parts}) == 5
    assert {len(set(part)) for part in parts} == {5}
    assert splits.notes == [
        '5 folds of 5 images are more than the 20 images: they overlap'
    ]


def test_folds_that_are_the_same_are_refused():
    with pytest.raises(ValueError, match='two of the 3 folds .* 1 images'):
        split_coco(coco_of(['rg', 'rg']), 1, 0, num_folds=3)


def test_percentages_are_exact_and_rounded_down():
    assert compute_percent(100, Fraction('29')) == 29
    assert compute_percent(10_000, Fraction('0.57')) == 57
    assert compute_percent(118_287, Fraction('1')) == 1182
    with pytest.raises(ValueError, match=r'0.5 % of 199 images is less than'):
        compute_percent(199, Fraction('0.5'))
    with pytest.raises(ValueError, match='-5 % of 100 images is less than'):
        compute_percent(100, Fraction(-5))


RARE = ['r'] * 30 + ['g', 'rg']


def test_labeled_part_without_a_class_is_refused():
    match = r"by seed 0 \(fold 3\) hold no .*'green'\]: .*--keep-classes"
    with pytest.raises(CocoError, match=match):
        split_coco(coco_of(['rg'] * 15 + ['r'] * 15), 3, 0, num_folds=8)


@pytest.fixture
def plain():
    """Two folds of 32 images, as they are without rare classes."""
    return labeled_of(split_coco(coco_of(['rg'] * 32), 4, 0, num_folds=2))


@pytest.fixture
def splits():
    """Two folds of 32 images that keep a class which only two images have."""
    return split_coco(coco_of(RARE), 4, 0, num_folds=2, keep_classes=True)


def test_rare_class_would_not_be_labeled(plain):
    assert not {30, 31} & {image for fold in plain for image in fold}


def test_kept_classes_are_in_each_fold(splits):
    for fold in splits.folds:
        assert classes_of(fold['labeled']) == {7, 3}
        both = names_of(fold['labeled']) + names_of(fold['unlabeled'])
        assert sorted(both) == list(range(32))


def test_kept_class_costs_one_swap_in_a_fold(splits, plain):
    kept = labeled_of(splits)

    assert [len(set(a) - set(b)) for a, b in zip(kept, plain)] == [1, 1]
    assert not set(kept[0]) & set(kept[1])


def test_every_swap_is_told(splits, plain):
    assert len(splits.notes) == 2
    kept = labeled_of(splits)
    for note, number, new, old in zip(splits.notes, (1, 2), kept, plain):
        (came,), (left,) = set(new) - set(old), set(old) - set(new)
        assert note == (
            f"fold {number}: {came}.jpg instead of {left}.jpg, for 'green'"
        )


def test_swaps_are_the_same_for_the_same_seed(splits):
    again = split_coco(coco_of(RARE), 4, 0, num_folds=2, keep_classes=True)

    assert again == splits


def test_nothing_is_swapped_where_no_class_is_missing():
    coco = coco_of(['rg'] * 20)

    assert split_coco(coco, 6, 3, 2, keep_classes=True) == split_coco(
        coco, 6, 3, 2
    )


@pytest.mark.parametrize('seed', range(8))
def test_no_class_is_lost_by_a_swap(seed):
    # Each of three classes once, in 4 labeled images of 24.
    coco = coco_of(['r'] * 21 + ['g', 'b', 'y'])

    (fold,) = split_coco(coco, 4, seed, keep_classes=True).folds

    assert classes_of(fold['labeled']) == {7, 3, 5, 4}


@pytest.mark.parametrize('seed', range(8))
def test_folds_that_hold_all_images_take_a_class_from_each_other(seed):
    coco = coco_of(['r'] * 8 + ['rg'] * 4)

    splits = split_coco(coco, 3, seed, num_folds=4, keep_classes=True)

    assert sorted(itertools.chain(*labeled_of(splits))) == list(range(12))
    assert [classes_of(f['labeled']) for f in splits.folds] == [{7, 3}] * 4


def test_class_that_fits_nowhere_is_named():
    with pytest.raises(CocoError, match="'green' can be swapped into 1 lab"):
        split_coco(coco_of(['r', 'g', 'r']), 1, 0, keep_classes=True)


@pytest.mark.parametrize('key', ['iscrowd', 'ignore'])
def test_what_no_training_learns_from_is_no_instance(key):
    coco = coco_of(RARE)
    coco['annotations'][-1][key] = 1

    for seed in range(8):
        (fold,) = split_coco(coco, 4, seed, keep_classes=True).folds
        assert 30 in names_of(fold['labeled'])


@pytest.mark.parametrize('keep_classes', [False, True])
def test_class_that_the_file_does_not_have_is_only_told(keep_classes):
    splits = split_coco(coco_of(['r'] * 9), 4, 0, keep_classes=keep_classes)

    assert splits.notes == [
        "no image has an instance of ['green'], so no part has one"
    ]


def test_annotations_that_belong_nowhere_are_counted():
    coco = coco_of(['rg'] * 9)
    coco['annotations'].append(dict(id=1, image_id=999, category_id=3))

    splits = split_coco(coco, 4, 0)

    assert splits.notes == [
        'left out: 1 annotations of images not in the file'
    ]


def odd_coco() -> dict:
    """Strings, numbers of all kinds, crowds, images without annotations."""
    ids = ['0007', 'a/b', -3, 0, 2**70, 1.5]
    return dict(
        licenses=[dict(id=1)],
        images=[
            dict(id=i, file_name=f'{n}.jpg', extra=[n])
            for n, i in enumerate(ids)
        ],
        annotations=[
            dict(
                id=f'x{n}',
                image_id=i,
                category_id='c',
                iscrowd=int(n == 1),
                segmentation=dict(counts='abc', size=[1, 2]),
            )
            for n, i in enumerate(ids[:4])
        ],
        categories=[dict(id='c', name='cell', supercategory='none')],
    )


def test_entries_survive_verbatim(tmp_path):
    file = tmp_path / 'odd.json'
    write_json(file, odd_coco())

    splits = split_coco(read_splittable(file), 3, 0, 2, keep_classes=True)

    for fold in splits.folds:
        labeled, truth = fold['labeled'], fold['unlabeled_truth']
        for name in ('images', 'annotations'):
            both = labeled[name] + truth[name]
            assert all(entry in odd_coco()[name] for entry in both)
            assert len(both) == len(odd_coco()[name])
        for name in ('licenses', 'categories'):
            assert labeled[name] == truth[name] == odd_coco()[name]


@pytest.mark.parametrize(
    ('name', 'entry', 'match'),
    [
        ('images', dict(file_name='a'), r'images\[6\]: `id` is missing'),
        ('images', dict(id=[3], file_name='a'), r'string, got \[3\]'),
        ('images', dict(id=3), 'image 3: `file_name` is missing'),
        ('images', dict(id=3, file_name='../a'), 'leads outside'),
        (
            'annotations',
            dict(category_id='c'),
            r'\[4\]: `image_id` is missing',
        ),
        ('annotations', dict(image_id=0), '`category_id` is missing'),
        (
            'annotations',
            dict(image_id=0, category_id=9),
            'category_id 9 is not in `categories`',
        ),
        ('annotations', 5, r'annotations\[4\]: must be an object'),
        ('categories', dict(name='a'), r'categories\[1\]: `id` is missing'),
        ('categories', dict(id=1), 'category 1: `name` is missing'),
    ],
)
def test_entry_that_cannot_be_split_is_refused(tmp_path, name, entry, match):
    file = tmp_path / 'odd.json'
    coco = odd_coco()
    coco[name].append(entry)
    write_json(file, coco)

    with pytest.raises(CocoError, match=f'odd.json: .*{match}'):
        read_splittable(file)


@pytest.mark.parametrize('name', ['images', 'annotations', 'categories'])
def test_file_without_a_list_is_refused(tmp_path, name):
    file = tmp_path / 'odd.json'
    write_json(file, dict(odd_coco(), **{name: []}))

    with pytest.raises(CocoError, match=f'odd.json: `{name}` is empty'):
        read_splittable(file)


@pytest.mark.parametrize('category_id', [9, 2.5, 'q'])
def test_unknown_category_of_any_kind_is_named(tmp_path, category_id):
    file = tmp_path / 'odd.json'
    coco = odd_coco()
    coco['annotations'].append(dict(image_id=0, category_id=category_id))
    write_json(file, coco)

    with pytest.raises(CocoError, match=f'category_id {category_id!r} is not'):
        read_splittable(file)


@pytest.fixture
def call(tmp_path, call_tool):
    """Split a file of 40 images: the files, what is printed, the error."""
    file = tmp_path / 'annotations' / 'mine.json'
    write_json(file, coco_of(['rg'] * 38 + ['r', 'r']))

    def run(*arguments: object) -> tuple[dict[str, dict], str, str | None]:
        done = call_tool('split_coco', file, *arguments)
        files = {
            path.relative_to(tmp_path).as_posix(): json.loads(path.read_text())
            for path in sorted(tmp_path.rglob('*.json'))
            if path != file
        }
        error = done.stderr.removesuffix('\n') if done.returncode else None
        return files, done.stdout, error

    return run


def test_images_without_an_object_are_said_or_left_out(call, tmp_path):
    file = tmp_path / 'annotations' / 'mine.json'
    write_json(file, coco_of(['rg'] * 8, num_images=12))

    files, out, _ = call('--percent', 50, '--skip-empty')
    sizes = {Path(name).stem: len(f['images']) for name, f in files.items()}
    _, said, _ = call('--percent', 50, '--out', tmp_path / 'all')

    assert out.startswith('4 of the 12 images have no object: left out')
    assert sizes == dict(labeled=4, unlabeled=4, unlabeled_truth=4)
    assert 'they are drawn like the others' in said
    assert 'labeled.json: 6 images' in said


def test_percentages_and_folds_get_a_folder_each(call, tmp_path):
    files, out, error = call(
        '--percent', '5', '10.0', '--folds', 2, '--seed', 1,
        '--out', tmp_path / 'out',
    )  # fmt: skip

    assert error is None
    folders = [f'percent{p}_fold{f}' for p in (10, 5) for f in (1, 2)]
    names = [
        f'out/{folder}/{part}.json' for folder in folders for part in PARTS
    ]
    assert list(files) == sorted(names)
    coco = coco_of(['rg'] * 38 + ['r', 'r'])
    for percent, count in ((5, 2), (10, 4)):
        for number, fold in enumerate(split_coco(coco, count, 1, 2).folds, 1):
            for part, content in fold.items():
                name = f'out/percent{percent}_fold{number}/{part}.json'
                assert files[name] == content
    assert 'percent5_fold2/labeled.json: 2 images, 4 instances' in out


def test_one_percentage_is_written_as_a_count_is(call, tmp_path):
    files, _, _ = call('--percent', 12.5, '--out', tmp_path)
    others, _, _ = call('--count', 5, '--out', tmp_path / 'count')

    assert list(files) == [f'{part}.json' for part in PARTS]
    assert len(files['labeled.json']['images']) == 5
    for name, content in files.items():
        assert others[f'count/{name}'] == content


def test_folds_of_a_count_get_a_folder_each(call):
    files, out, _ = call('--count', 30, '--folds', 2)

    assert len(files) == 6
    assert 'annotations/count30_fold2/labeled.json' in files
    assert out.startswith('count30: 2 folds of 30 images are more than the 40')


def test_mmdet_names_are_those_of_its_own_tool(call, tmp_path):
    files, _, _ = call(
        '--percent', 10, 0.5e1, '--folds', 2, '--mmdet-names',
        '--out', tmp_path,
    )  # fmt: skip

    folder = 'semi_anns/instances_train2017'
    assert list(files) == sorted(
        f'{folder}.{fold}@{percent}{kind}.json'
        for fold in (1, 2)
        for percent in (5, 10)
        for kind in ('', '-unlabeled')
    )
    labeled, unlabeled = (
        files[f'{folder}.2@10{kind}.json'] for kind in ('', '-unlabeled')
    )
    coco = coco_of(['rg'] * 38 + ['r', 'r'])
    fold = split_coco(coco, 4, 0, 2).folds[1]
    assert labeled == fold['labeled']
    # CocoDataset needs the categories, and MMDetection writes annotations.
    assert unlabeled == fold['unlabeled_truth']


def test_images_with_annotations_are_labeled(call, tmp_path):
    file = tmp_path / 'annotations' / 'mine.json'
    content = coco_of(['rg', '', 'r', ''])
    file.write_text(json.dumps(content))

    files, _, error = call('--annotated')

    assert error is None
    labeled = files['annotations/labeled.json']
    ids = [image['id'] for image in content['images']]
    assert [image['id'] for image in labeled['images']] == [ids[0], ids[2]]
    assert labeled['annotations'] == content['annotations']
    unlabeled = files['annotations/unlabeled.json']
    assert [image['id'] for image in unlabeled['images']] == [ids[1], ids[3]]


def test_split_of_images_that_all_have_annotations_is_refused(call):
    _, _, error = call('--annotated')

    assert '40 of 40 images have annotations: there is nothing' in error


def test_swaps_are_told(call):
    seed = next(
        s for s in range(99)
        if labeled_of(split_coco(coco_of(['r'] * 40), 1, s))[0][0] >= 38
    )  # fmt: skip

    _, _, refused = call('--count', 1, '--seed', seed)
    files, out, error = call('--count', 1, '--seed', seed, '--keep-classes')

    assert refused.startswith('error: the 1 labeled images chosen by seed')
    assert error is None
    assert len(files) == 3
    assert out.startswith('count1: fold 1: ')
    assert ".jpg, for 'green'\n" in out


def test_nothing_is_written_if_one_file_is_there(call, tmp_path):
    taken = tmp_path / 'percent10_fold2' / 'unlabeled_truth.json'
    write_json(taken, {})

    files, _, error = call(
        '--percent', 10, '--folds', 2, '--out', tmp_path
    )  # fmt: skip

    assert error.startswith(f'error: {taken} exists already')
    assert list(files) == ['percent10_fold2/unlabeled_truth.json']


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (['--percent', '0'], "above 0 and below 100, got '0'"),
        (['--percent', '5', '100'], "above 0 and below 100, got '100'"),
        (['--percent', 'nan'], "got 'nan'"),
        (['--percent', '1/0'], "got '1/0'"),
        (['--percent', '1'], '1 % of 40 images is less than one'),
        (['--count', '0'], '1 to 39 of the 40, got 0'),
        (['--count', '2', '--folds', '0'], 'must be 1 or more, got 0'),
        (['--count', '2', '--percent', '5'], 'not allowed with'),
        (['--count', '2', '--mmdet-names'], 'needs --percent'),
        (['--annotated', '--skip-empty'], 'leaves no choice for'),
        ([], '--count --percent --annotated is required'),
    ],
)
def test_bad_arguments_are_explained(call, arguments, match):
    files, _, error = call(*arguments)

    assert match in error
    assert files == {}
