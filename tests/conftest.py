"""Loads the plugins that the tests need, where tests run."""

import pytest

pytest_plugins = ['time_limits']


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, unless pytest-xdist runs the tests elsewhere.

    The process that hands them out to others would import torch and
    MMDetection before it starts those, which takes seconds.
    """
    is_worker = hasattr(config, 'workerinput')
    if is_worker or config.getoption('dist', 'no') == 'no':
        config.pluginmanager.import_plugin('shared_fixtures')
