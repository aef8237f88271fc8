"""SourceRatioSampler: a fixed ratio of labeled and pseudo-labeled images."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import ConcatDataset, Sampler

# The length of one step around the unit circle. With the golden ratio, any
# number of consecutive steps is spread as evenly as possible. Every run of
# samples, and so every minibatch, therefore meets the ratio as closely as it
# can.
STEP = (math.sqrt(5) - 1) / 2


@DATA_SAMPLERS.register_module()
class SourceRatioSampler(Sampler[int]):
    """Infinite sampler that mixes the parts of a `ConcatDataset` by a ratio.

    The parts are called sources. Each process draws from its own share of
    every source, so that no process waits for another. At position k, a
    process takes the source whose slice of [0, 1) contains
    (phase + k * golden ratio) mod 1. The phase is drawn uniformly for each
    process. The ratio therefore holds in expectation at every position, for
    any batch size and any number of processes, and in n consecutive samples
    the count of a source differs from n * ratio by no more than a few. When
    all processes together have gone through a source, it is shuffled again
    and starts over.

    Use it with `batch_sampler=None`, because `AspectRatioBatchSampler` would
    regroup the samples and undo the ratio.

    Args:
        dataset: A `ConcatDataset`, or anything with `cumulative_sizes`.
        ratio: One positive number per source, such as `[6, 4]`.
        seed: The seed, at least 0, which must be the same in every process;
            None to let the processes agree on one.
        rank: The number of this process, counted from 0; None to ask
            MMEngine.
        world_size: The number of processes; None to ask MMEngine.

    Raises:
        TypeError: If the dataset is not a concatenation.
        ValueError: If a source is empty or the ratio does not fit.

    Source:
        Paper, section 4, retraining: every batch is a mixture of labeled and
        pseudo-labeled images. The ratio 6:4 is known at second hand
        (configs/README.md).
    """

    def __init__(
        self,
        dataset: ConcatDataset,
        ratio: Sequence[float],
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        ends = getattr(dataset, 'cumulative_sizes', None)
        if ends is None:
            raise TypeError(
                'SourceRatioSampler mixes the parts of a ConcatDataset, got '
                f'{type(dataset).__name__}'
            )
        self.sizes = np.diff(ends, prepend=0)
        self.starts = np.asarray(ends) - self.sizes
        check_ratio(ratio, self.sizes)
        # The slices of [0, 1): source i ends at bounds[i].
        self.bounds = np.cumsum(ratio) / np.sum(ratio)
        here = get_dist_info()
        self.rank = here[0] if rank is None else rank
        self.world_size = here[1] if world_size is None else world_size
        self.seed = sync_random_seed() if seed is None else seed
        self.position = 0

    def __iter__(self) -> Iterator[int]:
        """Draw from the position that `skip` has set.

        Yields:
            Indices into the concatenated dataset, without end.

        Raises:
            ValueError: If the seed is negative.
        """
        # Each process starts elsewhere on the circle. Otherwise all would draw
        # from one source at the same time.
        phase = self._random(0, self.rank).random()
        # The number of samples that this process has drawn from each source.
        # Counted anew from the position, so that a checkpoint need not have
        # it.
        drawn = np.bincount(
            self._sources(phase, np.arange(self.position)),
            minlength=len(self.sizes),
        )
        streams = [
            self._draw(source, int(skipped))
            for source, skipped in enumerate(drawn)
        ]
        position = self.position
        while True:
            (source,) = self._sources(phase, np.array([position]))
            yield next(streams[source])
            position += 1

    def __len__(self) -> int:
        """Return the size of the dataset; the iteration itself is endless.

        Returns:
            The number of samples in all sources, for all processes.
        """
        return int(self.sizes.sum())

    def skip(self, num_samples: int) -> None:
        """Start the next iteration at a later position, without loading.

        Args:
            num_samples: The number of samples that this process has drawn
                since the very start, as MMEngine counts them when it resumes.
                It replaces the position; it is not added to it.

        Raises:
            ValueError: If `num_samples` is negative.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples must be >= 0, got {num_samples}')
        self.position = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Do nothing, because there are no epochs; MMEngine calls it.

        Args:
            epoch: It is not used.
        """

    def _random(self, *key: int) -> np.random.Generator:
        # numpy hashes the whole key, so that seeds side by side have nothing
        # in common. The first number of the key tells phases (0) from orders
        # (1).
        return np.random.default_rng((self.seed, *key))

    def _sources(self, phase: float, positions: np.ndarray) -> np.ndarray:
        points = (phase + positions * STEP) % 1.0
        # `right`, since slices are half open: a bound belongs to the next one.
        sources = np.searchsorted(self.bounds, points, side='right')
        # Because of rounding, the last bound may be a little below 1.
        return sources.clip(max=len(self.bounds) - 1)

    def _draw(self, source: int, skipped: int) -> Iterator[int]:
        """Yield the share of this process in a source, shuffled each round."""
        size, start = int(self.sizes[source]), int(self.starts[source])
        # The processes take turns in one order, so that no image comes twice
        # in a round.
        place = skipped * self.world_size + self.rank
        shuffled_round = -1
        order: np.ndarray = np.empty(0, int)
        while True:
            # With more processes than images, a step may jump over whole
            # rounds.
            if place // size != shuffled_round:
                shuffled_round = place // size
                random = self._random(1, source, shuffled_round)
                order = random.permutation(size)
            yield start + int(order[place % size])
            place += self.world_size


def check_ratio(ratio: Sequence[float], sizes: np.ndarray) -> None:
    """Check that a ratio fits sources of these sizes.

    Args:
        ratio: One number per source, not scaled to any sum.
        sizes: The number of samples in each source, shape (number of
            sources,), int.

    Raises:
        ValueError: If `ratio` and `sizes` differ in length, a part of the
            ratio is not a positive number, or a source is empty.
    """
    if len(ratio) != len(sizes):
        raise ValueError(
            f'ratio must have one number per source, got {list(ratio)} for '
            f'{len(sizes)} sources'
        )
    if not all(part > 0 and math.isfinite(part) for part in ratio):
        raise ValueError(
            f'ratio must be positive numbers, got {list(ratio)}; to leave a '
            'source out, take it out of the ConcatDataset'
        )
    empty = [i for i, size in enumerate(sizes) if size == 0]
    if empty:
        raise ValueError(
            f'source {empty} of the ConcatDataset holds no image, the sizes '
            f'are {list(map(int, sizes))}: check its annotation file and its '
            'filter_cfg'
        )
