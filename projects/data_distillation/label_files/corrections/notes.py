"""Says what an update of the labeled set did."""

from collections.abc import Iterator, Sequence

from ..coco.reading import UNCHECKED
from .corrected_image import CorrectedImage


def describe_all(
    labeled: dict,
    images: Sequence[CorrectedImage],
    done: dict[str, list],
    num_new: int,
) -> list[str]:
    """Say all that a user must know of an update.

    Args:
        labeled: The COCO object of the labeled set before.
        images: All images that came back.
        done: See `describe_update`.
        num_new: See `describe_update`.

    Returns:
        The lines.
    """
    num_back = sum(not image.is_deleted for image in images)
    return [
        *describe_update(num_back, done, num_new),
        *describe_deleted(images),
        *describe_maskless(labeled['annotations'], done),
    ]


def describe_update(
    num_back: int, done: dict[str, list], num_new: int
) -> list[str]:
    """Say what an update did.

    Args:
        num_back: The number of images that came back.
        done: The name of each checked image -> its labels, and with `partly`
            a crowd with `UNCHECKED`, which is not counted as a label.
        num_new: The number of these that were not labeled before.

    Returns:
        A line on what was taken over, then one on images of which only labels
        were checked, and one on images that stay, if there are any.
    """
    labels = [label for of_image in done.values() for label in of_image]
    num_rests = sum(UNCHECKED in label for label in labels)
    num_labels = len(labels) - num_rests
    notes = [
        f'{len(done)} images with {num_labels} labels are taken over: '
        f'{num_new} became labeled, {len(done) - num_new} got other labels'
    ]
    if num_rests:
        notes.append(
            'Only these labels are checked (--partly): outside of them, a '
            f'training ignores {num_rests} images'
        )
    if waiting := num_back - len(done):
        notes.append(
            f'{waiting} images stay as they are, because they have no box or '
            'nobody has annotated them (--empty-is-checked takes those '
            'without a box, if all objects of the others are checked)'
        )
    return notes


def describe_deleted(images: Sequence[CorrectedImage]) -> Iterator[str]:
    """Say what was left out because its tool has marked it as deleted.

    Args:
        images: All images that came back.

    Yields:
        At most one line.
    """
    num_images = sum(image.is_deleted for image in images)
    num_labels = sum(
        image.num_deleted for image in images if not image.is_deleted
    )
    if num_images or num_labels:
        yield (
            f'{num_images} images and {num_labels} labels are left out, '
            'because their tool has marked them as deleted'
        )


def describe_maskless(
    before: Sequence[dict], done: dict[str, list[dict]]
) -> Iterator[str]:
    """Say how many new labels have no mask, if all others have one.

    Args:
        before: The annotations of the labeled set.
        done: The name of each checked image -> its labels.

    Yields:
        At most one line.
    """
    new = [label for labels in done.values() for label in labels]
    maskless = sum(not label.get('segmentation') for label in new)
    has_masks = all(label.get('segmentation') for label in before)
    if before and has_masks and maskless:
        yield (
            f'{maskless} of {len(new)} labels that were taken over have no '
            '`segmentation`, unlike those of the labeled set: an instance '
            'segmentor cannot be trained on both. Outline these objects'
        )
