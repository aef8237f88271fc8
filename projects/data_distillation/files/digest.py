"""SHA-256 of files."""

import hashlib
from pathlib import Path


def sha256_of(file: str | Path) -> str | None:
    """Return the SHA-256 of a file's bytes.

    Args:
        file: A path, or the URL of a checkpoint.

    Returns:
        64 hexadecimal digits; None if there is no such file on this machine,
        as for a URL.
    """
    if not Path(file).is_file():
        return None
    digest = hashlib.sha256()
    with Path(file).open('rb') as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
