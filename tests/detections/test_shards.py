"""A shard says what is wrong with it, whatever its decoder raises."""

import pytest

from projects.data_distillation.detections.shards import (
    ShardError,
    naming_damage,
)


@pytest.mark.parametrize('error', [AssertionError(), ValueError('a\nb')])
def test_any_error_of_a_decoder_is_named(error):
    with pytest.raises(ShardError, match='^damaged: .'), naming_damage():
        raise error


def test_lack_of_memory_is_no_damage():
    with pytest.raises(MemoryError), naming_damage():
        raise MemoryError
