"""Fixtures made of the builders."""

from pathlib import Path

import pytest
import torch
from builders import CLASSES, DrawnImages, toy_detector_cfg
from mmdet.registry import MODELS


@pytest.fixture
def drawn(tmp_path: Path) -> DrawnImages:
    return DrawnImages(tmp_path / 'drawn')


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The weights of a toy teacher."""
    file = tmp_path / 'teacher.pth'
    torch.save(
        dict(
            state_dict=MODELS.build(toy_detector_cfg()).state_dict(),
            meta=dict(dataset_meta=dict(classes=CLASSES)),
        ),
        file,
    )
    return file
