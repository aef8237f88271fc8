"""JSON files that are not replaced when a person has changed them."""

import json
from pathlib import Path

import pytest

from projects.data_distillation.files.sealed import (
    check_unchanged,
    write_sealed,
)

CONTENT = dict(info=dict(description='d'), images=[1, 0.1, None, 'ä'])


def test_file_is_written_again_as_long_as_nobody_changes_it(tmp_path):
    path = tmp_path / 'new' / 'a.json'

    write_sealed(path, CONTENT)
    write_sealed(path, dict(images=[2]))

    written = json.loads(path.read_text())
    assert written['images'] == [2]
    assert list(written) == ['images', 'info']
    assert CONTENT['info'] == dict(description='d')


@pytest.mark.parametrize(
    'info', [None, [], 'text', {}, dict(description='d')], ids=str
)
def test_info_of_any_kind_can_be_sealed(tmp_path, info):
    path = tmp_path / 'a.json'
    write_sealed(path, dict(images=[1], info=info))

    check_unchanged(path)

    written = json.loads(path.read_text())['info']
    assert len(written.pop('sha256_as_written')) == 64
    assert written == (info if isinstance(info, dict) else {})


def test_another_layout_of_the_same_content_is_no_change(tmp_path):
    path = tmp_path / 'a.json'
    write_sealed(path, dict(CONTENT, categories=[]))

    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items())), indent=1))

    check_unchanged(path)


@pytest.mark.parametrize(
    'change',
    [
        lambda content: content['images'].pop(),
        lambda content: content.update(annotations=[]),
        lambda content: content.pop('info'),
        lambda content: content.update(info='mine'),
    ],
    ids=['value', 'new key', 'no info', 'other info'],
)
def test_changed_file_stays(tmp_path, change):
    path = tmp_path / 'a.json'
    write_sealed(path, CONTENT)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    before = path.read_bytes()

    with pytest.raises(FileExistsError, match=r'a\.json must be as this tool'):
        write_sealed(path, CONTENT)

    assert path.read_bytes() == before


@pytest.mark.parametrize('text', ['', '[1]', '{"images": [1', '\xff'])
def test_file_of_others_stays(tmp_path, text):
    path: Path = tmp_path / 'a.json'
    path.write_bytes(text.encode('latin-1'))

    with pytest.raises(FileExistsError, match='choose another folder'):
        check_unchanged(path)
