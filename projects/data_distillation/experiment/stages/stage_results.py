"""What a stage leaves in its folder, and how it is found again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...pseudo_labels.freshness.image_states import hash_images, take_exchanged
from ...training.own_checkpoint import find_own_checkpoint
from ...training.resume import find_last_checkpoint
from ..processes.log import say
from ..processes.process import StageError
from .comparison import read_newest_metrics
from .fingerprint import find_free_path, set_aside

# The number of reasons that are shown.
MAX_SHOWN = 3


def require_checkpoint(folder: Path) -> Path:
    """Find the last checkpoint of a training that has ended.

    Args:
        folder: The work folder of the training.

    Returns:
        The checkpoint, which is whole.

    Raises:
        StageError: If the folder holds no checkpoint that is whole.
    """
    checkpoint = find_last_checkpoint(folder)
    if checkpoint is None:
        raise StageError(
            f'{folder} must hold a checkpoint, since its training has ended, '
            'got none: delete the folder and run the same command again'
        )
    return checkpoint


def require_own_checkpoint(
    folder: Path, run: str, resumed: Path | None
) -> Path:
    """Find the checkpoint with which a training has ended.

    Args:
        folder: The work folder of the training.
        run: The name of the run.
        resumed: The checkpoint from which the run went on; None if it began
            anew.

    Returns:
        The checkpoint, which is whole.

    Raises:
        StageError: If the folder holds no whole checkpoint, or the last one
            is of another run.
    """
    last = require_checkpoint(folder)
    own = find_own_checkpoint(folder, run, resumed)
    if own is None:
        raise StageError(
            f'{last} must be of the training that has ended, but another one '
            'in this folder has written it: end that one, delete the folder '
            'and run the same command again'
        )
    return own


def require_metrics(folder: Path) -> dict:
    """Read the metrics of an evaluation that has ended.

    Args:
        folder: The work folder of the evaluation.

    Returns:
        The metrics by name, 0 to 1, see `comparison.read_newest_metrics`.

    Raises:
        StageError: If the folder holds no metrics.
        ValueError: If the file of the metrics is no JSON.
    """
    metrics = read_newest_metrics(folder)
    if metrics is None:
        raise StageError(
            f'{folder} must hold metrics, since its evaluation has ended, got '
            'none: run the same command again'
        )
    return metrics


def hash_read_images(loader: object, folder: Path) -> dict[str, str | None]:
    """Hash the images that a stage reads, and log which were exchanged.

    Args:
        loader: The data loader in the config of the stage.
        folder: The folder that keeps what is known of the files.

    Returns:
        Path of each COCO file -> digest of its images, see `hash_images`.
    """
    found = hash_images(loader, folder)
    if paths := take_exchanged(folder):
        more = len(paths) - 1
        who = f'{paths[0]} and {more:,} more images' if more else paths[0]
        verb = 'have' if more else 'has'
        say(f'{who} {verb} other content than in an earlier run')
    return found


def make_flags(
    values: Mapping[str, object], options: Sequence[str]
) -> list[str]:
    """Make the arguments of the tools that change the config.

    Args:
        values: Key with dots -> value. They are passed as JSON, which does
            not misread a path.
        options: The options of the user, as `--cfg-options` takes them. They
            may replace a value.

    Returns:
        The words; empty if nothing changes.
    """
    flags = ['--cfg-json', json.dumps(values)] if values else []
    return [*flags, *(['--cfg-options', *options] if options else [])]


def is_link_to_teacher(folder: Path) -> bool:
    """Return whether the folder of a model is that of the teacher beside it.

    Args:
        folder: The folder; it need not exist.

    Returns:
        Whether it is the link that `training.link_control` makes. A link to
        another place is a user's.
    """
    return folder.is_symlink() and folder.readlink() == Path('teacher')


def replace_results(stage: str, folder: Path, reasons: Sequence[str]) -> None:
    """Make room for new results, and log why.

    Args:
        stage: The name of the stage, for the log.
        folder: The work folder of the stage, which is moved aside, see
            `set_aside`.
        reasons: Why it runs again, at least one.

    Raises:
        FileNotFoundError: If there is no such folder.
        OSError: If it cannot be moved.
    """
    place = set_aside(folder)
    why = join_reasons(reasons)
    say(f'{stage}: runs again, since {why} (before: {place})')


def replace_file(file: Path) -> Path:
    """Move one file of a stage to where nothing reads it.

    Args:
        file: The file in the work folder of the stage.

    Returns:
        The new path, in a folder in `replaced/` beside the work folder.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be moved.
    """
    place = find_free_path(file.parent)
    place.mkdir(parents=True)
    return file.rename(place / file.name)


def name_round_dir(work_dir: Path, number: int) -> Path:
    """Return the folder of the results of a round.

    Args:
        work_dir: The work folder of the run.
        number: The number of the round, from 1.

    Returns:
        The work folder itself for round 1, and a folder in it for others.
    """
    return work_dir / f'round{number}' if number > 1 else work_dir


def set_rounds_aside(work_dir: Path, number: int) -> None:
    """Move the results of rounds that earlier labels made to `replaced/`.

    Otherwise a report would take its labels from them.

    Args:
        work_dir: The work folder of the run.
        number: The first round that is not run, 2 or more.

    Raises:
        OSError: If a folder cannot be moved.
    """
    while (folder := name_round_dir(work_dir, number)).is_dir():
        place = set_aside(folder)
        say(f'{folder.name}: is of an earlier run (now: {place})')
        number += 1


def join_reasons(reasons: Sequence[str]) -> str:
    """Join the first reasons, and say how many more there are.

    Args:
        reasons: The reasons, at least one.

    Returns:
        One line, with at most `MAX_SHOWN` of them.
    """
    text = '; '.join(reasons[:MAX_SHOWN])
    more = len(reasons) - MAX_SHOWN
    return f'{text}; and {more} more' if more > 0 else text
