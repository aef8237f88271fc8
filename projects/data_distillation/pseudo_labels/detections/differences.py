"""Compares what made two sets of detections."""

import json
from typing import Any

# The keys that say where things were or how the student reads masks, not what
# the detections are. Their values may change between two runs.
LOCATIONS = ('teacher_config', 'checkpoint', 'segmentation')

# The key of the folder of the images. Whether two files in different folders
# are the same image, only their content tells.
IMAGE_FOLDER = 'image_folder'

# The keys whose values must be equal for scores to mean the same.
TEACHER_KEYS = (
    'detector_sha256',
    'checkpoint_sha256',
    'other_teachers',
    'pipeline',
    'views',
    'mode',
    'merger',
    'prompt',
    'class_names',
    'data_preprocessor',
)


def as_json(config: Any) -> Any:  # noqa: ANN401 - it returns what it gets
    """Convert a config to what a shard gives back, with lists for tuples.

    Args:
        config: What JSON can hold, and tuples.

    Returns:
        A deep copy. Keys that are numbers become text.

    Raises:
        TypeError: If JSON cannot hold it.
    """
    return json.loads(json.dumps(config))


def find_differing_keys(one: dict, other: dict) -> list[str]:
    """Find the keys whose values differ.

    Args:
        one: The provenance of some detections.
        other: The provenance of others.

    Returns:
        The keys, sorted, without those in `LOCATIONS`. A key that one of the
        two lacks counts as None there.
    """
    keys = (one.keys() | other.keys()) - set(LOCATIONS)
    return sorted(key for key in keys if one.get(key) != other.get(key))
