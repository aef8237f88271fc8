"""Loads the plugins that the tests need, where tests run."""

import os
import sys

import pytest

# To compile the tests and the project takes as long as to run a fourth of
# the tests. Let the next process find what this one has compiled.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
sys.dont_write_bytecode = False
pytest_plugins = ['time_limits']


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, unless pytest-xdist runs the tests elsewhere.

    The process that hands them out to others would import torch and
    MMDetection before it starts those, which takes seconds.
    """
    is_worker = hasattr(config, 'workerinput')
    if is_worker or config.getoption('dist', 'no') == 'no':
        config.pluginmanager.import_plugin('shared_fixtures')
