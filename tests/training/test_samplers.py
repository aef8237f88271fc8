"""SourceRatioSampler: ratios, coverage, resuming; PendingSampler."""

import itertools
from collections import Counter

import numpy as np
import pytest
from torch.utils.data import ConcatDataset

from projects.data_distillation import PendingSampler, SourceRatioSampler

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


def test_ratio_holds_in_expectation_at_every_position():
    is_labeled = np.array(
        [first(sampler(seed=s), 8) < 30 for s in range(2000)]
    )

    # Five standard errors of 2,000 draws.
    np.testing.assert_allclose(is_labeled.mean(axis=0), 0.6, atol=0.055)


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


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_every_pending_image_goes_to_one_process(world_size):
    drawn = []
    for rank in range(world_size):
        pending = PendingSampler(range(11), rank=rank, world_size=world_size)
        pending.share_out({0, 4}, 1)
        assert len(pending) == len(list(pending))
        drawn += pending

    assert sorted(drawn) == [1, 2, 3, 5, 6, 7, 8, 9, 10]


def shares(
    num_parts, world_size, done=(), num_images=23, block_size=4
) -> list[list[list[int]]]:
    """What each process of each part goes through; all see the same done."""
    found = []
    for part in range(num_parts):
        found.append([])
        for rank in range(world_size):
            one = PendingSampler(
                range(num_images),
                part=part,
                num_parts=num_parts,
                rank=rank,
                world_size=world_size,
            )
            one.share_out(set(done), block_size)
            assert len(one) == len(list(one))
            found[part].append(list(one))
    return found


@pytest.mark.parametrize('done', [(), (0, 4, 5, 6, 7, 22), range(23)])
@pytest.mark.parametrize('world_size', [1, 2, 3])
@pytest.mark.parametrize('num_parts', [1, 2, 3, 7, 40])
def test_every_pending_image_goes_to_one_part(num_parts, world_size, done):
    parts = shares(num_parts, world_size, done)

    drawn = [i for part in parts for process in part for i in process]
    assert sorted(drawn) == sorted(set(range(23)) - set(done))
    sizes = [len(set().union(*part)) for part in shares(3, 2)]
    assert sizes == [8, 8, 7]


def test_part_that_starts_later_takes_no_image_of_another():
    parts = [set().union(*part) for part in shares(3, 2)]
    # What a resumed or a late job finds on disk: of each part something.
    done = {0, 1, 2, 3, 4, 8, 9, 12, 13, 14, 15}

    late = shares(3, 2, done)

    assert [set().union(*part) for part in late] == [p - done for p in parts]


def test_processes_of_a_part_share_out_what_is_open():
    (part, _) = shares(2, 2, done={0, 1, 2, 3}, num_images=40)

    assert part == [
        [8, 9, 10, 11, 24, 25, 26, 27],
        [16, 17, 18, 19, 32, 33, 34, 35],
    ]


@pytest.mark.parametrize(
    ('part', 'num_parts'),
    [(3, 3), (-1, 3), (0, 0), (0, -1), ('', ''), (0, ''), ('', 2)],
)
def test_part_that_does_not_exist_is_refused(part, num_parts):
    expected = f'got part={part!r}, num_parts={num_parts!r}; number .* from 0'
    with pytest.raises(ValueError, match=expected):
        PendingSampler(range(4), part=part, num_parts=num_parts)


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_processes(world_size):
    batches = []
    for rank in range(world_size):
        pending = PendingSampler(range(22), rank=rank, world_size=world_size)
        pending.share_out({0, 1, 2, 3, 8, 9, 10, 11}, 4)
        mine = list(pending)
        batches += [tuple(mine[i : i + 4]) for i in range(0, len(mine), 4)]

    assert sorted(batches) == [
        (4, 5, 6, 7),
        (12, 13, 14, 15),
        (16, 17, 18, 19),
        (20, 21),
    ]


def test_nothing_is_done_at_first():
    pending = PendingSampler(range(3))

    assert list(pending) == [0, 1, 2]
    pending.share_out({1}, 1)
    assert pending.num_pending == 2


def test_what_is_left_of_a_block_does_not_shift_whole_ones():
    pending = PendingSampler(range(12))
    pending.share_out({0, 1, 3}, 4)

    assert list(pending) == [4, 5, 6, 7, 8, 9, 10, 11, 2]
