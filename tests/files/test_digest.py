"""The SHA-256 of a file is that of its bytes, and is computed once."""

import hashlib
import os
import time

import pytest

from projects.data_distillation.files import digest
from projects.data_distillation.files.digest import compute_sha256, hash_once


@pytest.fixture
def file(tmp_path):
    file = tmp_path / 'iter_1.pth'
    file.write_bytes(b'one')
    return file


def count_reads() -> int:
    return hash_once.cache_info().misses


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_file_that_stays_is_read_once(file, monkeypatch):
    monkeypatch.setattr(digest, 'TICK', -1)  # As if time had passed.
    before = count_reads()

    assert [compute_sha256(file) for _ in range(3)] == [digest_of(b'one')] * 3
    assert count_reads() == before + 1


@pytest.mark.parametrize('replaces', [True, False])
def test_other_bytes_of_the_same_size_and_time_are_noticed(
    file, monkeypatch, replaces
):
    monkeypatch.setattr(digest, 'TICK', -1)
    status = file.stat()
    assert compute_sha256(file) == digest_of(b'one')

    time.sleep(0.02)  # The kernel counts time in steps.
    written = file.with_name('new') if replaces else file
    written.write_bytes(b'two')
    os.utime(written, ns=(status.st_atime_ns, status.st_mtime_ns))
    written.rename(file)

    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert compute_sha256(file) == digest_of(b'two')


@pytest.mark.parametrize('days', [0, -1])
def test_file_that_has_just_changed_is_not_remembered(file, monkeypatch, days):
    """Nor is one of the future: the clock has jumped back."""
    now = time.time_ns()
    monkeypatch.setattr(time, 'time_ns', lambda: now + days * 86400 * 10**9)
    before = count_reads()

    for content in (b'one', b'two'):
        file.write_bytes(content)
        assert compute_sha256(file) == digest_of(content)
    assert count_reads() == before


def test_no_file_has_no_digest(tmp_path):
    assert compute_sha256(tmp_path / 'none') is None
    assert compute_sha256('https://example.org/a.pth') is None
