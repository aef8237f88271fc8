"""What several command lines of `tools/` have in common."""

import io
import os
import sys

import pytest

from projects.data_distillation.command_line import (
    add_experiment,
    check_not_read,
    ending_at_os_errors,
    escape_output,
    make_parser,
)


def test_help_shows_the_examples_as_they_are():
    text = 'Does a thing.\n\nUsage:\n    python tools/thing.py FILE\n'

    assert text in make_parser(text).format_help()


@pytest.mark.parametrize(
    'name', ['read.json', 'x/../read.json', 'link.json', 'same.json']
)
def test_what_is_read_is_not_overwritten(tmp_path, name):
    read = tmp_path / 'read.json'
    read.touch()
    (tmp_path / 'x').mkdir()
    (tmp_path / 'link.json').symlink_to(read)
    (tmp_path / 'same.json').hardlink_to(read)
    (tmp_path / 'other.json').touch()

    check_not_read([tmp_path / 'other.json', None], [str(read), None])
    with pytest.raises(ValueError, match='would be overwritten'):
        check_not_read([tmp_path / name], [str(read)])


def test_new_file_is_written_though_an_input_is_missing(tmp_path):
    new, absent = tmp_path / 'new.json', tmp_path / 'absent.json'

    assert check_not_read([new], [absent]) is None


def test_two_files_are_not_written_to_one(tmp_path):
    with pytest.raises(ValueError, match='a.json would be overwritten'):
        check_not_read([tmp_path / 'a.json'] * 2, [])


def test_output_escapes_what_it_cannot_encode(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(output, 'ascii'))

    escape_output()
    print('caf\xe9 \udce9', flush=True)

    assert output.getvalue() == b'caf\\xe9 \\udce9\n'


def test_output_that_only_looks_like_a_stream_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, 'stdout', io.StringIO())

    escape_output()
    print('caf\xe9')

    assert sys.stdout.getvalue() == 'caf\xe9\n'


@ending_at_os_errors()
def print_and_end(code: int) -> None:
    print('text')
    sys.exit(code)


@pytest.mark.parametrize('code', [0, 1])
def test_reader_that_has_left_is_no_error(monkeypatch, capfd, code):
    """As `head` does, whatever the tool itself has to say."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, 'w') as output:  # Python closes it at its end too.
        monkeypatch.setattr(sys, 'stdout', output)

        with pytest.raises(SystemExit) as end:
            print_and_end(code)

    assert end.value.code == 141
    assert capfd.readouterr().err == ''


def test_other_error_of_the_system_is_named(tmp_path):
    read = ending_at_os_errors()((tmp_path / 'nowhere').read_text)

    with pytest.raises(SystemExit, match=r'error: .*No such file.*nowhere'):
        read()


def test_config_of_an_experiment_stands_for_its_folder(tmp_path):
    parser = make_parser('')
    add_experiment(parser)
    (tmp_path / 'teacher.py').touch()

    for given in (tmp_path, tmp_path / 'teacher.py'):
        assert parser.parse_args([str(given)]).experiment == tmp_path
    lost = tmp_path / 'lost.py'
    assert parser.parse_args([str(lost)]).experiment == lost
