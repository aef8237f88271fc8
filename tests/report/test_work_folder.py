"""What a page is made of: the newest annotation of a work folder."""

import os

import pytest

from projects.data_distillation.report.work_folder import WorkFolder


@pytest.mark.parametrize('written', [[], ['a.py'], ['pseudo_labels.json']])
def test_folder_without_an_annotation_is_refused(tmp_path, written):
    stage = tmp_path / 'annotate'
    stage.mkdir()
    for name in written:
        (stage / name).touch()

    with pytest.raises(
        FileNotFoundError, match=rf'no pseudo_labels.json with .* in {stage}'
    ):
        WorkFolder.open(tmp_path)


def test_newest_config_of_the_annotation_is_opened(tmp_path):
    stage = tmp_path / 'annotate'
    stage.mkdir()
    (stage / 'pseudo_labels.json').touch()
    # The newest comes first by its name.
    for number, name in ((1, 'a.py'), (2, 'b.py')):
        (stage / name).write_text(f'number = {number}')
        os.utime(stage / name, (0, 10 - number))

    found = WorkFolder.open(tmp_path)

    assert found.stage == stage
    assert found.config.number == 1
