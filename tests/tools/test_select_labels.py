"""tools/select_labels.py, and selection by the hook's config, end to end."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders import (
    CATEGORIES,
    CLASSES,
    annotate,
    annotate_cfg,
    stored_row,
    write_coco,
)
from mmengine.runner import Runner

from projects.data_distillation import CheckedCocoDataset, DetectionStore
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.detections.shards import SCHEMA
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)
from projects.data_distillation.pseudo_labels.selection import (
    summary as selection_report,
)
from projects.data_distillation.pseudo_labels.selection.export import (
    export_pseudo_labels,
    read_rules,
    select_labels,
)
from projects.data_distillation.pseudo_labels.selection.rules import (
    SelectionRules,
)
from projects.data_distillation.pseudo_labels.selection.selectors import (
    LabeledCounts,
)


@pytest.fixture
def tool(call_tool):
    """Runs the tool in this process; returns its output and its error."""

    def run(*options: object) -> tuple[str, str]:
        done = call_tool('select_labels', *options)
        return done.stdout, done.stderr if done.returncode else ''

    return run


@pytest.fixture
def store(tmp_path) -> Path:
    """Two images: 0 with scores 0.9, 0.6, 0.3 of red, 1 with 0.8 of green."""
    boxes = [[10 * n, 0, 10 * n + 9, 20] for n in range(3)]
    rows = [
        stored_row('0', *zip(boxes, (0.9, 0.6, 0.3), (0, 0, 0))),
        stored_row('1', ([5, 5, 40, 40], 0.8, 1)),
    ]
    folder = tmp_path / 'detections'
    writer = DetectionStore(folder, dict(classes=CLASSES, views=[[], []]))
    writer.add(*rows)
    writer.flush()
    return folder


@pytest.fixture
def labeled(tmp_path) -> Path:
    """One instance of each class on the only image."""
    content = dict(
        images=[dict(id=1, file_name='x')],
        annotations=[
            dict(image_id=1, category_id=7),
            dict(image_id=1, category_id=3),
        ],
        categories=CATEGORIES,
    )
    file = tmp_path / 'labeled.json'
    file.write_text(json.dumps(content))
    return file


def scores_of(file: Path, is_crowd: int = 0) -> list[float]:
    labels = json.loads(file.read_text())['annotations']
    return [a['score'] for a in labels if a['iscrowd'] == is_crowd]


OPTIONS = {
    'default': ([], [0.9, 0.6, 0.8]),
    'global': (['--all-classes', '--floor', 0.7], [0.9, 0.8]),
    'ceiling': (['--floor', 0.3, '--ceiling', 0.3], [0.9, 0.6, 0.3, 0.8]),
    'fixed': (['--method', 'fixed', '--min-score', 0.7], [0.9, 0.8]),
    'fixed by class': (
        ['--method', 'fixed', '--min-score', 'red=0.5', 'green=0.85'],
        [0.9, 0.6],
    ),
    'none of a class': (
        ['--method', 'fixed', '--min-score', 'red=none', 'green=0.5'],
        [0.8],
    ),
    'views': (['--min-views', 2], []),
    'side': (['--min-side', 10], [0.8]),
    'area': (['--min-area', 181], [0.8]),
    'spread': (['--max-corner-spread', 0.1, '--floor', 0.65], [0.9, 0.8]),
}


@pytest.mark.parametrize('case', OPTIONS)
def test_options_choose_the_labels(tool, store, labeled, tmp_path, case):
    options, expected = OPTIONS[case]
    out = tmp_path / 'new' / 'labels.json'

    text, error = tool(store, '--labeled', labeled, '--out', out, *options)

    assert not error
    assert '┃ labeled / image ┃' in text
    assert scores_of(out) == expected
    assert text.splitlines()[-1] == (
        f'{len(expected)} of 4 detections on 2 images became pseudo labels: '
        f'{out}'
    )


def test_images_of_other_files_count_too(tool, store, labeled, tmp_path):
    others = [
        write_coco(tmp_path / f'{name}.json', [(1, 7, [0, 0, 9, 9])])
        for name in ('one', 'other')
    ]
    out = tmp_path / 'labels.json'

    text, _ = tool(
        store, '--labeled', labeled, '--out', out, '--count', *others
    )

    assert 'labeled and other / image' in text
    # On 5 images there are 3 of red and 1 of green, and 2 are to be labeled.
    assert scores_of(out) == [0.9]
    origin = json.loads(out.read_text())['info']['data_distillation']
    assert origin['selection']['counted'] == list(map(str, others))


def test_detections_below_the_limit_become_regions_to_ignore(
    tool, store, labeled, tmp_path
):
    out = tmp_path / 'labels.json'

    text, error = tool(
        *(store, '--labeled', labeled, '--out', out),
        *('--method', 'fixed', '--min-score', 0.85, '--ignore-from', 0.5),
    )

    assert not error
    assert scores_of(out) == [0.9]
    assert scores_of(out, is_crowd=1) == [0.6, 0.8]
    info = json.loads(out.read_text())['info']['data_distillation']
    assert info['num_ignored'] == 2
    assert info['ignore_scores'] == dict(red=0.5, green=0.5)
    assert 'ignored' in text


def test_images_with_nothing_but_regions_to_ignore_are_dropped(
    tool, store, labeled, tmp_path
):
    out = tmp_path / 'labels.json'

    text, error = tool(
        *(store, '--labeled', labeled, '--out', out),
        *('--method', 'fixed', '--min-score', 0.85),
        *('--ignore-from', 0.5, '--max-empty-share', 0),
    )

    assert not error
    assert scores_of(out, is_crowd=1) == [0.6]
    content = json.loads(out.read_text())
    assert [i['file_name'] for i in content['images']] == ['0']
    assert content['info']['data_distillation']['num_empty_dropped'] == 1
    assert '1 of 2 images have no pseudo label; 1 of them were dropped' in text


REFUSED = [
    (['--min-score', 0.5], "--method matched does not take ['--min-score']"),
    (['--method', 'fixed'], '--method fixed needs --min-score'),
    (
        ['--method', 'fixed', '--min-score', 0.5, '--floor', 0.1],
        "--method fixed does not take ['--floor']",
    ),
    (['--method', 'precision'], 'precision needs --target-precision'),
    (
        ['--method', 'precision', '--target-precision', 0.9],
        'needs the detections of labeled validation images',
    ),
    (
        ['--method', 'fixed', '--min-score', 'red=0.5', '0.3'],
        "one score or CLASS=S for each, got ['red=0.5', '0.3']",
    ),
    (
        ['--method', 'fixed', '--min-score', 'red=0.5'],
        "['green'] are missing or unknown",
    ),
    (['--validation', 'x'], '--validation-truth go together'),
    (['--like', 'x.json', '--min-views', 2], '--like goes with no other'),
    (['--like', 'none.json'], 'not found: none.json'),
    (
        ['--method', 'fixed', '--min-score', 'red=0.5', 'red=0.6'],
        "got ['red=0.5', 'red=0.6']",
    ),
    (
        [
            *('--method', 'fixed', '--min-score', 1),
            *('--max-empty-share', 0),
        ],
        'no image is left: none of 2 has a pseudo label',
    ),
    (['--floor', 7], 'floor must be from 0 to 1, got 7'),
]


@pytest.mark.parametrize(('options', 'message'), REFUSED)
def test_options_that_make_no_sense_are_refused(
    tool, store, labeled, tmp_path, options, message
):
    out = tmp_path / 'labels.json'

    _, error = tool(store, '--labeled', labeled, '--out', out, *options)

    assert message in error
    assert not out.exists()


@pytest.mark.slow
def test_page_shows_the_labels_of_the_wanted_images(
    tool, store, labeled, tmp_path
):
    images, page = tmp_path / 'some.json', tmp_path / 'report.html'
    images.write_text(json.dumps(dict(images=[dict(id=4, file_name='0')])))
    out = tmp_path / 'labels.json'

    text, error = tool(
        *(store, '--labeled', labeled, '--out', out),
        *('--images', images, '--report', page),
    )

    assert not error
    assert text.splitlines()[-1] == f'report: {page}'
    html = page.read_text()
    assert f'--images {images}' in html
    assert '"num_images": 1,' in html


def test_same_rules_give_the_same_bytes(tool, store, labeled, tmp_path):
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    options = ['--min-views', 1, '--ignore-from', 0.2, '--smoothing', 2]
    tool(store, '--labeled', labeled, '--out', first, *options)

    _, error = tool(
        store, '--labeled', labeled, '--out', second, '--like', first
    )

    assert not error
    assert read_rules(first) == read_rules(second)
    annotations = [
        file.read_bytes().partition(b'"images"')[2] for file in (first, second)
    ]
    assert annotations[0] == annotations[1]


def test_rules_of_another_version_are_an_error(tool, store, labeled, tmp_path):
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    tool(store, '--labeled', labeled, '--out', first)
    text = first.read_text()
    assert text.count('"selector": {') == 1
    newer = text.replace('"selector": {', '"selector": {"unknown": 0.1, ')
    first.write_text(newer)

    _, error = tool(
        store, '--labeled', labeled, '--out', second, '--like', first
    )

    assert error.startswith('error: ') and "argument 'unknown'" in error
    assert not second.exists()


def test_only_the_images_of_a_file_are_taken(tool, store, labeled, tmp_path):
    images = tmp_path / 'images.json'
    images.write_text(json.dumps(dict(images=[dict(id=7, file_name='1')])))
    out = tmp_path / 'labels.json'

    _, error = tool(
        store, '--labeled', labeled, '--out', out, '--images', images
    )

    assert not error
    assert scores_of(out) == [0.8]


def test_filter_of_ones_own_is_imported(
    tool, store, labeled, tmp_path, monkeypatch
):
    (tmp_path / 'own_filter.py').write_text(
        'from mmdet.registry import TASK_UTILS\n'
        '@TASK_UTILS.register_module()\n'
        'class NotRed:\n'
        '    def __call__(self, detections):\n'
        '        return detections.labels != 0\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    arguments = ['--labeled', labeled, '--out', second, '--like', first]
    tool(store, '--labeled', labeled, '--out', first)
    first.write_text(
        first.read_text().replace(
            '"filters": []', '"filters": [{"type": "NotRed"}]'
        )
    )

    _, without = tool(store, *arguments)
    _, error = tool(store, *arguments, '--custom-imports', 'own_filter')

    assert 'NotRed is not in the mmdet' in without
    assert not error
    assert scores_of(second) == [0.8]


def test_detections_of_validation_images_become_no_labels(labeled, tmp_path):
    store = DetectionStore(tmp_path / 'v', dict(purpose='validation'))
    store.add(stored_row('0', ([5, 5, 40, 40], 0.8, 1)))
    store.flush()

    with pytest.raises(StoreError, match='must not be trained on'):
        select_labels(tmp_path / 'v', labeled, {}, tmp_path / 'labels.json')


@pytest.mark.slow
def test_validation_and_annotation_share_no_folder(
    drawn, checkpoint, tmp_path
):
    Runner.from_cfg(validate_cfg(drawn, checkpoint, tmp_path / 'w')).test()
    runner = Runner.from_cfg(annotate_cfg(drawn, checkpoint, tmp_path / 'w'))

    with pytest.raises(StoreError, match=r"differs in \['purpose'\]"):
        runner.test()


def test_rules_that_would_fail_end_the_run_before_inference(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='FixedSelector', min_score=dict(blue=0.5))
    )
    runner = Runner.from_cfg(cfg)

    with pytest.raises(ValueError, match='each class of'):
        runner.test()

    assert runner.model.module.batches == []


def test_class_names_are_shown_as_they_are(store, labeled, tmp_path):
    content = json.loads(labeled.read_text())
    content['categories'][0]['name'] = 'cell [left] :smile: a[/b]'
    labeled.write_text(json.dumps(content))
    writer = DetectionStore(tmp_path / 'no_names', dict(views=[]))
    writer.add(stored_row('0', ([5, 5, 40, 40], 0.8, 1)))
    writer.flush()

    text = select_labels(
        tmp_path / 'no_names', labeled, {}, tmp_path / 'labels.json'
    )

    assert 'cell [left] :smile: a[/b]' in text


def test_file_that_does_not_say_its_rules_cannot_be_repeated(labeled):
    with pytest.raises(CocoError, match='does not say how its labels were'):
        read_rules(labeled)


def test_other_classes_than_the_teachers_are_refused(store, labeled, tmp_path):
    content = json.loads(labeled.read_text())
    content['categories'].reverse()
    labeled.write_text(json.dumps(content))

    with pytest.raises(CocoError, match='the order differs'):
        select_labels(store, labeled, {}, tmp_path / 'labels.json')


def test_folder_without_detections_is_named(labeled, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf'parquet\) in {tmp_path}/x'):
        select_labels(tmp_path / 'x', labeled, {}, tmp_path / 'labels.json')


@pytest.mark.slow
def test_hook_and_tool_write_the_same_annotations(
    drawn, checkpoint, tmp_path, tool
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='MatchedSelector', per_class=False),
        filters=[dict(type='MinViews', num_views=3)],
    )
    by_hook = annotate(cfg)
    out = tmp_path / 'again.json'

    _, error = tool(
        tmp_path / 'work' / 'detections',
        *('--labeled', drawn.folder / 'labeled.json', '--out', out),
        *('--like', tmp_path / 'work' / 'pseudo_labels.json'),
    )

    assert not error
    by_tool = json.loads(out.read_text())
    for key in ('images', 'annotations', 'categories'):
        assert json.dumps(by_tool[key]) == json.dumps(by_hook[key])
    assert len(by_tool['annotations']) == 10
    by_hook, by_tool = (
        dict(c['info']['data_distillation'], date=None)
        for c in (by_hook, by_tool)
    )
    assert by_tool == by_hook


# --- validation -----------------------------------------------------------


def validate_cfg(drawn, checkpoint, work_dir: Path):
    """As a `validate.py`: the drawn images, whose truth is known."""
    cfg = annotate_cfg(drawn, checkpoint, work_dir)
    hook = cfg.custom_hooks[0]
    cfg.custom_hooks = [dict(type='DetectionHook', labeled=hook.labeled)]
    return cfg


def test_validation_stores_detections_and_makes_no_labels(
    drawn, checkpoint, tmp_path
):
    work_dir = tmp_path / 'validate'

    Runner.from_cfg(validate_cfg(drawn, checkpoint, work_dir)).test()

    assert len(DetectionStore(work_dir / 'detections').read()) == 5
    assert not (work_dir / 'pseudo_labels.json').exists()


@pytest.mark.slow
def test_precision_is_chosen_by_the_hook(drawn, checkpoint, tmp_path):
    work_dir = tmp_path / 'validate'
    Runner.from_cfg(validate_cfg(drawn, checkpoint, work_dir)).test()
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    # The truth knows no green ones: these are all wrong.
    truth = dict(
        drawn.truth,
        annotations=[
            a for a in drawn.truth['annotations'] if a['category_id'] == 7
        ],
    )
    cfg.custom_hooks[0].selection = dict(
        selector=dict(type='PrecisionSelector', target=0.9),
        validation=dict(
            detections=str(work_dir / 'detections'),
            ann_file=str(drawn.write('only_red.json', truth)),
        ),
    )

    labels = annotate(cfg)

    assert [a['category_id'] for a in labels['annotations']] == [7] * 5
    scores = labels['info']['data_distillation']['min_scores']
    assert scores == dict(red=pytest.approx(0.9), green=None)


def test_missing_validation_is_refused_before_inference(
    drawn, checkpoint, tmp_path
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_hooks[0].selection = dict(
        validation=dict(
            detections=str(tmp_path / 'none'),
            ann_file=str(drawn.folder / 'truth.json'),
        )
    )
    runner = Runner.from_cfg(cfg)

    with pytest.raises(ValueError, match=r'none: run EXPER.*/validate.py'):
        runner.test()

    assert runner.model.module.batches == []


# --- warnings -------------------------------------------------------------


def report_of(tmp_path, scores, selector, num_labeled, validation=None):
    """Of images with one red detection each."""
    rows = [
        stored_row(f'{n:04}', ([0, 0, 9, 9], s, 0))
        for n, s in enumerate(scores)
    ]
    rules = SelectionRules(selector)
    rules.match_validation = lambda *_: validation
    return export_pseudo_labels(
        pa.Table.from_pylist(rows, SCHEMA),
        CATEGORIES,
        LabeledCounts(4, np.array([num_labeled, 0]), CLASSES),
        rules,
        {},
        tmp_path / 'labels.json',
    )


@pytest.mark.parametrize(
    ('num_labeled', 'warns'), [(1, True), (2, False), (8, False), (9, True)]
)
def test_far_too_many_or_few_labels_are_named(tmp_path, num_labeled, warns):
    fixed = dict(type='FixedSelector', min_score=0.5)

    # One an image; labeled 1/4 to 9/4.
    report = report_of(tmp_path, [0.9] * 8, fixed, num_labeled)

    text = "class 'red' has 8 pseudo labels; at the rate of the labeled images"
    assert (text in report) == warns
    assert "warning: class 'green' has no pseudo label" in report


def test_what_filters_stopped_is_said(store, labeled, tmp_path):
    filters = [dict(type='MinViews', num_views=2)]

    text = select_labels(
        store, labeled, dict(filters=filters), tmp_path / 'labels.json'
    )

    assert '4 detections were stopped by MinViews(num_views=2)' in text


@pytest.mark.filterwarnings('error')
def test_scores_of_another_kind_of_images_are_named(tmp_path):
    random = np.random.default_rng(0)
    alike, other = random.random(300), random.random(300) ** 3
    nothing = selection_report.ClassMatches(
        np.zeros(0, np.float32), np.zeros(0, bool), 0
    )

    def report(scores):
        seen = selection_report.ClassMatches(
            -np.sort(-scores.astype(np.float32)), np.ones(300, bool), 300
        )
        fixed = dict(type='FixedSelector', min_score=0.5)
        validation = [seen, nothing]
        return report_of(tmp_path, alike.tolist(), fixed, 2, validation)

    assert "scores of class 'red' differ" in report(other)
    assert 'check that these images are of the same kind' in report(other)
    assert 'differ' not in report(random.random(300))


def test_written_regions_are_known_to_the_dataset(store, labeled, tmp_path):
    out = tmp_path / 'labels.json'
    rules = dict(
        selector=dict(type='FixedSelector', min_score=0.85),
        ignore=dict(type='FixedSelector', min_score=0.2),
    )
    select_labels(store, labeled, rules, out)

    dataset = CheckedCocoDataset(
        ann_file=str(out),
        data_prefix=dict(img=''),
        metainfo=dict(classes=CLASSES),
        pipeline=[],
    )

    assert dataset.num_ignored == 3
    flags = [
        i['ignore_flag']
        for n in range(2)
        for i in dataset.get_data_info(n)['instances']
    ]
    assert flags == [0, 1, 1, 1]


def test_store_with_a_damaged_shard_is_refused(tool, store, labeled, tmp_path):
    (store / 'torn.parquet').write_bytes(b'torn')

    file = tmp_path / 'labels.json'

    _, error = tool(store, '--labeled', labeled, '--out', file)

    assert 'images may be missing: 1 files in' in error
    assert not file.exists()


@pytest.mark.parametrize('what', ['labeled', 'counted', 'shard', 'report'])
def test_what_is_read_is_not_overwritten(tool, store, labeled, tmp_path, what):
    counted = tmp_path / 'counted.json'
    counted.write_bytes(labeled.read_bytes())
    (shard,) = store.glob('*.parquet')
    out = dict(
        labeled=labeled, counted=counted, shard=shard, report=tmp_path / 'new'
    )[what]
    before = out.read_bytes() if out.exists() else None
    options = ['--report', out] if what == 'report' else []

    _, error = tool(
        store, '--labeled', labeled, '--count', counted, '--out', out,
        *options,
    )  # fmt: skip

    assert f'error: {out} would be overwritten' in error
    assert (out.read_bytes() if out.exists() else None) == before
