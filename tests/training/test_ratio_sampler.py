"""SourceRatioSampler: the ratio, every image in its turn, and resuming."""

import itertools
from collections import Counter

import numpy as np
import pytest
from torch.utils.data import ConcatDataset

from projects.data_distillation import SourceRatioSampler

PROCESSES = [(rank, size) for size in (1, 2, 3) for rank in range(size)]
BATCH_SIZES = (1, 2, 3, 4, 5, 8, 16)


def sampler(
    sizes=(30, 200),
    ratio=(6, 4),
    rank=0,
    world_size=1,
    seed=0,
) -> SourceRatioSampler:
    dataset = ConcatDataset([range(size) for size in sizes if size])
    dataset.cumulative_sizes = list(itertools.accumulate(sizes))
    return SourceRatioSampler(dataset, ratio, seed, rank, world_size)


def first(sampler, n: int) -> np.ndarray:
    return np.fromiter(itertools.islice(sampler, n), int)


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', BATCH_SIZES)
@pytest.mark.parametrize(('rank', 'world_size'), PROCESSES)
def test_ratio_holds_in_every_process(batch_size, rank, world_size):
    one = sampler(rank=rank, world_size=world_size)

    batches = first(one, 1000 * batch_size).reshape(1000, batch_size)

    is_labeled = batches < 30
    assert is_labeled.mean() == pytest.approx(0.6, abs=0.003)
    # A minibatch is as close to 6:4 as a few whole images can be.
    num_labeled = is_labeled.sum(axis=1)
    assert np.abs(num_labeled - 0.6 * batch_size).max() <= 2
    assert num_labeled.std() < 1


@pytest.mark.slow
def test_ratio_holds_in_expectation_at_every_position():
    is_labeled = np.array(
        [first(sampler(seed=s), 8) < 30 for s in range(2000)]
    )

    # Five standard errors of 2,000 draws.
    np.testing.assert_allclose(is_labeled.mean(axis=0), 0.6, atol=0.055)


def test_size_is_that_of_all_sources():
    assert len(sampler(sizes=(7, 50, 11), ratio=[5, 3, 2])) == 68


@pytest.mark.slow
def test_three_sources_have_their_shares():
    one = sampler(sizes=(7, 50, 11), ratio=[5, 3, 2])

    indices = first(one, 10000)

    shares = np.histogram(indices, [0, 7, 57, 68])[0] / 10000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.002)


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_every_image_is_drawn_once_before_any_is_drawn_again(world_size):
    drawn = Counter()
    for rank in range(world_size):
        one = sampler(sizes=(6, 12), rank=rank, world_size=world_size)
        in_source = [i for i in first(one, 400).tolist() if i < 6]
        # Whole rounds of the source over all processes.
        drawn.update(in_source[: 6 * (200 // 6)])

    assert drawn.keys() == set(range(6))
    assert len(set(drawn.values())) == 1


def test_rounds_are_shuffled_anew():
    indices = first(sampler(sizes=(10, 10)), 200)

    source = indices[indices < 10]

    assert source[:10].tolist() != source[10:20].tolist()
    assert sorted(source[:10]) == sorted(source[10:20]) == list(range(10))


def test_processes_and_seeds_draw_differently():
    one = first(sampler(), 20).tolist()

    assert one == first(sampler(), 20).tolist()
    assert one != first(sampler(seed=1), 20).tolist()
    other_rank = sampler(rank=1, world_size=2)
    assert one != first(other_rank, 20).tolist()


@pytest.mark.parametrize('num_samples', [0, 1, 17, 1000])
@pytest.mark.parametrize(('rank', 'world_size'), [(0, 1), (1, 3)])
def test_skip_goes_on_where_an_uninterrupted_run_would(
    num_samples, rank, world_size
):
    whole = sampler(rank=rank, world_size=world_size)
    resumed = sampler(rank=rank, world_size=world_size)

    resumed.skip(num_samples)

    expected = first(whole, num_samples + 50)[num_samples:]
    assert first(resumed, 50).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(sizes=(30, 0)), r'source \[1\] .* holds no image.*\[30, 0\]'),
        (dict(ratio=[6]), r'got \[6\] for 2 sources'),
        (dict(ratio=[6, 0]), r'positive numbers, got \[6, 0\]'),
        (dict(ratio=[6, -4]), r'positive numbers, got \[6, -4\]'),
        (dict(ratio=[6, float('nan')]), 'positive numbers'),
    ],
)
def test_ratio_that_does_not_fit_is_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        sampler(**changes)


def test_dataset_without_parts_is_refused():
    with pytest.raises(TypeError, match='ConcatDataset, got range'):
        SourceRatioSampler(range(10), [6, 4])


def test_negative_skip_is_refused():
    with pytest.raises(ValueError, match='num_samples must be >= 0, got -1'):
        sampler().skip(-1)
