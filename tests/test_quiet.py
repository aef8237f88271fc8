"""What libraries print, log and warn of, and what is left of it."""

import io
import logging
import sys
import warnings

import pytest
from builders import annotate_cfg
from mmengine.logging import print_log

from projects.data_distillation.quiet import (
    LOGGED,
    PRINTED,
    QuietRunner,
    Screen,
    is_for_screen,
    quiet_screen,
)


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.mark.parametrize('beginning', PRINTED)
def test_lines_of_libraries_are_left_out(shown, beginning):
    screen = Screen(shown)

    print('before', file=screen)
    print(f'{beginning} and more', file=screen)
    print('after', file=screen)

    assert shown.getvalue() == 'before\nafter\n'


def test_other_text_passes_as_it_is(shown):
    screen = Screen(shown)

    print('index created', '!', file=screen)
    print(file=screen)
    print('no end', end='', file=screen)
    print('', file=screen)
    assert screen.write('as long') == 7

    assert shown.getvalue() == 'index created !\n\nno end\nas long'


def test_end_of_a_line_that_is_left_out_may_come_with_it(shown):
    screen = Screen(shown)

    screen.write('index created!\n')
    screen.write('\n')

    assert shown.getvalue() == '\n'


def test_screen_is_what_its_stream_is(shown):
    assert not Screen(shown).isatty()
    assert Screen(sys.__stdout__).encoding == sys.__stdout__.encoding


@pytest.mark.parametrize('beginning', LOGGED)
def test_records_for_the_log_file_are_left_out(beginning):
    record = logging.makeLogRecord(dict(msg=f'\n-----\n{beginning} ...'))

    assert not is_for_screen(record)


def test_other_records_are_for_the_screen():
    for text in ('Config of the teacher', 'Iter(train) [1/4]', ''):
        assert is_for_screen(logging.makeLogRecord(dict(msg=text)))


LIBRARY_WARNINGS = [
    ('DeprecationWarning: `x` is deprecated', UserWarning, 'mmdet.models.x'),
    ('`broadcast_buffers` is deprecated', FutureWarning, 'mmengine.model'),
    ('`a` will be\ndeprecated', DeprecationWarning, 'torch'),
    ('pkg_resources is deprecated as an API', UserWarning, 'importlib'),
    ('faster_coco_eval is not installed, ...', UserWarning, 'mmdet.metrics'),
    ('Setting MKL_NUM_THREADS environment variable', UserWarning, 'mmengine'),
    ('torch.meshgrid: in an upcoming release', UserWarning, 'torch.func'),
    (
        "<class 'V'> instance named of v has been created, ...",
        UserWarning,
        'mmengine.utils.manager',
    ),
]
OTHER_WARNINGS = [
    ('`x` is deprecated', UserWarning, 'projects.data_distillation.x'),
    ('`x` is deprecated', FutureWarning, 'torchless'),
    ('the loss is not finite', UserWarning, 'mmdet.models.x'),
    ('unknown', RuntimeWarning, 'torch.optim'),
]


def warn(text: str, category: type[Warning], module: str) -> list:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter('always')
        with quiet_screen():
            warnings.warn_explicit(text, category, 'x.py', 1, module)
    return found


@pytest.mark.parametrize(('text', 'category', 'module'), LIBRARY_WARNINGS)
def test_warnings_of_libraries_about_themselves_are_left_out(
    text, category, module
):
    assert warn(text, category, module) == []


@pytest.mark.parametrize(('text', 'category', 'module'), OTHER_WARNINGS)
def test_other_warnings_are_shown(text, category, module):
    assert len(warn(text, category, module)) == 1


def test_nothing_is_left_of_it_afterwards(capsys):
    before = sys.stdout, list(warnings.filters)

    with quiet_screen(sys.stderr):
        print('creating index...')
        print('text')

    assert (sys.stdout, list(warnings.filters)) == before
    assert capsys.readouterr() == ('', 'text\n')


def test_log_file_alone_has_environment_and_config(
    drawn, checkpoint, tmp_path, capsys
):
    cfg = annotate_cfg(drawn, checkpoint, tmp_path / 'work')
    cfg.log_level = 'INFO'

    QuietRunner.from_cfg(cfg)
    print_log('a line', 'current')

    (log,) = (tmp_path / 'work').glob('*/*.log')
    kept, screen = log.read_text(), capsys.readouterr().out
    for text in (
        'System environment:',
        "type='MultiViewTTA'",
        'Hooks will be executed',
    ):
        assert text in kept
        assert text not in screen
    for text in (kept, screen):
        assert f'environment and config are in {log}' in text
        assert 'a line' in text
