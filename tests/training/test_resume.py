"""A training that was stopped and resumed is one that was never stopped."""

import gc
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import ROOT, process_environ, wait_until, write_scores
from mmengine.config import Config
from mmengine.runner import Runner
from recorder import read_rows

from projects.data_distillation.digits.dataset import Recipe, write_digits
from projects.data_distillation.experiment.processes.process import (
    ChildProcess,
)
from projects.data_distillation.training.resume import (
    ResumeHook,
    SeededBatches,
    count_done,
    find_checksum_fault,
    find_last_checkpoint,
    find_sound_checkpoint,
    find_weights_fault,
    mend_last_checkpoint,
    set_seeds,
)

STAGE = """
_base_ = '{config}'
custom_imports = dict(imports=['projects.data_distillation', 'recorder'])
train_cfg = dict(max_iters=6, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=3))
train_dataloader = dict(batch_size=2)
"""


@pytest.fixture(scope='module')
def experiment(tmp_path_factory) -> Path:
    """The digits experiment: some images, checkpoints at 2, 4 and 6."""
    folder = tmp_path_factory.mktemp('resume')
    images = dict(labeled=3, unlabeled=4, val=1)
    # Where configs/digits expects them.
    write_digits(folder / 'data/digits', recipe=Recipe(images=images))
    write_scores(folder / 'data/digits/annotations/unlabeled_truth.json')
    for config in (ROOT / 'configs/digits').glob('*.py'):
        (folder / config.name).write_text(STAGE.format(config=config))
    return folder


def stage_cfg(experiment: Path, stage: str, **recorder: object) -> Config:
    cfg = Config.fromfile(experiment / f'{stage}.py')
    if stage == 'student':
        # With all options of docs/student.md.
        part = cfg.train_dataloader.dataset.datasets[1]
        part.ann_file = f'{cfg.data_root}annotations/pseudo_labels.json'
        part.pipeline.insert(-1, dict(type='StrongAugmentation'))
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', ()),
        dict(type='EMAHook', momentum=0.2, update_buffers=True),
        dict(type='Recorder', **recorder),
    ]
    return cfg


def train(cfg: Config, work_dir: Path, workers: int, seed: int | None):
    """Train in this process."""
    # MMEngine's objects of this name are those of this run.
    cfg.experiment_name = str(work_dir).replace('/', '_')
    cfg.work_dir = str(work_dir)
    cfg.train_dataloader.num_workers = workers
    cfg.randomness = dict(seed=seed)
    Runner.from_cfg(cfg).train()
    # Ends the workers of its loader before another test forks.
    gc.collect()


def checkpoint(file: Path) -> dict:
    return torch.load(file, weights_only=False)


def assert_equal(value: object, expected: object) -> None:
    """Compare nested states, tensors to the last bit."""
    assert type(value) is type(expected)
    if isinstance(value, torch.Tensor):
        assert torch.equal(value, expected)
    elif isinstance(value, dict):
        assert value.keys() == expected.keys()
        for key in value:
            assert_equal(value[key], expected[key])
    elif isinstance(value, list):
        assert len(value) == len(expected)
        for pair in zip(value, expected):
            assert_equal(*pair)
    else:
        assert value == expected


def assert_same_state(file: Path, expected: Path) -> None:
    found, wanted = checkpoint(file), checkpoint(expected)
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_equal(found[part], wanted[part])
    assert_equal(found['param_schedulers'], wanted['param_schedulers'])
    assert found['meta']['iter'] == wanted['meta']['iter']


# A resumed run may have other workers.
@pytest.mark.slow
@pytest.mark.parametrize(
    ('stage', 'seed', 'workers'),
    [('teacher', 3, (0, 0)), ('student', None, (0, 2))],
)
def test_resumed_training_is_equal_to_the_last_bit(
    experiment, tmp_path, monkeypatch, stage, seed, workers
):
    monkeypatch.chdir(experiment)
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    cfg = stage_cfg(experiment, stage, folder=str(tmp_path / 'rows'))
    train(cfg, whole, workers[0], seed)
    resumed.mkdir()
    shutil.copy(whole / 'iter_2.pth', resumed)
    (resumed / 'last_checkpoint').write_text('iter_2.pth')
    cfg = stage_cfg(experiment, stage, folder=str(tmp_path / 'again'))
    cfg.resume = True

    train(cfg, resumed, workers[1], seed)

    expected, found = (
        read_rows(tmp_path / 'rows'),
        read_rows(tmp_path / 'again'),
    )
    assert found.keys() == {f'0_{i}' for i in range(2, 6)}
    assert found == {key: expected[key] for key in found}
    assert_same_state(resumed / 'iter_6.pth', whole / 'iter_6.pth')
    # Neither step nor image meets the same random numbers again.
    rows = expected.values()
    assert len({str(row['numbers']) for row in rows}) == 6
    assert len({pixels for row in rows for pixels in row['pixels']}) == 12


@pytest.mark.slow
def test_validation_changes_neither_numbers_nor_weights(
    experiment, tmp_path, monkeypatch
):
    monkeypatch.chdir(experiment)
    for name, val_begin in (('validated', 1), ('plain', 99)):
        rows = str(tmp_path / f'{name}_rows')
        cfg = stage_cfg(experiment, 'teacher', folder=rows)
        cfg.train_cfg.val_begin = val_begin
        train(cfg, tmp_path / name, workers=0, seed=3)

    (log,) = (tmp_path / 'validated').glob('*/*.log')
    assert log.read_text().count('Iter(val)') == 3
    rows = [read_rows(tmp_path / f'{n}_rows') for n in ('validated', 'plain')]
    assert len(rows[0]) == 6
    assert rows[0] == rows[1]
    files = [tmp_path / n / 'iter_6.pth' for n in ('validated', 'plain')]
    assert_same_state(*files)


def start(*command: object, cwd: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=process_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# With more of them, torch sums the gradients in another order after the first
# step, which shows in the last bit.
NUM_PROCESSES = 2


@dataclass
class Resumed:
    """Two runs of one training: killed, and resumed."""

    folder: Path
    log: str
    # The checkpoint that was torn, as it was before.
    before: Path

    @property
    def work_dir(self) -> Path:
        return self.folder / 'work'

    def rows(self) -> tuple[dict, dict]:
        """What the two runs saw."""
        return tuple(
            read_rows(self.folder / name) for name in ('killed', 'student')
        )


def train_together(
    experiment: Path, folder: Path, name: str, **options
) -> tuple:
    """Train with several processes; return the exit code and the log."""
    cfg = stage_cfg(
        experiment, 'student', folder=str(folder / name), **options
    )
    cfg.dump(folder / f'{name}.py')
    process = start(
        *(ROOT / 'tools/dist_train.sh', folder / f'{name}.py', NUM_PROCESSES),
        *('--work-dir', folder / 'work', '--resume'),
        cwd=experiment,
    )
    log = process.communicate(timeout=120)[0]
    return process.returncode, log


@pytest.fixture(scope='module')
def resumed(experiment, tmp_path_factory) -> Resumed:
    """A training that was killed while it saved, and went on."""
    folder = tmp_path_factory.mktemp('killed')
    _, log = train_together(experiment, folder, 'killed', killed_at=5)
    assert 'SIGKILL' in log, log[-3000:]
    # All but the end is written.
    last = folder / 'work/iter_4.pth'
    before = last.rename(folder / 'before.pth')
    last.write_bytes(before.read_bytes()[:-100])
    code, log = train_together(experiment, folder, 'student')
    assert code == 0, log[-3000:]
    return Resumed(folder, log, before)


@pytest.mark.slow
@pytest.mark.xdist_group('resumed')
def test_killed_processes_go_on_from_the_last_whole_checkpoint(resumed):
    assert 'resumed epoch: 0, iter: 2' in resumed.log
    assert 'continuing from iter_2.pth' in resumed.log
    last = checkpoint(resumed.work_dir / 'iter_6.pth')
    assert last['meta']['iter'] == 6


@pytest.mark.slow
@pytest.mark.xdist_group('resumed')
def test_resumed_processes_see_what_they_would_have_seen(resumed):
    expected, found = resumed.rows()

    both = expected.keys() & found.keys()
    # Iterations 2 and 3, and 4 of those that were quick enough.
    assert len(both) >= 2 * NUM_PROCESSES
    assert {k: found[k] for k in both} == {k: expected[k] for k in both}
    assert_same_state(resumed.work_dir / 'iter_4.pth', resumed.before)


@pytest.mark.slow
@pytest.mark.xdist_group('resumed')
def test_each_process_has_random_numbers_of_its_own(resumed):
    _, found = resumed.rows()

    assert len(found) == 4 * NUM_PROCESSES
    assert len({str(row['numbers']) for row in found.values()}) == len(found)


def saved(folder: Path, *iterations: int) -> Path:
    for iteration in iterations:
        file = folder / f'iter_{iteration}.pth'
        torch.save(dict(weights=torch.zeros(1000)), file)
    return file


def test_checkpoint_is_found_after_the_folder_was_moved(tmp_path):
    assert find_last_checkpoint(tmp_path) is None
    note = tmp_path / 'last_checkpoint'
    note.write_text('/elsewhere/iter_5.pth')
    assert find_last_checkpoint(tmp_path) is None
    saved(tmp_path, 5, 10)

    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_5.pth'


@pytest.mark.parametrize(
    ('name', 'meta', 'done'),
    [
        ('iter_7.pth', dict(iter=5), 5),
        ('mine.pth', dict(iter=5), 5),
        ('iter_7.pth', {}, 7),
        ('mine.pth', {}, 0),
    ],
)
def test_iterations_that_are_done_are_those_of_the_checkpoint(
    tmp_path, name, meta, done
):
    assert count_done(tmp_path) == 0
    torch.save(dict(meta=meta, state_dict={}), tmp_path / name)
    (tmp_path / 'last_checkpoint').write_text(name)

    assert count_done(tmp_path) == done


@pytest.mark.parametrize('name', ['iter_10.pth', 'iter_20.pth', '', None])
@pytest.mark.parametrize('size', [0, 1000, -1])
def test_torn_checkpoint_is_not_taken(tmp_path, name, size):
    torn = saved(tmp_path, 5, 9, 10)
    torn.write_bytes(torn.read_bytes()[:size])
    saved(tmp_path, 11).rename(tmp_path / 'best_coco_iter_11.pth')
    if name is not None:
        (tmp_path / 'last_checkpoint').write_text(name)

    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'


@pytest.mark.parametrize('note', ['iter_10.pth', 'iter_11.pth', None])
def test_training_goes_on_from_weights_that_are_numbers(tmp_path, note):
    assert find_sound_checkpoint(tmp_path) is None
    saved(tmp_path, 5, 9)
    weights = dict(a=torch.tensor([1.0, float('nan')]))
    for part in ('state_dict', 'ema_state_dict'):
        torch.save({part: weights}, tmp_path / 'iter_10.pth')
        if note:
            (tmp_path / 'last_checkpoint').write_text(note)

        assert find_sound_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'


@pytest.mark.parametrize('place', [0.3, 0.5, 0.7])
def test_training_goes_on_from_bytes_that_are_as_written(tmp_path, place):
    damaged = saved(tmp_path, 5, 9)
    content = bytearray(damaged.read_bytes())
    content[int(place * len(content))] ^= 255
    damaged.write_bytes(content)

    assert find_last_checkpoint(tmp_path) == damaged
    assert find_sound_checkpoint(tmp_path) == tmp_path / 'iter_5.pth'
    mend_last_checkpoint(tmp_path)
    note = tmp_path / 'last_checkpoint'
    assert note.read_text() == str(tmp_path / 'iter_5.pth')


@pytest.mark.parametrize('note', [b'\0' * 40, b'/a/iter_9\xff.pth'])
def test_note_that_is_no_text_names_nothing(tmp_path, note):
    saved(tmp_path, 5, 9)
    (tmp_path / 'last_checkpoint').write_bytes(note)

    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'
    mend_last_checkpoint(tmp_path)
    mended = (tmp_path / 'last_checkpoint').read_text()
    assert mended == str(tmp_path / 'iter_9.pth')


@pytest.mark.parametrize(
    ('place', 'byte'),
    [
        (10, 8),  # The compression: zlib,
        (10, 14),  # or LZMA.
        (22, 9),  # The size, compressed
        (26, 9),  # and not.
        (46, 255),  # The name.
    ],
)
def test_training_goes_on_if_the_directory_is_damaged(tmp_path, place, byte):
    damaged = saved(tmp_path, 5, 9)
    content = bytearray(damaged.read_bytes())
    content[content.index(b'PK\1\2') + place] = byte
    damaged.write_bytes(content)

    assert find_sound_checkpoint(tmp_path) == tmp_path / 'iter_5.pth'


def test_zip_file_of_several_disks_is_no_whole_checkpoint(tmp_path):
    damaged = saved(tmp_path, 5, 9)
    content = bytearray(damaged.read_bytes())
    # The locator of the end of the directory, and its number of disks.
    content[content.rindex(b'PK\6\7') + 16] = 2
    damaged.write_bytes(content)

    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_5.pth'


@pytest.mark.parametrize('part', ['state_dict', 'ema_state_dict'])
def test_weights_that_are_no_mapping_are_left_out(tmp_path, part):
    saved(tmp_path, 5)
    torch.save({part: [1.0]}, tmp_path / 'iter_9.pth')

    assert find_sound_checkpoint(tmp_path) == tmp_path / 'iter_5.pth'


class RunsCode:
    def __reduce__(self):
        return os.system, ('true',)


def test_checkpoint_that_could_run_code_is_left_to_the_training(tmp_path):
    # It refuses such a file, or takes it if its user trusts it.
    file = tmp_path / 'iter_5.pth'
    torch.save(dict(state_dict=RunsCode()), file)

    assert find_sound_checkpoint(tmp_path) == file


def test_note_is_changed_only_to_resume(tmp_path):
    saved(tmp_path, 5)
    note = tmp_path / 'last_checkpoint'
    note.write_text('iter_10.pth')

    # Such as tools/test.py, while another process trains and saves.
    ResumeHook().before_run(SimpleNamespace(cfg={}, work_dir=str(tmp_path)))

    assert note.read_text() == 'iter_10.pth'


@pytest.mark.parametrize(
    ('cfg', 'named'),
    [
        (dict(resume=True), 'iter_5.pth'),
        (dict(resume=True, load_from='x'), 'iter_10.pth'),
    ],
)
def test_note_names_a_whole_checkpoint_before_a_run_resumes(
    tmp_path, cfg, named
):
    saved(tmp_path, 5)
    note = tmp_path / 'last_checkpoint'
    note.write_text('iter_10.pth')

    ResumeHook().before_run(SimpleNamespace(cfg=cfg, work_dir=str(tmp_path)))

    assert Path(note.read_text()).name == named


def test_file_that_is_no_checkpoint_has_a_fault(tmp_path):
    file = tmp_path / 'iter_5.pth'
    file.write_bytes(b'PK')
    assert (
        find_checksum_fault(file) == 'cannot be read (File is not a zip file)'
    )
    with zipfile.ZipFile(file, 'w') as records:
        records.writestr('text', 'no weights')
    assert find_checksum_fault(file) == ''
    assert find_weights_fault(file).startswith('cannot be read (')


def test_seeds_differ_by_each_number():
    drawn = set()
    for key in [(0, 0), (0, 1), (1, 0), (0, 0, 1), (1, 1)]:
        set_seeds(*key)
        drawn.add(torch.rand(1).item())

    assert len(drawn) == 5


class Drawn(torch.utils.data.Dataset):
    """Samples that are random numbers of three libraries."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return index, random.random(), np.random.random(), torch.rand(1)


def test_workers_take_turns_with_the_numbers_of_their_batches():
    batches = []
    for num_workers in (0, 2):
        dataset = Drawn()
        dataset.__getitems__ = SeededBatches(dataset, (3, 1), 5)
        loader = torch.utils.data.DataLoader(
            dataset, batch_size=2, num_workers=num_workers
        )
        batches.append([[part.tolist() for part in one] for one in loader])

    assert batches[0] == batches[1]
    assert len({str(one[1:]) for one in batches[0]}) == 4


def test_seeds_are_those_of_each_library():
    (seed,) = np.random.SeedSequence((3, 4)).generate_state(1)
    random.seed(int(seed))
    np.random.seed(seed)
    torch.manual_seed(int(seed))
    expected = random.random(), np.random.rand(), torch.rand(1).item()

    set_seeds(3, 4)

    assert (
        random.random(),
        np.random.rand(),
        torch.rand(1).item(),
    ) == expected


def processes_with(text: str) -> list[str]:
    """Return the commands of the living processes that contain a text."""
    commands = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        with suppress(FileNotFoundError, ProcessLookupError):
            commands.append(file.read_text().replace('\0', ' '))
    return [command for command in commands if text in command]


# Starts a process, and takes its time to end.
SLOW = """
trap 'sleep 0.5; touch {folder}/stopped; exit 7' TERM
touch {folder}/started
tail -f {folder}/started &
wait
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
)
def test_signal_stops_the_command_and_waits_for_it(tmp_path, number):
    slow = SLOW.format(folder=tmp_path)
    child = ChildProcess(['bash', '-c', slow], os.environ)

    def run() -> None:
        # Ignored where the tests run in the background of a shell.
        signal.signal(number, signal.SIG_DFL)
        child.run()

    process = multiprocessing.get_context('fork').Process(target=run)
    process.start()
    wait_until(lambda: len(processes_with(f'{tmp_path}/started')) == 2, 60)

    os.kill(process.pid, number)
    process.join(60)

    assert (tmp_path / 'stopped').is_file()
    assert process.exitcode == 128 + number
    assert processes_with(f'{tmp_path}/started') == []


class StoppedAtOnce(dict):
    """An environment; this process is told to stop when it is handed on.

    It is told so twice, and the first signal counts.
    """

    def items(self):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        return super().items()


def test_signal_before_there_is_a_process_stops_it_too(tmp_path, capsys):
    command = ['bash', '-c', f'sleep 5; touch {tmp_path}/end']

    with pytest.raises(SystemExit, match=f'^{128 + signal.SIGTERM}$'):
        ChildProcess(command, StoppedAtOnce(os.environ)).run()

    assert not (tmp_path / 'end').exists()
    assert (
        'stopped by SIGTERM: run the same command again'
        in capsys.readouterr().out
    )


def test_errors_are_kept_with_the_output(tmp_path):
    command = ['bash', '-c', 'echo said; echo wrong >&2']

    with (tmp_path / 'file').open('wb') as file:
        ChildProcess(command, os.environ, file).run()

    assert (tmp_path / 'file').read_text() == 'said\nwrong\n'


def test_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command = ['bash', '-c', f'kill -HUP {os.getpid()}; exit 3']
        assert ChildProcess(command, os.environ).run() == 3
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_given_back():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    assert ChildProcess(['true'], os.environ).run() == 0

    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert after == before


@pytest.mark.slow
def test_distill_stopped_leaves_no_process_behind(experiment, tmp_path):
    process = start(
        'python', ROOT / 'tools/distill.py', '.', '--work-dir', tmp_path,
        '--launcher', 'pytorch', '--gpus', 2, '--no-rehearsal',
        cwd=experiment,
    )  # fmt: skip
    trainings = f'--work-dir {tmp_path}/teacher'
    started = tmp_path / 'teacher/iter_2.pth'
    wait_until(started.is_file, 200)
    assert len(processes_with(trainings)) == 3  # torchrun and its two.

    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=60)[0]

    assert process.returncode == 128 + signal.SIGTERM
    assert processes_with(trainings) == []
    assert 'stopped by SIGTERM: run the same command again to go on' in log
    assert not (tmp_path / 'teacher/finished').exists()


def test_note_is_mended_or_goes(tmp_path):
    note = tmp_path / 'last_checkpoint'
    note.write_text('iter_9.pth')
    mend_last_checkpoint(tmp_path)
    assert not note.exists()

    torch.save({}, tmp_path / 'iter_3.pth')
    note.write_text('iter_9.pth')
    mend_last_checkpoint(tmp_path)
    assert note.read_text() == str(tmp_path / 'iter_3.pth')
