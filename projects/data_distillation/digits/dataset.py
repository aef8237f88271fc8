"""Writes the digits as a COCO data set."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .drawing import Digit, Style, draw_image
from .scans import CLASSES, POOLS, cycle_scans, split_scans

VERSION = 1  # Goes up whenever other images come out of the same recipe.


@dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of the data set.

    Attributes:
        seed: Of every random choice.
        images: Number of images of each split.
        style: Of every image.
    """

    seed: int = 0
    images: Mapping[str, int] = field(
        default_factory=lambda: dict(labeled=30, unlabeled=400, val=150)
    )
    style: Style = field(default_factory=Style)

    def as_info(self) -> dict[str, Any]:
        """Return the `info` of the COCO files; equal recipes, equal infos."""
        recipe = json.loads(json.dumps(asdict(self)))
        return dict(
            description='Scanned digits in clutter',
            version=VERSION,
            recipe=recipe,
        )


def coco_annotations(digits: list[list[Digit]]) -> list[dict[str, Any]]:
    """List the digits as COCO annotations.

    Args:
        digits: By image; the first image has id 1.

    Returns:
        Boxes xywh in pixels; ids from 1; category id of digit d is d + 1.
    """
    pairs = [
        (image_id, digit)
        for image_id, found in enumerate(digits, 1)
        for digit in found
    ]
    return [
        dict(
            id=number,
            image_id=image_id,
            category_id=digit.label + 1,
            bbox=list(digit.bbox_xywh),
            iscrowd=0,
            area=digit.bbox_xywh[2] * digit.bbox_xywh[3],
        )
        for number, (image_id, digit) in enumerate(pairs, 1)
    ]


def write_split(folder: Path, split: str, recipe: Recipe) -> dict[str, Any]:
    """Draw a split's images into `folder/images/split`.

    Args:
        folder: Of the data set.
        split: A key of `POOLS`.
        recipe: Of the data set.

    Returns:
        The split's COCO file with annotations and categories.
    """
    images_dir = folder / 'images' / split
    images_dir.mkdir(parents=True)
    rng = np.random.default_rng([recipe.seed, list(POOLS).index(split)])
    scans = cycle_scans(split_scans(recipe.seed)[split])
    infos, digits = [], []
    for number in range(1, recipe.images[split] + 1):
        image, found = draw_image(scans, rng, recipe.style)
        name = f'{number:04d}.png'
        (images_dir / name).write_bytes(
            cv2.imencode('.png', image)[1].tobytes()
        )
        infos.append(
            dict(
                id=number,
                file_name=name,
                width=image.shape[1],
                height=image.shape[0],
            )
        )
        digits.append(found)
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    return dict(
        info=recipe.as_info(),
        images=infos,
        categories=categories,
        annotations=coco_annotations(digits),
    )


def without_labels(coco: Mapping[str, Any]) -> dict[str, Any]:
    """Return a COCO file's image infos only, as unlabeled images come."""
    return dict(info=coco['info'], images=coco['images'])


def read_info(out_dir: Path) -> dict[str, Any] | None:
    """Return the `info` of the data set in a folder, None if there is none."""
    path = out_dir / 'annotations' / 'labeled.json'
    return json.loads(path.read_text()).get('info') if path.exists() else None


def is_complete(out_dir: Path, recipe: Recipe) -> bool:
    """Tell whether exactly this data set is there, with all of its images.

    Args:
        out_dir: Folder of the data set; need not exist.
        recipe: Of the data set.
    """
    names = (
        f'images/{split}/{number:04d}.png'
        for split in POOLS
        for number in range(1, recipe.images[split] + 1)
    )
    return read_info(out_dir) == recipe.as_info() and all(
        (out_dir / name).exists() for name in names
    )


def clear(out_dir: Path) -> None:
    """Remove an older data set of digits.

    Args:
        out_dir: Folder of the data set; need not exist.

    Raises:
        FileExistsError: If the folder holds anything else; it stays.
    """
    if not out_dir.exists():
        return
    ours = Recipe().as_info()['description']
    found = (read_info(out_dir) or {}).get('description')
    if any(out_dir.iterdir()) and found != ours:
        raise FileExistsError(
            f'{out_dir} must be absent, empty or a data set of digits, '
            'got a folder with other files'
        )
    shutil.rmtree(out_dir)


def write_files(folder: Path, recipe: Recipe) -> None:
    """Write images and annotation files into an empty folder."""
    annotations = folder / 'annotations'
    annotations.mkdir()
    files = {split: write_split(folder, split, recipe) for split in POOLS}
    files['unlabeled_truth'] = files['unlabeled']
    files['unlabeled'] = without_labels(files['unlabeled'])
    for name, coco in files.items():
        (annotations / f'{name}.json').write_text(json.dumps(coco))


def write_digits(
    out_dir: Path, seed: int = 0, recipe: Recipe | None = None
) -> None:
    """Write the data set; an older one in the same folder is replaced.

    The files are `annotations/{labeled,unlabeled,unlabeled_truth,val}.json`
    and `images/{labeled,unlabeled,val}/0001.png` and so on. The same scan
    never occurs in two of the three splits. `unlabeled.json` has neither
    annotations nor categories. The folder appears complete or not at all.

    Args:
        out_dir: The new folder; its parents are made.
        seed: Of every random choice; the same seed gives the same bytes.
        recipe: Instead of the defaults; `seed` is then not used.

    Raises:
        FileExistsError: If `out_dir` holds anything but a data set of digits.
    """
    recipe = recipe or Recipe(seed)
    clear(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent) as temporary:
        folder = Path(temporary, out_dir.name)
        folder.mkdir()
        write_files(folder, recipe)
        folder.rename(out_dir)
