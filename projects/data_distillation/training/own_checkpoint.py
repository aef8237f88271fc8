"""Checkpoints that are on disk, and that say which run has written them."""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from ..files.atomic import sync_file
from ..quiet import QuietRunner
from .resume import find_last_checkpoint, find_whole, read_meta

# In the environment of a training: the name of its run. Its checkpoints have
# it in their `meta`.
RUN_VARIABLE = 'DATA_DISTILLATION_RUN'
RUN_KEY = 'data_distillation_run'


class TrainingRunner(QuietRunner):
    """A runner whose checkpoints are on disk before anything names them.

    MMEngine then writes `last_checkpoint`, and removes older checkpoints. If
    the machine stopped, the file that is named could be empty, and the others
    gone.
    """

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        *args: Any,
        meta: dict | None = None,
        **kwargs: Any,
    ) -> None:
        """Save a checkpoint, and wait until it is on disk.

        Args:
            out_dir: The folder of the checkpoint.
            filename: The name of the file in it.
            *args: Other arguments of `Runner.save_checkpoint`.
            meta: What the checkpoint says of itself, besides the run that the
                environment names; None for nothing. It is not changed.
            **kwargs: Other arguments of `Runner.save_checkpoint`.

        Raises:
            OSError: If the checkpoint cannot be written.
            TrainingDivergedError: If a weight is NaN or infinite, and the
                training has a `FiniteLossHook`.
        """
        if run := os.environ.get(RUN_VARIABLE):
            meta = {**(meta or {}), RUN_KEY: run}
        super().save_checkpoint(out_dir, filename, *args, meta=meta, **kwargs)
        file = Path(out_dir, filename)
        # It may be in a store that is no file system.
        if is_main_process() and file.is_file():
            sync_file(file)


def find_own_checkpoint(
    folder: Path, run: str, resumed: Path | None = None
) -> Path | None:
    """Find the checkpoint with which a run has ended.

    Args:
        folder: The work folder of the training.
        run: The name of the run.
        resumed: The checkpoint from which the run went on, as a path that
            begins with `folder` as it is given; None if it began anew. If
            nothing was left to train, the run has written none of its own.

    Returns:
        The checkpoint that is named last, if the run has written it;
        otherwise the one with the highest number of all, if the run has
        written that; otherwise `resumed`, if it is the one that is named last
        and the run has written none. None if nothing of this is so.
        `find_last_checkpoint` says which one counts as named last.

    Raises:
        OSError: If the file `last_checkpoint` cannot be read.
    """
    last = find_last_checkpoint(folder)
    others = find_whole(folder)
    if last and read_run(last) == run:
        return last
    if others and read_run(others[0]) == run:
        return others[0]
    # A training that is resumed at its last iteration saves nothing anew.
    is_untouched = not any(read_run(file) == run for file in others)
    return last if is_untouched and last == resumed else None


def read_run(file: Path) -> str | None:
    """Return the name of the run that has written a checkpoint.

    Args:
        file: The checkpoint.

    Returns:
        The name; None if it does not tell, or cannot be read.
    """
    return read_meta(file).get(RUN_KEY)
