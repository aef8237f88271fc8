"""Maps the classes that a teacher knows to those of the labeled file."""

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..merging.suppression import suppress_boxes
from .checkpoint_error import CheckpointError
from .checkpoint_fields import CHANGED, make_plain_dict

# The number of classes that a message names.
NUM_NAMED = 8
# Of two boxes of one class that overlap by more, only the better one stays if
# classes were joined. It does not depend on the merger, so that boxes of views
# can be merged again.
JOIN_IOU = 0.5
# The label of a class that is not wanted.
UNWANTED = -1


@dataclass(frozen=True)
class ClassMap:
    """Which class of the labeled file each class of a teacher is.

    Args:
        labels: Shape (number of classes of the teacher,), int64: the class of
            the labeled file, or `UNWANTED`.
    """

    labels: Tensor

    @property
    def joins_classes(self) -> bool:
        """Whether several classes of the teacher are one of the file."""
        wanted = self.labels[self.labels != UNWANTED]
        return len(wanted.unique()) < len(wanted)

    def apply(self, found: InstanceData, iou_threshold: float) -> InstanceData:
        """Map the labels of boxes, and leave out classes not wanted.

        Args:
            found: `bboxes` (shape (n, 4), xyxy in pixels), `scores` and
                `labels` (shape (n,), integers, all of which are classes of the
                teacher) of one view or image, as a detector gives them, and
                more fields. They are not changed.
            iou_threshold: The overlap above which only the best of two boxes
                of one class is kept, if this map joins classes. Otherwise one
                object would have several boxes of one class.

        Returns:
            The boxes that are left, in order and with all their fields;
            `labels` are classes of the labeled file, int64. There are none if
            all are left out.
        """
        labels = self.labels.to(found.labels.device)[found.labels]  # (n,)
        # Indexing makes a new InstanceData, so `found` stays as it is.
        mapped = found[labels != UNWANTED]
        mapped.labels = labels[labels != UNWANTED]
        if not self.joins_classes or not len(mapped):
            return mapped
        # Two classes of the teacher that are one here may both find an object.
        _, kept = suppress_boxes(
            mapped.bboxes.float(),
            mapped.scores.float(),
            mapped.labels,
            dict(type='nms', iou_threshold=iou_threshold),
        )
        # `suppress_boxes` gives indices by descending score. Sorted, the boxes
        # keep the order that the detector gave them.
        return mapped[kept.sort().values]


@dataclass(frozen=True)
class ClassNames:
    """The names by which a teacher and the labeled file call their classes.

    Args:
        classes: The classes of the teacher, in the order of its labels; None
            if the `meta` of its checkpoint says them.
        renamed: The name that the teacher has for a class -> the name in the
            labeled file. Names that are equal need not be in it. None if all
            are equal.
    """

    classes: Sequence[str] | None = None
    renamed: Mapping[str, str] | None = None

    @classmethod
    def of(cls, teacher: Mapping) -> 'ClassNames':
        """Read the names that the config of a teacher has.

        Args:
            teacher: The config; its keys `classes` and `class_map` may be
                missing.

        Returns:
            The names.
        """
        return cls(teacher.get('classes'), teacher.get('class_map'))

    def map(
        self, detector: nn.Module, meta: Mapping, wanted: Sequence[str]
    ) -> ClassMap | None:
        """Map the classes of a teacher to those of the labeled file.

        Args:
            detector: The teacher.
            meta: The `meta` of its checkpoint.
            wanted: The names of the categories of the labeled file, in its
                order.

        Returns:
            The map; None if nothing changes. A detector that is told its
            classes by a text has those of the labeled file. If nothing says
            what the classes are, the log has a warning, and nothing changes.
            `classes` counts more than `meta`.

        Raises:
            CheckpointError: If a class of the labeled file is missing, a name
                in `renamed` is unknown (as all are if nothing says what the
                classes are), no head of the detector has as many classes as
                there are names, or `meta` is not as `read_classes` needs it.
        """
        if hasattr(detector, 'language_model'):
            return None
        known = self.classes or read_classes(meta)
        if known is None:
            self._require_nothing()
            print_log(
                'the checkpoint does not say what its classes are; make sure '
                f'that they are {list(wanted)}, in this order',
                'current',
                logging.WARNING,
            )
            return None
        labels = self._find_labels(list(known), list(wanted))
        check_num_classes(detector, len(known))
        if labels == list(range(len(wanted))):
            return None
        print_log(
            describe_class_use(list(known), labels, wanted),
            'current',
            logging.INFO,
        )
        return ClassMap(torch.tensor(labels))

    def _require_nothing(self) -> None:
        """Check that there are no names for classes that are not known."""
        if self.renamed:
            raise CheckpointError(
                'the checkpoint does not say what its classes are, but '
                f'class_map={dict(self.renamed)} renames some: name them '
                'all, in order (--classes-from, or `classes` in the config)'
            )

    def _find_labels(
        self, known: Sequence[str], wanted: Sequence[str]
    ) -> list[int]:
        """Return the label of each known class among the wanted ones."""
        renamed = dict(self.renamed or {})
        check_names(renamed, known, 'the classes of the checkpoint')
        check_names(renamed.values(), wanted, 'the labeled file')
        names = [renamed.get(name, name) for name in known]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise CheckpointError(explain_missing(missing, known))
        return [
            wanted.index(name) if name in wanted else UNWANTED
            for name in names
        ]


def read_classes(meta: Mapping) -> list[str] | None:
    """Read the classes that the `meta` of a checkpoint names.

    Args:
        meta: The `meta`, of MMDetection 3.x or 2.x.

    Returns:
        The names, in the order of their labels; a list of one if there is a
        text instead of a list; None if it names none.

    Raises:
        CheckpointError: If its `dataset_meta` is no dictionary, or its classes
            are no list, tuple or text.
    """
    dataset_meta = meta.get('dataset_meta')
    if dataset_meta is None:
        dataset_meta = {}
    dataset_meta = make_plain_dict(dataset_meta, 'meta.dataset_meta')
    named = (
        # Earlier versions of MMDetection wrote capitals, and 2.x at another
        # place.
        dataset_meta.get('classes'),
        dataset_meta.get('CLASSES'),
        meta.get('CLASSES'),
    )
    for classes in named:
        if not isinstance(classes, list | tuple | str | None):
            raise CheckpointError(
                'the classes in the `meta` of the checkpoint must be a list '
                f'of names, got {classes!r:.80}: {CHANGED}'
            )
    found = named[0] or named[1] or named[2]
    # A config with classes=('cell'), which is no tuple.
    if isinstance(found, str):
        found = [found]
    return None if found is None else list(found)


def check_names(names: Iterable[str], known: Sequence[str], what: str) -> None:
    """Check that a class map names what is there.

    Args:
        names: The names in the map.
        known: The names that are there.
        what: Where they are, for the message.

    Raises:
        CheckpointError: If a name is not there; with the names that are most
            like the first wrong one.
    """
    wrong = [name for name in names if name not in known]
    if wrong:
        raise CheckpointError(
            f'class_map has {wrong[0]!r}, which is not in {what}'
            f'{suggest_names(wrong[0], known)}'
        )


def explain_missing(missing: Sequence[str], known: Sequence[str]) -> str:
    """Explain which classes a checkpoint lacks, and what to do.

    Args:
        missing: The names that the checkpoint lacks, at least one.
        known: The names in the checkpoint.

    Returns:
        A message without a full stop.
    """
    first = missing[0]
    return (
        f'the checkpoint was trained on {shorten_names(known)}, and lacks '
        f'{len(missing)} of the classes of the labeled file: '
        f'{shorten_names(missing)}{suggest_names(first, known)}. If it has '
        'another name for a class, say so: --class-map NAME_IN_CHECKPOINT='
        f'{first!r}, or class_map={{NAME_IN_CHECKPOINT: {first!r}}} in the '
        'config'
    )


def suggest_names(name: str, known: Sequence[str]) -> str:
    """Find the known names that are like a name, whatever their case.

    Args:
        name: The name.
        known: The names that are known.

    Returns:
        At most three as a text in brackets, with a space before it: the
        nearest first, and then those that contain the name. An empty text if
        none is near.
    """
    by_lower = {str(one).lower(): str(one) for one in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    # A short name in a long one, such as `car` in `sports car`, is below the
    # cutoff.
    inside = [
        one for one in by_lower if name.lower() in one and one not in found
    ]
    near = [by_lower[one] for one in [*found, *inside][:3]]
    return f' (the nearest names: {", ".join(near)})' if near else ''


def shorten_names(names: Sequence[str]) -> str:
    """Write names as a list, of which only the first are there.

    Args:
        names: The names.

    Returns:
        Up to `NUM_NAMED` of them in quotes, and how many more there are, all
        in square brackets.
    """
    shown = ', '.join(map(repr, names[:NUM_NAMED]))
    more = len(names) - NUM_NAMED
    return f'[{shown}{f", and {more} more" if more > 0 else ""}]'


def check_num_classes(detector: nn.Module, number: int) -> None:
    """Check that a detector has as many classes as there are names.

    Args:
        detector: The detector. One whose heads do not say how many classes
            they have passes.
        number: The number of names.

    Raises:
        CheckpointError: If no head has so many classes.
    """
    # All heads, since some know fewer classes: a proposal head has one.
    numbers = (getattr(one, 'num_classes', None) for one in detector.modules())
    found = {one for one in numbers if isinstance(one, int)}
    if found and number not in found:
        raise CheckpointError(
            f'{number} classes are named for a teacher whose heads have '
            f'{sorted(found)}: name all classes that it was trained on, in '
            'its order'
        )


def describe_class_use(
    known: Sequence[str], labels: Sequence[int], wanted: Sequence[str]
) -> str:
    """Describe in a line how the classes of a teacher are used.

    Args:
        known: The names in the checkpoint.
        labels: What each of them becomes, in order: an index into `wanted`, or
            `UNWANTED`.
        wanted: The names in the labeled file.

    Returns:
        The line, without a full stop.
    """
    renamed = [
        f'{name} is {wanted[label]}'
        for name, label in zip(known, labels, strict=True)
        if label != UNWANTED and name != wanted[label]
    ]
    unused = [
        name
        for name, label in zip(known, labels, strict=True)
        if label == UNWANTED
    ]
    text = "the teacher's classes are mapped to the labeled file's by name"
    if renamed:
        text += f'; {", ".join(renamed)}'
    if unused:
        names = shorten_names(unused)
        text += f'; boxes of its other classes are left out: {names}'
    return text
