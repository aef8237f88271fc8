"""Reads the config of a stage, which somebody may have changed or damaged."""

from pathlib import Path

from mmengine.config import Config

from ..text import format_error
from .known_configs import KnownConfigs

KNOWN = KnownConfigs()


class StageConfigError(ValueError):
    """The config of a stage cannot be used; the message names the file."""


def read_stage_config(file: str | Path, advice: str = 'correct it') -> Config:
    """Read the config of a stage, or take the one that is known.

    Args:
        file: The path of the config.
        advice: What to do if it cannot be used, the end of the message.

    Returns:
        The config, which has at least one setting. The caller may change it.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If it imports a module that is not there.
        StageConfigError: If it or a base of it cannot be read, or it is empty.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f'config not found: {file}')
    try:
        cfg = KNOWN.read(file)
    except ImportError:
        raise
    # A config is Python, which may raise anything.
    except Exception as error:
        reason = f'{type(error).__name__}: {format_error(error)}'
        raise StageConfigError(
            f'{file} must be a config of MMEngine, got {reason}; {advice}'
        ) from error
    if not len(cfg):
        raise StageConfigError(
            f'{file} must have settings, got none; {advice}'
        )
    return cfg
