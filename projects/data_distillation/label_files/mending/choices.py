"""What a user decides about a mending."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..coco.box_formats import BoxFormat
from ..coco.image_files import ImageFacts, Places
from ..coco.tables import CocoFile


class MendingError(ValueError):
    """A file is not mended: a user has to decide; the message says what."""


# The pixels of boxes, as `--unit` says it: those of the image as it is, or
# those of the size in the file, from which the image was resized.
RESIZED = 'resized'


@dataclass(frozen=True)
class Choices:
    """What the user of a mending has decided.

    Args:
        folder: The image folder; None leaves all that needs images as it is.
        box_format: What the boxes are, even if they seem to be something else;
            None for those of COCO, which are refused if they seem to be not.
        are_resized: Whether images were resized after the boxes were drawn, so
            that boxes are in pixels of the size in the file.
        like: The file whose categories are to be taken; None for none.
        drop_others: Whether to leave out objects of categories that `like`
            does not have.
        drop_unreadable: Whether to leave out images that cannot be read.
        no_crowds: Whether what has iscrowd 1 is an object.
        drop_many: Whether to drop also more than a small share, see
            `check_share`.
        apart_from: Where the images of other files are; copies of them are to
            be left out.
        known: Path -> what is known of an image; what is read is added.
    """

    folder: Path | None = None
    box_format: BoxFormat | None = None
    are_resized: bool = False
    like: CocoFile | None = None
    drop_others: bool = False
    drop_unreadable: bool = False
    no_crowds: bool = False
    drop_many: bool = False
    apart_from: Sequence[Places] = ()
    known: dict[str, ImageFacts] = field(default_factory=dict)
