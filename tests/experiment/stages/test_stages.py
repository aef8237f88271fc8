"""Commands of stages, and what of their results is outdated."""

import shutil
from dataclasses import replace

import pytest
import torch
from builders import DrawnImages, annotate, annotate_cfg
from mmengine.config import Config

from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.processes.process import StageError
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.fingerprint import (
    write_settings,
)
from projects.data_distillation.experiment.stages.gains import find_results_key
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stage_results import (
    join_reasons,
    require_checkpoint,
    require_metrics,
    require_own_checkpoint,
)
from projects.data_distillation.experiment.stages.stages import (
    MIN_TUNING_IMAGES,
    Stages,
)
from projects.data_distillation.experiment.timing.time_plan import (
    PlannedStage,
    plan_annotation,
    plan_training,
    plan_tuning,
)
from projects.data_distillation.label_files.corrections.corrected import (
    CorrectedImage,
)
from projects.data_distillation.label_files.corrections.update import (
    update_sets,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    DetectionStore,
)
from projects.data_distillation.pseudo_labels.selection.coco_writer import (
    read_origin,
)
from projects.data_distillation.training.finished import FINISHED
from projects.data_distillation.training.own_checkpoint import RUN_KEY


def test_few_reasons_are_listed():
    assert join_reasons(['a', 'b', 'c']) == 'a; b; c'
    assert join_reasons(list('abcde')) == 'a; b; c; and 2 more'


def test_stage_that_ended_without_results_is_named(tmp_path):
    with pytest.raises(StageError, match=f'{tmp_path} must hold a checkpoint'):
        require_checkpoint(tmp_path)
    with pytest.raises(StageError, match=f'{tmp_path} must hold metrics'):
        require_metrics(tmp_path)


def test_checkpoint_of_another_training_is_not_taken(tmp_path):
    file = tmp_path / 'iter_6.pth'
    torch.save(dict(meta={RUN_KEY: 'one'}, state_dict={}), file)
    (tmp_path / 'last_checkpoint').write_text(str(file))
    assert require_own_checkpoint(tmp_path, 'one', None) == file

    with pytest.raises(StageError, match='iter_6.pth must be of the training'):
        require_own_checkpoint(tmp_path, 'other', None)


@pytest.fixture
def stages(drawn, checkpoint, tmp_path) -> Stages:
    """An experiment whose teacher is the toy, and its detections."""
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'annotate')
    for stage in ('teacher', 'annotate', 'student'):
        cfg.dump(tmp_path / f'{stage}.py')
    annotate(cfg)
    return Stages(Experiment(tmp_path), Launcher())


@pytest.mark.slow
def test_detections_of_another_teacher_are_outdated(
    stages, checkpoint, tmp_path
):
    folder = tmp_path / 'annotate'
    other = tmp_path / 'other.pth'
    other.write_bytes(b'other')
    elsewhere = shutil.copy(checkpoint, tmp_path / 'copy.pth')

    def find_outdated(folder, teacher):
        return stages.prepare_detection(
            'annotate', folder, teacher
        ).find_outdated()

    assert find_outdated(folder, checkpoint) == []
    assert find_outdated(folder, elsewhere) == []
    assert find_outdated(folder, other) == ['checkpoint_sha256 has changed']
    assert find_outdated(tmp_path / 'none', other) == []


@pytest.mark.slow
@pytest.mark.parametrize('is_recorded', [True, False])
def test_labels_of_another_teacher_are_outdated_without_detections(
    stages, checkpoint, tmp_path, is_recorded
):
    folder = tmp_path / 'annotate'
    other = tmp_path / 'other.pth'
    other.write_bytes(b'other')
    settings = stages.prepare_detection('annotate', folder, checkpoint)
    if is_recorded:
        write_settings(folder, settings.collect_settings())
    shutil.rmtree(folder / 'detections')

    for teacher, expected in (
        (checkpoint, []),
        (other, ['checkpoint_sha256 has changed']),
    ):
        annotation = stages.prepare_detection('annotate', folder, teacher)
        assert annotation.find_outdated() == expected


@pytest.mark.slow
def test_plan_is_what_the_run_will_do(stages, checkpoint, tmp_path):
    folder = tmp_path / 'annotate'
    annotation = stages.prepare_detection('annotate', folder, checkpoint)
    write_settings(folder, annotation.collect_settings())

    def plan() -> str:
        return plan_annotation(stages, 'annotate', folder, checkpoint).text

    assert plan() == 'labels are selected again'
    (folder / FINISHED).touch()
    assert plan() == 'done'
    # To save space.
    shutil.rmtree(folder / 'detections')
    assert plan() == 'done'
    (folder / 'pseudo_labels.json').unlink()
    assert plan() == '5 images'


@pytest.mark.slow
def test_plan_counts_no_detection_of_another_teacher(
    stages, checkpoint, tmp_path
):
    other = tmp_path / 'other.pth'
    other.write_bytes(b'other')

    def plan(teacher) -> int:
        folder = tmp_path / 'annotate'
        return plan_annotation(stages, 'annotate', folder, teacher).images

    assert (plan(checkpoint), plan(other)) == (0, 5)


@pytest.mark.slow
@pytest.mark.parametrize('is_same', [True, False])
def test_detections_of_moved_images_are_used(
    stages, checkpoint, tmp_path, drawn, is_same
):
    folder = tmp_path / 'annotate'
    annotation = stages.prepare_detection('annotate', folder, checkpoint)
    write_settings(folder, annotation.collect_settings())
    (folder / FINISHED).touch()
    images = drawn.folder / 'unlabeled'
    moved = images.rename(tmp_path / 'moved')
    images.symlink_to(moved)
    if not is_same:
        for path in moved.iterdir():
            path.write_bytes(path.read_bytes() + b'more')

    step = plan_annotation(stages, 'annotate', folder, checkpoint)

    assert not annotation.is_done()
    if is_same:
        assert step.text == 'labels are selected again'
        assert annotation.find_outdated() == []
        assert annotation.find_changes() == [
            'the images are in another folder'
        ]
    else:
        assert step.text == '5 images'
        assert annotation.find_outdated() == ['image_folder has changed']


@pytest.mark.slow
@pytest.mark.parametrize('is_gone', [True, False])
def test_stage_without_its_detections_is_not_finished(
    stages, checkpoint, tmp_path, is_gone
):
    """As validate.py, which makes no file of them."""
    folder = tmp_path / 'annotate'
    detection = replace(
        stages.prepare_detection('annotate', folder, checkpoint), outcome=None
    )
    write_settings(folder, detection.collect_settings())
    (folder / FINISHED).write_text('{}')
    assert detection.is_done()

    shard = next((folder / 'detections').glob('*.parquet'))
    if is_gone:
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-100])
    assert not detection.is_done()


@pytest.mark.slow
def test_tuning_without_one_of_its_configs_is_not_finished(
    stages, checkpoint, tmp_path
):
    folder = tmp_path / 'annotate'
    tuning = replace(
        stages.prepare_detection('annotate', folder, checkpoint),
        outcome='annotate.py',
    )
    for name in ('annotate.py', 'validate.py', FINISHED):
        (folder / name).write_text('')
    assert tuning.is_finished()

    (folder / 'validate.py').unlink()

    assert not tuning.is_finished()


class IdleLauncher(Launcher):
    """Its tests end at once and do nothing."""

    def make_test(self, *_: object) -> list[str]:
        return ['true']


@pytest.mark.slow
def test_detection_that_ended_without_its_file_is_named(
    stages, checkpoint, tmp_path
):
    folder = tmp_path / 'new'
    detection = stages.prepare_detection('annotate', folder, checkpoint)

    with pytest.raises(StageError, match=f'without writing {folder}/pseudo'):
        replace(detection, launcher=IdleLauncher()).run()


@pytest.mark.slow
def test_labels_that_a_person_put_there_are_used(stages, checkpoint, tmp_path):
    folder = tmp_path / 'annotate'
    annotation = stages.prepare_detection('annotate', folder, checkpoint)
    write_settings(folder, annotation.collect_settings())
    (folder / FINISHED).touch()
    labels = folder / 'pseudo_labels.json'
    text = labels.read_text()
    sha256 = read_origin(labels)['checkpoint_sha256']
    labels.write_text(text.replace(sha256, 64 * '0'))

    assert annotation.is_done()
    labels.unlink()
    assert not annotation.is_done()


@pytest.mark.slow
def test_labels_depend_on_the_images_and_the_labeled_file(
    stages, drawn, checkpoint, tmp_path
):
    annotation = stages.prepare_detection('annotate', tmp_path, checkpoint)
    before = annotation.collect_settings()
    assert annotation.collect_settings() == before

    drawn.write('unlabeled.json', dict(images=drawn.truth['images'][1:]))
    fewer = annotation.collect_settings()
    drawn.write('labeled.json', dict(drawn.labeled, annotations=[]))
    others = annotation.collect_settings()

    assert before['images'] != fewer['images']
    assert before['files'] == fewer['files'] != others['files']


@pytest.mark.slow
def test_corrected_labels_are_planned_to_run_again(
    stages, drawn, checkpoint, tmp_path
):
    folders = {name: tmp_path / name for name in ('teacher', 'annotate')}
    config = Config.fromfile(tmp_path / 'teacher.py')
    labeled = dict(
        type='CheckedCocoDataset',
        ann_file=str(drawn.folder / 'labeled.json'),
        data_prefix=dict(img=str(drawn.folder / 'labeled')),
    )
    config.train_dataloader = dict(dataset=labeled)
    config.train_cfg = dict(max_iters=2)
    config.dump(tmp_path / 'teacher.py')
    trained = stages.prepare_training('teacher', folders['teacher'])
    write_settings(folders['teacher'], trained.collect_settings())
    annotation = stages.prepare_detection(
        'annotate', folders['annotate'], checkpoint
    )
    write_settings(folders['annotate'], annotation.collect_settings())
    (folders['annotate'] / FINISHED).touch()

    def plan() -> list[str]:
        teacher = plan_training(stages, 'teacher', folders['teacher'])
        step = plan_annotation(stages, 'annotate', folders['annotate'], None)
        other = plan_annotation(
            stages, 'annotate', folders['annotate'], checkpoint
        )
        return [teacher.text, step.text, other.text]

    before = plan()
    image = drawn.truth['images'][0]
    boxes = [
        (list(map(float, one['bbox'])), 'red', {})
        for one in drawn.truth['annotations']
        if one['image_id'] == image['id']
    ]
    corrected = CorrectedImage(image['file_name'], None, boxes)
    unlabeled = dict(images=drawn.truth['images'])
    for number, one in enumerate(drawn.labeled['images']):
        one['file_name'] = f'old{number}.png'
    updated = update_sets(drawn.labeled, unlabeled, [corrected])
    drawn.write('labeled.json', updated.labeled)
    drawn.write('unlabeled.json', updated.unlabeled)

    assert 'again' not in before[0]
    assert before[1:] == ['5 images', 'done']
    teacher, fresh, _ = plan()
    assert ', again: ' in teacher
    assert teacher.endswith('labeled.json has changed')
    assert fresh == '4 images'


@pytest.fixture
def said(caplog) -> pytest.LogCaptureFixture:
    """What is logged."""
    caplog.set_level('INFO', LOG.name)
    return caplog


@pytest.fixture
def tunable(checkpoint, tmp_path, stages_here) -> Stages:
    """An experiment with a tune.py and enough images; the toy teaches."""
    drawn = DrawnImages(tmp_path / 'many', MIN_TUNING_IMAGES)
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.custom_imports = dict(
        imports=['projects.data_distillation', 'builders']
    )
    for stage in ('teacher', 'annotate', 'student'):
        cfg.dump(tmp_path / f'{stage}.py')
    cfg.custom_hooks[0].update(type='DetectionHook')
    cfg.test_dataloader.dataset.ann_file = str(drawn.folder / 'truth.json')
    cfg.dump(tmp_path / 'validate.py')
    cfg.model.keep_views = True
    cfg.custom_hooks[0].update(
        type='TuneHook',
        ann_file=str(drawn.folder / 'truth.json'),
        mergers=[dict(type='NMSMerger')],
    )
    cfg.dump(tmp_path / 'tune.py')
    return Stages(Experiment(tmp_path), Launcher())


@pytest.mark.slow
def test_annotation_has_the_views_that_tuning_chose(
    tunable, checkpoint, tmp_path
):
    tuned = tunable.tune(tmp_path / 'work/tune', checkpoint)

    annotate_py = tmp_path / 'work/tune/annotate.py'
    assert tuned.experiment.config('annotate') == annotate_py
    assert len(tuned.experiment.load('annotate').model.views) == 1
    assert len(tunable.experiment.load('annotate').model.views) == 6
    labels = tuned.annotate(tmp_path / 'work/annotate', checkpoint)
    assert len(read_origin(labels)['views']) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ('num', 'images'), [(2, [0, 10]), (3, [0, 6, 13]), (50, range(20))]
)
def test_few_images_are_spread_over_all(
    tunable, checkpoint, tmp_path, num, images
):
    names = list(tunable.experiment.build_images('annotate').map_image_ids())

    few = tunable.with_few_images(num)

    def build(stage: str):
        detection = few.prepare_detection(stage, tmp_path, checkpoint)
        return detection.experiment.build_images(stage)

    assert list(build('annotate').map_image_ids()) == [
        names[n] for n in images
    ]
    # Their indices are no indices of others.
    assert len(build('validate')) == MIN_TUNING_IMAGES


@pytest.mark.slow
def test_labels_are_judged_with_the_boxes_of_tuning(
    tunable, checkpoint, tmp_path
):
    tuned = tunable.tune(tmp_path / 'work/tune', checkpoint)
    labels = tuned.annotate(tmp_path / 'work/annotate', checkpoint)
    # The teacher would find nothing any more.
    for file in (tmp_path / 'many/unlabeled').iterdir():
        file.write_bytes(b'')

    expected = tuned.expect(tmp_path / 'work/validate', checkpoint, labels)

    # As many as tuning has: none was run again.
    shards = [
        len(list((tmp_path / 'work' / stage).rglob('*.parquet')))
        for stage in ('tune', 'validate')
    ]
    assert shards[0] == shards[1]
    assert expected.num_images == MIN_TUNING_IMAGES
    assert expected.precision.value == 1
    assert expected.recall.value == 1


@pytest.mark.slow
@pytest.mark.parametrize('is_kept', [True, False])
def test_selection_counts_on_the_boxes_of_tuning(
    tunable, checkpoint, tmp_path, is_kept
):
    validation = dict(detections='', ann_file=f'{tmp_path}/many/truth.json')
    with (tmp_path / 'annotate.py').open('a') as file:
        selection = dict(validation=validation, calibrates_boxes=True)
        file.write(f"\ncustom_hooks[0]['selection'] = {selection}\n")
    tuned = tunable.tune(tmp_path / 'work/tune', checkpoint)
    if not is_kept:
        shutil.rmtree(tmp_path / 'work/tune/detections')
    # The images to annotate are the same ones.
    for file in (tmp_path / 'many/unlabeled').iterdir():
        file.write_bytes(b'')

    failed = 'annotate' if is_kept else 'validate'
    with pytest.raises(StageError, match=f'{failed} failed'):
        tuned.annotate(tmp_path / 'work/annotate', checkpoint)

    table = DetectionStore(tmp_path / 'work/validate/detections').read()
    # Without the boxes, it fails at the first images.
    num_read = table['unreadable'].null_count
    assert num_read == (MIN_TUNING_IMAGES if is_kept else 0)


@pytest.mark.slow
def test_views_that_were_changed_after_tuning_are_used(
    tunable, checkpoint, tmp_path
):
    folder = tmp_path / 'work'
    tuned = tunable.tune(folder / 'tune', checkpoint)
    for stage in ('annotate', 'validate'):
        with (folder / 'tune' / f'{stage}.py').open('a') as file:
            file.write("\nmodel['views'] = [[]]\n")

    labels = tuned.annotate(folder / 'annotate', checkpoint)
    expected = tuned.expect(folder / 'validate', checkpoint, labels)

    store = DetectionStore(folder / 'validate/detections')
    assert store.provenance['views'] == [[]]
    assert expected.num_images == MIN_TUNING_IMAGES


@pytest.mark.slow
def test_labels_are_not_judged_without_validation(
    tunable, checkpoint, tmp_path
):
    (tmp_path / 'validate.py').unlink()

    assert tunable.expect(tmp_path / 'work', checkpoint, tmp_path) is None


@pytest.mark.slow
def test_finished_tuning_is_not_repeated(tunable, checkpoint, tmp_path, said):
    folder = tmp_path / 'work/tune'
    tunable.tune(folder, checkpoint)
    assert 'already done' not in said.text

    tunable.tune(folder, checkpoint)
    assert 'tune: already done' in said.text

    # Without its outcome it is not finished, but needs no inference.
    shards = set((folder / 'detections').iterdir())
    (folder / 'annotate.py').unlink()
    tunable.tune(folder, checkpoint)
    assert set((folder / 'detections').iterdir()) == shards
    assert (folder / 'annotate.py').is_file()


@pytest.mark.slow
def test_choice_of_a_copied_experiment_inherits_from_it(
    tunable, checkpoint, tmp_path, said
):
    folder = tmp_path / 'work/tune'
    tunable.tune(folder, checkpoint)
    shards = set((folder / 'detections').iterdir())
    (tmp_path / 'copy').mkdir()
    for config in tmp_path.glob('*.py'):
        shutil.copy(config, tmp_path / 'copy')
    copied = replace(tunable, experiment=Experiment(tmp_path / 'copy'))

    copied.tune(folder, checkpoint)

    for stage in ('annotate', 'validate'):
        text = (folder / f'{stage}.py').read_text()
        assert f"_base_ = '{tmp_path}/copy/{stage}.py'" in text
    assert set((folder / 'detections').iterdir()) == shards
    assert 'runs again with its detections, since experiment was' in said.text


@pytest.mark.slow
def test_tuning_is_left_out_if_it_is_not_wanted(tunable, checkpoint, tmp_path):
    unwanted = replace(tunable, tunes=False)

    assert unwanted.tune(tmp_path / 'work/tune', checkpoint) is unwanted


@pytest.mark.slow
def test_experiment_without_candidates_is_not_tuned(
    tunable, checkpoint, tmp_path
):
    (tmp_path / 'tune.py').unlink()

    assert tunable.tune(tmp_path / 'work/tune', checkpoint) is tunable


@pytest.mark.slow
def test_few_images_are_too_few_to_tune_by(
    tunable, checkpoint, tmp_path, said
):
    with (tmp_path / 'tune.py').open('a') as file:
        file.write("\ntest_dataloader['dataset']['indices'] = 19\n")

    assert tunable.tune(tmp_path / 'work/tune', checkpoint) is tunable
    assert '19 validation images are fewer than 20' in said.text


@pytest.mark.slow
def test_as_many_images_as_needed_are_enough_to_tune_by(tunable):
    assert tunable.can_tune()


@pytest.mark.slow
def test_plan_has_the_images_and_views_of_tuning(tunable, tmp_path):
    step = plan_tuning(tunable, 'tune', tmp_path / 'work/tune', None)

    assert step == PlannedStage('tune', '20 images, 6 views', images=20)
    with (tmp_path / 'annotate.py').open('a') as file:
        file.write("\nmodel['views'] = model['views'][:3]\n")
    assert plan_tuning(tunable, 'tune', tmp_path, None).images == 40


@pytest.mark.slow
@pytest.mark.parametrize('stage', ['tune', 'validate'])
def test_images_that_are_labeled_too_are_not_used(
    tunable, checkpoint, tmp_path, said, stage
):
    folder = tmp_path / 'many'
    known = dict(
        ann_file=str(folder / 'truth.json'),
        img_prefix=str(folder / 'unlabeled'),
    )
    with (tmp_path / f'{stage}.py').open('a') as file:
        file.write(f"\ncustom_hooks[0]['labeled'] = {known}\n")

    if stage == 'tune':
        assert tunable.tune(tmp_path / 'work', checkpoint) is tunable
    else:
        assert tunable.expect(tmp_path / 'work', checkpoint, tmp_path) is None
    assert f'{stage}: left out, since' in said.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ('evaluator', 'key'),
    [
        (dict(type='CocoMetric'), 'test_evaluator.outfile_prefix'),
        (dict(type='VOCMetric'), None),
        ([], None),
        (
            [dict(type='VOCMetric'), dict(type='mmdet.CocoMetric')],
            'test_evaluator.1.outfile_prefix',
        ),
    ],
)
def test_evaluation_writes_the_detections_if_it_can(evaluator, key):
    assert find_results_key(Config(dict(test_evaluator=evaluator))) == key


@pytest.mark.slow
@pytest.mark.parametrize('is_changed', [True, False])
def test_labels_that_somebody_has_chosen_are_kept(
    tunable, checkpoint, tmp_path, said, is_changed
):
    folder = tmp_path / 'work/annotate'
    labels = tunable.annotate(folder, checkpoint)
    if is_changed:
        labels.write_text(labels.read_text() + ' ')
    chosen = labels.read_bytes()

    # As they are used as long as nothing else has changed.
    tunable.annotate(folder, checkpoint)
    assert labels.read_bytes() == chosen
    assert ('it is used as it is' in said.text) == is_changed

    few = tunable.with_few_images(3)
    few.annotate(folder, checkpoint)
    assert labels.read_bytes() != chosen
    kept = list((tmp_path / 'work/replaced').rglob('pseudo_labels.json'))
    assert [file.read_bytes() for file in kept] == [chosen] * is_changed
    assert ('is not what the stage wrote last' in said.text) == is_changed
