"""Notes which stages a rehearsal has tried, so that none is tried twice."""

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mmcv
import mmdet
import mmengine
import torch

from ...files.atomic import read_json, write_json
from ..stages.fingerprint import find_annotation_files
from .stages_to_try import StageToTry
from .trial import load_config

# In the folder of the experiment. Without it, the stages are tried again.
NOTE = '.rehearsed.json'
OWN_MODULES = ['projects.data_distillation']
# It chooses the images of a batch, and any batch will do.
SEED = 'randomness.seed'


def note_rehearsed(folder: Path, stages: Sequence[StageToTry]) -> None:
    """Note that stages of an experiment work.

    Args:
        folder: The folder of the experiment. If it cannot be written, the
            stages are tried again.
        stages: The stages that were tried.

    Raises:
        FileNotFoundError: If a config does not exist.
        ImportError: If a config imports a module that is not there.
        ValueError: If an option is not `KEY=VALUE`.
    """
    found = {stage.name: compute_digest(stage) for stage in stages}
    # Where the folder is read-only, the stages are tried again next time.
    with suppress(OSError):
        write_json(folder / NOTE, found)


def were_rehearsed(folder: Path, stages: Sequence[StageToTry]) -> bool:
    """Return whether stages were tried before as they are now, and here.

    Args:
        folder: The folder of the experiment.
        stages: The stages to try.

    Returns:
        Whether the note in the folder says so of all of them. It is False
        without a note, and if a config imports modules of the user.

    Raises:
        FileNotFoundError: If a config does not exist.
        ImportError: If a config imports a module that is not there.
        ValueError: If an option is not `KEY=VALUE`.
    """
    noted = read_json(folder / NOTE)
    if not isinstance(noted, dict):
        return False
    # What cannot be compared has no digest.
    return all(
        noted.get(stage.name) and noted[stage.name] == compute_digest(stage)
        for stage in stages
    )


def compute_digest(stage: StageToTry) -> str:
    """Compute a digest of what the result of a rehearsal depends on.

    Args:
        stage: The stage.

    Returns:
        The SHA-256 of the config without its seed, of the sizes and dates of
        the files that it names and of the teacher, of the versions and of the
        machine, in hexadecimal. It is empty if the config imports modules of
        the user, which may have changed.

    Raises:
        FileNotFoundError: If the config does not exist.
        ImportError: If the config imports a module that is not there.
        ValueError: If an option is not `KEY=VALUE`.
    """
    values = {k: v for k, v in stage.values.items() if k != SEED}
    cfg = load_config(replace(stage, values=values))
    imported = (cfg.get('custom_imports') or {}).get('imports')
    if imported not in (None, OWN_MODULES):
        return ''
    content = cfg.to_dict()
    files = {*find_annotation_files(content), *find_texts(content)}
    depends_on = dict(
        stage=[stage.teacher, stage.labels_key, stage.validation_key],
        config=content,
        files={file: read_dates(file) for file in (*files, stage.teacher)},
        here=describe_here(),
    )
    text = json.dumps(depends_on, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find_texts(value: object) -> Iterator[str]:
    """Find the texts in a part of a config, of which some may be paths.

    Args:
        value: The part.

    Yields:
        Each text that is a value, in the order of the config.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from find_texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from find_texts(one)


def read_dates(path: str) -> list[int] | None:
    """Read what tells a file from one that replaces it.

    Args:
        path: The path of the file or folder.

    Returns:
        The number of bytes and the date of the last change (in nanoseconds
        since 1970); None if there is no such file.
    """
    try:
        status = os.stat(path)
    # Not every text can be a path.
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


def describe_here() -> list[str]:
    """Describe the machine, and the versions of the packages.

    Returns:
        In this order: the name of the machine, the version of Python, the name
        of the GPU (`no GPU` without one), and the versions of PyTorch,
        MMEngine, MMCV and MMDetection.
    """
    has_gpu = torch.cuda.is_available()
    return [
        platform.node(),
        platform.python_version(),
        torch.cuda.get_device_name() if has_gpu else 'no GPU',
        *(one.__version__ for one in (torch, mmengine, mmcv, mmdet)),
    ]
