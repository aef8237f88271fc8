"""The provenance of detections: what they depend on."""

import hashlib
import json
import os
from typing import Any

from mmengine.config import Config

from ..files.digest import sha256_of
from .dataset import UnlabeledDataset


def make_provenance(cfg: Config, dataset: UnlabeledDataset) -> dict:
    """Describe what the detections depend on: teacher, views, merger, images.

    Args:
        cfg: The config of the test run.
        dataset: The images to annotate.

    Returns:
        A dict, as it comes back from JSON.
    """
    detector = json.dumps(cfg.model.module, sort_keys=True, default=str)
    provenance = dict(
        teacher_config=cfg.filename,
        detector_sha256=hashlib.sha256(detector.encode()).hexdigest(),
        checkpoint=cfg.load_from,
        # A URL stands for itself: its file is not expected to change.
        checkpoint_sha256=sha256_of(cfg.load_from) or cfg.load_from,
        image_folder=os.path.realpath(dataset.data_prefix['img']),
        has_image_infos=bool(dataset.ann_file),
        classes=dataset.metainfo['classes'],
        pipeline=cfg.test_dataloader.dataset.get('pipeline'),
        other_teachers=[
            dict(
                module=str(teacher.get('module')),
                checkpoint_sha256=sha256_of(teacher['checkpoint'])
                or teacher['checkpoint'],
            )
            for teacher in cfg.model.get('other_teachers', ())
        ],
        views=cfg.model.get('views'),
        mode=cfg.model.get('mode', 'exact'),
        merger=cfg.model.merger,
    )
    if cfg.model.get('keep_views'):
        provenance['keep_views'] = True
    if dataset.return_classes:
        provenance['prompt'] = dataset.caption_prompt
    return as_json(provenance)


def as_json(config: Any) -> Any:  # noqa: ANN401 - it returns what it gets
    """Return a config as a shard gives it back, with lists for tuples."""
    return json.loads(json.dumps(config))
