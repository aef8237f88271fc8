"""What is in the files of weights that a training begins with."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from ...base_configs.config_reading import list_mappings
from ...files.digest import compute_sha256

# The keys of a config whose values are paths of weights.
WEIGHT_KEYS = ('load_from', 'checkpoint', 'pretrained', 'teacher_ckpt')


def hash_weights(cfg: Mapping) -> dict[str, str]:
    """Compute the SHA-256 of the files of weights that a config names.

    Args:
        cfg: The config of a training, or a part of it.

    Returns:
        Path -> digest, 64 hexadecimal digits, sorted by path. What is no file
        on this machine, such as a URL, is left out. So is a file that cannot
        be read.
    """
    found = {}
    for path in sorted(set(find_weights(cfg))):
        with suppress(OSError):
            found[path] = compute_sha256(path)
    return {path: digest for path, digest in found.items() if digest}


def find_weights(value: object) -> Iterator[str]:
    """Find every path of weights in a part of a config.

    Args:
        value: The part.

    Yields:
        Each path or URL, in the order of the config; one may come again.
    """
    for part in list_mappings(value):
        for key in WEIGHT_KEYS:
            if isinstance(part.get(key), str):
                yield part[key]
