"""Which options of the command line go with labeled images, and which not."""

from pathlib import Path

import pytest
from builders import load_tool

from projects.data_distillation.experiment.creation.new_experiment import (
    check_written,
    write_experiment,
)

LABELED = '--labeled l.json --labeled-images i --val v.json --val-images v '
FREE = '--teacher t.pth '


def write(options: str, monkeypatch) -> None:
    line = f'tool out --detector d.py --unlabeled u {options}'
    monkeypatch.setattr('sys.argv', line.split())
    args = vars(load_tool('init_experiment').parse_args())
    write_experiment(Path('nowhere/out'), 'd.py', args)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('', r'name the labeled images \(--labeled\), or a teacher that'),
        (
            FREE,
            r'how many objects an image has: .*\(--per-image\), or .*--m',
        ),
        (f'{FREE} --per-image 3 --min-score 0.3', 'two ways to select'),
        (f'{FREE} --per-image 3 --ratio 1 1', '--ratio 1.0 1.0 is that of'),
        (f'{FREE} --per-image a=x', "CLASS=N for each, got 'x' for a number"),
        (f'{FREE} --min-score nan', "CLASS=S for each, got 'nan' for a nu"),
        (f'{FREE} --labeled-images i', '--labeled-images goes only with --la'),
        (f'{FREE} --leave-out t.json', '--leave-out goes only with --labeled'),
        (f'{FREE} --annotate-empty', '--annotate-empty goes only with --labe'),
        ('--labeled l.json', '--labeled needs --labeled-images too'),
        (LABELED.replace('--val v.json', ''), '--labeled needs --val too'),
        (
            LABELED.replace('--val-images v', ''),
            '--labeled needs --val-image',
        ),
        (f'{LABELED} --classes a', 'only without --labeled: l.json has the c'),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options, message, monkeypatch
):
    with pytest.raises(ValueError, match=message):
        write(options, monkeypatch)


@pytest.mark.parametrize(
    'options', [LABELED, f'{FREE} --per-image 3', f'{FREE} --min-score 0.3']
)
def test_options_that_go_together_come_as_far_as_the_detector(
    options, monkeypatch
):
    with pytest.raises(FileNotFoundError, match=r'd\.py'):
        write(options, monkeypatch)


def test_nothing_is_left_of_an_experiment_that_cannot_be_run(tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'teacher.py').touch()

    with pytest.raises(FileNotFoundError, match='is no experiment with'):
        check_written(out)

    assert not out.exists()
