"""JSON files that a person may change: a file that was changed is kept.

The file says in its `info` which digest its content had when it was written.
"""

import hashlib
import json
from pathlib import Path

from .atomic import read_json, write_json

SEAL = 'sha256_as_written'


def write_sealed(path: Path, content: dict) -> None:
    """Write a JSON file, unless what is there has been changed by others.

    Args:
        path: The path of the file; missing folders are made.
        content: The object, which stays as it is. The file gets the digest in
            its `info`; an `info` that is no object is left out.

    Raises:
        FileExistsError: See `check_unchanged`.
        TypeError, ValueError: If JSON cannot hold the content.
        OSError: If the file cannot be written.
    """
    check_unchanged(path)
    info = content.get('info')
    known = info if isinstance(info, dict) else {}
    sealed = known | {SEAL: compute_seal(content)}
    write_json(path, content | dict(info=sealed))


def check_unchanged(path: Path) -> None:
    """Check that a file may be replaced, because its seal holds.

    Args:
        path: The path of the file, which may be missing.

    Raises:
        FileExistsError: If there is a file whose content is not what
            `write_sealed` wrote, such as one without a seal.
    """
    if not path.exists() or has_seal(read_json(path)):
        return
    raise FileExistsError(
        f'{path} must be as this tool wrote it to be written again, but it '
        'was changed, perhaps by a person who corrected labels, or is of an '
        'earlier version: move it, or choose another folder with --out'
    )


def has_seal(content: object) -> bool:
    """Return whether a content is what `write_sealed` wrote.

    Args:
        content: What a JSON file holds.

    Returns:
        Whether its seal holds; False without one.
    """
    if not isinstance(content, dict):
        return False
    info = content.get('info')
    return isinstance(info, dict) and info.get(SEAL) == compute_seal(content)


def compute_seal(content: dict) -> str:
    """Compute the digest of a content, without its `info`.

    Args:
        content: An object that JSON can hold.

    Returns:
        SHA-256 in hexadecimal digits. The order of keys does not count.
    """
    rest = {key: value for key, value in content.items() if key != 'info'}
    text = json.dumps(rest, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
