"""What a shard says of the content of its image files.

It is in the metadata of the file, as lists in JSON with an element for each
row. Shards of earlier versions have less of it, or nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

DIGESTS = b'data_distillation_sha256'
STATES = b'data_distillation_states'


class Content(NamedTuple):
    """The content of an image file when the image was read.

    Args:
        digest: Its SHA-256, 64 hexadecimal digits; empty if there was no file
            that could be read, None if it is not known.
        state: What tells whether the file has changed since then, see
            `files.known_digests.read_state`; None or empty if it is not known.
    """

    digest: str | None = None
    state: str | None = None


@dataclass(frozen=True)
class ShardIndex:
    """Which images a shard has.

    Args:
        provenance: What made the detections.
        names: The file name of each row.
        contents: The content of the image file of each row.
    """

    provenance: dict
    names: list[str]
    contents: list[Content]


def encode_contents(contents: Sequence[Content]) -> dict[bytes, str]:
    """Return the metadata of a shard that tells the content of its images.

    Args:
        contents: The content of each image, in the order of the rows.

    Returns:
        Key -> a list in JSON, with an element for each image; empty if no
        digest is known.
    """
    if all(one.digest is None for one in contents):
        return {}
    return {
        DIGESTS: json.dumps([one.digest for one in contents]),
        STATES: json.dumps([one.state for one in contents]),
    }


def decode_contents(schema: pa.Schema, num: int) -> list[Content]:
    """Return what a shard tells of the content of its images.

    Args:
        schema: The schema of the file.
        num: The number of its rows.

    Returns:
        The content for each row, with None for what is not known.
    """
    digests, states = (
        # `metadata` is None if a file has none.
        decode_texts((schema.metadata or {}).get(key, b''), num)
        for key in (DIGESTS, STATES)
    )
    return list(map(Content, digests, states))


def decode_texts(value: bytes, num: int) -> list[str | None]:
    """Decode a list of texts.

    Args:
        value: The list in JSON; anything else is not known.
        num: The number of elements that it must have.

    Returns:
        As many texts, with None for those that are not known.
    """
    try:
        texts = json.loads(value)
    # JSON may be nested too deeply, or be empty bytes.
    except (ValueError, RecursionError):
        texts = None
    if not isinstance(texts, list) or len(texts) != num:
        return [None] * num
    return [one if isinstance(one, str) else None for one in texts]
