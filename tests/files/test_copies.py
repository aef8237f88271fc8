"""Which files are copies of known ones."""

import os

import pytest

from projects.data_distillation.files.copies import find_copies


@pytest.fixture
def put(tmp_path):
    def write(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


def test_copies_are_found_under_any_name(put, tmp_path):
    known = [put('a', b'x' * 9000), put('b', b'small'), put('c', b'')]
    copies = [put('d', b'x' * 9000), put('e', b'small')]
    others = [
        put('f', b'y' + b'x' * 8999),  # The end is the same.
        put('g', b'x' * 8999 + b'y'),
        put('h', b'x' * 8999),
        put('i', b''),
        str(tmp_path / 'absent'),
        'nul\0',
    ]

    found = find_copies(copies + others, [*known, str(tmp_path / 'no')])

    assert found == dict(zip(copies, known))
    assert find_copies(known[:1], known) == {known[0]: known[0]}


def test_file_that_has_changed_is_read_again(put):
    known, file = put('a', b'one'), put('b', b'two')
    assert find_copies([file], [known]) == {}

    put('b', b'one')
    os.utime(file, ns=(1, 1))

    assert find_copies([file], [known]) == {file: known}


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read all files')
def test_file_that_cannot_be_read_is_no_copy(put):
    known, file = put('a', b'one'), put('b', b'one')
    os.chmod(file, 0)

    assert find_copies([file], [known]) == {}
