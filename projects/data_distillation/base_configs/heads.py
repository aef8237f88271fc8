"""Changes the number of classes in the heads of detectors."""

from collections.abc import Mapping
from typing import Any


def set_num_classes(part: Mapping, num_classes: int) -> dict:
    """Find what to replace so that a head has so many classes.

    Args:
        part: A part of a model. Mask2Former calls the classes of objects
            things, and weighs each of them and the background.
        num_classes: The number of classes.

    Returns:
        Key -> new value; empty for a part without classes. For a head of
        things and stuff, `loss_cls` is among them if its `class_weight` is the
        same for all classes, with one more for the background: its new weights
        are those of `num_classes` things, of no stuff, and of the background.
        A `loss_cls` that is no mapping stays.
    """
    changes: dict[str, object] = {
        key: num_classes
        for key in ('num_classes', 'num_things_classes')
        if key in part
    }
    loss = part.get('loss_cls')
    weights: Any = isinstance(loss, Mapping) and loss.get('class_weight')
    old = part.get('num_things_classes', 0) + part.get('num_stuff_classes', 0)
    is_plain = isinstance(weights, (list, tuple)) and len(weights) == old + 1
    if old and is_plain and len(set(weights[:-1])) == 1:
        new = [weights[0]] * num_classes + [weights[-1]]
        changes['loss_cls'] = dict(class_weight=new)
    return changes
