"""The campaigns can be started: their runs take too long for a test."""

import importlib

import pytest
from builders import ROOT

CAMPAIGNS = ROOT / 'tools/campaigns'


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', sorted(file.stem for file in CAMPAIGNS.glob('*.py'))
)
def test_campaign_finds_what_it_imports(name, monkeypatch):
    monkeypatch.syspath_prepend(CAMPAIGNS)

    assert importlib.import_module(name).__doc__
