"""Finds which labeled images the detector is trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..coco.reading import CocoError, find_annotated
from ..coco.splits import take_images


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
                    'teacher.py'
                )
        smallest = filters.get('min_size', 0)
        sides = [
            min(image.get(key, smallest) for key in ('width', 'height'))
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
