"""tools/screenshot.py, where there is no browser."""

import pytest
from builders import load_tool


def test_missing_browser_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setenv('PATH', '')

    with pytest.raises(FileNotFoundError, match='apt install chromium chrom'):
        load_tool('screenshot').open_browser()
