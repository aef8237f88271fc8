"""Which images to label next: worth much, and different from each other."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from ..files.atomic import replacing
from ..files.sealed import write_sealed
from ..label_files.coco.reading import read_boxes
from ..pseudo_labels.review.appearance import find_appearance
from ..pseudo_labels.review.calibration import count_views
from ..pseudo_labels.review.choice import (
    ChosenImages,
    choose_images,
    find_candidates,
)
from ..pseudo_labels.review.features import choose_description
from ..pseudo_labels.review.signals import read_signals
from ..pseudo_labels.review.value import (
    ImageValues,
    explain_image,
    value_images,
    weigh_classes,
)
from ..pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ..text import isolate
from .gallery import Tab
from .picture_page import Card, Mark, write_cards
from .shown_labels import StoredLabels
from .work_folder import WorkFolder

# So many images are looked at for each that is wanted.
CANDIDATES = 3
# Only so many labeled images are compared with the candidates.
MAX_LABELED = 1_000
# As many as `tools/next_images.py` chooses by default.
NUM_SHOWN = 20


@dataclass(frozen=True)
class NextImage:
    """An image to label next.

    Args:
        row: The row of the image in the table of the labels.
        errors: The number of errors to expect in its labels, not weighted.
        reason: Why it was chosen, in words.
    """

    row: int
    errors: float
    reason: str


@dataclass(frozen=True)
class Proposal:
    """The images to label next, best first.

    Args:
        source: The work folder.
        images: The images.
        notes: What a reader must know about the choice.
        has_more: Whether there may be images that were not looked at.
    """

    source: WorkFolder
    images: list[NextImage]
    notes: list[str]
    has_more: bool = False

    @staticmethod
    def list_files(out: Path) -> list[Path]:
        """List the files that `write` writes to a folder.

        Args:
            out: The folder.

        Returns:
            Their paths, of the COCO file, the list (CSV) and the page (HTML);
            they need not exist.
        """
        kinds = ('json', 'csv', 'html')
        return [out / f'next_images.{kind}' for kind in kinds]

    def write(self, out: Path) -> list[Path]:
        """Write the COCO file, the list and the page.

        Args:
            out: The folder, which is made if it is missing.

        Returns:
            The files, see `list_files`.

        Raises:
            FileNotFoundError, CocoError: See `make_coco`.
            OSError: If one of the files cannot be written, or the COCO file
                has been changed, see `write_sealed`.
        """
        files = self.list_files(out)
        write_sealed(files[0], self.make_coco())
        with replacing(files[1]) as file:
            file.write(self.make_list().encode())
        title = f'{len(self.images)} images to label next'
        write_cards(files[2], title, self.notes, list(self._make_cards()))
        return files

    def make_coco(self) -> dict:
        """Make a COCO object of the images with their pseudo labels.

        Returns:
            The object, with the best image first, annotations in the order of
            the file of pseudo labels, and ids from 1. Regions to ignore are
            left out.

        Raises:
            FileNotFoundError: If there is no file of pseudo labels.
            CocoError: If the file cannot be used.
        """
        file = self.source.stage / PSEUDO_LABELS
        coco = read_boxes(file)
        known = {image['file_name']: image for image in coco['images']}
        images, new_ids = [], {}
        for number, (_, row) in enumerate(self._iter_rows(), 1):
            name, width, height = (
                row[key] for key in ('file_name', 'width', 'height')
            )
            if name in known:  # Images without a label may be left out there.
                new_ids[known[name]['id']] = number
            images.append(
                dict(id=number, file_name=name, width=width, height=height)
            )
        kept = [
            one
            for one in coco['annotations']
            if one['image_id'] in new_ids and not one.get('iscrowd')
        ]
        return dict(
            info=dict(description='Images to label next, with pseudo labels'),
            images=images,
            annotations=[
                dict(one, id=number, image_id=new_ids[one['image_id']])
                for number, one in enumerate(kept, 1)
            ],
            categories=coco['categories'],
        )

    def make_list(self) -> str:
        """Write the images as CSV: place, file name, errors and reason.

        Returns:
            The text with a heading, the best image first.
        """
        text = io.StringIO()
        lines = csv.writer(text, lineterminator='\n')
        lines.writerow(['place', 'file_name', 'expected_errors', 'reason'])
        for place, (one, row) in enumerate(self._iter_rows(), 1):
            errors = f'{one.errors:.2f}'
            lines.writerow([place, row['file_name'], errors, one.reason])
        return text.getvalue()

    def _iter_rows(self) -> Iterator[tuple[NextImage, dict]]:
        """Yield each image with its row of the table of the labels."""
        table = self.source.labels.table
        for one in self.images:
            # A slice: the whole table as Python objects needs far more memory.
            yield one, table.slice(one.row, 1).to_pylist()[0]

    def _make_cards(self) -> Iterator[Card]:
        labels = self.source.labels
        classes = list(labels.min_scores)
        selected = labels.selection.is_selected
        for one, row in self._iter_rows():
            is_mine = labels.detections.image_index == one.row
            mine = labels.detections[selected & is_mine]
            columns = mine.bbox_xywh.tolist(), mine.labels, mine.scores
            marks = [
                Mark(tuple(xywh), f'{isolate(classes[label])} {score:.2f}')
                for xywh, label, score in zip(*columns, strict=True)
            ]
            name = row['file_name']
            yield Card(
                name,
                self.source.image_folder / name,
                (row['width'], row['height']),
                one.reason,
                marks,
            )


def propose_images(work_dir: Path, count: int) -> Proposal:
    """Choose the images to label next.

    Args:
        work_dir: The work folder of an experiment.
        count: The number of images, at least 1. There are fewer if there are
            not enough that differ.

    Returns:
        The images, best first, and notes for the user.

    Raises:
        ValueError: If `count` is below 1, a rule of the pseudo labels cannot
            be used, or see `WorkFolder.open` and `WorkFolder.labels`.
        FileNotFoundError, StoreError, CocoError: If the work folder lacks an
            annotation, or it cannot be read.
        KeyError: If a filter of these has an unknown type.
    """
    if count < 1:
        raise ValueError(f'--count must be at least 1, got {count}')
    source = WorkFolder.open(work_dir)
    detector = source.load_detector()
    factor = CANDIDATES
    found = choose_next_images(source, count, detector, factor)
    # Those that are worth most may be nearly the same, as in a video.
    while len(found.images) < count and found.has_more:
        factor *= 4
        found = choose_next_images(source, count, detector, factor)
    return found


def choose_next_images(
    source: WorkFolder,
    count: int,
    detector: tuple[nn.Module | None, str],
    factor: int,
) -> Proposal:
    """Choose among the images that are worth most, see `propose_images`.

    Args:
        source: The work folder.
        count: The number of images, at least 1.
        detector: The teacher, by whose features images are compared, and '';
            or None, and in words why it is not at hand.
        factor: So many images are looked at for each that is wanted.

    Returns:
        The images, best first, and notes for the user.

    Raises:
        FileNotFoundError: If detections or a file of labels are missing.
        StoreError: If the detections cannot be read.
        CocoError: If a file of labels cannot be used.
        ValueError: If a rule of the pseudo labels cannot be used.
        KeyError: If a filter of these has an unknown type.
    """
    values, notes = estimate_values(source)
    is_free = source.find_unlabeled()
    candidates = find_candidates(values.values, factor * count, is_free)
    choice, more = compare_candidates(
        source, values.values, candidates, count, detector
    )
    classes = list(source.labels.min_scores)
    images = [
        NextImage(
            row,
            values.errors_of(row).sum(),
            explain_image(values, row, classes),
        )
        for row in candidates[choice.indices].tolist()
    ]
    has_more = len(candidates) == factor * count
    return Proposal(source, images, notes + more, has_more)


def make_tab(stage: Path, labels: StoredLabels) -> Tab | None:
    """Choose the images that a report shows to label next.

    They are compared by colors, because a report does not load a detector.

    Args:
        stage: The folder of the annotation.
        labels: Its labels.

    Returns:
        Up to `NUM_SHOWN` images with their reasons; None if something is
        missing or cannot be used, such as the labeled file.
    """
    try:
        source = WorkFolder.of_stage(stage, labels)
        found = choose_next_images(
            source, NUM_SHOWN, (None, 'a report loads none'), CANDIDATES
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # The page says what is missing.
    return Tab(
        'Label next',
        [one.row for one in found.images],
        [one.reason for one in found.images],
    )


def compare_candidates(
    source: WorkFolder,
    values: np.ndarray,
    candidates: np.ndarray,
    count: int,
    detector: tuple[nn.Module | None, str],
) -> tuple[ChosenImages, list[str]]:
    """Choose among the candidates by what they look like.

    Args:
        source: The work folder.
        values: What each image is worth, shape (number of images,).
        candidates: The row of each candidate, shape (number of candidates,).
        count: The number of images that are wanted.
        detector: See `choose_next_images`.

    Returns:
        The choice, whose numbers count the candidates and not all images, and
        notes about it.

    Raises:
        FileNotFoundError: If detections or a file of labels are missing.
        StoreError: If the detections cannot be read.
        CocoError: If a file of labels cannot be used.
        ValueError: If a rule of the pseudo labels cannot be used.
        KeyError: If a filter of these has an unknown type.
    """
    teacher, why = detector
    describe, by_what = choose_description(teacher)
    names = source.labels.table['file_name'].to_pylist()
    folder = source.image_folder
    appearance = find_appearance(
        [str(folder / names[i]) for i in candidates], describe
    )
    known = find_appearance(sample_paths(source.list_labeled()), describe)
    choice = choose_images(values[candidates], appearance, known, count)
    notes = [f'The teacher is not at hand: {why}.'] if why else []
    notes.append(
        f'{len(candidates)} images with the most expected errors were '
        f'compared by {by_what} with each other and with {len(known.bits)} '
        f'labeled images; {len(choice.near)} near-duplicates are left out.'
    )
    return choice, notes


def sample_paths(paths: list[str]) -> list[str]:
    """Draw up to `MAX_LABELED` of the paths at random.

    Args:
        paths: The paths.

    Returns:
        Paths in their order, the same ones each time; all (the same list) if
        there are few.
    """
    if len(paths) <= MAX_LABELED:
        return paths
    random = np.random.default_rng(0)
    chosen = random.choice(len(paths), MAX_LABELED, replace=False)
    return [paths[i] for i in np.sort(chosen)]


def estimate_values(source: WorkFolder) -> tuple[ImageValues, list[str]]:
    """Estimate what a label of each unlabeled image would bring.

    Args:
        source: The work folder.

    Returns:
        The values, and notes about how they were estimated.

    Raises:
        FileNotFoundError: If detections or a file of labels are missing.
        StoreError: If the detections cannot be read.
        CocoError: If a file of labels cannot be used.
        ValueError: If a rule of the pseudo labels cannot be used.
        KeyError: If a filter of these has an unknown type.
    """
    labels = source.labels
    signals = read_signals(labels.detections, count_views(labels.provenance))
    calibration, why = source.calibrate()
    if calibration:
        chances = calibration(signals)
        note = (
            'How likely a detection is right was learned from '
            f'{calibration.num_images} validation images.'
        )
    else:
        chances = signals.scores
        note = (
            'Scores count as the chance that a detection is right, because '
            f'there are no validation images to learn it from: {why}.'
        )
    values = value_images(
        labels.detections.image_index,
        signals,
        chances,
        labels.selection.is_selected,
        len(labels.table),
        weigh_classes(labels.labeled.num_instances),
    )
    return values, [note]
