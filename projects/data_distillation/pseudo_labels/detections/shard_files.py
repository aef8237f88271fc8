"""The names of shards within the folder of a store."""

import uuid
from pathlib import Path

SUFFIX = '.parquet'


def list_shards(folder: Path) -> list[Path]:
    """List the shards in a folder. Some may not be whole.

    Args:
        folder: The folder of a store.

    Returns:
        Their paths, sorted by name; empty if there is none or no folder.
        Hidden files are left out: they are shards that are being written.
    """
    return sorted(folder.glob(f'[!.]*{SUFFIX}'))


def name_shard(folder: Path) -> Path:
    """Return a path for a new shard, which no other process takes.

    Args:
        folder: The folder of a store.

    Returns:
        The path; the name is random.
    """
    return folder / f'{uuid.uuid4().hex}{SUFFIX}'
