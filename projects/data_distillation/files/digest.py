"""SHA-256 of files."""

import hashlib
from pathlib import Path


def sha256_of(file: str | Path) -> str | None:
    """Return a file's SHA-256; None if it is no local file (a URL)."""
    if not Path(file).is_file():
        return None
    digest = hashlib.sha256()
    with Path(file).open('rb') as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
