"""ResumeHook: makes a resumed training equal to one that never stopped."""

import logging
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.device import get_device
from mmengine.dist import barrier, get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import Dataset, get_worker_info

from ..files.atomic import replacing
from ..multi_view.inference.checkpoints import CheckpointError
from ..multi_view.inference.safe_loading import load_mapped
from ..text import format_error
from .finite_loss import WEIGHTS, find_infinite
from .late_loading import start_late
from .whole_checkpoints import find_checksum_fault, is_zipfile

# What random numbers are used for, so that no seed is used twice.
LOADING, TRAINING = range(2)


@HOOKS.register_module()
class ResumeHook(Hook):
    """Makes a resumed training equal to one that was never stopped.

    MMEngine restores the weights, the optimizer, the schedulers, the averages,
    the iteration and the position of the sampler. Two things differ
    nevertheless. The random numbers start over with the seed, so that the
    augmentations of the first iterations are repeated. And if the config has
    no seed, the old one is restored too late: the sampler has drawn its own by
    then, and other images come.

    This hook keeps the seed of the sampler in the checkpoint. From this seed,
    the rank of the process and the iteration, it seeds python, numpy and
    torch: before each batch is loaded, in the worker that loads it, and before
    each training step. The result depends neither on what ran before nor on
    the number of workers.

    The training must count iterations, and the number of processes must stay
    the same.
    """

    def before_run(self, runner: Runner) -> None:
        """Make `--resume` without a path find a checkpoint that is whole.

        Args:
            runner: The runner of the training.

        Raises:
            OSError: If the file `last_checkpoint` cannot be read, written or
                removed.
        """
        # With `load_from`, MMEngine resumes from that file and not the last
        # one.
        if not runner.cfg.get('resume') or runner.cfg.get('load_from'):
            return
        if is_main_process():
            mend_last_checkpoint(Path(runner.work_dir))
        barrier()  # Next, every process reads the file `last_checkpoint`.

    def before_train(self, runner: Runner) -> None:
        """Restore the seed of the sampler, and seed the batches.

        A `SeededBatches` becomes the `__getitems__` of the dataset. Hooks that
        run later find it there.

        Args:
            runner: The runner of the training, which has resumed already.
        """
        loader = runner.train_dataloader
        sampler = loader.batch_sampler.sampler
        # The message hub is saved in every checkpoint.
        hub = runner.message_hub
        drawn = getattr(sampler, 'seed', runner.seed)
        sampler.seed = hub.get_info('sampler_seed', drawn)
        hub.update_info('sampler_seed', sampler.seed)
        self.seed = sampler.seed, get_rank()
        first = runner.iter
        if start_late(runner):
            self.batches = SeededBatches(loader.dataset, self.seed, 0, first)
        else:
            self.batches = SeededBatches(loader.dataset, self.seed, first)
        # torch's data loader calls this method to load a whole batch.
        loader.dataset.__getitems__ = self.batches

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Seed the training step, and number the batch that is loaded next.

        Without workers, this process loads that batch itself, after the step.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch, which is loaded already; it is not used.
        """
        self.batches.next_batch = runner.iter + 1
        set_seeds(*self.seed, TRAINING, runner.iter)


class SeededBatches:
    """Loads the batches of a dataset, each with its own random numbers.

    Args:
        dataset: The dataset.
        seed: The part of the seed that all batches share, integers of at
            least 0.
        next_batch: The number of the batch that is loaded next, counted from
            0.
        first_wanted: The number of the first batch that is trained on. For
            each one before it, one sample is given.
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: Sequence[int],
        next_batch: int,
        first_wanted: int = 0,
    ) -> None:
        self.dataset = self.later_dataset = dataset
        self.first_later_batch = 0
        self.seed = seed
        self.next_batch = next_batch
        self.first_wanted = first_wanted
        self.unwanted: list = []

    def switch(self, batch: int, dataset: Dataset) -> None:
        """Load later batches from another dataset; the last call counts.

        Args:
            batch: The number of the first batch from the other dataset.
            dataset: The other dataset, with the same samples under the same
                indices.
        """
        self.first_later_batch = batch
        self.later_dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list:
        """Load the next batch of this worker, or of this process.

        Args:
            indices: The indices of the samples, at least one.

        Returns:
            The samples, in this order; for a batch before `first_wanted` only
            one sample, the first that was asked for, each time the same.
        """
        batch = self._count()
        if batch < self.first_wanted:
            # To load them all would take as long as the training has.
            self.unwanted = self.unwanted or [self.dataset[indices[0]]]
            return self.unwanted
        set_seeds(*self.seed, LOADING, batch)
        is_later = batch >= self.first_later_batch
        dataset = self.later_dataset if is_later else self.dataset
        return [dataset[i] for i in indices]

    def _count(self) -> int:
        """Return the number of this batch."""
        batch = self.next_batch
        if worker := get_worker_info():
            # The workers take turns, and each has its own copy of this object.
            self.next_batch += worker.num_workers
            return batch + worker.id
        self.next_batch += 1
        return batch


def set_seeds(*key: int) -> None:
    """Seed python, numpy and torch with a mix of integers.

    Args:
        *key: Integers of at least 0; the same ones give the same seed.

    Raises:
        ValueError: If an integer is negative.
    """
    # All of the key goes into 32 bits, as many as an integer may have in
    # numpy.random.seed.
    (seed,) = map(int, np.random.SeedSequence(key).generate_state(1))
    random.seed(seed)
    np.random.seed(seed)
    if get_device() == 'cpu':
        # `torch.manual_seed` formats the stack for each kind of device that is
        # missing, which takes a millisecond.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def mend_last_checkpoint(folder: Path) -> None:
    """Make the file `last_checkpoint` name a checkpoint that is whole.

    If there is no sound checkpoint, the file is removed.

    Args:
        folder: The work folder of a training.

    Raises:
        OSError: If the file cannot be read, written or removed.
    """
    note = folder / 'last_checkpoint'
    if found := find_sound_checkpoint(folder):
        with replacing(note) as file:
            file.write(str(found).encode())
    else:
        note.unlink(missing_ok=True)


def find_sound_checkpoint(folder: Path) -> Path | None:
    """Find the checkpoint from which a training goes on, and read it.

    It is the last one, or else that with the highest number, whose bytes have
    their checksums and whose weights are numbers. One that is refused because
    it could run code counts as sound; the training then says so. A warning
    says why others are left out.

    Args:
        folder: The work folder of the training.

    Returns:
        The checkpoint, in this folder; None if there is none.

    Raises:
        OSError: If the file `last_checkpoint` cannot be read.
    """
    last = find_last_checkpoint(folder)
    others = find_whole(folder)
    # The last one comes first, and is not read again as one of the others.
    for file in dict.fromkeys([last, *others] if last else others):
        fault = find_checksum_fault(file) or find_weights_fault(file)
        if not fault:
            return file
        print_log(
            f'{file} {fault}: the training does not go on from it',
            'current',
            logging.WARNING,
        )
    return None


def find_weights_fault(file: Path) -> str:
    """Return what is wrong with the weights of a checkpoint.

    Args:
        file: The checkpoint.

    Returns:
        What is wrong, to follow the name of the file: it cannot be read, its
        weights are no mapping, or one is not finite. It is empty if nothing is
        wrong, or if the checkpoint is refused because it could run code. Then
        the training says so.
    """
    try:
        content = load_mapped(file)
    except CheckpointError:
        return ''
    except (OSError, RuntimeError) as error:
        return f'cannot be read ({format_error(error)})'
    content = content if isinstance(content, dict) else {}
    for part in WEIGHTS:
        if not isinstance(content.get(part) or {}, Mapping):
            return f'has a `{part}` that is no mapping'
    name = find_infinite(content)
    return f'has weights that are no numbers ({name})' if name else ''


def count_done(folder: Path) -> int:
    """Count the iterations after which a training goes on.

    Args:
        folder: The work folder of the training.

    Returns:
        The number in the checkpoint, since a person may have renamed its
        file; that of the file name `iter_N.pth` if the checkpoint has none, or
        is refused because it could run code. It is 0 without a sound
        checkpoint, or if neither has a number.

    Raises:
        OSError: If the file `last_checkpoint` cannot be read.
    """
    checkpoint = find_sound_checkpoint(folder)
    if checkpoint is None:
        return 0
    named = re.fullmatch(r'iter_(\d+)', checkpoint.stem)
    return read_meta(checkpoint).get('iter', int(named[1]) if named else 0)


def read_meta(file: Path) -> dict:
    """Read what a checkpoint says of itself.

    Args:
        file: The checkpoint.

    Returns:
        Its `meta`; empty if it has none, cannot be read, or is refused because
        it could run code.
    """
    try:
        content = load_mapped(file)
    except (CheckpointError, OSError, RuntimeError):
        return {}
    meta = content.get('meta') if isinstance(content, dict) else None
    return meta if isinstance(meta, dict) else {}


def find_last_checkpoint(folder: Path) -> Path | None:
    """Find the checkpoint from which a training continues.

    This is the checkpoint that the file `last_checkpoint` names. If none is
    named, or it is missing, or cut short because the process was killed while
    it saved, it is the whole checkpoint with the highest number, and a warning
    says so.

    Args:
        folder: The work folder of the training.

    Returns:
        The checkpoint, in this folder; None if there is none. Only that it is
        a zip file is checked, see `find_sound_checkpoint`.

    Raises:
        OSError: If the file `last_checkpoint` cannot be read.
    """
    name = read_named(folder)
    # Without a name this is the folder itself, which is no zip file.
    if is_zipfile(folder / name):
        return folder / name
    found = next(iter(find_whole(folder)), None)
    if found or (folder / 'last_checkpoint').is_file():
        print_log(
            f'{folder}: the last checkpoint ({name or "not named"}) is '
            'missing or cut short, because saving was interrupted; '
            + (f'continuing from {found.name}' if found else 'starting over'),
            'current',
            logging.WARNING,
        )
    return found


def read_named(folder: Path) -> str:
    """Read which checkpoint the file `last_checkpoint` names.

    Args:
        folder: The work folder of the training.

    Returns:
        The name of its file; empty if `last_checkpoint` is missing, or holds
        no text, because the power went out while it was written.

    Raises:
        OSError: If the file `last_checkpoint` cannot be read.
    """
    note = folder / 'last_checkpoint'
    text = note.read_bytes().decode(errors='replace') if note.is_file() else ''
    if {'\0', '\ufffd'} & set(text):
        return ''
    # Only the name counts, because the folder may have been moved since.
    return Path(text.strip()).name


def find_whole(folder: Path) -> list[Path]:
    """Find the checkpoints `iter_N.pth` and `epoch_N.pth` that are whole.

    Args:
        folder: The folder of the checkpoints; it need not exist.

    Returns:
        Their files, the one with the highest number first; one for each
        number, and of two with the same number either. Empty if there is none.
    """
    numbered = {
        int(match[1]): file
        for file in folder.glob('*.pth')
        if (match := re.fullmatch(r'(?:iter|epoch)_(\d+)', file.stem))
        # A checkpoint is a zip file, and a zip file has its directory at the
        # end.
        and is_zipfile(file)
    }
    return [numbered[number] for number in sorted(numbered, reverse=True)]
