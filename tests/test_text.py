"""How values are written in messages, tables and logs."""

import pytest
from rich.table import Table

from projects.data_distillation.text import (
    format_checkpoint,
    format_duration,
    format_error,
    format_megabytes,
    format_roughly,
    format_table,
    format_value,
    isolate,
)


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.4, '0:00:00'), (3723.5, '1:02:04'), (90_000, '1 day, 1:00:00')],
)
def test_durations_are_rounded_to_seconds(seconds, text):
    assert format_duration(seconds) == text


def test_megabytes_are_millions_of_bytes():
    assert format_megabytes(1_234_567_890) == '1,235 MB'


def test_long_values_are_shortened():
    assert format_value('a.jpg') == "'a.jpg'"
    assert len(format_value('a' * 1000)) == 80
    assert format_value(list(range(1000))) == '[0, 1, 2, 3, 4, 5, ...]'


def test_value_whose_lists_hold_each_other_is_short():
    """As aliases of YAML make them: ten lists, and 9^10 texts."""
    value: object = ['lol'] * 9
    for _ in range(9):
        value = [value] * 9

    assert len(format_value(value)) <= 403
    assert format_value(value).startswith('[[[[')
    assert len(format_value({f'{n}': value for n in range(9)})) <= 403


def test_error_is_one_line_without_addresses():
    error = ValueError('no <x.Y object at 0x7fAb12> here\nnor there')

    assert format_error(error) == 'no <x.Y object> here'
    assert format_error(ValueError()) == 'ValueError'


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        *((0, '1 min'), (89, '1 min'), (91, '2 min'), (1109, '18 min')),
        *((1200, '20 min'), (1500, '25 min'), (3599, '60 min')),
        *((5940, '100 min'), (6000, '1.7 h'), (6574, '1.8 h')),
        *((29_413, '8.2 h'), (36_000, '10 h'), (400_000, '111 h')),
    ],
)
def test_rough_duration_has_few_digits(seconds, text):
    assert format_roughly(seconds) == text


def test_names_in_a_table_are_no_markup():
    table = Table('class')
    table.add_row('cell [left] :smile:')

    assert 'cell [left] :smile:' in format_table(table)


@pytest.mark.parametrize(
    'name', ['قطة', 'חתול', 'a\u202eb', 'a\u2067', '\u0661']
)
def test_names_of_another_direction_are_kept_apart(name):
    assert isolate(name) == f'\u2068{name}\u2069'


@pytest.mark.parametrize('name', ['', 'red cell (2)', 'Ziffer ①', '数字', 'ä'])
def test_names_from_left_to_right_stay_as_they_are(name):
    assert isolate(name) == name


def test_checkpoint_is_named_with_the_start_of_its_hash():
    text = format_checkpoint('a/teacher.pth', '0123456789abcdef' * 4)

    assert text == 'a/teacher.pth (SHA-256 0123456789ab…)'


@pytest.mark.parametrize('unknown', [None, 'https://example.org/a.pth'])
def test_checkpoint_without_a_known_hash_has_only_its_name(unknown):
    assert format_checkpoint('a.pth', unknown) == 'a.pth'
