"""Stages as processes, on a terminal and elsewhere."""

import os
import pty
import re
import subprocess
import sys
import time
from itertools import chain, repeat
from pathlib import Path

import pytest
from builders import ROOT, process_environ, stored_row

from projects.data_distillation.experiment.processes import progress_bar
from projects.data_distillation.experiment.processes.log import (
    LOG,
    log_to,
    say,
)
from projects.data_distillation.experiment.processes.process import (
    StageError,
    make_environment,
    run_stage,
)
from projects.data_distillation.experiment.processes.progress_bar import (
    Counter,
    StoredImages,
    TrainedIterations,
    describe_progress,
    show_bar,
)
from projects.data_distillation.pseudo_labels.detections.shards import (
    write_shard,
)


def test_failure_says_why_and_where_the_output_is(tmp_path):
    code = 'print("a line"); raise ValueError("a reason")'
    (tmp_path / 'console.log').write_text('KeyError: of the run before\n')

    with pytest.raises(StageError, match='ValueError: a reason') as failed:
        run_stage('teacher', ['python', '-c', code], tmp_path)

    first, second = str(failed.value).split('\n')
    assert first.startswith('teacher failed: ValueError: a reason (')
    assert f'output is in {tmp_path}/console.log. ' in second
    assert 'run the same command again' in second


def test_failure_without_a_reason_shows_the_end_of_the_output(tmp_path):
    code = 'print(*range(100), sep="\\n"); exit(3)'

    with pytest.raises(StageError, match='exit code 3') as failed:
        run_stage('teacher', ['python', '-c', code], tmp_path)

    lines = str(failed.value).splitlines()
    assert lines[1:-1] == [str(n) for n in range(88, 100)]


def test_log_is_shown_and_kept_with_the_time(
    tmp_path, monkeypatch, capsys, caplog
):
    for name in ('handlers', 'level', 'propagate'):
        monkeypatch.setattr(LOG, name, getattr(LOG, name))
    file = tmp_path / 'new' / 'distill.log'

    for text in ('first', 'second'):
        log_to(file)
        say(text)

    # Once, though it was started twice.
    assert capsys.readouterr().out == 'first\nsecond\n'
    assert not caplog.records
    times = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d '
    assert re.fullmatch(f'{times}first\n{times}second\n', file.read_text())


def on_terminal(code: str, cwd) -> str:
    """Run Python code whose standard output is a terminal; return that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        cwd=cwd,
        env=dict(
            process_environ(TERM='xterm', COLUMNS='100'), PYTHONPATH=str(ROOT)
        ),
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    text = b''
    while block := read(ours):
        text += block
    process.wait(60)
    os.close(ours)
    return text.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Nobody writes any more.
        return b''


PACKAGE = 'projects.data_distillation.experiment.processes'
CODE = f"""
from pathlib import Path
from {PACKAGE}.log import log_to
from {PACKAGE}.process import run_stage
from {PACKAGE}.progress_bar import Counter
log_to(Path('distill.log'))
counts = iter([10, 20, 30, *[40] * 1000])
command = ['python', '-c', {{child!r}}]
run_stage('teacher', command, Path('w'), Counter(lambda: next(counts), 40))
"""


LINE = 'import time; print("a line"); time.sleep(2.5)'


@pytest.fixture(scope='module')
def stage(tmp_path_factory) -> tuple[str, Path]:
    """What a terminal shows of a stage that prints a line, and its folder."""
    folder = tmp_path_factory.mktemp('stage')
    return on_terminal(CODE.format(child=LINE), folder), folder


@pytest.mark.slow
@pytest.mark.xdist_group('stage')
def test_terminal_shows_how_far_the_stage_is(stage):
    text, _ = stage

    assert re.findall(r'(\d+)/40', text)[:1] == ['10']
    assert {'20/40', '30/40', '40/40'} <= set(re.findall(r'\d+/40', text))
    assert 'left:' in text
    assert 'teacher: took 0:00:0' in text


@pytest.mark.slow
@pytest.mark.xdist_group('stage')
def test_output_of_a_stage_goes_to_a_file(stage):
    text, folder = stage

    assert 'a line' not in text.replace('print("a line")', '')
    assert (folder / 'w/console.log').read_text() == 'a line\n'


@pytest.mark.slow
@pytest.mark.xdist_group('stage')
def test_log_has_no_bar(stage):
    _, folder = stage

    assert '30/40' not in (folder / 'distill.log').read_text()


def test_output_that_is_no_terminal_has_the_same_lines(
    tmp_path, monkeypatch, capsys
):
    for name in ('handlers', 'level', 'propagate'):
        monkeypatch.setattr(LOG, name, getattr(LOG, name))
    log_to(tmp_path / 'distill.log')

    run_stage('teacher', ['python', '-c', 'print("a line")'], tmp_path / 'w')

    # Before version 14, rich ends a bar that is not shown with an empty line.
    lines = capsys.readouterr().out.splitlines()
    command, where, took = filter(None, lines)
    assert command.startswith('$ python ')
    assert where.endswith(f'{tmp_path}/w/console.log')
    assert took.startswith('teacher: took ')


def test_output_that_is_no_terminal_says_how_long_it_takes(
    monkeypatch, caplog
):
    caplog.set_level('INFO', LOG.name)
    monkeypatch.setattr(progress_bar, 'SECONDS_BETWEEN_LINES', 0.01)
    # At first nothing is known, and then there is no more to say.
    counts = chain([10, 10, 10, 20], repeat(30))

    with show_bar('teacher', Counter(lambda: next(counts), 40)):
        while len(caplog.messages) < 3:
            time.sleep(0.01)

    first, second, *_ = caplog.messages
    assert re.fullmatch(r'teacher: 20 of 40 \(50%\), 0:00:0\d left', first)
    assert second.startswith('teacher: 30 of 40 (75%), ')


def test_time_left_follows_from_the_rate():
    line = describe_progress('annotate', 1500, 2000, rate=4)

    assert line == 'annotate: 1,500 of 2,000 (75%), 0:02:05 left'


def test_iterations_of_the_newest_log_count(tmp_path):
    count = TrainedIterations(tmp_path)
    assert count() == 0

    for name, lines in (
        ('20260101_1', '{"loss": 2, "step": 400}\n'),
        (
            '20260101_2',
            '{"loss": 2, "step": 50}\n{"loss": 1, "step": 100}\n'
            '{"coco/bbox_mAP": 0.1, "step": 0}\n{"los',
        ),
    ):
        (tmp_path / name / 'vis_data').mkdir(parents=True)
        (tmp_path / name / 'vis_data/scalars.json').write_text(lines)

    assert count() == 100


def test_images_of_all_whole_shards_count(tmp_path):
    count = StoredImages(tmp_path)
    assert count() == 0

    write_shard(tmp_path / 'a.parquet', [stored_row('1'), stored_row('2')], {})
    (tmp_path / 'b.parquet').write_bytes(b'torn')
    assert count() == 2
    write_shard(tmp_path / 'c.parquet', [stored_row('3')], {})

    assert count() == 3


@pytest.mark.parametrize(
    ('variables', 'policy'),
    [
        ({}, 'passive'),
        (dict(OMP_WAIT_POLICY='active'), 'active'),
        (dict(GOMP_SPINCOUNT='5'), None),
    ],
)
def test_waiting_threads_sleep_unless_told_otherwise(
    monkeypatch, variables, policy
):
    for name in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert make_environment().get('OMP_WAIT_POLICY') == policy


def test_python_is_this_one_wherever_the_path_leads(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    code = 'import os, sys; print(sys.executable, os.environ["STAGE_PYTHON"])'

    run_stage('teacher', ['python', '-c', code], tmp_path)

    found = (tmp_path / 'console.log').read_text().split()
    assert found == [sys.executable] * 2
