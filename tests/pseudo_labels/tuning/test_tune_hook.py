"""TuneHook, through the real Runner, and the configs that it writes."""

import json
import re
from pathlib import Path

import pytest
from builders import annotate_cfg
from mmengine.config import Config
from mmengine.runner import Runner

from projects.data_distillation import DetectionStore
from projects.data_distillation.label_files.coco.reading import CocoError
from projects.data_distillation.pseudo_labels.annotation.merging_again import (
    merge_again,
)
from projects.data_distillation.pseudo_labels.tuning.tune_hook import (
    TuneHook,
    adapt_mergers,
)
from projects.data_distillation.report.tuning import make_tuning_table

NMS, WBF = dict(type='NMSMerger'), dict(type='WBFMerger')


@pytest.fixture
def experiment(drawn, checkpoint, tmp_path) -> Path:
    """A folder with an annotate.py, a validate.py and a tune.py."""
    folder = tmp_path / 'experiment'
    folder.mkdir()
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_imports = dict(
        imports=['projects.data_distillation', 'builders']
    )
    candidates = cfg.model.views
    cfg.model.views = candidates[:2]
    cfg.dump(folder / 'annotate.py')
    cfg.custom_hooks = [
        dict(type='DetectionHook', labeled=cfg.custom_hooks[0].labeled)
    ]
    cfg.dump(folder / 'validate.py')
    cfg.model.update(views=candidates, keep_views=True)
    truth = str(drawn.folder / 'truth.json')
    cfg.custom_hooks[0].update(
        type='TuneHook', ann_file=truth, mergers=[NMS, WBF]
    )
    cfg.dump(folder / 'tune.py')
    return folder


def tune(experiment: Path, **changes) -> Path:
    """Run tune.py; return its work folder."""
    cfg = Config.fromfile(experiment / 'tune.py')
    cfg.work_dir = str(experiment.parent / 'tune')
    cfg.merge_from_dict(changes)
    Runner.from_cfg(cfg).test()
    return Path(cfg.work_dir)


@pytest.mark.slow
def test_choice_is_written_as_configs_of_the_experiment(experiment):
    folder = tune(experiment)

    found = json.loads((folder / 'tune.json').read_text())
    views = Config.fromfile(experiment / 'tune.py').model.views
    for stage in ('annotate', 'validate'):
        before = Config.fromfile(experiment / f'{stage}.py')
        after = Config.fromfile(folder / f'{stage}.py')
        assert json.loads(json.dumps(after.model.views)) == found['views']
        # With tuples, as they were.
        assert after.model.views == views[2:3]
        assert after.model.merger == found['merger']
        before.model.update(views=after.model.views, merger=after.model.merger)
        assert after.to_dict() == before.to_dict()


@pytest.mark.slow
def test_cheapest_views_with_exact_boxes_are_chosen(experiment):
    found = json.loads((tune(experiment) / 'tune.json').read_text())

    # The first two are so small that their boxes are not exact.
    views = Config.fromfile(experiment / 'tune.py').model.views
    assert found['views'] == json.loads(json.dumps(views[2:3]))
    assert found['chosen']['mAP'] > 0.9
    assert found['num_images'] == 5


@pytest.mark.slow
def test_reference_is_what_annotate_has(experiment):
    found = json.loads((tune(experiment) / 'tune.json').read_text())

    assert found['reference']['views'] == [0, 1]
    assert found['reference']['merger'] == 'NMSMerger()'
    assert found['unseen'].keys() == {'chosen', 'reference', 'error'}


@pytest.mark.slow
def test_report_reads_what_tuning_writes(experiment):
    table = make_tuning_table(tune(experiment))

    names = ', '.join(row[2] for row in table['rows'])
    assert 'chosen' in names
    assert 'annotate.py' in names


@pytest.mark.slow
def test_table_names_the_choice_and_the_reference(experiment):
    folder = tune(experiment, log_level='INFO')

    log = next(folder.rglob('*.log')).read_text()
    assert 'choices on 5 validation images' in log
    assert re.search(r'comparing \d+ choices on 200 draws', log)
    assert 'choosing again without each of 5 parts of the images' in log
    assert 'chosen: views 2, merged by' in log
    assert 'on images that a choice was not made on' in log
    assert 'annotate.py' in log
    assert 'detections of 5 images are in' in log


@pytest.mark.slow
def test_detections_need_not_be_made_again(experiment):
    folder = tune(experiment)
    cfg = Config.fromfile(folder / 'validate.py')
    cfg.work_dir = str(experiment.parent / 'validate')
    Runner.from_cfg(cfg).test()

    again = merge_again(
        folder / 'detections', experiment.parent / 'again',
        cfg.model.merger.to_dict(), [2],
    )  # fmt: skip

    direct = DetectionStore(Path(cfg.work_dir) / 'detections')
    assert again.read() == direct.read()
    assert again.provenance == dict(
        direct.provenance, teacher_config=again.provenance['teacher_config']
    )


@pytest.mark.slow
def test_annotation_with_other_views_has_no_reference(experiment):
    annotate_py = experiment / 'annotate.py'
    text = annotate_py.read_text() + "\nmodel['views'] = [[]]\n"
    annotate_py.write_text(text)

    found = json.loads((tune(experiment) / 'tune.json').read_text())

    assert found['reference'] is None
    assert found['unseen'] is None


@pytest.mark.slow
def test_merger_of_annotate_is_tried_too(experiment):
    annotate_py = experiment / 'annotate.py'
    own = "\nmodel['merger'] = dict(type='SoftNMSMerger', sigma=0.4)\n"
    annotate_py.write_text(annotate_py.read_text() + own)

    folder = tune(experiment)

    found = json.loads((folder / 'tune.json').read_text())
    assert found['reference']['merger'] == 'SoftNMSMerger(sigma=0.4)'
    # The chosen one has no argument of the other.
    merger = Config.fromfile(folder / 'annotate.py').model.merger
    assert merger == found['merger'] == NMS


def test_boxes_of_views_must_be_kept(experiment):
    with pytest.raises(ValueError, match=r'set model.keep_views=True'):
        tune(experiment, **{'model.keep_views': False})


def test_truth_without_an_image_is_refused_before_the_run(experiment, drawn):
    truth = dict(drawn.truth, images=drawn.truth['images'][1:])
    truth['annotations'] = [
        one for one in truth['annotations'] if one['image_id'] != 10
    ]
    drawn.write('truth.json', truth)

    with pytest.raises(CocoError, match='lacks 1 of 5 images'):
        tune(experiment)
    assert not list(experiment.parent.glob('tune/detections/*'))


def test_truth_of_other_classes_is_refused(experiment, drawn):
    categories = [dict(id=7, name='red'), dict(id=3, name='blue')]
    drawn.write('truth.json', dict(drawn.truth, categories=categories))

    with pytest.raises(CocoError, match='blue'):
        tune(experiment)


@pytest.mark.slow
def test_cost_is_limited_by_that_of_annotate(experiment):
    hooks = Config.fromfile(experiment / 'tune.py').custom_hooks
    hooks[0].max_cost = 0.6

    folder = tune(experiment, custom_hooks=hooks)

    found = json.loads((folder / 'tune.json').read_text())
    reference = found['reference']
    # The reference is shown, though it costs more.
    others = [one for one in found['trials'] if one != reference]
    assert others
    assert all(one['cost'] <= 0.6 * reference['cost'] for one in others)


def test_limit_of_the_cost_must_be_positive():
    with pytest.raises(ValueError, match='max_cost must be positive, got 0'):
        TuneHook(dict(ann_file='x'), 'y', max_cost=0)


def test_merger_is_needed():
    with pytest.raises(ValueError, match='at least one merger'):
        TuneHook(dict(ann_file='x'), 'y', mergers=[])


def test_other_mergers_keep_what_is_wanted_of_any():
    own = dict(type='NMSMerger', iou_threshold=0.6, class_agnostic=True)
    few = dict(type='WBFMerger', max_per_img=20, class_agnostic=False)

    plain, kept = adapt_mergers([WBF, few], own)

    assert plain == dict(WBF, class_agnostic=True)
    assert kept == few
    assert [*adapt_mergers([WBF], NMS)] == [WBF]
