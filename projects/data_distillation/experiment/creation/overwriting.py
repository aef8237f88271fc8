"""Checks that an experiment can be replaced without any loss."""

from collections.abc import Collection, Iterator
from pathlib import Path

from ..scaffold.config_cards import CARDS, GIVEN_CARDS
from ..scaffold.detector import COPY

# What a new experiment may consist of, and what Python puts beside it.
CONFIGS = {*(f'{stage}.py' for stage in CARDS | GIVEN_CARDS), COPY}
ANNOTATIONS = 'annotations'
LABEL_FILES = {
    f'{name}.json'
    for name in ('labeled', 'unlabeled', 'unlabeled_truth', 'classes')
}
CACHE = '__pycache__'
# How many files are named in an error.
MAX_NAMED = 3


def check_is_experiment(folder: Path, notes: Collection[str] = ()) -> None:
    """Check that a folder that is to be overwritten is an experiment.

    Changes of its configs would be lost too, but this is what overwriting is
    for.

    Args:
        folder: The folder; it need not exist.
        notes: The names of files that other parts of the tools leave there.

    Raises:
        FileExistsError: If it is something else, or has files that no tool
            has written.
        OSError: If the folder cannot be read.
    """
    if not folder.exists():
        return
    if not (folder / 'teacher.py').is_file():
        raise FileExistsError(
            f'--overwrite replaces experiments: {folder} has no teacher.py, '
            'so it is something else; choose another folder'
        )
    if others := sorted(map(str, find_others(folder, notes))):
        more = ', ...' if others[MAX_NAMED:] else ''
        raise FileExistsError(
            f'--overwrite deletes all in {folder}, which also has files that '
            f'are not of the experiment: {", ".join(others[:MAX_NAMED])}'
            f'{more}; move them elsewhere, or choose another folder'
        )


def find_others(folder: Path, notes: Collection[str]) -> Iterator[Path]:
    """Find what is in an experiment and not written by the tools.

    Args:
        folder: The folder of the experiment.
        notes: See `check_is_experiment`.

    Yields:
        The paths, relative to the folder; of a folder as a whole only its own.

    Raises:
        OSError: If the folder cannot be read.
    """
    known = {*CONFIGS, *notes}
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_dir():
            inner = [] if path.name in known else [path]
        elif path.name == ANNOTATIONS:
            inner = [p for p in path.iterdir() if p.name not in LABEL_FILES]
        else:
            inner = [] if path.name == CACHE else [path]
        yield from (one.relative_to(folder) for one in inner)
