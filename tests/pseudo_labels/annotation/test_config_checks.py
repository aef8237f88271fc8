"""Checks before an annotation begins."""

import logging

import pytest
from mmengine.logging import MMLogger

from projects.data_distillation.pseudo_labels.annotation.config_checks import (
    check_type,
    check_writable,
    warn_of_other_transforms,
)

RESIZE, PAD = dict(type='Resize', scale=(9, 9)), dict(type='Pad', size=(9, 9))


def test_part_of_another_type_is_named():
    check_type('sampler', [], list)
    with pytest.raises(
        TypeError, match=r"sampler=dict\(type='list', \.\.\.\)"
    ):
        check_type('sampler', (), list)


def test_folder_is_made_and_left_empty(tmp_path):
    folder = tmp_path / 'a' / 'b'

    check_writable(folder)

    assert list(folder.iterdir()) == []


def test_place_where_no_file_can_be_is_refused(tmp_path):
    (tmp_path / 'a').touch()

    with pytest.raises(OSError, match='a'):
        check_writable(tmp_path / 'a')


@pytest.mark.parametrize(
    ('views', 'is_warned'),
    [([[RESIZE]], True), ([[RESIZE], [RESIZE, PAD]], False), (None, False)],
)
def test_transforms_that_no_view_has_are_named(views, is_warned, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)

    with caplog.at_level(logging.WARNING):
        warn_of_other_transforms([RESIZE, PAD], views)

    logger.removeHandler(caplog.handler)
    assert ("['Pad'], which no view has" in caplog.text) is is_warned
