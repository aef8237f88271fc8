"""A page of pictures, each with boxes and a reason. It runs no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from ..files.atomic import replacing
from .gallery import make_picture
from .templates import TEMPLATES, get_template


@dataclass(frozen=True)
class Mark:
    """A box in a picture.

    Args:
        bbox_xywh: Left, top, width and height in pixels of the original image.
        text: What the box is, for example its class and score.
        kind: 'label', 'found' (what a detector says) or 'doubt' (the label
            that is in doubt), which have different looks.
    """

    bbox_xywh: tuple[float, float, float, float]
    text: str
    kind: str = 'label'

    def style(self, size_wh: tuple[int, int]) -> str:
        """Write the place of the box as CSS.

        Args:
            size_wh: The width and height of the image in pixels, above 0.

        Returns:
            Left, top, width and height in percent of the image, rounded to
            1/100.
        """
        names = ('left', 'top', 'width', 'height')
        # Repeated to (w, h, w, h), one side for each of x, y, width and
        # height.
        values = zip(names, self.bbox_xywh, size_wh * 2, strict=True)
        return ';'.join(f'{n}:{100 * v / side:.2f}%' for n, v, side in values)

    def has_name_inside(self, size_wh: tuple[int, int]) -> bool:
        """Return whether there is no room for the name outside of the box.

        Args:
            size_wh: The width and height of the image in pixels.

        Returns:
            Whether less than a tenth of the height of the image is left above
            the box; for a label in doubt, below it.
        """
        _, top, _, height = self.bbox_xywh
        # That of a label in doubt is below, so that it hides no other.
        room = size_wh[1] - top - height if self.kind == 'doubt' else top
        return room < size_wh[1] / 10


@dataclass(frozen=True)
class Card:
    """A picture and why to look at it.

    Args:
        name: The name of the image.
        path: The image file.
        size_wh: Width and height of the original image in pixels.
        reason: Why to look at it.
        marks: The boxes, drawn in this order.
    """

    name: str
    path: Path
    size_wh: tuple[int, int]
    reason: str
    marks: list[Mark]


def write_cards(
    file: Path, title: str, notes: Sequence[str], cards: Sequence[Card]
) -> None:
    """Write the page.

    An image that cannot be read is replaced by the reason.

    Args:
        file: The HTML file, in place of an older one; missing folders are
            made.
        title: The title.
        notes: What a reader must know.
        cards: The pictures, the most important first.

    Raises:
        OSError: If the file cannot be written.
    """
    style = (TEMPLATES / 'report.css').read_text()
    style += (TEMPLATES / 'cards.css').read_text()
    shown = [(card, make_picture(card.path)) for card in cards]
    text = get_template('cards.html.j2').render(
        title=title, notes=notes, cards=shown, style=Markup(style)
    )
    with replacing(file) as out:
        out.write(text.encode())
