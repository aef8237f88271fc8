"""Lists the labels of a file that look wrong to a detector, with pictures."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files.atomic import replacing
from ..files.sealed import write_sealed
from ..label_files.coco.contents import check_classes
from ..label_files.coco.matching import find_image_ids
from ..label_files.coco.reading import UNCHECKED, CocoError, read_truth
from ..label_files.column_matching.numbering import Numbering
from ..pseudo_labels.detections.columns import (
    Detections,
    flatten_table,
    keep_readable,
)
from ..pseudo_labels.review.calibration import (
    count_views,
    fit_calibration,
    judge_rows,
)
from ..pseudo_labels.review.signals import read_signals
from ..pseudo_labels.review.suspicious import (
    KINDS,
    BoxColumns,
    Suspicion,
    find_suspicions,
)
from ..pseudo_labels.selection.export import open_store
from ..text import isolate
from .gallery import Tab
from .picture_page import Card, Mark, write_cards

# A report shows so many suspicions at most.
NUM_SHOWN = 20
COLUMNS = [
    'place',
    'file_name',
    'kind',
    'chance',
    'annotation_id',
    'label',
    'label_bbox',
    'found',
    'found_bbox',
]


@dataclass(frozen=True)
class LabelReview:
    """The labels of a file, and what looks wrong in them.

    Args:
        coco: The content of the file.
        rows: The detections of its images, one row each, see `shards.SCHEMA`.
        annotations: The labels that were looked at, ordered by image.
        detections: The detections, as columns.
        suspicions: What looks wrong, the most likely first.
        folder: The folder of the images.
        notes: What a reader must know.
    """

    coco: dict
    rows: list[dict]
    annotations: list[dict]
    detections: Detections
    suspicions: list[Suspicion]
    folder: Path
    notes: list[str]

    @staticmethod
    def list_files(out: Path) -> list[Path]:
        """List the files that `write` writes to a folder.

        Args:
            out: The folder.

        Returns:
            Their paths; they need not exist.
        """
        kinds = ('csv', 'json', 'html')
        return [out / f'suspicious_labels.{kind}' for kind in kinds]

    def write(self, out: Path, count: int) -> list[Path]:
        """Write the list, the images to correct and the page.

        Args:
            out: The folder.
            count: The most suspicions to write; the most likely come first.

        Returns:
            The files, see `list_files`.

        Raises:
            OSError: If a file cannot be written, see also `write_sealed`.
        """
        shown = self.suspicions[:count]
        files = self.list_files(out)
        write_sealed(files[1], self.make_coco(shown))
        with replacing(files[0]) as file:
            file.write(self.make_list(shown).encode())
        title = f'{len(shown)} suspicious labels'
        write_cards(files[2], title, self.notes, self._make_cards(shown))
        return files

    def make_list(self, shown: Sequence[Suspicion]) -> str:
        """Write suspicions as CSV; see `COLUMNS`.

        Args:
            shown: The suspicions, in the order to write.

        Returns:
            The text with a heading; what a suspicion lacks is empty. Boxes are
            xywh in pixels of the original image.
        """
        text = io.StringIO()
        lines = csv.writer(text, lineterminator='\n')
        lines.writerow(COLUMNS)
        for place, one in enumerate(shown, 1):
            label = {} if one.label is None else self.annotations[one.label]
            lines.writerow(
                [
                    place,
                    self.rows[one.image]['file_name'],
                    one.kind,
                    f'{one.chance:.3f}',
                    label.get('id', ''),
                    self._name_label(one) or '',
                    label.get('bbox', ''),
                    self._name_found(one) or '',
                    self._mark_found_box(one) or '',
                ]
            )
        return text.getvalue()

    def make_coco(self, shown: Sequence[Suspicion]) -> dict:
        """Make a COCO object of the images of suspicions, with their labels.

        Args:
            shown: The suspicions.

        Returns:
            The labels' content with these images only, in the order of the
            suspicions, each once; labels keep their order and ids. What says
            that the rest of an image is unchecked is left out: other tools
            would show a box.
        """
        names = dict.fromkeys(self.rows[s.image]['file_name'] for s in shown)
        by_name = {image['file_name']: image for image in self.coco['images']}
        images = [by_name[name] for name in names]
        ids = {image['id'] for image in images}
        kept = [
            one
            for one in self.coco['annotations']
            if one['image_id'] in ids and not one.get(UNCHECKED)
        ]
        return dict(self.coco, images=images, annotations=kept)

    def _name_label(self, one: Suspicion) -> str | None:
        if one.label is None:
            return None
        wanted = self.annotations[one.label]['category_id']
        names = {c['id']: c['name'] for c in self.coco['categories']}
        return names[wanted]

    def _name_found(self, one: Suspicion) -> str | None:
        if one.detection is None:
            return None
        label = self.detections.labels[one.detection]
        return self.coco['categories'][label]['name']

    def _mark_found_box(self, one: Suspicion) -> list[float] | None:
        if one.detection is None:
            return None
        # As float32, a rounded 0.1 would be written as 0.10000000149.
        bbox_xywh = self.detections.bbox_xywh[one.detection].astype(np.float64)
        return bbox_xywh.round(2).tolist()

    def _make_cards(self, shown: Sequence[Suspicion]) -> list[Card]:
        names = {c['id']: isolate(c['name']) for c in self.coco['categories']}
        labels: dict[str, list[dict]] = {}
        ids = {i['id']: i['file_name'] for i in self.coco['images']}
        for label in self.annotations:
            labels.setdefault(ids[label['image_id']], []).append(label)
        cards = []
        for one in shown:
            row = self.rows[one.image]
            doubted = None if one.label is None else one.label
            marks = [
                Mark(tuple(label['bbox']), names[label['category_id']])
                for label in labels.get(row['file_name'], ())
                if doubted is None or label is not self.annotations[doubted]
            ]
            cards.append(
                Card(
                    row['file_name'],
                    self.folder / row['file_name'],
                    (row['width'], row['height']),
                    self.explain(one),
                    [*marks, *self.mark(one)],
                )
            )
        return cards

    def mark(self, one: Suspicion) -> Iterator[Mark]:
        """Mark the label in doubt, and what the detector says.

        Args:
            one: The suspicion.

        Yields:
            One box or two: the label if there is one, and then what was found.
        """
        if one.label is not None:
            bbox_xywh = tuple(self.annotations[one.label]['bbox'])
            name = isolate(self._name_label(one) or '')
            yield Mark(bbox_xywh, f'label: {name}', 'doubt')
        if found := self._mark_found_box(one):
            score = self.detections.scores[one.detection]
            name = isolate(self._name_found(one) or '')
            text = f'found: {name} {score:.2f}'
            x, y, width, height = found
            yield Mark((x, y, width, height), text, 'found')

    def explain(self, one: Suspicion) -> str:
        """Say in words what looks wrong.

        Args:
            one: The suspicion.

        Returns:
            A sentence.
        """
        label, found = (
            isolate(name or '')
            for name in (self._name_label(one), self._name_found(one))
        )
        text = {
            'missing': f'no label of {found}, which the detector finds',
            'class': f'the label says {label}, the detector {found}',
            'box': f'the box of {label} is not where the detector finds it',
            'extra': f'the detector finds nothing at the label of {label}',
        }[one.kind]
        return f'{KINDS[one.kind].capitalize()}: {text}.'


def review_labels(
    detections: Path, ann_file: Path, images: Path | None = None
) -> LabelReview:
    """Look for labels that detections speak against.

    Args:
        detections: The folder of a store. Its teacher must not have been
            trained on these labels.
        ann_file: The COCO file of the labels.
        images: The folder of the images; None for that of the store.

    Returns:
        The review. Images without detections are not looked at; a note says
        how many there are.

    Raises:
        FileNotFoundError: If a file is missing.
        StoreError: If the detections cannot be read.
        CocoError: If the labels cannot be used, have other classes, or none of
            their images has detections.
    """
    store = open_store(detections)
    made_by = store.require_provenance()
    coco = read_truth(ann_file, may_be_empty=True)  # As a fold may be.
    if 'classes' in made_by:  # Stores of earlier versions do not name them.
        check_classes(made_by['classes'], coco['categories'], ann_file)
    table = store.read()
    names = pa.array([image['file_name'] for image in coco['images']])
    table = keep_readable(table)
    table = table.filter(pc.is_in(table['file_name'], names))
    if not len(table):
        raise CocoError(
            f'no image of {ann_file} has detections in {detections}: give the '
            'detections of these images, by a teacher that was not trained on '
            'them'
        )
    notes = []
    if missing := len(names) - len(table):
        notes.append(
            f'{missing} of the {len(names)} images have no detections, so '
            'their labels were not looked at.'
        )
    folder = images or Path(made_by.get('image_folder', '.'))
    found = flatten_table(table)
    rows = table.to_pylist()
    annotations, suspicions = compare_labels(
        coco, rows, found, count_views(made_by), str(ann_file)
    )
    return LabelReview(
        coco, rows, annotations, found, suspicions, folder, notes
    )


def make_tab(
    detections: Path, ann_file: Path, names: Sequence[str]
) -> Tab | None:
    """Choose the labels that a report shows as suspicious.

    Args:
        detections: The folder of a store, see `review_labels`.
        ann_file: The COCO file of the labels.
        names: The file names of its images, in the order of their numbers in
            the report.

    Returns:
        The most likely suspicions, at most `NUM_SHOWN`, each with its image;
        None if there are no detections of these images, or a file cannot be
        used.

    Raises:
        KeyError: If `names` lacks an image, or see `review_labels`.
    """
    try:
        review = review_labels(detections, ann_file)
    except (FileNotFoundError, ValueError):
        return None
    shown = review.suspicions[:NUM_SHOWN]
    place = {name: number for number, name in enumerate(names)}
    return Tab(
        'Suspicious labels',
        [place[review.rows[one.image]['file_name']] for one in shown],
        [review.explain(one) for one in shown],
        [
            [[*mark.bbox_xywh, mark.text, mark.kind] for mark in of_one]
            for of_one in map(review.mark, shown)
        ],
        len(shown),
    )


def compare_labels(
    coco: dict,
    rows: list[dict],
    found: Detections,
    num_views: int | None,
    source: str,
) -> tuple[list[dict], list[Suspicion]]:
    """Compare labels with detections.

    The chance of a detection to be right is learned from the same labels: few
    of them are wrong, and the regression is too simple to learn those.

    Args:
        coco: The labels, of which those of crowds are not looked at.
        rows: The detections of their images, one row for each image.
        found: The detections of `rows` as columns.
        num_views: The number of views; None if it is not known.
        source: The file of the labels, for messages.

    Returns:
        The labels that were looked at, ordered by image, and the suspicions,
        see `find_suspicions`.

    Raises:
        CocoError: If the labels lack an image.
    """
    signals = read_signals(found, num_views)
    is_right = judge_rows(rows, coco, source)
    objects = [a for a in coco['annotations'] if not a.get('iscrowd', 0)]
    # Right with the crowds, and not without them.
    on_crowd = is_right & ~judge_rows(
        rows, dict(coco, annotations=objects), source
    )
    num_classes = len(coco['categories'])
    # The labels themselves calibrate, since most of them are right.
    chances = fit_calibration(signals, is_right, num_classes, len(rows))(
        signals
    )
    # Detections in a crowd need no label of their own.
    chances[on_crowd] = 0
    place = {id: n for n, id in enumerate(find_image_ids(rows, coco, source))}
    label_of = Numbering.of((), coco['categories']).labels
    kept = sorted(
        (a for a in objects if a['image_id'] in place),
        key=lambda a: place[a['image_id']],
    )
    labels = BoxColumns(
        np.array([place[a['image_id']] for a in kept], int),
        # Without a label, the shape would be (0,).
        np.array([a['bbox'] for a in kept], float).reshape(-1, 4),
        np.array([label_of[a['category_id']] for a in kept], int),
        np.ones(len(kept)),
    )
    boxes = BoxColumns(
        found.image_index, found.bbox_xywh, signals.labels, chances
    )
    return kept, find_suspicions(labels, boxes, len(rows))
