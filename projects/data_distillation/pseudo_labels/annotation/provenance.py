"""The provenance of detections: what they depend on."""

import hashlib
import json
import os
from collections.abc import Mapping

from mmengine.config import Config

from ...files.digest import compute_sha256
from ..detections.differences import as_json
from .unlabeled import UnlabeledDataset


def make_provenance(cfg: Config, dataset: UnlabeledDataset) -> dict:
    """Describe what the detections depend on: teacher, views, merger, images.

    Args:
        cfg: The config of the test run.
        dataset: The images to annotate.

    Returns:
        A new dict, as it comes back from JSON: with lists for tuples. A
        checkpoint is told by the SHA-256 of its file, or by its URL. The keys
        `class_names`, `keep_views`, `masks`, `segmentation` and `prompt` are
        there only if the config asks for such a thing.

    Raises:
        TypeError: If JSON cannot hold a part, such as the views.
        OSError: If a checkpoint cannot be read.
        AttributeError: If the model has no `module` or `merger`.
    """
    # With sorted keys, since their order changes no detector.
    detector = json.dumps(cfg.model.module, sort_keys=True, default=str)
    provenance = dict(
        teacher_config=cfg.filename,
        detector_sha256=hashlib.sha256(detector.encode()).hexdigest(),
        checkpoint=cfg.load_from,
        # A URL stands for itself: its file is not expected to change.
        checkpoint_sha256=compute_sha256(cfg.load_from) or cfg.load_from,
        image_folder=os.path.realpath(dataset.data_prefix['img']),
        has_image_infos=bool(dataset.ann_file),
        classes=dataset.metainfo['classes'],
        pipeline=cfg.test_dataloader.dataset.get('pipeline'),
        other_teachers=[
            dict(
                module=str(teacher.get('module')),
                checkpoint_sha256=compute_sha256(teacher['checkpoint'])
                or teacher['checkpoint'],
                **find_names(teacher),
            )
            for teacher in cfg.model.get('other_teachers', ())
        ],
        views=cfg.model.get('views'),
        mode=cfg.model.get('mode', 'exact'),
        merger=cfg.model.merger,
        **find_names(cfg.model),
    )
    # Only if it is so: a key that is missing counts as None, from which False
    # would differ.
    if cfg.model.get('keep_views'):
        provenance['keep_views'] = True
    if cfg.model.get('masks') is not None:
        provenance['masks'] = cfg.model.masks
        is_polygon = reads_only_polygons(cfg.get('train_dataloader'))
        provenance['segmentation'] = 'polygon' if is_polygon else 'rle'
    if preprocessor := find_preprocessor(cfg):
        provenance['data_preprocessor'] = preprocessor
    if dataset.return_classes:
        provenance['prompt'] = dataset.caption_prompt
    return as_json(provenance)


def find_preprocessor(cfg: Config) -> str:
    """Find the data preprocessor of teachers that have none of their own.

    MMEngine takes that of the model, or the one beside `model`.

    Args:
        cfg: The config of the test run.

    Returns:
        Its config as text; empty if each teacher has one, or there is none.
    """
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    modules = [cfg.model.module]
    for teacher in cfg.model.get('other_teachers', ()):
        modules.append(teacher.get('module') or cfg.model.module)
    has_own = all(one.get('data_preprocessor') for one in modules)
    return '' if has_own or not found else str(found)


def find_names(teacher: Mapping) -> dict:
    """Find the names of classes that the config of a teacher says.

    Args:
        teacher: The config of the teacher.

    Returns:
        `class_names`, a list of the names and the class map, of which one may
        be None; empty if it says neither.
    """
    names = [teacher.get('classes'), teacher.get('class_map')]
    return dict(class_names=names) if any(names) else {}


def reads_only_polygons(part: object) -> bool:
    """Return whether a part of a config loads masks with `poly2mask=False`.

    MMDetection then takes objects with RLE for regions to ignore, and says
    nothing.

    Args:
        part: The config of a data loader, or what is in it.

    Returns:
        True if at least one transform, at any depth, does so; False for None.
    """
    if isinstance(part, Mapping):
        is_loader = part.get('with_mask') and part.get('poly2mask') is False
        return bool(is_loader) or any(map(reads_only_polygons, part.values()))
    if isinstance(part, list | tuple):
        return any(map(reads_only_polygons, part))
    return False
