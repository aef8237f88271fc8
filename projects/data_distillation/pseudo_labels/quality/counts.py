"""Counts of labels and objects, and the shares that follow from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """The counts of labels and objects, without crowds and labels on them.

    Args:
        num_truth: The number of objects.
        num_labels: The number of labels.
        num_right: The number of labels that took an object, see
            `label_files/coco/matching.py`.
    """

    num_truth: int
    num_labels: int
    num_right: int

    @property
    def precision(self) -> float | None:
        """The share of the labels that are right; None without labels."""
        return divide_or_none(self.num_right, self.num_labels)

    @property
    def recall(self) -> float | None:
        """The share of the objects that have a label; None without objects."""
        return divide_or_none(self.num_right, self.num_truth)

    @property
    def f1(self) -> float | None:
        """The F1 score; None if there are neither labels nor objects.

        It is twice the number of right labels, divided by the number of
        labels plus the number of objects. This is the harmonic mean of
        precision and recall if both are defined and above 0, and 0 otherwise.
        """
        return divide_or_none(
            2 * self.num_right, self.num_labels + self.num_truth
        )

    @property
    def shares(self) -> dict[str, float | None]:
        """Precision, recall and F1 by name; None if not defined."""
        return dict(precision=self.precision, recall=self.recall, f1=self.f1)

    def to_dict(self) -> dict:
        """Collect the counts and the shares for JSON.

        Returns:
            `truth`, `labels`, `right` and the names of `shares`; a share that
            is not defined is None.
        """
        return dict(
            truth=self.num_truth,
            labels=self.num_labels,
            right=self.num_right,
            **self.shares,
        )


def divide_or_none(part: int, whole: int) -> float | None:
    """Divide a part by the whole.

    Args:
        part: A count.
        whole: A count.

    Returns:
        The share; None if the whole is 0.
    """
    return part / whole if whole else None
