"""Layers of normalization that need several processes, and their opposite."""

from collections.abc import Mapping

from .config_reading import DetectorError, get_type

# These settings change what MMSyncBN computes; SyncBN has none of them.
OF_MMCV = {'group', 'group_size', 'stats_mode'}


def replace_mm_sync(part: Mapping) -> dict:
    """Find what to replace so that a layer also works in one process.

    `MMSyncBN` of MMCV cannot even be built without a process group. PyTorch's
    `SyncBN` has the same statistics, and is a plain `BN` in one process.

    Args:
        part: The config of a part of a model.

    Returns:
        Key -> new value; empty for everything else.

    Raises:
        DetectorError: If the layer has settings that `SyncBN` lacks.
    """
    if 'type' not in part or get_type(part) != 'MMSyncBN':
        return {}
    if own := sorted(OF_MMCV & part.keys()):
        raise DetectorError(
            f'MMSyncBN with {own} works in several processes only: inherit '
            'from the config, and write SyncBN or BN in its `norm_cfg`'
        )
    return dict(type='SyncBN')
