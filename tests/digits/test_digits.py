import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from sklearn.datasets import load_digits

from projects.data_distillation.digits import __main__ as command
from projects.data_distillation.digits import dataset
from projects.data_distillation.digits.__main__ import main
from projects.data_distillation.digits.dataset import (
    Recipe,
    is_complete,
    read_info,
    write_digits,
)
from projects.data_distillation.digits.drawing import (
    Style,
    draw_image,
    draw_pose,
    draw_stroke,
)
from projects.data_distillation.digits.scans import (
    CLASSES,
    INK,
    POOLS,
    cycle_scans,
    find_ink_box,
    lay_ink,
    split_scans,
)

COUNTS = dict(labeled=4, unlabeled=9, val=5)
PLAIN = Style(digits=(1, 1), strokes=(0, 0), blobs=(0, 0), noise=(0.0, 0.0))


@pytest.fixture(scope='module')
def out_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp('data') / 'digits'
    write_digits(path, recipe=Recipe(seed=3, images=COUNTS))
    return path


def annotations(out_dir, name):
    return json.loads((out_dir / 'annotations' / f'{name}.json').read_text())


def digests(out_dir):
    return {
        str(path.relative_to(out_dir)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(out_dir.rglob('*'))
        if path.is_file()
    }


def slow_box(inked):
    """Return x, y, w, h of the true pixels, from the definition."""
    xs = [x for y, row in enumerate(inked) for x, ink in enumerate(row) if ink]
    ys = [y for y, row in enumerate(inked) for ink in row if ink]
    return (min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)


def some_scans(count=10):
    """Return an endless iterator over the first `count` scans."""
    return cycle_scans(list(range(count)))


@pytest.mark.slow
def test_same_seed_gives_same_bytes(out_dir, tmp_path):
    write_digits(tmp_path / 'again', recipe=Recipe(seed=3, images=COUNTS))

    assert digests(tmp_path / 'again') == digests(out_dir)


@pytest.mark.slow
def test_another_seed_gives_other_images(out_dir, tmp_path):
    write_digits(tmp_path / 'other', recipe=Recipe(seed=4, images=COUNTS))

    old, new = digests(out_dir), digests(tmp_path / 'other')
    assert old.keys() == new.keys()
    assert not [name for name in old if old[name] == new[name]]


@pytest.mark.parametrize('seed', [0, 1])
def test_every_scan_is_in_exactly_one_split(seed):
    pools = split_scans(seed)

    dealt = [number for pool in pools.values() for number in pool]
    assert list(pools) == list(POOLS)
    assert sorted(dealt) == list(range(len(load_digits().target)))


def test_every_ten_scans_in_a_row_are_of_ten_classes():
    """Few labeled images would otherwise miscount the classes by chance."""
    labels = load_digits().target
    for pool in split_scans(0).values():
        rounds = labels[pool[:200]].reshape(20, 10)

        assert (np.sort(rounds) == np.arange(10)).all()
        assert len({tuple(row) for row in rounds.tolist()}) > 10


@pytest.mark.slow
def test_images_use_only_the_scans_of_their_split(monkeypatch, tmp_path):
    used = {}

    def remember(numbers):
        scans = load_digits()
        taken = used.setdefault(len(used), set())
        for number in numbers:
            taken.add(int(number))
            yield scans.images[number] / 16, int(scans.target[number])

    monkeypatch.setattr(dataset, 'cycle_scans', remember)
    write_digits(tmp_path / 'digits', recipe=Recipe(images=COUNTS))

    pools = [set(pool) for pool in split_scans(0).values()]
    assert len(used) == 3 and all(used.values())
    assert all(used[i] <= pool for i, pool in enumerate(pools))


def test_box_is_tight_around_the_ink():
    rng = np.random.default_rng(0)
    scans = some_scans()
    for _ in range(20):
        alpha = lay_ink(next(scans)[0], *draw_pose(rng, Style()), 128)

        assert find_ink_box(alpha) == slow_box((alpha >= INK).tolist())


@pytest.mark.parametrize('seed', range(10))
def test_box_is_where_the_digit_is_painted(seed):
    """Read the ink back from the finished image, knowing only its pixels."""
    image, found = draw_image(some_scans(), np.random.default_rng(seed), PLAIN)

    change = np.abs(image.astype(float) - np.median(image))
    seen = slow_box((change >= INK * change.max()).tolist())
    # Gray levels are rounded, so that an edge may move by one pixel.
    assert found[0].bbox_xywh == pytest.approx(seen, abs=1)


def test_scan_is_drawn_upright_and_where_asked():
    scan = np.zeros((8, 8))
    scan[0, 0] = scan[7, 7] = 1

    alpha = lay_ink(scan, 4 * np.eye(2), np.array([60.0, 40.0]), 128)

    assert alpha[40 - 14, 60 - 14] == alpha[40 + 14, 60 + 14] == 1
    assert alpha[40 - 14, 60 + 14] == alpha[40 + 14, 60 - 14] == 0


@pytest.mark.parametrize('seed', range(20))
def test_each_stroke_leaves_ink(seed):
    """Lines and arcs, each of about half of the seeds."""
    ink = draw_stroke(np.random.default_rng(seed), 96)

    assert ink.shape == (96, 96)
    assert 0.4 < ink.max() <= 1
    # A stroke is thin, and not all over the image.
    assert 5 < ink.sum() < 300


def test_label_is_that_of_the_scan():
    scans = load_digits()

    drawn = cycle_scans([5, 17])

    for number in (5, 17, 5):
        ink, label = next(drawn)
        assert label == scans.target[number]
        assert np.array_equal(ink * 16, scans.images[number])


def test_overlap_stays_below_the_limit():
    style = Style(digits=(7, 7), overlap=0.1)
    for seed in range(10):
        _, found = draw_image(some_scans(), np.random.default_rng(seed), style)
        boxes = [np.array(digit.bbox_xywh) for digit in found]
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                shared = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(
                    a[:2], b[:2]
                )
                smaller = min(a[2:].prod(), b[2:].prod())
                assert shared.clip(0).prod() <= 0.1 * smaller


@pytest.fixture(params=['labeled', 'unlabeled_truth', 'val'])
def coco(out_dir, request) -> dict:
    """An annotation file with boxes."""
    content = annotations(out_dir, request.param)
    count = COUNTS[request.param.removesuffix('_truth')]
    assert len(content['images']) == count
    return content


@pytest.mark.slow
def test_categories_are_the_digits(coco):
    assert [c['name'] for c in coco['categories']] == list('0123456789')
    assert {a['category_id'] for a in coco['annotations']} <= {*range(1, 11)}


@pytest.mark.slow
@pytest.mark.parametrize('part', ['images', 'annotations'])
def test_no_id_is_given_twice(coco, part):
    ids = [entry['id'] for entry in coco[part]]

    assert len(set(ids)) == len(ids) > 0


def test_boxes_lie_in_their_images(coco):
    images = {image['id']: image for image in coco['images']}

    for annotation in coco['annotations']:
        x, y, w, h = annotation['bbox']
        image = images[annotation['image_id']]
        assert 0 <= x < x + w <= image['width']
        assert 0 <= y < y + h <= image['height']
        assert annotation['iscrowd'] == 0
        mask = annotation['segmentation']
        assert mask['size'] == [image['height'], image['width']]
        assert coco_mask.toBbox(mask).tolist() == [x, y, w, h]
        assert annotation['area'] == coco_mask.area(mask) > 0.2 * w * h


@pytest.mark.parametrize('name', ['labeled', 'unlabeled', 'val'])
def test_sizes_and_files_are_true(out_dir, name):
    infos = annotations(out_dir, name)['images']
    folder = out_dir / 'images' / name

    assert {info['file_name'] for info in infos} == {
        path.name for path in folder.iterdir()
    }
    for info in infos:
        image = cv2.imread(str(folder / info['file_name']))
        assert image.shape == (info['height'], info['width'], 3)


def test_unlabeled_file_tells_nothing_but_the_images(out_dir):
    unlabeled = annotations(out_dir, 'unlabeled')
    truth = annotations(out_dir, 'unlabeled_truth')

    assert unlabeled.keys() == {'info', 'images'}
    assert unlabeled['images'] == truth['images']


@pytest.mark.parametrize(
    ('name', 'split'),
    [('labeled', 'labeled'), ('unlabeled_truth', 'unlabeled'), ('val', 'val')],
)
def test_pycocotools_and_mmdet_read_the_same(out_dir, name, split):
    path = out_dir / 'annotations' / f'{name}.json'

    coco = COCO(str(path))
    dataset = CocoDataset(
        ann_file=str(path),
        metainfo=dict(classes=CLASSES),
        pipeline=[],
        data_prefix=dict(img=str(out_dir / 'images' / split)),
    )

    assert len(dataset) == len(coco.imgs) == COUNTS[split]
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        raw = coco.imgToAnns[info['img_id']]
        assert Path(info['img_path']).exists()
        assert [box['bbox_label'] for box in info['instances']] == [
            annotation['category_id'] - 1 for annotation in raw
        ]
        assert [box['bbox'] for box in info['instances']] == [
            [x, y, x + w, y + h]
            for x, y, w, h in (annotation['bbox'] for annotation in raw)
        ]


@pytest.mark.slow
def test_complete_only_if_recipe_and_images_are_there(tmp_path):
    recipe = Recipe(seed=3, images=COUNTS)
    out_dir = tmp_path / 'digits'
    assert not is_complete(out_dir, recipe)

    write_digits(out_dir, recipe=recipe)

    assert is_complete(out_dir, recipe)
    assert not is_complete(out_dir, Recipe(seed=4, images=COUNTS))
    (out_dir / 'images' / 'val' / '0005.png').unlink()
    assert not is_complete(out_dir, recipe)


@pytest.mark.slow
def test_older_data_set_is_replaced_wholly(tmp_path):
    more = Recipe(images=dict(COUNTS, unlabeled=12))
    write_digits(tmp_path / 'digits', recipe=more)

    write_digits(tmp_path / 'digits', recipe=Recipe(images=COUNTS))

    names = sorted((tmp_path / 'digits' / 'images' / 'unlabeled').iterdir())
    assert len(names) == COUNTS['unlabeled']
    assert [path.name for path in tmp_path.iterdir()] == ['digits']


@pytest.mark.parametrize(
    'text', ['{"info": {"description": "cells"}}', '{"info": 1}', '[1]', '{']
)
def test_another_data_set_stays(tmp_path, text):
    file = tmp_path / 'annotations' / 'labeled.json'
    file.parent.mkdir()
    file.write_text(text)

    with pytest.raises(FileExistsError, match='must be absent, empty or'):
        write_digits(tmp_path, recipe=Recipe(images=COUNTS))
    assert file.is_file()


def test_folder_with_other_files_stays(tmp_path):
    (tmp_path / 'thesis.txt').write_text('years of work')

    with pytest.raises(FileExistsError, match='must be absent, empty or'):
        write_digits(tmp_path)

    assert (tmp_path / 'thesis.txt').read_text() == 'years of work'


@pytest.mark.parametrize('name', ['annotations/own.json', 'images/val/a.png'])
def test_files_of_a_user_among_the_digits_stay(tmp_path, name):
    write_digits(tmp_path, recipe=Recipe(images=COUNTS))
    (tmp_path / name).write_text('years of work')

    with pytest.raises(FileExistsError, match=f'got 1 other files.*{name}'):
        write_digits(tmp_path, recipe=Recipe(seed=1, images=COUNTS))

    assert (tmp_path / name).read_text() == 'years of work'
    assert read_info(tmp_path) == Recipe(images=COUNTS).as_info()


def test_command_writes_once(tmp_path, monkeypatch, capsys):
    small = dict(zip(COUNTS, (1, 2, 1)))
    monkeypatch.setattr(command, 'Recipe', lambda *a: Recipe(*a, images=small))
    out = tmp_path / 'digits'
    monkeypatch.setattr('sys.argv', ['', '--out', str(out), '--seed', '7'])

    main()
    first = capsys.readouterr().out
    before = (tmp_path / 'digits').stat().st_mtime_ns
    main()
    second = capsys.readouterr().out

    assert (tmp_path / 'digits').stat().st_mtime_ns == before
    assert is_complete(out, Recipe(7, images=small))
    assert 'wrote 1 labeled, 2 unlabeled, 1 val images' in first
    assert 'already there' in second
    assert len(first.splitlines()) == len(second.splitlines()) == 1


def test_seed_below_0_is_refused(tmp_path, monkeypatch, capsys):
    out = str(tmp_path / 'digits')
    monkeypatch.setattr('sys.argv', ['', '--out', out, '--seed', '-1'])

    with pytest.raises(SystemExit, match='2'):
        main()

    assert 'seed must be at least 0, got -1' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        (
            dict(style=Style(noise=(9.0, 2.0))),
            pytest.raises(ValueError, match='low'),
        ),
        (
            dict(images=dict(labeled=1)),
            pytest.raises(KeyError, match='unlabeled'),
        ),
    ],
)
def test_recipe_that_cannot_be_drawn_leaves_the_older_data_set(
    tmp_path, wrong, error
):
    small = dict(zip(COUNTS, (1, 1, 1)))
    older = Recipe(images=small)
    write_digits(tmp_path / 'digits', older)

    with error:
        write_digits(tmp_path / 'digits', Recipe(**dict(images=small) | wrong))

    assert is_complete(tmp_path / 'digits', older)
