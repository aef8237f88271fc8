"""What several command lines of `tools/` have in common."""

import io
import sys

from projects.data_distillation.command_line import escape_output, make_parser


def test_help_shows_the_examples_as_they_are():
    text = 'Does a thing.\n\nUsage:\n    python tools/thing.py FILE\n'

    assert text in make_parser(text).format_help()


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
