"""distill.py, as real processes, on a tiny experiment."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builders import ONE_CORE, ROOT, load_tool, run
from mmengine.config import Config

from projects.data_distillation.experiment.processes import process
from projects.data_distillation.experiment.processes.child_process import (
    ChildProcess,
)
from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.model_evaluation import (
    mark_evaluated,
)
from projects.data_distillation.experiment.stages.run import (
    count_labels,
    is_better,
    warn_of_no_labels,
)
from projects.data_distillation.experiment.stages.training import (
    Training,
    is_teacher_control,
    link_control,
)
from projects.data_distillation.files.digest import compute_sha256
from projects.data_distillation.files.lock import locked
from projects.data_distillation.pseudo_labels.selection.coco_writer import (
    read_origin,
)
from projects.data_distillation.training.finished import (
    find_ending,
    mark_finished,
)
from projects.data_distillation.training.resume import find_weights_fault

# The first test that looks at `done` waits for all stages, as processes.
pytestmark = pytest.mark.timeout(600)
MODELS = ('teacher', 'student')
CONTROL_CONFIG = 'supervised_long.py'
SEED = '--seed', 1
CFG_OPTION = 'default_hooks.logger.interval=1'


def distill(experiment: Path, work_dir: str, *options: object):
    return run(
        *ONE_CORE, 'python', ROOT / 'tools/distill.py', experiment.name,
        '--work-dir', work_dir, '--no-rehearsal', *options,
        '--cfg-options', CFG_OPTION,
        cwd=experiment.parent,
    )  # fmt: skip


@pytest.fixture
def distill_here(call_tool) -> Callable:
    """distill.py in this process, for what starts no stage."""

    def call(experiment: Path, work_dir: str, *options: object):
        return call_tool(
            'distill', experiment.name, '--work-dir', work_dir, *options,
            '--no-rehearsal', '--cfg-options', CFG_OPTION,
            cwd=experiment.parent,
        )  # fmt: skip

    return call


@pytest.fixture(scope='module')
def done(tiny_experiment):
    """All stages, run once."""
    done = distill(tiny_experiment, 'work', *SEED)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done


@pytest.fixture
def work(tiny_experiment, done, tmp_path) -> Path:
    """A copy of the results of all stages."""
    return shutil.copytree(tiny_experiment.parent / 'work', tmp_path / 'copy')


@pytest.fixture
def results(tiny_experiment, done) -> Path:
    """The results of all stages, to look at."""
    return tiny_experiment.parent / 'work'


@pytest.mark.slow
def test_models_of_all_stages_are_compared(results, done):
    summary = json.loads((results / 'summary.json').read_text())

    table = done.stdout.split('Comparison')[-1]
    assert summary.keys() == {
        *MODELS,
        *('gap_closed', 'gain_over_control', 'pseudo_labels'),
        *('expected_labels', 'gains', 'best_model'),
    }
    for model in MODELS:
        assert 0 <= summary[model]['bbox_mAP'] <= 1
        assert model in table


@pytest.mark.slow
def test_oracle_is_trained_beside_what_is_done(
    tiny_experiment, work, distill_here, stages_here
):
    done = distill_here(tiny_experiment, work, '--oracle', *SEED)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    train, test = [x for x in done.stdout.splitlines() if '$ ' in x]
    assert 'train.py experiment/oracle.py ' in train
    assert 'test.py experiment/oracle.py ' in test
    summary = json.loads((work / 'summary.json').read_text())
    assert summary['oracle'].keys() == summary['student'].keys()
    assert 'oracle' in done.stdout.split('Comparison')[1]
    dumped = Config.fromfile(work / 'oracle/oracle.py')
    assert dumped.default_hooks.logger.interval == 1


@pytest.mark.slow
def test_pseudo_labels_are_written_and_judged(results, done):
    summary = json.loads((results / 'summary.json').read_text())

    quality = summary['pseudo_labels']
    # Of two batches of 8 images, 7 of 10 are pseudo-labeled.
    assert quality.pop('passes') == pytest.approx(2 * 8 * 0.7 / 4)
    assert quality.keys() == {'images', 'instances', 'precision', 'recall'}
    assert quality['images'] == 4
    assert list((results / 'annotate' / 'detections').glob('*.parquet'))
    # Two iterations teach nothing.
    assert 'warning: there is no pseudo label on 4 images' in done.stdout


@pytest.mark.slow
def test_student_is_compared_with_its_teacher(results, done):
    summary = json.loads((results / 'summary.json').read_text())

    assert summary['gains'].keys() == {'teacher'}
    assert summary['gains']['teacher']['value'] == pytest.approx(
        summary['student']['bbox_mAP'] - summary['teacher']['bbox_mAP'],
        abs=0.001,
    )
    assert 'student - teacher: ' in done.stdout
    best = (results / 'best_model.pth').resolve()
    assert best.parent.name == summary['best_model']


@pytest.mark.slow
@pytest.mark.parametrize('model', MODELS)
def test_every_training_can_leave_out_what_nobody_checked(results, model):
    """`tools/train.py` adds the hook; the teacher's config has none."""
    (file,) = results.glob(f'{model}/*/vis_data/config.py')

    hook = Config.fromfile(file).default_hooks.ignore_regions

    assert hook.type == 'mmdet.IgnoreRegionsHook'


@pytest.mark.slow
def test_report_has_the_errors_of_both_on_the_validation_images(results):
    page = (results / 'report.html').read_text()

    assert 'The boxes of teacher, student on ' in page
    assert 'are not shown: ' not in page


@pytest.mark.slow
def test_quality_of_the_labels_is_expected_before_the_student(results, done):
    summary = json.loads((results / 'summary.json').read_text())

    assert summary['expected_labels']['images'] == 2
    before, _ = done.stdout.split('tools/train.py experiment/student.py')
    assert 'Expected quality of the labels' in before


@pytest.mark.slow
def test_what_decides_is_told_before_the_student(results, done):
    before, _ = done.stdout.split('tools/train.py experiment/student.py')

    assert '\nteacher: 0.0 mAP' in before
    assert re.search(r'class .* min_score .* kept', before)
    assert re.search(r'warning: class .* has no pseudo label', before)
    assert 'became pseudo labels: work/annotate/pseudo_labels.json' in before
    assert 'sees each pseudo-labeled image 2.8 times' in before


@pytest.mark.slow
def test_preview_shows_the_labels_of_a_few_images(
    tiny_experiment, work, distill_here, stages_here
):
    shown = distill_here(tiny_experiment, work, '--preview', 2, *SEED)

    assert shown.returncode == 0, shown.stderr
    folder = work / 'preview'
    labels = json.loads((folder / 'pseudo_labels.json').read_text())
    assert len(labels['images']) == 2
    assert shown.stdout.splitlines()[-2:] == [
        f'report: {folder}/report.html',
        'to annotate all images, repeat the command without --preview',
    ]
    assert 'train.py' not in shown.stdout
    assert (folder / 'report.html').is_file()


@pytest.mark.slow
def test_student_has_the_seed_and_the_labels_of_this_run(results):
    student = Config.fromfile(results / 'student' / 'student.py')

    parts = student.train_dataloader.dataset.datasets
    assert student.randomness.seed == 1
    assert parts[1].ann_file == 'work/annotate/pseudo_labels.json'


@pytest.mark.slow
@pytest.mark.parametrize('stage', [*MODELS, 'annotate'])
def test_options_reach_every_stage(results, stage):
    dumped = Config.fromfile(results / stage / f'{stage}.py')

    assert dumped.default_hooks.logger.interval == 1


class Failing(ChildProcess):
    """A stage that fails at once, to see its command only."""

    def run(self) -> int:
        return 1


@pytest.mark.slow
def test_on_a_cpu_every_core_annotates(
    tiny_experiment, work, distill_here, monkeypatch
):
    num_cores = min(len(os.sched_getaffinity(0)), 8)
    if num_cores == 1:
        pytest.skip('this machine has one core')
    shutil.rmtree(work / 'annotate')
    monkeypatch.setattr(process, 'ChildProcess', Failing)

    failed = distill_here(tiny_experiment, work, *SEED)

    started = f'dist_test.sh experiment/annotate.py {work}/teacher/iter_2.pth'
    assert f'{started} {num_cores} --work-dir' in failed.stdout


@pytest.mark.slow
def test_log_has_the_commands_and_their_times(results):
    log = (results / 'distill.log').read_text()

    assert log.count('$ ') == log.count(': took 0:') == 6
    assert 'Epoch(train)' not in log
    assert log.splitlines()[0][:2] == '20'  # The time of each.


@pytest.mark.slow
def test_log_ends_with_the_table_and_the_report(results, done):
    log = (results / 'distill.log').read_text()

    *table, page = log.split('Comparison')[1].splitlines()
    assert '\n'.join(table) in done.stdout
    assert page.endswith(' report: work/report.html')
    assert (results / 'report.html').is_file()


@pytest.mark.slow
def test_what_is_done_is_not_done_again(
    tiny_experiment, done, work, distill_here
):
    again = distill_here(tiny_experiment, work, *SEED)

    assert again.returncode == 0, again.stderr
    assert '$ ' not in again.stdout
    table = again.stdout.split('Comparison')[1].split('report:')[0]
    assert table in done.stdout


@pytest.mark.slow
def test_metrics_that_somebody_has_changed_are_not_used(
    tiny_experiment, done, work, distill_here, stages_here
):
    (metrics,) = (work / 'teacher/test').glob('*/[0-9]*.json')
    metrics.write_text(json.dumps({'coco/bbox_mAP': 0.9}))
    # As if the clock had jumped back since.
    metrics.parent.rename(metrics.parents[1] / '2999')

    again = distill_here(tiny_experiment, work, *SEED)

    assert again.returncode == 0, again.stderr
    assert (
        'teacher, evaluated: runs again, since its results are not what the '
        'evaluation wrote' in again.stdout
    )
    assert again.stdout.count('$ ') == 1
    table = again.stdout.split('Comparison')[1].split('report:')[0]
    assert table in done.stdout
    kept = work / 'teacher/replaced/test-1/2999'
    assert (kept / metrics.name).is_file()


@pytest.mark.slow
def test_half_done_stage_goes_on(
    tiny_experiment, work, distill_here, stages_here
):
    (work / 'student' / 'finished').unlink()
    (work / 'student' / 'last_checkpoint').write_text('iter_1.pth')

    again = distill_here(tiny_experiment, work, *SEED)

    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    train, test = [x for x in again.stdout.splitlines() if '$ ' in x]
    assert 'train.py experiment/student.py ' in train
    assert f'--resume {work}/student/iter_1.pth' in train
    assert 'test.py experiment/student.py /' in test
    output = (work / 'student/console.log').read_text()
    assert 'resumed epoch: 0, iter: 1' in output
    assert (work / 'student' / 'finished').is_file()


@pytest.mark.slow
def test_stage_whose_last_checkpoint_is_torn_trains_to_its_end(
    tiny_experiment, work, distill_here, stages_here
):
    last = work / 'student/iter_2.pth'
    whole = torch.load(last, weights_only=False)['state_dict']
    torn = last.read_bytes()[:-100]
    last.write_bytes(torn)

    again = distill_here(tiny_experiment, work, *SEED)

    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert (
        'student: trains to its end again, since iter_2.pth is not what the '
        'training wrote' in again.stdout
    )
    assert f'--resume {work}/student/iter_1.pth' in again.stdout
    weights = torch.load(last, weights_only=False)['state_dict']
    assert all(torch.equal(weights[name], whole[name]) for name in whole)
    # Nothing is deleted.
    assert (work / 'replaced/student-1/iter_2.pth').read_bytes() == torn
    assert find_ending(work / 'student').checkpoint == last


@pytest.mark.slow
def test_training_whose_loss_is_no_number_ends(
    tiny_experiment, tmp_path, distill_here, stages_here
):
    work = tmp_path / 'work'

    diverged = distill_here(
        tiny_experiment,
        work,
        '--cfg-options',
        'optim_wrapper.optimizer.lr=1e38',
    )

    assert diverged.returncode == 1
    assert 'the training has diverged at iteration ' in diverged.stderr
    assert 'optim_wrapper.optimizer.lr, here 1e+38' in diverged.stderr
    assert diverged.stdout.count('$ ') == 1
    assert not (work / 'teacher/finished').exists()
    # The next run does not go on from weights that are no numbers.
    for file in (work / 'teacher').glob('*.pth'):
        assert find_weights_fault(file) == ''


@pytest.mark.slow
def test_labels_of_another_teacher_are_not_used(
    tiny_experiment, work, distill_here, stages_here
):
    labels = work / 'annotate/pseudo_labels.json'
    before = read_origin(labels)['checkpoint_sha256']
    # To save space, and then another teacher.
    shutil.rmtree(work / 'annotate/detections')
    content = torch.load(work / 'teacher/iter_2.pth', weights_only=False)
    next(iter(content['state_dict'].values()))[:] += 1
    torch.save(content, work / 'teacher/iter_2.pth')
    mark_finished(work / 'teacher', work / 'teacher/iter_2.pth')

    again = distill_here(tiny_experiment, work, *SEED)

    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    for stage in ('annotate', 'validate', 'teacher, evaluated'):
        assert f'{stage}: runs again, since checkpoint_sha256' in again.stdout
    sha256 = compute_sha256(work / 'teacher/iter_2.pth')
    assert read_origin(labels)['checkpoint_sha256'] == sha256 != before
    assert (work / 'replaced/annotate-1/pseudo_labels.json').is_file()


@pytest.mark.slow
def test_odd_names_are_not_misread(
    tiny_experiment, work, distill_here, stages_here
):
    """The hook makes the dataset of the training at the evaluation too."""
    odd = work.rename(work.with_name('o d,[d]=(n "a\'m {e %s'))
    shutil.rmtree(odd / 'student')
    # What a parser that drops spaces would find.
    other = Path(str(odd).replace(' ', '')) / 'annotate'
    other.mkdir(parents=True)
    (other / 'pseudo_labels.json').write_text('{}')
    experiment = shutil.copytree(
        tiny_experiment, tiny_experiment.with_name('with hook'),
        dirs_exist_ok=True,
    )  # fmt: skip
    with (experiment / 'student.py').open('a') as config:
        config.write(
            'default_hooks = dict(stop=dict(type="EarlyStoppingHook", '
            'monitor="coco/bbox_mAP"))\n'
        )

    done = distill_here(experiment, odd, *SEED)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    for stage in ('student', 'student/test'):
        student = Config.fromfile(odd / stage / 'student.py')
        parts = student.train_dataloader.dataset.datasets
        assert parts[1].ann_file == f'{odd}/annotate/pseudo_labels.json'
        assert student.randomness.seed == 1


def test_second_start_in_a_folder_is_refused(
    tiny_experiment, tmp_path, distill_here
):
    with locked(tmp_path / 'seed2'):
        for folder, options in (
            (tmp_path / 'seed2', SEED),
            (tmp_path, ('--seeds', 1, 2)),
        ):
            refused = distill_here(tiny_experiment, folder, *options)

            assert refused.returncode == 1
            assert f'{tmp_path}/seed2 is in use by process' in refused.stderr
            assert not refused.stdout


@pytest.mark.slow
def test_results_of_another_seed_are_refused(
    tiny_experiment, work, distill_here
):
    refused = distill_here(tiny_experiment, work, '--seed', 2)

    assert refused.returncode == 1
    why = f'{work}/teacher holds results of seed 1, got seed 2'
    assert why in refused.stderr
    assert 'go on with them with --seed 1' in refused.stderr
    assert '$ ' not in refused.stdout
    for options in ((), ('--dry-run',)):
        refused = distill_here(tiny_experiment, work, *options)
        assert why.replace('got seed 2', 'got seed 0') in refused.stderr


def test_seed_is_that_of_the_configs_or_zero(
    tiny_experiment, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    choose_seed = load_tool('distill').choose_seed
    experiment = shutil.copytree(tiny_experiment, tmp_path / 'seeded')

    assert choose_seed(Experiment(experiment), tmp_path) == 0
    # Earlier versions took one by chance, unless it was given.
    (tmp_path / 'settings.json').write_text('{"seed": null}')
    assert choose_seed(Experiment(experiment), tmp_path) is None
    (tmp_path / 'settings.json').write_text('{"seed": 3}')
    assert choose_seed(Experiment(experiment), tmp_path) == 0
    with (experiment / 'teacher.py').open('a') as config:
        config.write('randomness = dict(seed=7)\n')
    assert choose_seed(Experiment(experiment), tmp_path) is None


@pytest.mark.slow
def test_selection_is_done_again_without_inference(
    tiny_experiment, work, distill_here, stages_here
):
    config = tiny_experiment / 'annotate.py'
    before = config.read_text()
    config.write_text(
        f'{before}\ncustom_hooks = [dict(_base_.custom_hooks[0], '
        'selection=dict(selector=dict(type="MatchedSelector", floor=0.3)))]\n'
    )

    again = distill_here(tiny_experiment, work, *SEED)

    config.write_text(before)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert 'annotate: runs again with its detections, since custom_hooks' in (
        again.stdout
    )
    output = (work / 'annotate/console.log').read_text()
    assert '4 of 4 images are in' in output
    labels = work / 'annotate/pseudo_labels.json'
    used = read_origin(labels)['selection']['selector']
    assert used == dict(type='MatchedSelector', floor=0.3)
    # The labels are the same, so the student is, too.
    assert again.stdout.count('$ ') == 1
    assert 'student: already trained' in again.stdout


@pytest.mark.slow
def test_other_labels_make_another_student(
    tiny_experiment, work, distill_here, stages_here
):
    file = work / 'annotate/pseudo_labels.json'
    labels = json.loads(file.read_text())
    label = dict(
        id=1, category_id=1, bbox=[9, 9, 20, 30], area=600, iscrowd=0, score=1
    )
    label['image_id'] = labels['images'][0]['id']
    file.write_text(json.dumps(dict(labels, annotations=[label])))
    student = (work / 'student/iter_2.pth').read_bytes()

    again = distill_here(tiny_experiment, work, *SEED)

    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert 'student: runs again, since pseudo_labels.json has changed' in (
        again.stdout
    )
    assert again.stdout.count('$ ') == 2  # To train and to evaluate.
    assert '1 pseudo labels on 4 images' in again.stdout
    # The student of the labels before is not thrown away.
    kept = work / 'replaced/student-1'
    assert (kept / 'iter_2.pth').read_bytes() == student


@pytest.mark.slow
def test_rounds_go_on_as_long_as_validation_gains(
    tiny_experiment, work, distill_here, stages_here
):
    (metrics,) = (work / 'teacher/test').glob('*/[0-9]*.json')
    # Worse than any: the first student gains, the second does not.
    metrics.write_text(json.dumps({'coco/bbox_mAP': -1}))
    mark_evaluated(metrics.parents[1])
    # Of a run that went further.
    (work / 'round3/annotate').mkdir(parents=True)

    done = distill_here(tiny_experiment, work, *SEED, '--rounds', 3)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    commands = [line for line in done.stdout.splitlines() if '$ ' in line]
    annotate, validate, train, test = commands
    assert f'--work-dir {work}/round2/validate' in validate
    assert f'annotate.py {work}/student/iter_2.pth' in annotate
    assert f'ann_file": "{work}/round2/annotate/pseudo_labels.json"' in train
    assert f'student.py {work}/round2/student/iter_2.pth' in test
    assert 'the student has 0.0 mAP, its teacher has 0.0' in done.stdout
    summary = json.loads((work / 'summary.json').read_text())
    assert len(summary['rounds']) == 2
    assert 'students of 2 rounds: 0.0, 0.0 mAP' in done.stdout
    # Its labels are not those of this run, so that no report shows them.
    assert not (work / 'round3').exists()
    assert (work / 'replaced/round3-1/annotate').is_dir()


@pytest.mark.slow
def test_seeds_are_run_in_folders_of_their_own(
    tiny_experiment, work, tmp_path, distill_here
):
    seeds = tmp_path / 'seeds'
    for seed in (1, 2):
        folder = shutil.copytree(work, seeds / f'seed{seed}')
        for file in folder.glob('*/settings.json'):
            text = file.read_text().replace('"seed": 1', f'"seed": {seed}')
            file.write_text(text)

    done = distill_here(tiny_experiment, seeds, '--seeds', 1, 2)

    assert done.returncode == 0, done.stderr
    assert '$ ' not in done.stdout
    summary = json.loads((seeds / 'summary.json').read_text())
    assert summary['seeds'].keys() == {'1', '2'}
    assert '0.0 ± 0.0' in done.stdout
    assert (seeds / 'seed2/summary.json').is_file()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--rounds', 0), '--rounds must be at least 1, got 0'),
        (('--seeds', 1), '--seeds needs two or more different seeds, got [1]'),
        (('--seeds', 1, 1), 'got [1, 1]'),
        (('--seed', 1, '--seeds', 1, 2), 'not allowed with argument --seed'),
        (('--preview', 0), '--preview needs at least 1 image'),
        (('--preview', 1, '--seeds', 1, 2), 'does not go with --seeds'),
        (('--preview', 1, '--dry-run'), 'does not go with --preview'),
        (('--gpus', 2), "2 processes need a launcher, got 'none'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tiny_experiment, options, message, distill_here
):
    refused = distill_here(tiny_experiment, 'never', *options)

    assert refused.returncode != 0
    assert message in refused.stderr
    assert not (tiny_experiment.parent / 'never').exists()


def test_bad_data_is_found_before_the_first_training(
    tiny_experiment, distill_here
):
    experiment = tiny_experiment.parent / 'leaking'
    shutil.copytree(tiny_experiment, experiment)
    with (experiment / 'annotate.py').open('a') as config:
        config.write(
            'held_out = dict(ann_file=_base_.unlabeled_truth, '
            "img_prefix=_base_.data_root + 'images/unlabeled/')\n"
            'custom_hooks = [dict(_base_.custom_hooks[0], '
            'held_out=[held_out])]\n'
        )

    refused = distill_here(experiment, 'never')

    assert refused.returncode == 1
    assert '4 of 4 unlabeled images are in' in refused.stderr
    assert '$ ' not in refused.stdout


@pytest.mark.parametrize(
    ('name', 'truth', 'messages'),
    [
        (
            'mistaken',
            '_base_.known_images.labeled.ann_file',
            ['labeled.json lacks 1, the first is 0004.png'],
        ),
        (
            'moved',
            "'none/truth.json'",
            [
                'not found: none/truth.json, relative to',
                'set it to None if the truth is not known',
            ],
        ),
    ],
    ids=['of other images', 'missing'],
)
def test_wrong_truth_is_found_before_the_first_training(
    tiny_experiment, distill_here, name, truth, messages
):
    # Its paths are relative to this folder.
    experiment = tiny_experiment.parent / name
    shutil.copytree(tiny_experiment, experiment)
    with (experiment / 'annotate.py').open('a') as config:
        config.write(f'unlabeled_truth = {truth}')

    refused = distill_here(experiment, 'never')

    assert refused.returncode == 1
    for message in messages:
        assert message in refused.stderr
    assert '$ ' not in refused.stdout


def test_missing_stage_is_named(tmp_path, call_tool):
    refused = call_tool('distill', tmp_path)

    assert refused.returncode == 1
    assert refused.stderr.strip().endswith('annotate.py not found')


def test_module_that_a_config_imports_is_named(
    tiny_experiment, tmp_path, distill_here
):
    experiment = shutil.copytree(tiny_experiment, tmp_path / 'importing')
    with (experiment / 'student.py').open('a') as config:
        config.write("custom_imports = dict(imports='nowhere')\n")

    refused = distill_here(experiment, 'never')

    assert 'nowhere' in refused.stderr.split('error: ')[1]


@pytest.mark.slow
def test_plan_of_what_is_left(
    tiny_experiment, work, distill_here, stages_here
):
    (work / 'student' / 'finished').unlink()
    (work / 'student' / 'last_checkpoint').write_text('iter_1.pth')
    before = sorted(work.rglob('*'))

    done = distill_here(tiny_experiment, work, *SEED, '--control', '--dry-run')

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    rows = [
        [cell.strip() for cell in line.split('│')[1:-1]]
        for line in done.stdout.splitlines()
        if '│' in line
    ]
    assert [row[:2] for row in rows] == [
        ['teacher', 'done'],
        ['annotate', 'done'],
        ['student', '1 of 2 iterations'],
        ['supervised_long', '2 iterations'],
    ]
    assert rows[0][2] == rows[1][2] == '0:00:00'
    assert re.fullmatch(
        r'in all about \d+ min; measured .*: \d+\.\d+ s an iteration .*',
        done.stdout.splitlines()[-1],
    )
    assert sorted(work.rglob('*')) == before


@pytest.mark.slow
def test_teacher_that_is_trained_as_long_is_the_control(
    tiny_experiment, work, distill_here, stages_here
):
    experiment = tiny_experiment.with_name('equal')
    shutil.copytree(tiny_experiment, experiment)
    config, control = experiment / CONTROL_CONFIG, work / 'supervised_long'
    longer = config.read_text()
    config.write_text("_base_ = './teacher.py'\n")
    # What an earlier schedule has left.
    control.mkdir()
    (control / 'settings.json').write_text('{"seed": 1}')

    planned = distill_here(experiment, work, *SEED, '--dry-run')
    done = distill_here(experiment, work, *SEED)

    assert '│ supervised_long │ done with the teacher │ 0:00:00 │' in (
        planned.stdout
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert not [x for x in done.stdout.splitlines() if '$ ' in x]
    assert control.is_symlink()
    assert (work / 'replaced/supervised_long-1').is_dir()
    summary = json.loads((work / 'summary.json').read_text())
    assert summary['supervised_long'] == summary['teacher']
    assert summary['gains'].keys() == {'teacher', 'supervised_long'}

    config.write_text(longer)
    teacher = compute_sha256(work / 'teacher/iter_2.pth')
    again = distill_here(experiment, work, *SEED, '--control')

    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert not control.is_symlink()
    assert (control / 'iter_2.pth').is_file()
    assert compute_sha256(work / 'teacher/iter_2.pth') == teacher


def test_given_teacher_is_no_control(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_experiment.parent)
    experiment = shutil.copytree(tiny_experiment, tmp_path / 'experiment')
    assert not is_teacher_control(Experiment(experiment))
    config = experiment / CONTROL_CONFIG
    config.write_text("_base_ = './teacher.py'\n")

    assert is_teacher_control(Experiment(experiment))
    given = (tmp_path / 'teacher.pth',)
    assert not is_teacher_control(Experiment(experiment, given=given))
    config.unlink()
    assert not is_teacher_control(Experiment(experiment))


def test_control_is_trained_where_no_link_can_be_made(
    tiny_experiment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_experiment.parent)
    experiment = shutil.copytree(tiny_experiment, tmp_path / 'experiment')
    (experiment / CONTROL_CONFIG).write_text("_base_ = './teacher.py'\n")

    def refuse(*args, **kwargs):
        raise OSError(errno.EOPNOTSUPP, 'Operation not supported')

    monkeypatch.setattr(Path, 'symlink_to', refuse)
    folder = tmp_path / 'supervised_long'
    control = Training(
        Experiment(experiment), Launcher(), None, 'supervised_long', folder
    )

    link_control(control)

    assert not folder.is_symlink()


def test_rounds_end_with_a_student_that_is_not_better(caplog):
    low, high = dict(bbox_mAP=0.25), dict(bbox_mAP=0.5)

    with caplog.at_level('INFO', LOG.name):
        assert is_better(low, high)
        assert not caplog.messages
        assert not is_better(high, high)
        assert not is_better(high, low)

    same, worse = caplog.messages
    assert 'student has 50.0 mAP, its teacher has 50.0' in same
    assert 'student has 25.0 mAP, its teacher has 50.0' in worse


def test_regions_to_ignore_are_no_labels():
    labels = [dict(image_id=1, iscrowd=1), dict(image_id=1, iscrowd=0)]

    found = count_labels(dict(images=[dict(id=1)], annotations=labels))

    assert found == dict(images=1, instances=1)
    assert count_labels(dict(images=[])) == dict(images=0, instances=0)


def test_missing_pseudo_labels_are_warned_of(caplog):
    with caplog.at_level('INFO', LOG.name):
        warn_of_no_labels(dict(images=2000, instances=1))
        assert not caplog.messages
        warn_of_no_labels(dict(images=2000, instances=0))

    assert 'there is no pseudo label on 2,000 images' in caplog.text
