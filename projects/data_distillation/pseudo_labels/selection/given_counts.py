"""Selects as many pseudo labels as somebody says, without labeled images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from mmdet.registry import TASK_UTILS

from ...label_files.coco.matching import ClassMatches
from .selectors import Candidates, LabeledCounts, MatchedSelector


@TASK_UTILS.register_module()
class CountSelector:
    """Selects a given number of instances per image.

    It is for teachers whose scores say little, such as one that was never
    trained on these classes, where labeled images are few or have other
    objects. `MatchedSelector` says which scores are chosen.

    Args:
        per_image: The mean number of labels on an image: one number for all
            classes together, with one `min_score`, or class name -> number,
            each with its own. 0 for a class of which nothing shall be
            selected.
        floor: The lowest score that a label may have, in [0, 1].

    Raises:
        ValueError: If a number or `floor` is out of range.
    """

    def __init__(
        self, per_image: float | Mapping[str, float], floor: float = 0.0
    ) -> None:
        if is_by_class := isinstance(per_image, Mapping):
            numbers = [float(number) for number in per_image.values()]
        else:
            numbers = [float(per_image)]
        if not all(math.isfinite(n) and n >= 0 for n in numbers):
            raise ValueError(
                f'per_image must be at least 0, and finite, got {per_image}'
            )
        self.per_image = per_image
        self.selector = MatchedSelector(per_class=is_by_class, floor=floor)

    def choose(
        self,
        found: Candidates,
        labeled: LabeledCounts,
        validation: Sequence[ClassMatches] | None = None,
    ) -> np.ndarray:
        """Choose the `min_score` of each class, as `Selector.choose` says.

        Args:
            found: The detections to choose from.
            labeled: The counts of the labeled file, for the names of the
                classes.
            validation: It is not used.

        Returns:
            Shape (number of classes,), float32; infinite where nothing is
            wanted.

        Raises:
            ValueError: If the given names are not those of the classes.
        """
        classes = labeled.classes
        numbers = np.zeros(len(classes))
        if not isinstance(self.per_image, Mapping):
            # They are added up.
            numbers[0] = self.per_image
        else:
            differing = sorted(self.per_image.keys() ^ set(classes))
            if differing:
                raise ValueError(
                    f'per_image must name each class of {list(classes)}, got '
                    f'{list(self.per_image)}: {differing} are missing or '
                    'unknown'
                )
            numbers[:] = [self.per_image[name] for name in classes]
        # As if one image were labeled: then counts are rates.
        wanted = replace(labeled, num_images=1, num_instances=numbers)
        return self.selector.choose(found, wanted)
