"""Detections of images that were moved or renamed are found by content."""

import shutil
from pathlib import Path

import pytest
from builders import stored_row

from projects.data_distillation import DetectionStore
from projects.data_distillation.detections.moved import (
    MOVED,
    find_moved,
    hash_image,
)
from projects.data_distillation.detections.store import StoreError

NAMES = ['a', 'b', 'c']


class Moves:
    """A store with the detections of three images, and their folder."""

    def __init__(self, folder: Path) -> None:
        self.store, self.images = folder / 'store', folder / 'images'
        self.images.mkdir()
        store = self.open()
        for number, name in enumerate(NAMES):
            (self.images / name).write_text(f'content of {name}')
            box = [0, 0, 5 + number, 9], 0.5, 0
            digest = hash_image(str(self.images / name))
            store.add(stored_row(name, box, sha256=digest))
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
        moved = find_moved(self.store, made_by, paths, paths.keys())
        moved.take_over(made_by, dict.fromkeys(paths))
        return sorted(moved.rows)

    def widths(self) -> dict[str, float]:
        """The width of the box of each image that is there."""
        names = [path.name for path in self.images.iterdir()]
        rows = self.open().read(dict.fromkeys(names)).to_pylist()
        return {row['file_name']: row['bboxes_xyxy'][0][2] for row in rows}


@pytest.fixture
def moves(tmp_path: Path) -> Moves:
    return Moves(tmp_path)


def test_nothing_is_hashed_or_written_without_moved_images(moves, monkeypatch):
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
    assert len(list((moves.store / MOVED).iterdir())) == 3
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
    assert moves.open().images() == dict(b=True, twice=True)
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

    # Three shards are moved, and three are written.
    for _ in range(5):
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

    assert len(moves.take_over()) == 1
    assert moves.widths() == dict(a=5, b=6, c=7)


def test_shards_without_digests_are_not_taken_over(moves, tmp_path):
    """Earlier versions wrote none."""
    shutil.rmtree(moves.store)
    store = moves.open()
    store.add(*map(stored_row, NAMES))
    store.flush()
    moves.images = moves.images.rename(tmp_path / 'elsewhere')

    assert moves.take_over() == []


def test_what_is_no_file_has_no_digest(tmp_path):
    for path in (tmp_path, tmp_path / 'none', '/dev/zero', 'a\0b'):
        assert hash_image(str(path)) is None
