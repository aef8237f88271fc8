"""A training is finished as long as its checkpoint is what it wrote."""

import json
import math
from pathlib import Path

import pytest
import torch

from projects.data_distillation.training.finished import (
    FINISHED,
    Ending,
    find_ending,
    mark_finished,
    read_record,
)


def save(file: Path, value: float) -> Path:
    torch.save(dict(state_dict=dict(a=torch.full((9,), value))), file)
    return file


@pytest.fixture
def last(tmp_path) -> Path:
    """The last of the two checkpoints of a training."""
    save(tmp_path / 'iter_1.pth', 1.0)
    (tmp_path / 'last_checkpoint').write_text('/moved/iter_2.pth')
    return save(tmp_path / 'iter_2.pth', 2.0)


def test_training_that_has_not_ended_has_no_checkpoint(last):
    assert find_ending(last.parent) == Ending()
    assert read_record(last.parent) == {}


def test_checkpoint_of_a_finished_training_is_found(last):
    mark_finished(last.parent, last)
    # What is noted somewhere else does not count.
    (last.parent / 'last_checkpoint').write_text('iter_1.pth')

    assert find_ending(last.parent) == Ending(last)


@pytest.mark.parametrize('size', [-1, 0, None])
def test_checkpoint_that_is_another_is_a_fault(last, size):
    mark_finished(last.parent, last)
    if size is None:
        save(last, 3.0)
    else:
        last.write_bytes(last.read_bytes()[:size])

    fault = 'iter_2.pth is not what the training wrote'
    assert find_ending(last.parent) == Ending(fault=fault)


def test_checkpoint_that_is_gone_is_a_fault(last):
    mark_finished(last.parent, last)
    last.unlink()

    assert find_ending(last.parent) == Ending(fault='iter_2.pth is missing')


@pytest.mark.parametrize('record', ['', '{', '[]', '{"checkpoint": "a"}'])
def test_last_checkpoint_is_that_of_an_earlier_version(last, record):
    (last.parent / FINISHED).write_text(record)

    assert find_ending(last.parent) == Ending(last)


def test_torn_checkpoint_of_an_earlier_version_is_a_fault(last):
    (last.parent / FINISHED).touch()
    last.write_bytes(last.read_bytes()[:-9])

    fault = 'iter_2.pth is missing or cut short'
    assert find_ending(last.parent) == Ending(fault=fault)


def test_earlier_version_without_any_checkpoint_is_a_fault(last):
    (last.parent / FINISHED).touch()
    for file in last.parent.glob('*.pth'):
        file.unlink()

    fault = 'it has no checkpoint any more'
    assert find_ending(last.parent) == Ending(fault=fault)


def test_weights_of_an_earlier_version_that_are_no_numbers_are_a_fault(last):
    (last.parent / FINISHED).touch()
    save(last, math.nan)

    ending = find_ending(last.parent)

    assert ending.checkpoint is None
    assert ending.fault == 'iter_2.pth has weights that are no numbers (a)'


@pytest.mark.parametrize('key', ['checkpoint', 'sha256'])
def test_record_that_holds_no_texts_is_none(last, key):
    mark_finished(last.parent, last)
    record = read_record(last.parent) | {key: 1}
    (last.parent / FINISHED).write_text(json.dumps(record))

    assert read_record(last.parent) == {}
    assert find_ending(last.parent) == Ending(last)


def test_note_of_an_earlier_version_that_is_no_text_names_nothing(last):
    (last.parent / FINISHED).touch()
    (last.parent / 'last_checkpoint').write_bytes(b'\0' * 40)

    assert find_ending(last.parent) == Ending(last)
