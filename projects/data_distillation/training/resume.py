"""ResumeHook: a training that was stopped goes on as if it had not been."""

import logging
import random
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import barrier, get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import Dataset, get_worker_info

from ..files.atomic import replacing

# What random numbers are for, so that none are used twice.
LOADING, TRAINING = range(2)


@HOOKS.register_module()
class ResumeHook(Hook):
    """Makes a resumed training equal to one that was never stopped.

    MMEngine restores weights, optimizer, schedulers, averages and iteration,
    and the sampler's position. But random numbers start over with the seed,
    which repeats the augmentations of the first iterations; and a seed that
    the config leaves open is restored when the sampler has its own already,
    so that other images come. This hook keeps the sampler's seed in the
    checkpoint, and seeds python, numpy and torch from it, the process and the
    iteration: before every batch that is loaded, in the worker that loads it,
    and before every training step. What came before does not matter, nor how
    many workers there are.

    For iteration-based training; the number of processes must stay the same.
    """

    def before_run(self, runner: Runner) -> None:
        """Let `--resume` without a path find a checkpoint that is whole.

        Args:
            runner: The runner.
        """
        if not runner.cfg.get('resume') or runner.cfg.get('load_from'):
            return
        if is_main_process():
            repair_last_checkpoint(Path(runner.work_dir))
        barrier()  # What comes next in every process is to read the note.

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed it had, and the batches their numbers.

        Args:
            runner: The runner, resumed already.
        """
        loader = runner.train_dataloader
        sampler = loader.batch_sampler.sampler
        # The hub is part of every checkpoint.
        hub = runner.message_hub
        drawn = getattr(sampler, 'seed', runner.seed)
        sampler.seed = hub.get_info('sampler_seed', drawn)
        hub.update_info('sampler_seed', sampler.seed)
        self.seed = sampler.seed, get_rank()
        self.batches = SeededBatches(loader.dataset, self.seed, runner.iter)
        # Where torch's loader looks for a way to load a whole batch.
        loader.dataset.__getitems__ = self.batches

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Seed the training step.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used; it is loaded already.
        """
        self.batches.next_batch = runner.iter + 1
        set_seeds(*self.seed, TRAINING, runner.iter)


class SeededBatches:
    """Loads batches of a dataset, each with random numbers of its own.

    Args:
        dataset: The dataset.
        seed: Numbers that all batches share.
        next_batch: The number of the batch that is loaded next; in a process
            without workers to be set anew before every batch.
    """

    def __init__(
        self, dataset: Dataset, seed: Sequence[int], next_batch: int
    ) -> None:
        self.dataset = self.later_dataset = dataset
        self.first_later_batch = 0
        self.seed = seed
        self.next_batch = next_batch

    def switch(self, batch: int, dataset: Dataset) -> None:
        """Load from another dataset, from some batch on.

        Args:
            batch: The number of the first one.
            dataset: With the same samples under the same indices.
        """
        self.first_later_batch = batch
        self.later_dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list:
        """Load the next batch of this worker, or of the only process.

        Args:
            indices: Of the samples.

        Returns:
            The samples.
        """
        batch = self.next_batch
        if worker := get_worker_info():
            # The workers take turns, each with its own copy of this object.
            batch += worker.id
            self.next_batch += worker.num_workers
        set_seeds(*self.seed, LOADING, batch)
        is_later = batch >= self.first_later_batch
        dataset = self.later_dataset if is_later else self.dataset
        return [dataset[i] for i in indices]


def set_seeds(*key: int) -> None:
    """Seed python, numpy and torch with a mix of whole numbers >= 0."""
    (seed,) = map(int, np.random.SeedSequence(key).generate_state(1))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def repair_last_checkpoint(folder: Path) -> None:
    """Let the file `last_checkpoint` name a checkpoint that is whole.

    Args:
        folder: The work folder of a training. If it has none, there is no
            such file either.
    """
    note = folder / 'last_checkpoint'
    if found := find_last_checkpoint(folder):
        with replacing(note) as file:
            file.write(str(found).encode())
    else:
        note.unlink(missing_ok=True)


def find_last_checkpoint(folder: Path) -> Path | None:
    """Find the checkpoint from which a training goes on.

    It is the one that the file `last_checkpoint` names. If that one is
    missing, or cut short since the process was killed while it saved, it is
    the newest that is whole, and a warning says so.

    Args:
        folder: The work folder of the training.

    Returns:
        The checkpoint, in this folder; None if there is none.
    """
    note = folder / 'last_checkpoint'
    # The note holds the path at that time: the folder may have been moved.
    name = Path(note.read_text().strip()).name if note.is_file() else ''
    if zipfile.is_zipfile(folder / name):
        return folder / name
    found = find_newest_whole(folder)
    if found or note.is_file():
        print_log(
            f'{folder}: the last checkpoint ({name or "not named"}) is '
            'missing or cut short, since saving was interrupted; '
            + (f'going on from {found.name}' if found else 'starting over'),
            'current',
            logging.WARNING,
        )
    return found


def find_newest_whole(folder: Path) -> Path | None:
    """Find the checkpoint of the highest iteration that is not cut short.

    Args:
        folder: Of the checkpoints.

    Returns:
        The file; None if there is none.
    """
    numbered = {
        int(match[1]): file
        for file in folder.glob('*.pth')
        if (match := re.fullmatch(r'(?:iter|epoch)_(\d+)', file.stem))
        # A checkpoint is a zip file, whose directory is at its end.
        and zipfile.is_zipfile(file)
    }
    return numbered[max(numbered)] if numbered else None
