"""The record of a finished training: the checkpoint that it ended with."""

from dataclasses import dataclass
from pathlib import Path

from ..files.atomic import read_json, sync_file, write_json
from ..files.digest import compute_sha256
from .resume import find_last_checkpoint, find_weights_fault, read_named

# This file in the folder of a stage says that its results do not change any
# more. For a training, it holds the name and the SHA-256 of the checkpoint.
FINISHED = 'finished'


@dataclass(frozen=True)
class Ending:
    """How a training has ended, as far as its folder tells.

    Args:
        checkpoint: The checkpoint of the last iteration; None if the training
            has not ended, or if this file is missing or not what the training
            wrote.
        fault: What is wrong with the checkpoint of a training that has ended;
            empty if nothing is, or the training has not ended.
    """

    checkpoint: Path | None = None
    fault: str = ''


def mark_finished(folder: Path, checkpoint: Path) -> None:
    """Record that a training has ended, after its checkpoint is on disk.

    Args:
        folder: The work folder of the training.
        checkpoint: The checkpoint of its last iteration, in this folder.

    Raises:
        OSError: If the checkpoint cannot be read, or the record not written.
    """
    # Otherwise a crash could leave the record of a checkpoint that is gone.
    sync_file(checkpoint)
    record = dict(
        checkpoint=checkpoint.name, sha256=compute_sha256(checkpoint)
    )
    write_json(folder / FINISHED, record)


def read_record(folder: Path) -> dict:
    """Read what `mark_finished` wrote.

    Earlier versions left an empty file.

    Args:
        folder: The work folder of the training.

    Returns:
        `checkpoint` (a file name) and `sha256`, two texts that are not checked
        further; empty if the file is missing, cannot be read, or lacks one of
        the two.
    """
    record = read_json(folder / FINISHED)
    if not isinstance(record, dict):
        return {}
    texts = (record.get('checkpoint'), record.get('sha256'))
    return record if all(isinstance(text, str) for text in texts) else {}


def find_ending(folder: Path) -> Ending:
    """Find out whether a training has ended and its checkpoint is still there.

    Args:
        folder: The work folder of the training.

    Returns:
        The checkpoint, or what is wrong with it; neither if the training has
        not ended.

    Raises:
        OSError: If the checkpoint or `last_checkpoint` cannot be read.
    """
    if not (folder / FINISHED).is_file():
        return Ending()
    if not (record := read_record(folder)):
        return find_unrecorded_ending(folder)
    # Only a file in this folder, whatever a changed record names.
    file = folder / Path(record['checkpoint']).name
    if not file.is_file():
        return Ending(fault=f'{file.name} is missing')
    if compute_sha256(file) != record['sha256']:
        return Ending(fault=f'{file.name} is not what the training wrote')
    return Ending(file)


def find_unrecorded_ending(folder: Path) -> Ending:
    """Find the last checkpoint of a training that an earlier version ended.

    Args:
        folder: The work folder, with a `finished` that holds no record.

    Returns:
        The last checkpoint, or what is wrong with it, such as that there is
        none.

    Raises:
        OSError: If `last_checkpoint` cannot be read.
    """
    name, found = read_named(folder), find_last_checkpoint(folder)
    if found is None:
        return Ending(fault='it has no checkpoint any more')
    if name and found.name != name:
        return Ending(fault=f'{name} is missing or cut short')
    if fault := find_weights_fault(found):
        return Ending(fault=f'{found.name} {fault}')
    return Ending(found)
