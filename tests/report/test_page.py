"""The report of whole and half-finished work folders."""

import json
import re
import shutil
from html import unescape

import pytest
from builders import (
    CLASSES,
    DrawnImages,
    annotate,
    annotate_cfg,
    write_checkpoint,
)
from report_files import (
    HOSTILE,
    write_evaluation,
    write_metrics,
    write_scalars,
    write_selection,
)

from projects.data_distillation.experiment.stages.next_steps import (
    advise_on_gain,
)
from projects.data_distillation.report.page import (
    describe_stages,
    write_page,
    write_report,
    write_selection_report,
)
from projects.data_distillation.report.stage_history import (
    StageRecord,
    conclude_from_stages,
    give_verdicts,
)


def data_of(html: str) -> dict | None:
    """Return what the page's gallery knows."""
    found = re.search(
        '<script type="application/json" id="data">(.*?)</script>', html
    )
    return found and json.loads(found[1])


def text_of(html: str) -> str:
    """Return the page without tags, in one line."""
    return ' '.join(re.sub('<[^>]*>', ' ', html).split())


@pytest.fixture
def cfg(drawn, checkpoint, tmp_path):
    """A real annotation, in the work folder `w`."""
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'w/annotate')
    cfg.unlabeled_truth = str(drawn.folder / 'truth.json')
    return cfg


@pytest.fixture
def work_dir(cfg, tmp_path):
    annotate(cfg)
    return tmp_path / 'w'


MASKS = dict(
    segm_mAP=0.25, segm_mAP_50=0.7, segm_mAP_75=0.6, red_segm_precision=0.111
)


@pytest.fixture(scope='module')
def report(tmp_path_factory) -> str:
    """The report of an experiment that has a teacher and a student."""
    folder = tmp_path_factory.mktemp('reported')
    work_dir = folder / 'w'
    drawn = DrawnImages(folder / 'drawn')
    teacher = write_checkpoint(folder / 'teacher.pth')
    cfg = annotate_cfg(drawn, teacher, work_dir / 'annotate')
    cfg.unlabeled_truth = str(drawn.folder / 'truth.json')
    annotate(cfg)
    for n, model in enumerate(('teacher', 'student'), 3):
        write_evaluation(
            work_dir / model,
            drawn.folder / 'truth.json',
            # The student has found all objects, the teacher half of them.
            [
                dict(one, score=0.9)
                for one in drawn.truth['annotations'][:: 5 - n]
            ],
            drawn.folder / 'unlabeled',
            bbox_mAP=n / 10, bbox_mAP_50=0.9, bbox_mAP_75=0.8,
            red_precision=0.123, green_precision=n / 8,
            # The student has found no mask.
            **(MASKS if model == 'teacher' else {}),
        )  # fmt: skip
        write_scalars(
            work_dir / model / '20260101_000000', dict(loss=2, step=9)
        )
    return write_report(cfg, work_dir).read_text()


@pytest.mark.slow
def test_report_lies_in_the_work_folder(cfg, work_dir):
    assert write_report(cfg, work_dir) == work_dir / 'report.html'


def test_report_compares_the_models(report):
    text = text_of(report)

    assert 'teacher labeled: lower bound 30.0 90.0 80.0 25.0 70.0 60.0' in text
    assert 'student labeled + pseudo-labeled 40.0 90.0 80.0 - - -' in text
    assert 'mAP mAP_50 mAP_75 mask mAP mask mAP_50 mask mAP_75' in text


def evaluated(name: str, mean_ap: float | None) -> StageRecord:
    metrics = None if mean_ap is None else dict(bbox_mAP=mean_ap)
    return StageRecord(name, None, [], [], metrics)


def test_report_has_the_verdict_and_the_gap(report):
    assert 'Verdict: the student has +10.0 mAP over the teacher' in report
    stages = [
        evaluated('teacher', 0.3),
        evaluated('annotate', None),
        evaluated('supervised_long', 0.32),
        evaluated('student', 0.35),
        evaluated('oracle', 0.4),
        evaluated('round2/student', 0.33),
    ]

    verdict, gap = give_verdicts(stages)

    assert 'gain +3.0 mAP (student - control); of +5.0 mAP over' in verdict
    assert gap == 'Gap from teacher to oracle closed: 50%.'
    # A stage that has not been evaluated yet.
    assert give_verdicts([evaluated('teacher', 0.3)]) == []
    assert give_verdicts([stages[0], evaluated('student', None)]) == []


def test_report_has_the_interval_of_the_gain(tmp_path):
    mean_aps = dict(teacher=0.3, supervised_long=0.32, student=0.35)
    stages = [evaluated(*one) for one in mean_aps.items()]
    file = tmp_path / 'summary.json'
    gains = dict(supervised_long=dict(value=0.03, low=0.01, high=0.05))
    models = {name: dict(bbox_mAP=value) for name, value in mean_aps.items()}
    file.write_text(json.dumps(dict(models, gains=gains)))

    (verdict,) = give_verdicts(stages, work_dir=tmp_path)

    assert '(student - control), 95 % between +1.0 and +5.0; of' in verdict
    # A student that was trained again has another interval.
    others = [*stages[:2], evaluated('student', 0.4)]
    (verdict,) = give_verdicts(others, work_dir=tmp_path)
    assert '95 %' not in verdict
    (verdict,) = give_verdicts(stages, work_dir=tmp_path / 'none')
    assert '95 %' not in verdict


@pytest.fixture
def harmed(tmp_path) -> list[StageRecord]:
    """Stages whose student is below the control, with their summary."""
    mean_aps = dict(teacher=0.3, supervised_long=0.36, student=0.31)
    models = {name: dict(bbox_mAP=value) for name, value in mean_aps.items()}
    (tmp_path / 'summary.json').write_text(json.dumps(models))
    return [evaluated(*one) for one in mean_aps.items()]


@pytest.mark.slow
def test_report_has_the_advice_of_the_run(harmed, tmp_path):
    source = write_selection(tmp_path / 'selection')
    file = tmp_path / 'report.html'

    write_page(file, 'x', [], harmed, source)

    html = file.read_text()
    advice = html.partition('<ul id="advice"')[2].partition('</ul>')[0]
    lines = [unescape(one) for one in re.findall('<li>(.*)</li>', advice)]
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert 'supervised_long (31.0 and 36.0 mAP). What to try' in lines[0]
    assert lines == [
        line.removeprefix('- ') for line in advise_on_gain(summary)
    ]
    assert len(lines) == 3


def test_advice_is_that_of_the_models_of_the_page(harmed, tmp_path):
    file = tmp_path / 'summary.json'
    summary = json.loads(file.read_text())

    found = conclude_from_stages(harmed, False, tmp_path)
    assert found['verdicts'] == give_verdicts(harmed, False, tmp_path)
    assert len(found['advice']) == 3
    # Trained again, not evaluated yet, of seeds, of a run that has not ended.
    for number in range(3):
        again = [*harmed]
        again[number] = evaluated(harmed[number].name, 0.1)
        assert conclude_from_stages(again, False, tmp_path)['advice'] == []
    assert conclude_from_stages(harmed[:2], False, tmp_path)['advice'] == []
    assert conclude_from_stages([], False, tmp_path) == dict(
        verdicts=[], advice=[]
    )
    file.write_text(json.dumps(dict(summary, teacher=3)))
    assert conclude_from_stages(harmed, False, tmp_path)['advice'] == []
    file.write_text(json.dumps(dict(summary, seeds={})))
    assert conclude_from_stages(harmed, False, tmp_path)['advice'] == []
    file.unlink()
    assert conclude_from_stages(harmed, False, tmp_path)['advice'] == []


def test_report_has_a_row_per_class(report):
    text = text_of(report)

    assert 'green 1.00 1.00 2 5 0.900 1.000 1.000 37.5 50.0 -' in text
    assert 'red 1.00 1.00 2 5 0.900 1.000 1.000 12.3 12.3 11.1' in text


def test_report_shows_the_errors_of_teacher_and_student(report):
    text = text_of(report)

    assert '5 validation images with 10 objects' in text
    assert '0.90 for teacher, 0.90 for student' in text
    assert 'Right boxes and errors: teacher 5 and 5, student 10 and 0.' in text
    assert 'Beside teacher, student is better on 5 images, worse on 0,' in text
    missed = '5 → 0 1.000 → 1.000 0.500 → 1.000'
    zeros = '0 → 0 ' * 5
    assert f'all 10 {zeros}{missed}' in text
    assert 'so it is larger than the error background alone' in text
    assert 'teacher red green background red 5 0 0 green 0 0 5' in text
    assert 'student red green background red 5 0 0 green 0 5 0' in text


@pytest.mark.slow
def test_errors_that_cannot_be_shown_are_named(cfg, work_dir, drawn):
    truth = drawn.folder / 'truth.json'
    write_metrics(work_dir / 'teacher', bbox_mAP=0.5)
    write_evaluation(work_dir / 'student', truth, [], drawn.folder)

    html = write_report(cfg, work_dir).read_text()

    lost = 'results.bbox.json not found; tools/distill.py writes it'
    assert 'The errors of teacher are not shown: ' in html
    assert lost in html
    assert 'The boxes of student on 5 validation images' in html
    assert 'id="compared"' not in html


def test_report_says_how_the_images_were_annotated(report):
    text = text_of(report)

    assert 'Views 6: Resize 400x60;' in text
    assert 'Merger NMSMerger(' in text
    assert 'Selection MatchedSelector(' in text


def test_report_has_the_plots(report):
    titles = re.findall(r'<strong>(.*?)\.</strong>', report)

    assert titles == ['Loss', 'Box mAP', 'Scores', 'Precision and recall']


def test_gallery_of_the_report_has_images_and_truth(report):
    data = data_of(report)

    assert data['classes'] == list(CLASSES)
    assert data['num_views'] == 6
    assert all(image['src'] for image in data['images'])
    assert all(len(image['truth']) == 2 for image in data['images'])


def test_report_in_which_nothing_is_missing_has_no_notes(report):
    notes = 'class="notes"'

    assert notes not in report.replace(f'<noscript><p {notes}>', '')


@pytest.mark.slow
def test_report_without_truth_has_no_precision(cfg, work_dir):
    cfg.pop('unlabeled_truth')

    html = write_report(cfg, work_dir).read_text()

    assert data_of(html)['images'][0]['truth'] is None
    assert 'Precision and recall.' not in html
    assert '>recall<' not in html


@pytest.mark.slow
def test_lost_truth_is_named(cfg, work_dir):
    cfg.unlabeled_truth = 'lost.json'

    html = write_report(cfg, work_dir).read_text()

    assert 'Missing: annotation file not found: lost.json' in html
    assert data_of(html)


@pytest.mark.slow
def test_truth_of_other_images_is_named_and_not_shown(cfg, work_dir, drawn):
    truth = dict(drawn.truth, images=drawn.truth['images'][1:])
    cfg.unlabeled_truth = str(drawn.write('part.json', truth))

    html = write_report(cfg, work_dir).read_text()

    assert 'part.json lacks 1 of 5 images' in text_of(html)
    assert data_of(html)['images'][0]['truth'] is None


def test_folder_in_which_nothing_was_annotated(cfg, tmp_path):
    (tmp_path / 'w/teacher').mkdir(parents=True)

    html = write_report(cfg, tmp_path / 'w').read_text()

    assert 'Missing: no detections (*.parquet)' in html
    assert 'teacher was not evaluated.' in html
    assert data_of(html) is None
    assert 'id="gallery"' not in html


@pytest.mark.slow
def test_annotation_that_has_not_ended(cfg, work_dir):
    (work_dir / 'annotate/pseudo_labels.json').unlink()

    html = write_report(cfg, work_dir).read_text()

    assert 'Nothing has been selected yet' in html
    assert data_of(html)['min_scores'] == [0.5, 0.5]


def test_damaged_shard_is_named(cfg, work_dir):
    (shard,) = (work_dir / 'annotate/detections').glob('*.parquet')
    shard.with_name('broken.parquet').write_bytes(b'PAR1')

    html = write_report(cfg, work_dir).read_text()

    assert 'images may be missing: 1 files' in text_of(html)


@pytest.mark.slow
def test_images_that_came_after_the_selection_are_told(cfg, work_dir):
    other = work_dir / 'annotate/pseudo_labels.json'
    text = other.read_text()
    assert '"num_detections": 10' in text
    other.write_text(
        text.replace('"num_detections": 10', '"num_detections": 8')
    )

    html = write_report(cfg, work_dir).read_text()

    assert 'from 8 detections, and there are 10 now' in text_of(html)


@pytest.mark.parametrize(
    ('key', 'note'),
    [
        pytest.param(
            'num_detections',
            'do not say from how many detections they were',
            marks=pytest.mark.slow,
        ),
        ('selector', '.selection.selector` is missing. Take'),
    ],
)
def test_what_pseudo_labels_do_not_say_is_named(cfg, work_dir, key, note):
    file = work_dir / 'annotate/pseudo_labels.json'
    file.write_text(file.read_text().replace(f'"{key}"', '"other"'))

    html = write_report(cfg, work_dir).read_text()

    assert note in text_of(html)


@pytest.mark.slow
def test_labels_are_those_of_the_last_round(cfg, work_dir):
    shutil.copytree(work_dir / 'annotate', work_dir / 'round2/annotate')
    write_metrics(work_dir / 'round2/student', bbox_mAP=0.5)
    (work_dir / 'round3/annotate').mkdir(parents=True)

    html = write_report(cfg, work_dir).read_text()

    assert 'round2/annotate/detections' in data_of(html)['command']['before']
    assert 'round2/student labeled + pseudo-labeled 50.0' in text_of(html)


def test_times_are_those_of_stages_with_a_log():
    nothing = dict(losses=[], validation=[], metrics=None)
    stages = [
        StageRecord('teacher', seconds=3725.4, **nothing),
        StageRecord('annotate', seconds=None, **nothing),
    ]

    assert describe_stages(stages)['times'] == [('teacher', '1:02:05')]


def test_missing_work_folder_is_refused(cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match='work folder not found: .*/x'):
        write_report(cfg, tmp_path / 'x')


@pytest.mark.slow
def test_names_are_escaped_and_nothing_is_loaded(tmp_path):
    source = write_selection(tmp_path)
    file = tmp_path / 'report.html'

    write_selection_report(file, source)

    html = file.read_text()
    assert data_of(html)['classes'] == list(HOSTILE)
    assert html.count('<script') == html.count('</script>') == 2
    assert '\u2028' not in data_of_text(html)
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)
    assert '<img' not in html
    assert "default-src 'none'" in html


@pytest.mark.slow
def test_all_files_whose_objects_are_counted_are_named(tmp_path):
    source = write_selection(tmp_path, counted=[str(tmp_path / 'truth.json')])

    write_selection_report(tmp_path / 'report.html', source)

    text = text_of((tmp_path / 'report.html').read_text())
    files = f'{tmp_path}/labeled.json and {tmp_path}/truth.json'
    assert re.search(rf'Labeled and other\s+{files}: \d+ images', text)
    assert 'instances of the labeled and other images and the pseudo' in text
    assert '■ labeled and other ■ pseudo labeled and other pseudo' in (
        ' '.join(text.split())
    )
    assert (
        data_of((tmp_path / 'report.html').read_text())['labeled_name']
        == 'labeled and other'
    )


def data_of_text(html: str) -> str:
    return html[html.index('id="data"') :]


@pytest.mark.slow
def test_filters_that_hide_boxes_are_told(tmp_path):
    filters = [dict(type='MinViews', num_views=4)]
    source = write_selection(tmp_path, filters=filters)

    write_selection_report(tmp_path / 'report.html', source)

    text = text_of((tmp_path / 'report.html').read_text())
    assert re.search(r'\d+ detections are not shown: MinViews\(num_vie', text)


@pytest.mark.slow
def test_tool_names_the_page(tiny_experiment, tmp_path, call_tool):
    (tmp_path / 'teacher').mkdir()

    # The second is for stages that evaluate.
    options = (
        *('--cfg-options', 'model.type=OtherDetector'),
        *('--cfg-options', 'test_evaluator.iou_thrs=[0.5]'),
    )
    done, lost = (
        call_tool('report', tiny_experiment, '--work-dir', work_dir, *options)
        for work_dir in (tmp_path, tmp_path / 'x')
    )

    assert done.returncode == 0, done.stderr
    assert f'report: {tmp_path}/report.html' in done.stdout
    assert 'OtherDetector' in (tmp_path / 'report.html').read_text()
    assert lost.returncode == 1
    assert 'error: work folder not found' in lost.stderr


def test_labels_of_no_experiment_are_not_put_in_its_place(tmp_path):
    source = write_selection(tmp_path)
    file = tmp_path / 'report.html'

    write_page(file, 'x', [], [], source)

    html = file.read_text()
    assert data_of(html)['command']['then'] is None
    assert 'id="then"' not in html


def test_labels_that_a_person_has_put_there_are_not_shown_as_none(tmp_path):
    source = write_selection(tmp_path)
    coco = json.loads(source.pseudo_labels.read_text())
    source.pseudo_labels.write_text(json.dumps(dict(coco, info={})))
    file = tmp_path / 'report.html'

    write_page(file, 'x', [], [], source)

    assert 'json does not say how it was selected' in file.read_text()
