"""Detections of images that were moved or renamed are found by content."""

import os
import shutil
from pathlib import Path

import pytest
from builders import stored_row

from projects.data_distillation import DetectionStore
from projects.data_distillation.files import known_digests
from projects.data_distillation.files.known_digests import (
    IMAGE_DIGESTS,
    KnownDigests,
    hash_image,
    read_state,
)
from projects.data_distillation.pseudo_labels.detections.moved import (
    MOVED,
    MovedImages,
    find_moved,
)
from projects.data_distillation.pseudo_labels.detections.store import (
    StoreError,
)

NAMES = ['a', 'b', 'c']


class Moves:
    """A store with the detections of three images, and their folder."""

    def __init__(self, folder: Path) -> None:
        self.store, self.images = folder / 'store', folder / 'images'
        self.images.mkdir(parents=True)
        store = self.open()
        for number, name in enumerate(NAMES):
            (self.images / name).write_text(f'content of {name}')
            box = [0, 0, 5 + number, 9], 0.5, 0
            path = str(self.images / name)
            content = dict(sha256=hash_image(path), state=read_state(path))
            store.add(stored_row(name, box, **content))
            if number != 1:  # One shard has two images.
                store.flush()

    def made_by(self) -> dict:
        return dict(views=[1], image_folder=str(self.images))

    def open(self) -> DetectionStore:
        return DetectionStore(self.store, self.made_by())

    def take_over(self, made_by: dict | None = None) -> list[str]:
        """Take over what was moved: the names."""
        made_by = made_by or self.made_by()
        paths = {
            path.name: str(path) for path in sorted(self.images.iterdir())
        }
        moved = self.find(made_by)
        moved.take_over(made_by, dict.fromkeys(paths))
        return sorted(moved.rows)

    def find(self, made_by: dict | None = None) -> MovedImages:
        made_by = made_by or self.made_by()
        paths = {
            path.name: str(path) for path in sorted(self.images.iterdir())
        }
        known = KnownDigests(self.store.parent / IMAGE_DIGESTS)
        return find_moved(self.store, made_by, paths, paths.keys(), known)

    def widths(self) -> dict[str, float]:
        """The width of the box of each image that is there."""
        names = [path.name for path in self.images.iterdir()]
        rows = self.open().read(dict.fromkeys(names)).to_pylist()
        return {row['file_name']: row['bboxes_xyxy'][0][2] for row in rows}


@pytest.fixture
def moves(tmp_path: Path) -> Moves:
    return Moves(tmp_path)


def test_nothing_is_hashed_or_written_without_moved_images(moves, monkeypatch):
    monkeypatch.setattr(known_digests, 'TICK', -1)
    moves = Moves(moves.store.with_name('later'))
    monkeypatch.delattr('hashlib.sha256')
    (moves.images / 'new').write_text('new')
    before = sorted(moves.store.iterdir())

    assert moves.take_over() == []
    assert sorted(moves.store.iterdir()) == before


def test_images_in_another_folder_keep_their_detections(moves, tmp_path):
    moves.images = moves.images.rename(tmp_path / 'elsewhere')
    with pytest.raises(StoreError, match="differs in \\['image_folder'\\]"):
        moves.open()

    assert moves.take_over() == NAMES
    assert moves.widths() == dict(a=5, b=6, c=7)
    assert len(list((moves.store / MOVED).iterdir())) == 2
    # The next run has nothing to do, and there is a way back.
    assert moves.take_over() == []
    moves.images = moves.images.rename(tmp_path / 'images')
    assert moves.take_over() == NAMES
    assert moves.widths() == dict(a=5, b=6, c=7)


def test_renamed_images_keep_their_detections(moves):
    (moves.images / 'a').rename(moves.images / 'y')
    (moves.images / 'folder').mkdir()

    assert moves.take_over() == ['y']
    (moves.images / 'folder').rmdir()
    assert moves.widths() == dict(y=5, b=6, c=7)
    assert not (moves.store / MOVED).exists()


def test_other_images_of_the_same_names_are_not_the_same(moves, tmp_path):
    moves.images = tmp_path / 'others'
    moves.images.mkdir()
    for name in NAMES:
        (moves.images / name).write_text('something else')
    assert moves.take_over() == []
    with pytest.raises(StoreError, match='image_folder'):
        moves.open()

    (moves.images / 'b').write_text('content of a')
    (moves.images / 'twice').write_text('content of a')

    assert moves.take_over() == ['b', 'twice']
    assert moves.open().list_images() == dict(b=True, twice=True)
    for name in ('a', 'c'):
        (moves.images / name).unlink()
    assert moves.widths() == dict(b=5, twice=5)


def test_detections_of_another_teacher_are_left_alone(moves, tmp_path):
    moves.images = moves.images.rename(tmp_path / 'elsewhere')
    before = sorted(moves.store.iterdir())

    assert moves.take_over(dict(moves.made_by(), views=[2])) == []
    assert sorted(moves.store.iterdir()) == before


def test_move_that_was_interrupted_goes_on(moves, tmp_path, monkeypatch):
    """Wherever it stops, the store has shards of one folder."""
    moves.images = moves.images.rename(tmp_path / 'elsewhere')
    whole = Path.rename

    # Two shards are moved, and two are written.
    for _ in range(3):
        steps = iter([1])

        def rename(self, target, steps=steps):
            if next(steps, None) is None:
                raise KeyboardInterrupt('a move')
            return whole(self, target)

        monkeypatch.setattr(Path, 'rename', rename)
        monkeypatch.setattr(Path, 'replace', rename)
        with pytest.raises(KeyboardInterrupt, match='a move'):
            moves.take_over()
        monkeypatch.undo()
        DetectionStore(moves.store)

    assert moves.take_over() in (['a'], ['b', 'c'])
    assert moves.widths() == dict(a=5, b=6, c=7)


def test_shards_without_digests_are_not_taken_over(moves, tmp_path):
    """Earlier versions wrote none."""
    shutil.rmtree(moves.store)
    store = moves.open()
    store.add(*map(stored_row, NAMES))
    store.flush()
    moves.images = moves.images.rename(tmp_path / 'elsewhere')

    assert moves.take_over() == []


def exchange(moves: Moves, name: str, content: str = 'other') -> None:
    (moves.images / 'new').write_text(content)
    (moves.images / 'new').rename(moves.images / name)


@pytest.mark.parametrize('name', NAMES)
def test_image_of_other_content_has_no_detections(moves, name):
    others = {'a': set(), 'b': {'c'}, 'c': {'b'}}[name]
    exchange(moves, name)

    found = moves.find()

    assert found.changed == {name}
    assert found.rows.keys() == found.stayed == others
    assert found.in_place == set(NAMES) - {name} - others
    moves.take_over()
    assert moves.open().list_images().keys() == set(NAMES) - {name}
    assert moves.find().changed == set()
    (moves.images / name).unlink()
    expected = dict(a=5, b=6, c=7)
    del expected[name]
    assert moves.widths() == expected


def test_image_that_comes_back_has_its_detections_again(moves):
    exchange(moves, 'b')
    moves.take_over()
    exchange(moves, 'b', 'content of b')

    assert moves.take_over() == ['b']
    assert moves.widths() == dict(a=5, b=6, c=7)


def test_images_that_take_each_others_names_take_their_detections(moves):
    (moves.images / 'a').rename(moves.images / 'aside')
    (moves.images / 'c').rename(moves.images / 'a')
    (moves.images / 'aside').rename(moves.images / 'c')

    assert moves.find().changed == {'a', 'c'}
    moves.take_over()
    assert moves.widths() == dict(a=7, b=6, c=5)


def test_times_and_links_alone_change_nothing(moves):
    os.utime(moves.images / 'a', (0, 0))
    (moves.images / 'b').rename(moves.images / 'real')
    (moves.images / 'b').symlink_to('real')
    before = sorted(moves.store.iterdir())

    assert moves.find().changed == set()
    assert moves.take_over() == []
    assert sorted(moves.store.iterdir()) == before


def test_image_that_is_not_there_now_keeps_its_detections(moves):
    """A disk may not be mounted."""
    paths = {name: str(moves.images / name) for name in NAMES}
    shutil.rmtree(moves.images)
    known = KnownDigests(moves.store / IMAGE_DIGESTS)

    found = find_moved(
        moves.store, moves.made_by(), paths, paths.keys(), known
    )

    assert found.changed == set()
    assert found.in_place == set(NAMES)


@pytest.mark.parametrize(
    ('before', 'is_noticed'),
    # What was not there, and what earlier versions did not write.
    [('', True), (None, False)],
)
def test_image_that_is_mended_is_noticed(moves, before, is_noticed):
    store = moves.open()
    (moves.images / 'd').write_text('now it is whole')
    store.add(stored_row('d', unreadable='broken', sha256=before))
    store.flush()

    assert moves.find().changed == ({'d'} if is_noticed else set())


def test_exchange_that_was_interrupted_goes_on(moves, monkeypatch):
    """The images of the same shard keep their detections."""
    exchange(moves, 'b')

    def replace(self, target):
        raise KeyboardInterrupt('a write')

    monkeypatch.setattr(Path, 'replace', replace)
    with pytest.raises(KeyboardInterrupt, match='a write'):
        moves.take_over()
    monkeypatch.undo()

    assert moves.open().list_images() == dict(a=True)
    assert moves.take_over() == ['c']
    assert moves.open().list_images() == dict(a=True, c=True)
