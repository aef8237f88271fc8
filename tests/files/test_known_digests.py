"""Digests of images are those of their bytes, and files are read once."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from projects.data_distillation.files import known_digests
from projects.data_distillation.files.known_digests import (
    IMAGE_DIGESTS,
    KnownDigests,
    hash_image,
    make_hash_line,
    open_digests,
    read_state,
)


@pytest.fixture(autouse=True)
def later(monkeypatch) -> None:
    """As if time had passed since the images were written."""
    monkeypatch.setattr(known_digests, 'TICK', -1)


@pytest.fixture
def images(tmp_path) -> list[str]:
    paths = [tmp_path / f'{n}.jpg' for n in range(5)]
    for path in paths:
        path.write_text(path.name)
    return list(map(str, paths))


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: str, text: str, replaces: bool) -> None:
    """Write as many bytes as before, and keep the time of the file."""
    status = os.stat(path)
    time.sleep(0.02)  # The kernel counts time in steps.
    written = f'{path}.new' if replaces else path
    Path(written).write_text(text)
    os.utime(written, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(written, path)


def keep(file: Path, paths: list[str], digest: str) -> None:
    """Keep a digest that no file has, to see whether it is read again."""
    content = json.dumps({p: [read_state(p), digest] for p in paths}).encode()
    file.write_bytes(make_hash_line(content) + content)


def test_digests_of_many_files_are_those_of_their_bytes(
    images, tmp_path, monkeypatch
):
    monkeypatch.setattr(known_digests, 'FILES_AT_ONCE', 2)
    found = KnownDigests(tmp_path / IMAGE_DIGESTS).find(images)

    assert list(found) == images
    assert found == {one: digest_of(Path(one).name) for one in images}


def test_what_was_computed_is_kept_for_the_next_run(images, tmp_path):
    file = tmp_path / 'work' / IMAGE_DIGESTS
    known = KnownDigests(file)
    found = known.find(images)
    assert not file.exists()

    known.save()
    whole = file.read_bytes()
    again = KnownDigests(file)
    assert again.find(images) == found
    again.save()  # There is nothing new.
    assert file.read_bytes() == whole
    kept = json.loads(whole.split(b'\n', 1)[1])
    assert kept == {one: [read_state(one), found[one]] for one in images}


@pytest.mark.parametrize('replaces', [True, False])
def test_only_files_that_may_have_changed_are_read(images, tmp_path, replaces):
    one, other = images[:2]
    file = tmp_path / IMAGE_DIGESTS
    keep(file, [one, other], 'kept')
    assert KnownDigests(file).find([one, other]) == {
        one: 'kept',
        other: 'kept',
    }

    write(one, 'A.jpg', replaces)

    known = KnownDigests(file)
    found = known.find([one, other])
    assert found == {one: digest_of('A.jpg'), other: 'kept'}
    assert known.take_exchanged() == [one]
    assert known.take_exchanged() == []


def test_file_with_another_time_alone_has_the_same_digest(images, tmp_path):
    known = KnownDigests(tmp_path / IMAGE_DIGESTS)
    before = known.find(images)
    for path in images:
        os.utime(path, (0, 0))

    assert known.find(images) == before
    assert known.take_exchanged() == []


def test_what_others_know_is_not_read(images, tmp_path):
    one, other = images[:2]
    others = {one: (read_state(one), 'known'), other: ('', 'lost')}
    known = KnownDigests(tmp_path / IMAGE_DIGESTS)

    found = known.find([one, other], others)

    assert found == {one: 'known', other: digest_of('1.jpg')}
    assert known.take_exchanged() == [other]


@pytest.mark.parametrize(
    'damage', [lambda text: text[:-9], lambda text: text + b' ', bytes.upper]
)
def test_damaged_file_tells_nothing(images, tmp_path, damage):
    file = tmp_path / IMAGE_DIGESTS
    keep(file, images[:1], 'kept')
    file.write_bytes(damage(file.read_bytes()))

    found = KnownDigests(file).find(images[:1])

    assert found == {images[0]: digest_of('0.jpg')}


def test_image_that_has_just_changed_has_no_state(
    images, tmp_path, monkeypatch
):
    monkeypatch.setattr(known_digests, 'TICK', 60 * 10**9)
    known = KnownDigests(tmp_path / IMAGE_DIGESTS)
    for text in ('one', 'two'):
        Path(images[0]).write_text(text)
        found = known.find(images[:1], {images[0]: ('', 'lost')})
        assert found == {images[0]: digest_of(text)}

    assert read_state(images[0]) == ''
    assert known.find(images[1:]) == KnownDigests(tmp_path).find(images[1:])


def test_what_is_no_file_has_no_digest(tmp_path):
    for path in (tmp_path, tmp_path / 'none', '/dev/zero', 'a\0b'):
        assert hash_image(str(path)) is None
    known = KnownDigests(tmp_path / IMAGE_DIGESTS)
    assert known.find(['a\0b', '/dev/zero']) == {
        'a\0b': None,
        '/dev/zero': None,
    }


def test_one_process_has_one_object_of_a_file(tmp_path):
    assert open_digests(tmp_path / 'a') is open_digests(tmp_path / 'a')
    assert open_digests(tmp_path / 'a') is not open_digests(tmp_path / 'b')
