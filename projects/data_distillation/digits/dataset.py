"""The digits as a COCO dataset on disk."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..files.atomic import read_json
from .drawing import Digit, Style, draw_image
from .scans import CLASSES, INK, POOLS, cycle_scans, split_scans

# Goes up whenever the same recipe gives other images or annotations.
VERSION = 2
# The files of a dataset, below its folder.
FILE = re.compile(
    rf'annotations/({"|".join(POOLS)}|unlabeled_truth)\.json|'
    rf'images/({"|".join(POOLS)})/\d{{4,}}\.png'
)


@dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of the dataset.

    Attributes:
        seed: The seed of every random choice, at least 0.
        images: Split -> its number of images, for each split of `POOLS`.
        style: The style of every image.

    Raises:
        ValueError: If the seed is negative.
    """

    seed: int = 0
    images: Mapping[str, int] = field(
        default_factory=lambda: dict(labeled=30, unlabeled=400, val=150)
    )
    style: Style = field(default_factory=Style)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f'seed must be at least 0, got {self.seed}')

    def as_info(self) -> dict[str, Any]:
        """Describe the recipe as the `info` of COCO files.

        Returns:
            `description`, `version` and `recipe`: values of JSON, equal for
            equal recipes of one version.

        Raises:
            TypeError: If JSON cannot hold a value of the recipe.
        """
        # As it comes back from a file, with lists for tuples: `is_complete`
        # compares the two.
        recipe = json.loads(json.dumps(asdict(self)))
        return dict(
            description='Scanned digits in clutter',
            version=VERSION,
            recipe=recipe,
        )


def make_annotations(digits: list[list[Digit]]) -> list[dict[str, Any]]:
    """Make the COCO annotations of the digits.

    Args:
        digits: The digits of each image; the first image has the id 1.

    Returns:
        One annotation for each digit, in the same order, with a box xywh in
        whole pixels and the digit's mask. Both are of all its ink, also of
        what a later digit hides. Ids count from 1; the category id of digit d
        is d + 1.
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
            **describe_mask(digit),
        )
        for number, (image_id, digit) in enumerate(pairs, 1)
    ]


def describe_mask(digit: Digit) -> dict[str, Any]:
    """Describe the mask of a digit for COCO.

    Args:
        digit: The digit, with its place in the whole image.

    Returns:
        `segmentation` (compressed RLE of the whole image, `counts` as text)
        and `area` (pixels). Pixels with at least `INK` ink are in the mask.
    """
    mask = digit.alpha >= INK
    # pycocotools reads masks column by column (Fortran order).
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    size, counts = rle['size'], rle['counts'].decode()  # JSON holds no bytes.
    return dict(
        segmentation=dict(size=size, counts=counts), area=int(mask.sum())
    )


def write_split(folder: Path, split: str, recipe: Recipe) -> dict[str, Any]:
    """Draw the images of a split into `folder/images/split`.

    Args:
        folder: The folder of the dataset.
        split: The name of the split, a key of `POOLS`.
        recipe: The recipe of the dataset.

    Returns:
        The COCO object of the split, with annotations and categories. Ids
        count from 1, and the images are `0001.png` and so on.

    Raises:
        KeyError: If there is no such split, or the recipe lacks it.
        ValueError: See `draw_image`.
        FileExistsError: If the folder of the images exists.
        OSError: If an image cannot be written.
    """
    scans = cycle_scans(split_scans(recipe.seed)[split])
    # Each split has random numbers of its own, so that more images in one
    # change no other.
    rng = np.random.default_rng([recipe.seed, list(POOLS).index(split)])
    images_dir = folder / 'images' / split
    images_dir.mkdir(parents=True)
    infos, digits = [], []
    for number in range(1, recipe.images[split] + 1):
        image, found = draw_image(scans, rng, recipe.style)
        name = f'{number:04d}.png'
        # `cv2.imwrite` raises no error where it cannot write.
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
        annotations=make_annotations(digits),
    )


def drop_labels(coco: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out annotations and categories.

    Args:
        coco: The content of a COCO file; it stays as it is.

    Returns:
        A new dictionary with only `info` and `images`, which are not copied.

    Raises:
        KeyError: If the content lacks one of the two.
    """
    return dict(info=coco['info'], images=coco['images'])


def read_info(out_dir: Path) -> dict[str, Any] | None:
    """Return the `info` of the dataset in a folder.

    Args:
        out_dir: The folder of the dataset; it need not exist.

    Returns:
        The `info` of `annotations/labeled.json`; None if there is no such
        file, it is no JSON, or it has no `info` that is an object.
    """
    content = read_json(out_dir / 'annotations' / 'labeled.json')
    info = content.get('info') if isinstance(content, dict) else None
    return info if isinstance(info, dict) else None


def is_complete(out_dir: Path, recipe: Recipe) -> bool:
    """Return whether a folder holds exactly this dataset, with all images.

    Args:
        out_dir: The folder of the dataset; it need not exist.
        recipe: The recipe of the dataset.

    Returns:
        True if the `info` is that of the recipe and all images exist. The
        other annotation files, and what the images show, are not looked at.

    Raises:
        KeyError: If the recipe lacks a split, and the `info` is that of it.
    """
    names = (
        f'images/{split}/{number:04d}.png'
        for split in POOLS
        for number in range(1, recipe.images[split] + 1)
    )
    return read_info(out_dir) == recipe.as_info() and all(
        (out_dir / name).exists() for name in names
    )


def remove_digits(out_dir: Path) -> None:
    """Remove an older dataset of digits.

    Args:
        out_dir: The folder of the dataset; it need not exist.

    Raises:
        FileExistsError: If the folder holds anything else; nothing is removed.
        NotADirectoryError: If it is a file.
        OSError: If the folder cannot be listed or removed.
    """
    check_is_ours(out_dir)
    if out_dir.exists():
        shutil.rmtree(out_dir)


def check_is_ours(out_dir: Path) -> None:
    """Check that a folder holds nothing but a dataset of digits.

    Args:
        out_dir: The folder; it need not exist.

    Raises:
        FileExistsError: If the folder holds anything else.
        NotADirectoryError: If it is a file.
        OSError: If the folder cannot be listed.
    """
    if not out_dir.exists():
        return
    ours = Recipe().as_info()['description']
    found = (read_info(out_dir) or {}).get('description')
    if any(out_dir.iterdir()) and found != ours:
        raise FileExistsError(
            f'{out_dir} must be absent, empty or a dataset of digits, '
            'got a folder with other files'
        )
    others = sorted(
        str(path)
        for path in out_dir.rglob('*')
        if not path.is_dir()
        and not FILE.fullmatch(path.relative_to(out_dir).as_posix())
    )
    if others:
        raise FileExistsError(
            f'{out_dir} must hold nothing but the digits to be replaced by '
            f'others, got {len(others):,} other files, the first {others[0]}: '
            'move them away'
        )


def write_files(folder: Path, recipe: Recipe) -> None:
    """Write the images and the annotation files into an empty folder.

    Args:
        folder: An empty folder.
        recipe: What to draw; the same recipe gives the same files.

    Raises:
        FileExistsError: If the folder already has annotations or images.
        KeyError: If the recipe lacks a split.
        ValueError: See `write_split`.
        OSError: If a file cannot be written.
    """
    annotations = folder / 'annotations'
    annotations.mkdir()
    files = {split: write_split(folder, split, recipe) for split in POOLS}
    files['unlabeled_truth'] = files['unlabeled']
    # The file that annotation reads must not tell the answer.
    files['unlabeled'] = drop_labels(files['unlabeled'])
    for name, coco in files.items():
        (annotations / f'{name}.json').write_text(json.dumps(coco))


def write_digits(out_dir: Path, recipe: Recipe | None = None) -> None:
    """Write the dataset, and replace an older one in the same folder.

    The files are `annotations/{labeled,unlabeled,unlabeled_truth,val}.json`
    and `images/{labeled,unlabeled,val}/0001.png` and so on. The same scan
    never occurs in two of the three splits. `unlabeled.json` has neither
    annotations nor categories. The folder appears complete or not at all; an
    older dataset stays until the new one is complete.

    Args:
        out_dir: The new folder; its parents are made.
        recipe: What to draw, and the seed of every random choice; None for
            `Recipe()`. The same recipe gives the same bytes.

    Raises:
        FileExistsError: If `out_dir` holds anything but a dataset of digits.
        NotADirectoryError: If `out_dir` is a file.
        KeyError: If the recipe lacks a split.
        ValueError: See `draw_image`.
        OSError: If the folder cannot be written, or an older one not removed.
    """
    recipe = recipe or Recipe()
    check_is_ours(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it is moved in one step: a run that is stopped
    # leaves no half of a dataset.
    with tempfile.TemporaryDirectory(dir=out_dir.parent) as temporary:
        # A folder in it: only its owner may read the temporary one itself.
        folder = Path(temporary, out_dir.name)
        folder.mkdir()
        write_files(folder, recipe)
        remove_digits(out_dir)
        folder.rename(out_dir)
