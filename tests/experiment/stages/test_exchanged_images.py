"""Annotation notices images that were exchanged under their names."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import annotate_cfg
from mmengine.runner import Runner
from PIL import Image

from projects.data_distillation.experiment.processes.log import LOG
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.detection import (
    DetectionStage,
)
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.experiment.timing.time_plan import (
    plan_annotation,
)
from projects.data_distillation.files import known_digests
from projects.data_distillation.files.known_digests import IMAGE_DIGESTS

pytestmark = pytest.mark.slow


class Site:
    """A finished annotation of the toy, and its images."""

    def __init__(self, drawn, checkpoint, folder: Path) -> None:
        cfg = annotate_cfg(drawn, checkpoint, folder / 'annotate')
        cfg.custom_imports = dict(
            imports=['projects.data_distillation', 'builders']
        )
        cfg.log_level = 'INFO'
        cfg.custom_hooks[0].max_unreadable_share = 0.5
        for stage in ('teacher', 'annotate', 'student'):
            cfg.dump(folder / f'{stage}.py')
        self.images = drawn.folder / 'unlabeled'
        self.checkpoint = checkpoint
        self.stages = Stages(Experiment(folder), Launcher())
        self.annotation(folder / 'annotate').run()
        self.folder = folder / 'annotate'

    def annotation(self, folder: Path) -> DetectionStage:
        return self.stages.prepare_detection(
            'annotate', folder, self.checkpoint
        )

    def plan(self) -> str:
        args = 'annotate', self.folder, self.checkpoint
        return plan_annotation(self.stages, *args).text

    def labels(self, folder: Path) -> tuple:
        content = json.loads((folder / 'pseudo_labels.json').read_text())
        return content['images'], content['annotations']

    def log(self) -> str:
        files = self.folder.glob('*/*.log')
        return ''.join(file.read_text() for file in files)

    def image(self, number: int) -> Path:
        return sorted(self.images.iterdir())[number]


@pytest.fixture
def site(drawn, checkpoint, tmp_path, stages_here) -> Site:
    return Site(drawn, checkpoint, tmp_path)


def turn(image: Path) -> None:
    """Put another image in the place of one, with the same times."""
    status = image.stat()
    pixels = np.asarray(Image.open(image))
    other = image.with_name(f'.{image.name}')
    Image.fromarray(pixels[::-1, ::-1].copy()).save(other)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(image)


def test_only_exchanged_image_is_annotated_again(
    site, tmp_path, caplog, monkeypatch
):
    caplog.set_level('INFO', LOG.name)
    os.utime(site.image(0), (0, 0))
    monkeypatch.setattr(known_digests, 'TICK', -1)
    site.annotation(site.folder).run()
    assert caplog.messages == [f'annotate: already done, in {site.folder}']
    # It is not read again.
    assert str(site.image(0)) in (site.folder / IMAGE_DIGESTS).read_text()
    turn(site.image(1))

    assert site.plan() == '1 images'
    site.annotation(site.folder).run()

    why = f'the image {site.image(1).name} was exchanged under its name'
    assert (
        f'annotate: runs again with its detections, since {why}'
        in caplog.messages
    )
    assert f'{why}: what was detected before counts no more' in site.log()
    assert '4 of 5 images are in ' in site.log()
    assert site.plan() == 'done'
    site.annotation(tmp_path / 'fresh').run()
    assert site.labels(site.folder) == site.labels(tmp_path / 'fresh')


def test_exchange_is_noticed_without_the_detections(site):
    """They may be deleted to save space."""
    shutil.rmtree(site.folder / 'detections')
    assert site.plan() == 'done'

    turn(site.image(1))

    assert site.plan() == '5 images'


def test_broken_image_that_was_mended_is_annotated(site):
    whole = site.image(1).read_bytes()
    before = site.labels(site.folder)
    site.image(1).write_bytes(whole[:-30])
    site.annotation(site.folder).run()
    assert site.plan() == 'done'
    assert site.labels(site.folder) != before

    site.image(1).write_bytes(whole)

    # Its detections are still there.
    assert site.plan() == 'labels are selected again'


def test_dry_run_leaves_the_exchanged_image_to_do(site, caplog):
    cfg = site.stages.experiment.load('annotate')
    cfg.dry_run, cfg.load_from = True, str(site.checkpoint)
    before = sorted((site.folder / 'detections').rglob('*'))
    turn(site.image(1))

    Runner.from_cfg(cfg).test()

    assert '5 images, 4 of them done before' in site.log()
    assert sorted((site.folder / 'detections').rglob('*')) == before
