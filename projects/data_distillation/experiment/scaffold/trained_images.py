"""Whether a detector can be trained on the labels, and on which images."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.dataset import ClassBalancedDataset

from ...base_configs.wrappers import Dataset
from ...label_files.coco.class_checks import (
    check_trainable_objects,
    describe_bare_images,
    describe_classes,
)
from ...label_files.coco.contents import (
    find_annotated,
    find_unchecked,
    take_images,
)
from ...label_files.coco.image_checks import find_problems
from ...label_files.coco.problems import Problem, format_problems
from ...label_files.coco.reading import CocoError, read_coco
from ...label_files.coco.schema import is_side
from ...label_files.coco.tables import CocoFile
from ...label_files.mending.mask_checks import (
    check_segmentations,
    read_for_masks,
)
from ...training.checked_dataset import CheckedCocoDataset
from .plan import Data

SIZE = ('width', 'height')

# Enough to see what is wrong; tools/check_coco.py lists all.
MAX_SHOWN = 5
# Means of two sets of images are far apart from this factor on, if they differ
# by more than so many standard errors.
FAR_APART = 2
MAX_ERRORS = 3


@dataclass(frozen=True)
class TrainedImages:
    """The labeled images that pass the `filter_cfg` of the detector.

    Args:
        content: The COCO file, with the images that count as labeled: without
            those that have no object, if the filter leaves these out.
        count: The number of images that are trained on.
        notes: Lines for the user about the images that are left out.
    """

    content: dict
    count: int
    notes: tuple[str, ...]

    @classmethod
    def find(cls, content: dict, filters: Mapping) -> 'TrainedImages':
        """Apply the filter as `CocoDataset` does.

        Args:
            content: The content of the labeled file.
            filters: The `filter_cfg` of the detector's training images.

        Returns:
            The images that are left, with notes on those that are not.

        Raises:
            CocoError: If no image is left.
        """
        num_images, notes = len(content['images']), []
        if filters.get('filter_empty_gt'):
            content = take_images(content, find_annotated(content))
            if num_empty := num_images - len(content['images']):
                notes.append(
                    f'{num_empty:,} of the {num_images:,} labeled images have '
                    'no object: not trained on, and not counted as '
                    "labeled, because of the detector's `filter_empty_gt`. To "
                    'train on them as background, set it to False in '
                    'teacher.py (supervised_long.py if the teacher is given). '
                    'If they are not annotated yet, '
                    '--unlabeled rest --annotate-empty adds them to the '
                    'unlabeled images'
                )
        smallest = filters.get('min_size', 0)
        sides = [
            # An image whose size is not known counts as large enough.
            min(filter(is_side, map(image.get, SIZE)), default=smallest)
            for image in content['images']
        ]
        if num_small := sum(side < smallest for side in sides):
            notes.append(
                f'{num_small:,} labeled images have a side below {smallest} '
                "pixels. They are not trained on, because of the detector's "
                '`min_size`'
            )
        count = len(sides) - num_small
        if not count:
            raise CocoError(
                f'none of the {num_images:,} labeled images would be trained '
                f"on, because of the detector's filter_cfg={dict(filters)}: "
                'label images, or set another filter in the config of the '
                'detector'
            )
        return cls(content, count, tuple(notes))


def measure_balance(dataset: Dataset, data: Data) -> float:
    """Measure how often an epoch has a labeled image on average.

    Args:
        dataset: The dataset of the detector's config.
        data: The data of the experiment.

    Returns:
        The mean, above 1 if `ClassBalancedDataset` repeats images; 1 without
        it, and if there are no labeled images.

    Raises:
        FileNotFoundError: If the labeled file does not exist.
        CocoError: If the labeled file cannot be used.
    """
    # Of pseudo labels, nobody knows how many there will be.
    if dataset.oversample_thr is None or not data.labeled.count:
        return 1.0
    # Only its labels are read: without transforms, no image is loaded.
    labeled = CheckedCocoDataset(
        ann_file=data.labeled.ann_file,
        data_prefix=dict(img=data.labeled.folder),
        metainfo=dict(classes=data.classes),
        filter_cfg=dict(dataset.filter_settings),
        pipeline=[],
    )
    balanced = ClassBalancedDataset(labeled, dataset.oversample_thr)
    return len(balanced) / len(labeled)


def check_data(
    data: Data,
    filters: Mapping,
    allow_problems: bool = False,
    masks: bool = False,
) -> list[str]:
    """Check the files and the images with labels.

    Args:
        data: The data.
        filters: The `filter_cfg` of the detector's training images.
        allow_problems: Whether the data may have problems, as long as there
            is an object to learn and one to validate with.
        masks: Whether masks are trained on, and checked.

    Returns:
        Sentences about problems that are allowed, and about what is none but
        may not be meant so.

    Raises:
        ValueError: If there are problems; the message names them.
        CocoError: If a file has no object to learn or to validate with.
        FileNotFoundError: If all images of a file are missing, unless problems
            are allowed.
    """
    sets = data.with_labels
    read = [read_for_masks(Path(images.ann_file)) for images in sets]
    unread = [problem for problem in read if isinstance(problem, Problem)]
    files = [file for file in read if isinstance(file, CocoFile)]
    folders = [Path(images.folder) for images in sets]
    if not unread and not allow_problems:
        for images, folder in zip(sets, folders, strict=True):
            check_folder(images.ann_file, folder)
    problems = list_problems(files, folders, unread, masks)
    if problems and not allow_problems:
        raise ValueError(
            '\n'.join(['the data has problems:', *problems])
            + '\nFix them (tools/check_coco.py --fix helps), or continue with '
            '--allow-problems'
        )
    for file in files:
        for problem in check_trainable_objects(file):
            raise CocoError(problem.explain())
    allowed = [f'problem, allowed: {line}' for line in problems]
    notes = itertools.chain(
        allowed,
        *map(describe_classes, files),
        compare_densities([file.content for file in files]),
    )
    # What is said of the images that a filter drops says it already.
    if filters.get('filter_empty_gt') or not data.labeled.folder:
        return list(notes)
    return [*notes, *describe_bare_images(files[0])]


def compare_densities(contents: Sequence[dict]) -> Iterator[str]:
    """Compare how many objects are on labeled and on validation images.

    Together they say how many pseudo labels there should be, so both must be
    like the unlabeled images.

    Args:
        contents: The content of the labeled and of the validation file;
            another number of files is not compared.

    Yields:
        One line if the means over the images with objects are more than
        `FAR_APART` times apart, which chance does not explain.
    """
    if len(contents) != 2:
        return
    counts = [np.array(count_by_image(content)) for content in contents]
    if min(map(len, counts)) < 2:
        return  # Nothing is known of how much one image differs from another.
    means = [of_file.mean() for of_file in counts]
    error = np.hypot(*(c.std() / np.sqrt(len(c)) for c in counts))
    is_far = max(means) > FAR_APART * min(means)
    if is_far and abs(means[0] - means[1]) > MAX_ERRORS * error:
        yield (
            f'note: a labeled image has {means[0]:.1f} objects on average, a '
            f'validation image {means[1]:.1f} (images without any are left '
            'out). By default both say how many pseudo labels there should '
            'be. If only one of them is like the unlabeled images, '
            'docs/selection.md says how to count it alone'
        )


def count_by_image(content: Mapping) -> list[int]:
    """Count the objects of images as a selection counts them.

    Args:
        content: The content of a COCO file.

    Returns:
        The number for each image with any, without crowds, those with
        `ignore`, and images that were checked only in part.
    """
    labels = content['annotations']
    unchecked = find_unchecked(labels)
    on_image = Counter(
        one.get('image_id')
        for one in labels
        if not (one.get('iscrowd') or one.get('ignore'))
    )
    return [n for image, n in on_image.items() if image not in unchecked]


def check_masks(files: Iterable[str], polygons_only: bool) -> None:
    """Check that all objects have masks, for a detector that learns them.

    MMDetection ends with `KeyError: 'mask'` at an object without a mask. With
    `poly2mask=False` it takes an object with RLE for a region to ignore.

    Args:
        files: The COCO files with objects.
        polygons_only: Whether the training has `poly2mask=False`.

    Raises:
        CocoError: If a file cannot be used, or masks are missing or of the
            wrong kind.
        FileNotFoundError: If a file does not exist.
    """
    for file in files:
        objects = read_coco(file, 'annotations')['annotations']
        masks = [one.get('segmentation') for one in objects]
        if num_missing := sum(not mask for mask in masks):
            raise CocoError(
                f'{num_missing:,} of {len(masks):,} objects in {file} have no '
                '`segmentation`, but the detector is trained on masks: add '
                'them, or take a detector that needs only boxes'
            )
        is_crowd = [one.get('iscrowd') for one in objects]
        # Crowds have RLE in all files, and are ignored anyway.
        num_rle = sum(
            isinstance(mask, Mapping) and not crowd
            for mask, crowd in zip(masks, is_crowd, strict=True)
        )
        if polygons_only and num_rle:
            raise CocoError(
                f'{num_rle:,} of {len(masks):,} objects in {file} have RLE, '
                'but the detector reads polygons alone (poly2mask=False) and '
                'would ignore these: inherit from its config, and leave '
                'poly2mask out of `LoadAnnotations`'
            )


def check_folder(file: str, folder: Path) -> None:
    """Check that not all images of a file are missing.

    Args:
        file: The COCO file.
        folder: The folder of its images.

    Raises:
        FileNotFoundError: If the file does not exist, or none of its images
            does.
        CocoError: If the file cannot be used.
    """
    content = read_coco(file, 'images')
    names = [str(image.get('file_name')) for image in content['images']]
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(
            f'none of the {len(names):,} images of {file} is in {folder}/ '
            f'(the first one is {names[0]}): is this the right folder? If it '
            'is, tools/check_coco.py --fix finds images by the names that '
            'tools write'
        )


def list_problems(
    files: Sequence[CocoFile],
    folders: Sequence[Path],
    unread: Sequence[Problem],
    masks: bool,
) -> list[str]:
    """Return the problems of files and their images, as lines.

    Args:
        files: The files.
        folders: The folder of the images of each file.
        unread: The problems of files that cannot be read. If there are any,
            the others are not looked at.
        masks: Whether masks are checked.

    Returns:
        The lines of `format_problems`, with at most `MAX_SHOWN` problems of
        one kind in one file; empty if nothing is wrong.
    """
    found = [] if unread else find_problems(files, folders)
    if masks and not unread:
        found = itertools.chain(found, *map(check_segmentations, files))
    return format_problems(itertools.chain(unread, found), MAX_SHOWN)
