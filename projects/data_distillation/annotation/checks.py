"""What is checked before an annotation begins."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

# Transforms of a test pipeline that need no part in a view.
PLAIN_TRANSFORMS = {
    'LoadImageFromFile',
    'LoadAnnotations',
    'Resize',
    'RandomFlip',
    'PackDetInputs',
}


def check_type(role: str, part: object, expected: type) -> None:
    """Check that a part of the config is what annotation works with.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(part, expected):
        raise TypeError(
            f'annotation needs {role}=dict(type={expected.__name__!r}, '
            f'...) in the config, got {type(part).__name__}'
        )


def check_writable(folder: Path) -> None:
    """Check, before hours of work, that detections can be written.

    Raises:
        OSError: If not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def warn_of_other_transforms(
    test_pipeline: Sequence[dict], views: Sequence[Sequence[dict]] | None
) -> None:
    """Say what the detector's own test pipeline does and no view makes.

    Args:
        test_pipeline: As MMDetection's configs name it; may be empty.
        views: Those of `MultiViewTTA`; None if the pipeline makes them.
    """
    if views is None:
        return
    made = {step['type'] for view in views for step in view}
    used = [transform['type'] for transform in test_pipeline]
    others = [name for name in used if name not in made | PLAIN_TRANSFORMS]
    if others:
        print_log(
            f"the detector's own `test_pipeline` has {others}, which no view "
            'has: boxes may be worse, or wrong. Add it to the views, or let '
            'the pipeline make them (TestTimeAug): docs/annotation.md',
            'current',
            logging.WARNING,
        )
