"""Finds and reads the XML files of Pascal VOC."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from ...files.decoding import glob_shown
from ...files.encoding import decode_text
from ...text import format_error
from .labels import LabelError, parse_finite

DECLARATION = re.compile(rb'^\s*<\?xml[^>]*\?>')
ENCODING = re.compile(rb'encoding=["\']([\w.-]+)')


def has_labels(folder: Path) -> bool:
    """Return whether there is an XML file in a folder or below.

    Args:
        folder: The folder.

    Returns:
        Whether there is one; hidden files do not count.
    """
    return bool(glob_shown(folder, '**/*.xml'))


def parse_xml(file: Path) -> ET.Element:
    """Read an XML file of VOC.

    Args:
        file: The path of the file.

    Returns:
        The element `<annotation>`.

    Raises:
        LabelError: If the file cannot be read, is no XML, is in an encoding
            that is not clear, or holds another element.
    """
    try:
        root = read_root(file.read_bytes())
    # ValueError and LookupError come from wrong bytes and unknown encodings.
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        raise LabelError(f'{file}: {format_error(error)}') from None
    if root.tag != 'annotation':
        raise LabelError(f'{file}: is <{root.tag}>, not <annotation>')
    return root


def read_image_name(file: Path) -> str:
    """Read which image an XML file names.

    Args:
        file: The file.

    Returns:
        The text of `<filename>`; empty if it has none, or cannot be read.
    """
    try:
        return parse_xml(file).findtext('filename', '').strip()
    except LabelError:
        return ''


def read_root(content: bytes) -> ET.Element:
    """Parse XML in the encoding that it declares, or in one that is clear.

    The parser does not know encodings of several bytes, such as GB2312, and
    some tools declare UTF-8 and write another encoding.

    Args:
        content: The bytes of the file.

    Returns:
        The root element.

    Raises:
        ET.ParseError: If it is no XML.
        ValueError, LookupError: If the encoding is not clear, or not known.
    """
    try:
        return ET.fromstring(content)
    # ValueError: an encoding of several bytes. LookupError: an unknown one.
    except (ET.ParseError, ValueError, LookupError):
        declaration = DECLARATION.search(content)
        if declaration is None:
            raise
    rest = content[declaration.end() :]
    declared = ENCODING.search(declaration.group())
    try:
        # No encoding has an empty name: a LookupError leads on as well.
        text = rest.decode(declared.group(1).decode() if declared else '')
    except (UnicodeDecodeError, LookupError):
        text = decode_text(rest)
    return ET.fromstring(text)


def check_size(root: ET.Element, size_wh: tuple[int, int], file: Path) -> None:
    """Check that boxes were drawn on an image of this size.

    Args:
        root: The element `<annotation>`.
        size_wh: The width and height of the image, pixels.
        file: The path of the XML file, for the message.

    Raises:
        LabelError: If the file says another size, or a side is not a number.
            If a side is missing or 0, the other one is not compared. Fractions
            of a pixel do not count.
    """
    said = tuple(
        int(read_number(root, f'size/{side}', str(file)))
        for side in ('width', 'height')
        if root.findtext(f'size/{side}', '').strip() not in ('', '0')
    )
    if len(said) == 2 and said != size_wh:
        raise LabelError(
            f'{file}: is for an image of {said[0]}x{said[1]}, but it is '
            f'decoded as {size_wh[0]}x{size_wh[1]}: put the image there that '
            'was labeled, or correct `size`'
        )


def make_bndbox(element: ET.Element, where: str) -> ET.Element | None:
    """Return the box around the polygon of an object, as a `<bndbox>`.

    Args:
        element: The element `<object>`, with `<polygon>` that has points
            `<pt><x/><y/></pt>` (LabelMe) or `<x1/><y1/><x2/>...` (Roboflow).
        where: The file and the number of the object, for the messages.

    Returns:
        The box, `<xmin>`, `<xmax>`, `<ymin>` and `<ymax>` in the unit of the
        polygon; None if there is no polygon, or it lacks x or y.

    Raises:
        LabelError: If a coordinate is not a finite number.
    """
    # The leaves: in both forms, only these hold numbers.
    points = [p for p in element.iterfind('polygon//*') if not len(p)]
    sides: dict[str, float] = {}
    for axis in 'xy':
        tags = [p for p in points if re.fullmatch(f'{axis}[0-9]*', p.tag)]
        numbers = [parse_number(p.text or '', p.tag, where) for p in tags]
        if not numbers:
            return None
        sides |= {f'{axis}min': min(numbers), f'{axis}max': max(numbers)}
    bndbox = ET.Element('bndbox')
    for side, number in sides.items():
        ET.SubElement(bndbox, side).text = repr(number)
    return bndbox


def has_flag(element: ET.Element, tag: str) -> bool:
    """Return whether a mark of an object is set.

    Args:
        element: The element `<object>`.
        tag: The name of the mark, such as `difficult`.

    Returns:
        True for 1 and `true`, in any case; False for another text or none.
    """
    return element.findtext(tag, '').strip().lower() in ('1', 'true')


def read_number(element: ET.Element, path: str, where: str) -> float:
    """Read the number in an element.

    Args:
        element: The element that holds it.
        path: The path of the number's element, such as `bndbox/xmin`.
        where: The file and the number of the object, for the message.

    Returns:
        The number, of the first element at this path.

    Raises:
        LabelError: If there is no number, or it is not finite.
    """
    return parse_number(element.findtext(path, ''), path, where)


def parse_number(text: str, path: str, where: str) -> float:
    """Read a text as a number.

    Args:
        text: The text of an element.
        path: The path of the element, such as `bndbox/xmin`.
        where: The file and the number of the object, for the message.

    Returns:
        The number.

    Raises:
        LabelError: If the text is no number, or it is not finite.
    """
    number = parse_finite(text)
    if number is None:
        raise LabelError(f'{where}: <{path}> is {text!r}, not a number')
    return number
