"""Text files in the encodings that tools write."""

import json
import re

# What is tried to show a user what a text may mean.
CANDIDATES = ('cp1252', 'cp1250', 'cp1251', 'gb18030', 'shift_jis', 'euc_kr')


class EncodingError(ValueError):
    """A text cannot be decoded; the message says what it may be encoded in.

    The message follows the name of the text: `is not in ...`.
    """


def decode_text(content: bytes, encoding: str = '') -> str:
    """Decode a text of which the encoding is known, or clear.

    UTF-8, UTF-16 and UTF-32 are recognized, with a byte order mark or without.
    Other bytes are taken for letters of Western or Central Europe if these
    encodings agree on all of them, as on é and ü, and if each stands alone:
    those of other scripts mostly come in rows.

    Args:
        content: The bytes of a text whose first two characters are ASCII; it
            may be empty.
        encoding: The encoding, as Python names it; `''` if it is not known.

    Returns:
        The text, without a byte order mark, unless `encoding` keeps one, as
        `'utf-8'` does.

    Raises:
        EncodingError: If the encoding is not clear, not the right one, or one
            that Python does not know.
    """
    try:
        # As `json.loads` does with bytes: null bytes beside ASCII characters
        # tell UTF-16 and UTF-32.
        return content.decode(encoding or json.detect_encoding(content))
    # LookupError: Python knows no encoding of this name.
    except (UnicodeDecodeError, LookupError) as error:
        if encoding:
            raise EncodingError(f'is not in {encoding} ({error})') from None
    candidates = {name: content.decode(name, 'replace') for name in CANDIDATES}
    # Below 0xc0, Western encodings have mostly signs, not letters.
    is_alone = not re.search(b'[\x80-\xbf]|[\x80-\xff]{2}', content)
    if is_alone and candidates['cp1252'] == candidates['cp1250']:
        return candidates['cp1252']
    first = re.search(b'[\x80-\xff]', content)
    place = first.start() if first else 0
    # The cut may go through a character: hence 'replace' below.
    around = content[max(place - 12, 0) : place + 12]
    read = ', '.join(
        f'{name}: {around.decode(name, "replace")!r}' for name in CANDIDATES
    )
    raise EncodingError(
        f'is not in UTF-8, but perhaps in one of these: {read}'
    )
