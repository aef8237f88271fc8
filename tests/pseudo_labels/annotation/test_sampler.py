"""PendingSampler: every image that is not done goes to one process."""

import pytest

from projects.data_distillation import PendingSampler


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
    expected = f'got part={part!r}, num_parts={num_parts!r}; .* with 0: sbatch'
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


def test_part_of_a_job_has_its_images_done_or_not():
    samplers = [PendingSampler(range(7), part=n, num_parts=2) for n in (0, 1)]
    samplers[1].share_out({2, 3}, 2)

    parts = [list(sampler.draw_part(2)) for sampler in samplers]

    assert parts == [[0, 1, 4, 5], [2, 3, 6]]
