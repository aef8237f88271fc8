"""The embedded example: scanned digits in cluttered gray images, as COCO.

The digits are the 1,797 scans of 8x8 pixels that come with scikit-learn, so
nothing is downloaded. H, W: height and width of an image in pixels.
"""

import argparse
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_digits

CLASSES = tuple('0123456789')
# Shares of the scans. Labeled images, being few, need few.
POOLS = {'labeled': 0.15, 'unlabeled': 0.6, 'val': 0.25}
# A pixel belongs to a digit if at least this part of it is covered by ink.
INK = 0.4
VERSION = 1  # Goes up whenever other images come out of the same recipe.


@dataclass(frozen=True)
class Style:
    """How an image looks; the ranges are drawn from uniformly.

    Attributes:
        side: Width and height of an image, in pixels.
        digits: Least and greatest number of digits that are tried.
        digit_side: Side of a scan on the image, in pixels.
        angle: Greatest rotation either way, in degrees. Well below 90: a
            six turned by 180 degrees is a nine.
        stretch: Greatest relative change of the width, and of the shear.
        overlap: Greatest part of a digit's box, 0 to 1, that the box of
            another may cover.
        contrast: Gray levels from the mean background down to a digit.
        strokes: Least and greatest number of pen strokes that are no digits.
        blobs: Least and greatest number of soft spots in the background.
        noise: Standard deviation of the noise, in gray levels.
    """

    side: int = 128
    digits: tuple[int, int] = (7, 9)
    digit_side: tuple[float, float] = (20.0, 44.0)
    angle: float = 6.0
    stretch: float = 0.1
    overlap: float = 0.15
    contrast: tuple[float, float] = (60.0, 120.0)
    strokes: tuple[int, int] = (2, 5)
    blobs: tuple[int, int] = (0, 4)
    noise: tuple[float, float] = (2.0, 10.0)


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
    style: Style = Style()

    def as_info(self) -> dict[str, Any]:
        """Return the `info` of the COCO files; equal recipes, equal infos."""
        recipe = json.loads(json.dumps(asdict(self)))
        return dict(
            description='Scanned digits in clutter',
            version=VERSION,
            recipe=recipe,
        )


@dataclass(frozen=True)
class Digit:
    """One digit on an image.

    Attributes:
        label: 0 to 9, the digit itself.
        alpha: (H, W) float32, how much of each pixel the ink covers, 0 to 1.
        bbox_xywh: The smallest box, in whole pixels, around the pixels with
            at least `INK` ink, also those that a later digit hides.
    """

    label: int
    alpha: np.ndarray
    bbox_xywh: tuple[int, int, int, int]


def split_scans(seed: int) -> dict[str, list[int]]:
    """Deal the scans of each class out to the splits.

    Args:
        seed: Of the shuffling.

    Returns:
        The scans' numbers in `load_digits`, by split; no number is in two.
        As long as no class runs out, every ten numbers in a row, counted
        from the first, are of ten classes: the splits have equal shares of
        every class, however few images they have.
    """
    rng = np.random.default_rng(seed)
    labels = load_digits().target
    turns: dict[str, list[tuple[int, float, int]]] = {
        name: [] for name in POOLS
    }
    for label in range(10):
        numbers = rng.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum([round(len(numbers) * p) for p in POOLS.values()])
        parts = np.split(numbers, ends[:-1])
        for name, part in zip(POOLS, parts, strict=True):
            turns[name] += [
                (turn, rng.random(), int(number))
                for turn, number in enumerate(part)
            ]
    return {
        name: [number for _, _, number in sorted(turns[name])]
        for name in POOLS
    }


def lay_ink(
    scan: np.ndarray, linear: np.ndarray, center: np.ndarray, side: int
) -> np.ndarray:
    """Draw a scan on an empty image.

    Args:
        scan: (8, 8), ink from 0 to 1.
        linear: (2, 2), takes offsets (x, y) in the scan to offsets in the
            image; a column vector is multiplied from the left.
        center: (2,), where the scan's middle goes, x and y in pixels.
        side: Width and height of the image, in pixels.

    Returns:
        (side, side) float32, the ink of each pixel from 0 to 1.
    """
    shift = center - linear @ np.full(2, 3.5)
    matrix = np.column_stack([linear, shift])
    ink = cv2.warpAffine(
        scan.astype(np.float32), matrix, (side, side), flags=cv2.INTER_CUBIC
    )
    return np.clip(1.1 * ink, 0, 1)  # Most scans fall just short of 1.


def ink_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """Find the smallest box around a digit's ink.

    Args:
        alpha: (H, W), the ink of each pixel from 0 to 1.

    Returns:
        x, y, w, h in whole pixels, of the pixels with at least `INK`;
        (0, 0, 0, 0) if there is none.
    """
    x, y, w, h = cv2.boundingRect((alpha >= INK).astype(np.uint8))
    return x, y, w, h


def draw_pose(
    rng: np.random.Generator, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a digit's size, rotation, stretch and shear, and its place.

    Args:
        rng: Is advanced.
        style: Gives the ranges.

    Returns:
        `linear` and `center` of `lay_ink`; the upright scan would lie wholly
        inside the image.
    """
    size = rng.uniform(*style.digit_side)
    angle = np.deg2rad(rng.uniform(-style.angle, style.angle))
    wide, shear = rng.uniform(-style.stretch, style.stretch, 2)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    linear = size / 8 * turn @ np.array([[1 + wide, shear], [0, 1]])
    return linear, rng.uniform(size / 2, style.side - size / 2, 2)


def covered_part(
    box: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> float:
    """Return how much of the smaller of two xywh boxes lies in the other."""
    w = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    h = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    smaller = min(box[2] * box[3], other[2] * other[3])
    return max(w, 0) * max(h, 0) / max(smaller, 1)


def place_digit(
    scan: np.ndarray,
    label: int,
    others: list[Digit],
    rng: np.random.Generator,
    style: Style,
) -> Digit | None:
    """Find a place for one digit among those that are already there.

    Args:
        scan: (8, 8), ink from 0 to 1.
        label: 0 to 9.
        others: Are overlapped by `style.overlap` at most.
        rng: Is advanced.
        style: Of the image.

    Returns:
        The digit, or None if 20 poses did not fit.
    """
    for _ in range(20):
        alpha = lay_ink(scan, *draw_pose(rng, style), style.side)
        box = ink_box(alpha)
        overlaps = [covered_part(box, other.bbox_xywh) for other in others]
        if max(overlaps, default=0) <= style.overlap:
            return Digit(label, alpha, box)
    return None


def draw_background(rng: np.random.Generator, style: Style) -> np.ndarray:
    """Draw a slope of gray with soft blobs.

    Args:
        rng: Is advanced.
        style: Of the image.

    Returns:
        (H, W) float32, gray levels, not clipped to 0..255.
    """
    axis = np.linspace(-0.5, 0.5, style.side, dtype=np.float32)
    right, down = rng.uniform(-40, 40, 2) if style.blobs[1] else (0, 0)
    image = rng.uniform(140, 220) + right * axis + down * axis[:, None]
    for _ in range(rng.integers(*style.blobs, endpoint=True)):
        spot = np.zeros_like(image)
        center = rng.integers(0, style.side, 2).tolist()
        cv2.circle(spot, center, int(rng.integers(6, 20)), 1.0, -1)
        image += rng.uniform(-50, 50) * cv2.GaussianBlur(spot, (0, 0), 3)
    return image.astype(np.float32)


def draw_stroke(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw the ink of a pen stroke: a bent line or an arc, no digit.

    Args:
        rng: Is advanced.
        side: Width and height of the image, in pixels.

    Returns:
        (H, W) float32, the ink of each pixel from 0 to 1.
    """
    ink = np.zeros((side, side), np.float32)
    start = rng.integers(0, side, 2)
    width = int(rng.integers(1, 5))
    if rng.random() < 0.5:
        path = start + np.cumsum(rng.integers(-20, 21, (3, 2)), axis=0)
        cv2.polylines(ink, [path.astype(np.int32)], False, 1.0, width)
    else:
        axes = rng.integers(4, 16, 2).tolist()
        turn, span = rng.uniform(0, 360), rng.uniform(60, 240)
        cv2.ellipse(ink, start.tolist(), axes, turn, 0, span, 1.0, width)
    return cv2.GaussianBlur(ink, (0, 0), 0.8)


def paint(
    image: np.ndarray,
    alpha: np.ndarray,
    rng: np.random.Generator,
    style: Style,
) -> np.ndarray:
    """Put ink on an image, darker than the image's mean.

    Args:
        image: (H, W) gray levels; stays as it is.
        alpha: (H, W), the ink of each pixel from 0 to 1.
        rng: Is advanced.
        style: Gives the contrast.

    Returns:
        (H, W), the inked image.
    """
    tone = image.mean() - rng.uniform(*style.contrast)
    return image * (1 - alpha) + np.clip(tone, 0, 255) * alpha


def draw_image(
    scans: Iterator[tuple[np.ndarray, int]],
    rng: np.random.Generator,
    style: Style,
) -> tuple[np.ndarray, list[Digit]]:
    """Draw one image.

    Args:
        scans: Gives (8, 8) ink from 0 to 1 and the label, without end.
        rng: Is advanced.
        style: Of the image.

    Returns:
        (H, W) uint8 gray levels, and the digits, the lowest one first.
    """
    digits: list[Digit] = []
    for _ in range(rng.integers(*style.digits, endpoint=True)):
        digit = place_digit(*next(scans), digits, rng, style)
        digits += [digit] if digit else []
    strokes = [
        draw_stroke(rng, style.side)
        for _ in range(rng.integers(*style.strokes, endpoint=True))
    ]
    image = draw_background(rng, style)
    for alpha in strokes + [digit.alpha for digit in digits]:
        image = paint(image, alpha, rng, style)
    image += rng.normal(0, rng.uniform(*style.noise), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), digits


def cycle_scans(numbers: list[int]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the scans of these numbers, over and over.

    Args:
        numbers: Of the scans in `load_digits`, in the order of their turns.

    Yields:
        (8, 8) ink from 0 to 1, and the label, 0 to 9.
    """
    scans = load_digits()
    for number in itertools.cycle(numbers):
        yield scans.images[number] / 16, int(scans.target[number])


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
        (images_dir / name).write_bytes(cv2.imencode('.png', image)[1])
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


def main() -> None:
    """Write the data set unless it is there; say in one line which it was."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('--out', type=Path, default=Path('data/digits'))
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    recipe = Recipe(args.seed)
    there = is_complete(args.out, recipe)
    if not there:
        write_digits(args.out, recipe=recipe)
    counts = ', '.join(f'{n} {split}' for split, n in recipe.images.items())
    print(
        f'{args.out}: {"already there" if there else "wrote"} '
        f'{counts} images of digits, seed {args.seed}'
    )


if __name__ == '__main__':
    main()
