"""Estimates the quality of pseudo labels by labeled validation images."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from scipy.stats import binomtest

from ...label_files.coco.contents import check_classes
from ...label_files.coco.matching import (
    RIGHT_IOU,
    ImageMatches,
    find_image_ids,
    make_results,
    match_images,
)
from ...label_files.coco.reading import read_truth
from ...text import format_table
from ..detections.columns import keep_listed, keep_readable
from ..detections.store import DetectionStore
from ..selection.coco_writer import read_origin
from ..selection.export import read_rules
from ..selection.picking import keep_elements
from ..selection.rules import SelectionRules
from .bootstrap import weigh_images
from .label_quality import read_min_scores

# With so many draws, 25 lie beyond each end of a 95 % interval.
NUM_DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Args:
        value: The number.
        low: The lower end of the interval.
        high: The upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: np.ndarray) -> 'Estimate':
        """Combine a number with the middle 95 % of its bootstrap draws.

        Args:
            value: The number.
            draws: Shape (k,), the number for each draw; NaN is left out.

        Returns:
            The estimate; without a draw both its ends are the number itself.
        """
        draws = draws[~np.isnan(draws)]
        if not len(draws):
            return cls(value, value, value)
        low, high = np.percentile(draws, [2.5, 97.5])
        return cls(value, float(low), float(high))

    def widen(self, num_right: float, total: float) -> 'Estimate':
        """Replace an interval of no length, as all draws of 2 of 2 give.

        Args:
            num_right: How many are right.
            total: Of how many, at least 1.

        Returns:
            The estimate; with Wilson's interval if its own has no length.
        """
        if self.low < self.high:
            return self
        counted = binomtest(int(num_right), int(total))
        found = counted.proportion_ci(method='wilson')
        return Estimate(self.value, float(found.low), float(found.high))

    def __str__(self) -> str:
        """Return the number and its interval as text.

        Returns:
            Such as `0.91 (0.88 to 0.94)`.
        """
        return f'{self.value:.2f} ({self.low:.2f} to {self.high:.2f})'


@dataclass(frozen=True)
class Expectation:
    """What to expect of the pseudo labels, with 95 % intervals.

    Args:
        num_images: The number of validation images.
        precision: The share of labels that are right, of all classes; 0
            without any label or object.
        recall: The share of objects that a label shows, of all classes; 0 as
            before.
        classes: Class name -> precision and recall; None for a class without
            labels or objects there.
    """

    num_images: int
    precision: Estimate
    recall: Estimate
    classes: dict[str, tuple[Estimate, Estimate] | None]

    def to_dict(self) -> dict:
        """Collect all figures for a JSON file.

        Returns:
            Numbers by name; None for a class without a label or an object.
        """
        return dict(
            images=self.num_images,
            precision=asdict(self.precision),
            recall=asdict(self.recall),
            classes={
                name: pair
                and dict(precision=asdict(pair[0]), recall=asdict(pair[1]))
                for name, pair in self.classes.items()
            },
        )

    def format(self) -> str:
        """Format a table for the user: a line per class, then the total.

        Returns:
            The lines of the table; a class without a label or an object has
            dashes.
        """
        table = Table(
            'class',
            title=f'Expected quality of the labels at IoU 0.5, from '
            f'{self.num_images:,} validation images',
        )
        table.add_column('precision (95 %)', justify='right')
        table.add_column('recall (95 %)', justify='right')
        for name, pair in self.classes.items():
            table.add_row(name, *(map(str, pair) if pair else ('-', '-')))
        table.add_row('all', str(self.precision), str(self.recall))
        return format_table(table)


def expect_quality(
    labels: Path, detections: Path, truth_file: str | Path
) -> Expectation:
    """Estimate how many pseudo labels are right.

    The labels of the validation images are selected with the scores and the
    filters of the pseudo labels. A label is right from `RIGHT_IOU` on.

    Args:
        labels: The file of pseudo labels, as annotation or
            `tools/select_labels.py` writes it.
        detections: The folder of the store of the validation images, by the
            same teacher, views and merger.
        truth_file: The COCO file of the validation images. Its categories must
            be the classes of the labels, in their order.

    Returns:
        The estimate. Its intervals are by bootstrap over the images, which
        must be like the unlabeled ones.

    Raises:
        StoreError: If the detections are missing or damaged, or were made in
            another way.
        CocoError: If the labels or the truth cannot be used, the labels do not
            say how they were selected, or the truth has other classes or
            lacks an image.
        FileNotFoundError: If the labels or the truth do not exist.
        ValueError: If no image could be read, or a rule of the labels cannot
            be used, such as one that is not registered.
    """
    try:
        rules = SelectionRules(**read_rules(labels))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'the rules of {labels} must be known here: {error.args[0]}'
        ) from error
    by_class = read_min_scores(labels)
    store = DetectionStore(detections)
    store.check_same_teacher(read_origin(labels))
    truth = read_truth(truth_file)
    check_classes(list(by_class), truth['categories'], truth_file)
    table = keep_listed(keep_readable(store.read()), truth)
    min_scores = np.array(
        [np.inf if score is None else score for score in by_class.values()],
        # As scores are stored. As a float64, the least score of a label may be
        # higher than the label's own.
        np.float32,
    )
    rows = [keep_labels(row, min_scores) for row in rules.filter_rows(table)]
    image_ids = find_image_ids(rows, truth, truth_file)
    results = make_results(rows, truth, truth_file)
    matches = match_images(truth, results, image_ids, [RIGHT_IOU])
    names = [category['name'] for category in truth['categories']]
    return estimate_shares(matches, names)


def keep_labels(row: dict, min_scores: np.ndarray) -> dict:
    """Keep the detections of an image that are labels.

    Args:
        row: A row with the columns of `shards.SCHEMA`, as Python lists.
        min_scores: Shape (number of classes,), float32, the lowest score of a
            label; infinite for no label.

    Returns:
        A new row; of its columns, those that are lists are shortened.
    """
    scores = np.array(row['scores'], np.float32)
    is_label = scores >= min_scores[np.array(row['labels'], int)]
    return {name: keep_elements(v, is_label) for name, v in row.items()}


def estimate_shares(matches: ImageMatches, names: list[str]) -> Expectation:
    """Estimate precision and recall with intervals.

    Args:
        matches: The labels, matched with the truth at one IoU.
        names: The names of the classes.

    Returns:
        The estimates; of a class without a label or an object None, and
        without any label or object the totals are 0.

    Raises:
        ValueError: If there is no image.
    """
    num_images = len(matches.num_truth)
    right, labels = np.zeros((2, *matches.num_truth.shape))  # (m, c) each
    places = matches.image_index, matches.labels
    # `right[places] += ...` would count a repeated place once.
    np.add.at(right, places, matches.is_right[:, 0])
    np.add.at(labels, places, 1)
    # Whole images are drawn, not boxes: the boxes of an image are alike.
    weights = weigh_images(np.ones(num_images, bool), NUM_DRAWS)
    # The product of (1 + k, m) and (m, c).
    counts = [weights @ part for part in (right, labels, matches.num_truth)]
    classes = {
        name: make_estimates(*(part[:, n] for part in counts))
        for n, name in enumerate(names)
    }
    nothing = Estimate(0.0, 0.0, 0.0)
    total = make_estimates(*(part.sum(axis=1) for part in counts))
    precision, recall = total or (nothing, nothing)
    return Expectation(num_images, precision, recall, classes)


def make_estimates(
    right: np.ndarray, labels: np.ndarray, truth: np.ndarray
) -> tuple[Estimate, Estimate] | None:
    """Estimate precision and recall.

    Args:
        right: Shape (1 + k,), the number of right labels, first of all images
            and then of each draw.
        labels: Shape (1 + k,), the number of labels.
        truth: Shape (1 + k,), the number of objects.

    Returns:
        Precision and recall; None without a label or an object.
    """
    if not (labels[0] and truth[0]):
        return None
    # 0 / 0 where a draw has no label or no object. `Estimate.of` leaves such
    # draws out.
    with np.errstate(divide='ignore', invalid='ignore'):
        shares = right / labels, right / truth
    # The first draw has each image once.
    precision, recall = (
        Estimate.of(float(share[0]), share[1:]).widen(right[0], total[0])
        for share, total in zip(shares, (labels, truth), strict=True)
    )
    return precision, recall
