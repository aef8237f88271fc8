"""Files and folders that are replaced as a whole."""

import os
from pathlib import Path

import pytest

from projects.data_distillation.files.atomic import (
    read_json,
    replacing,
    replacing_folder,
    whole_or_nothing,
)


def fail_inside(folder: Path) -> None:
    with replacing_folder(folder):
        folder.mkdir()
        (folder / 'half').touch()
        raise KeyError('x')


def write_half(file: Path) -> None:
    with replacing(file) as new:
        new.write(b'half')
        raise KeyError('x')


def test_file_that_could_not_be_written_leaves_nothing(tmp_path):
    file = tmp_path / 'a.json'
    file.write_text('old')

    with pytest.raises(KeyError, match='x'):
        write_half(file)

    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == 'old'


def test_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """And then its name is: what a crash would lose cannot be tried here."""
    file, synced, sync = tmp_path / 'a.json', [], os.fsync

    def note(descriptor: int) -> None:
        sync(descriptor)
        state = os.fstat(descriptor)
        synced.append((state.st_ino, file.exists(), state.st_size))

    monkeypatch.setattr(os, 'fsync', note)
    with replacing(file) as new:
        new.write(b'whole')

    assert synced[0] == (file.stat().st_ino, False, 5)
    assert synced[1][:2] == (tmp_path.stat().st_ino, True)


@pytest.mark.parametrize(
    'text', ['{', pytest.param('[' * 100_000, id='too deep'), None]
)
def test_json_that_cannot_be_read_is_none(tmp_path, text):
    file = tmp_path / 'a.json'
    if text is not None:
        file.write_text(text)

    assert read_json(file) is None


def test_folder_is_replaced(tmp_path):
    folder = tmp_path / 'a'
    for number in range(2):
        with replacing_folder(folder):
            assert not folder.exists()
            folder.mkdir()
            (folder / f'{number}').touch()

    assert [file.name for file in tmp_path.rglob('*')] == ['a', '1']


def test_former_folder_comes_back_after_an_error(tmp_path):
    folder = tmp_path / 'a'
    folder.mkdir()
    (folder / 'kept').touch()

    with pytest.raises(KeyError, match='x'):
        fail_inside(folder)

    assert [file.name for file in tmp_path.rglob('*')] == ['a', 'kept']


def test_former_folder_of_a_killed_process_is_kept(tmp_path):
    """Whether or not the new one was begun."""
    folder, former = tmp_path / 'a', tmp_path / 'a.former'
    former.mkdir()
    for _ in range(2):
        with pytest.raises(FileExistsError, match='a.former is what'):
            fail_inside(folder)
        assert former.is_dir()
        folder.mkdir(exist_ok=True)


def test_former_folder_has_its_name_until_the_new_one_is_complete(tmp_path):
    folder = tmp_path / 'a'
    folder.mkdir()
    (folder / 'kept').touch()

    with replacing_folder(folder):
        assert (tmp_path / 'a.former' / 'kept').is_file()
        folder.mkdir()
    assert list(tmp_path.iterdir()) == [folder]


def test_link_to_a_folder_is_replaced_itself(tmp_path):
    target, link = tmp_path / 'target', tmp_path / 'link'
    target.mkdir()
    (target / 'kept').touch()
    link.symlink_to(target)

    with pytest.raises(KeyError, match='x'):
        fail_inside(link)
    assert link.readlink() == target
    with replacing_folder(link):
        link.mkdir()

    assert not link.is_symlink()
    assert [file.name for file in link.iterdir()] == []
    assert sorted(file.name for file in tmp_path.rglob('*')) == [
        'kept', 'link', 'target',
    ]  # fmt: skip


def interrupt_inside(folder: Path, is_made: bool) -> None:
    with whole_or_nothing(folder):
        if is_made:
            folder.mkdir()
        raise KeyboardInterrupt('here')


@pytest.mark.parametrize('is_made', [True, False])
def test_half_a_folder_is_removed(tmp_path, is_made):
    with pytest.raises(KeyboardInterrupt, match='here'):
        interrupt_inside(tmp_path / 'a', is_made)

    assert not (tmp_path / 'a').exists()


def test_whole_folder_stays(tmp_path):
    with whole_or_nothing(tmp_path / 'a'):
        (tmp_path / 'a').mkdir()

    assert (tmp_path / 'a').is_dir()


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_files_that_belong_together_are_all_there_or_none(tmp_path, error):
    files = [tmp_path / name for name in ('a.json', 'b.json', 'a.json/c')]
    with whole_or_nothing(*files[:1]):
        files[0].touch()
    assert files[0].exists()

    def fail() -> None:
        with whole_or_nothing(*files):
            raise error('no')

    with pytest.raises(error, match='no'):
        fail()

    assert not files[0].exists()
