"""Shards are known by their names."""

from projects.data_distillation.pseudo_labels.detections.shard_files import (
    list_shards,
    name_shard,
)


def test_files_that_are_being_written_or_no_shards_are_left_out(tmp_path):
    assert list_shards(tmp_path / 'none') == []
    shards = sorted(name_shard(tmp_path) for _ in range(3))
    assert len(set(shards)) == 3
    for path in (*shards, tmp_path / '.a.parquet', tmp_path / 'a.txt'):
        path.touch()

    assert list_shards(tmp_path) == shards
