"""Which encodings are clear, and what is said of others."""

import pytest

from projects.data_distillation.files.encoding import (
    EncodingError,
    decode_text,
)

TEXT = '{"name": "Gerät café"}'


@pytest.mark.parametrize(
    'encoding',
    [
        'utf-8',
        'utf-8-sig',
        'utf-16',
        'utf-16-le',
        'utf-32',
        'cp1252',
        'cp1250',
    ],
)
def test_clear_encoding_is_found(encoding):
    assert decode_text(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(
    ('text', 'encoding'),
    [
        ('{"name": "señal"}', 'cp1252'),  # ń in Central Europe.
        ('{"name": "řeka"}', 'cp1250'),
        ('{"name": "細胞"}', 'gb18030'),
        ('{"name": "клетка"}', 'cp1251'),
        ('{"name": "a € b"}', 'cp1252'),
    ],
)
def test_other_encoding_must_be_named(text, encoding):
    with pytest.raises(EncodingError, match=f'{encoding}: '):
        decode_text(text.encode(encoding))

    assert decode_text(text.encode(encoding), encoding) == text


def test_text_around_the_first_other_letter_is_quoted():
    # One of Central Europe too, so that it is not clear which is meant.
    for text, quoted in (
        ('ř is the first letter', 'ř is the fir'),
        ('not in the first 12, but here ř', '2, but here ř'),
    ):
        with pytest.raises(EncodingError, match=f"cp1250: '{quoted}'"):
            decode_text(text.encode('cp1250'))


@pytest.mark.parametrize('encoding', ['ascii', 'nonsense'])
def test_wrong_encoding_is_refused(encoding):
    with pytest.raises(EncodingError, match=f'is not in {encoding}'):
        decode_text(TEXT.encode(), encoding)
