"""Metafiles of MMDetection are read once by a command."""

from mmengine.config import Config, utils

from projects.data_distillation.base_configs.metafiles import (
    metafiles_read_once,
)


def test_each_metafile_is_read_once(tmp_path, monkeypatch):
    config = tmp_path / 'detector.py'
    config.write_text("_base_ = 'mmdet::atss/atss_r50_fpn_1x_coco.py'\n")
    load, read = utils.load, []

    def load_counted(file: str) -> dict:
        """Load a file, and note its name."""
        read.append(file)
        return load(file)

    monkeypatch.setattr(utils, 'load', load_counted)

    with metafiles_read_once():
        first = Config.fromfile(config)
        number = len(read)
        second = Config.fromfile(config)

    assert len(read) == number == len(set(read)) > 1
    assert first.model == second.model
    assert utils.load is load_counted
