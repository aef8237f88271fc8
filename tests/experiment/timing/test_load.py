"""A time says on what load it was measured."""

import pytest

from projects.data_distillation.experiment.timing import load
from projects.data_distillation.experiment.timing.load import describe_load


@pytest.mark.parametrize(
    ('busy', 'words'),
    [
        (0, 'measured now (load 0.0 on 4 cores)'),
        (5.0, 'measured now (load 5.0 on 4 cores)'),
        (
            5.1,
            'measured while the machine was busy (load 5.1 on 4 cores, less '
            'on an idle one)',
        ),
    ],
)
def test_load_is_said(monkeypatch, busy, words):
    monkeypatch.setattr(load.os, 'getloadavg', lambda: (busy, 0, 0))
    monkeypatch.setattr(load.os, 'sched_getaffinity', lambda _: set(range(4)))

    assert describe_load() == words
