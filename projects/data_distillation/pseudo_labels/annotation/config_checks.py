"""Checks of the config and the work folder before an annotation begins."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

# The transforms of a test pipeline that a view may leave out.
PLAIN_TRANSFORMS = {
    'LoadImageFromFile',
    'LoadAnnotations',
    'Resize',
    'RandomFlip',
    'PackDetInputs',
}


def check_type(role: str, part: object, expected: type) -> None:
    """Check that a part of the config has the type that annotation needs.

    Args:
        role: The key of the part in the config, such as `'sampler'`.
        part: The part.
        expected: The type that it must have.

    Raises:
        TypeError: If the part has another type.
    """
    if not isinstance(part, expected):
        raise TypeError(
            f'annotation needs {role}=dict(type={expected.__name__!r}, '
            f'...) in the config, got {type(part).__name__}'
        )


def check_writable(folder: Path) -> None:
    """Check, before hours of work, that detections can be written.

    Args:
        folder: The folder of the detections. It is made if it is missing.

    Raises:
        OSError: If the folder cannot be made, or no file be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def warn_of_other_transforms(
    test_pipeline: Sequence[dict], views: Sequence[Sequence[dict]] | None
) -> None:
    """Log a warning if the detector's test pipeline does more than the views.

    Args:
        test_pipeline: The `test_pipeline` of the detector's config. It may be
            empty.
        views: The views of `MultiViewTTA`; None if the pipeline makes them.
    """
    if views is None:
        return
    made = {step['type'] for view in views for step in view}
    used = [transform['type'] for transform in test_pipeline]
    others = [name for name in used if name not in made | PLAIN_TRANSFORMS]
    if others:
        print_log(
            f"the detector's own `test_pipeline` has {others}, which no view "
            'has: boxes may be worse, or wrong. Add them to the views, or let '
            'the pipeline make the views (TestTimeAug), see '
            'docs/annotation.md',
            'current',
            logging.WARNING,
        )
