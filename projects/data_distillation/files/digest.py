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
    return hash_bytes(file).hex()


def hash_bytes(file: str | Path, start: int = 0) -> bytes:
    """Return the SHA-256 of the bytes of a file.

    Args:
        file: The path of the file.
        start: The place of the first byte that counts.

    Raises:
        OSError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(file, 'rb') as content:
        content.seek(start)
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.digest()
