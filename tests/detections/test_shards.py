"""A shard says how large it is, and what is wrong with it."""

import numpy as np
import pytest
from builders import stored_row

from projects.data_distillation.detections.shards import (
    ShardError,
    count_bytes,
    naming_damage,
    write_shard,
)


@pytest.mark.parametrize('error', [AssertionError(), ValueError('a\nb')])
def test_any_error_of_a_decoder_is_named(error):
    with pytest.raises(ShardError, match='^damaged: .'), naming_damage():
        raise error


def test_lack_of_memory_is_no_damage():
    with pytest.raises(MemoryError), naming_damage():
        raise MemoryError


def test_boxes_of_views_are_counted_apart(tmp_path):
    num = 1000
    # Noise, which cannot be made much smaller.
    noise = np.random.default_rng(0).random((num, 4), np.float32)
    row = stored_row('a')
    kept = dict(
        row,
        view_bboxes_xyxy=noise.tolist(),
        view_scores=noise[:, 0],
        view_labels=[0] * num,
        view_counts=[num],
        view_run_index=[0],
    )
    sizes = []
    for name, one in (('plain', row), ('kept', kept)):
        file = tmp_path / f'{name}.parquet'
        write_shard(file, [one], {})
        total, of_views = count_bytes(file)
        assert total == file.stat().st_size
        sizes.append(of_views)

    assert sizes[0] == 0
    assert 5 * 4 * num < sizes[1] < 8 * 4 * num
