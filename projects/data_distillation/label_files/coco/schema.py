"""The rules that the entries of a COCO file must follow."""

import json
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from ...arguments import is_number

# The largest integer of 64 bits, which Arrow and NumPy can hold.
LARGEST_ID = 2**63 - 1
# CocoDataset drops thinner boxes without a message; pixels.
MIN_SIDE = 1.0
# A box may reach this far outside its image, in pixels: tools that count
# pixels from 1, or that round, go that far, and CocoDataset takes such boxes.
TOLERANCE = 1.0


def is_id(value: object) -> TypeGuard[int]:
    """Return whether a JSON value is an integer of 64 bits.

    `true` and `false` are not. The detection store and NumPy cannot hold
    larger integers.

    Args:
        value: The value, of any type.

    Returns:
        True for an integer from -`LARGEST_ID` to `LARGEST_ID`.
    """
    return type(value) is int and -LARGEST_ID <= value <= LARGEST_ID


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a JSON value is a string that is not empty.

    Args:
        value: The value, of any type.

    Returns:
        True for such a string, also for one of spaces.
    """
    return type(value) is str and value != ''


def is_side(value: object) -> TypeGuard[float]:
    """Return whether a JSON value can be the width or height of an image.

    Args:
        value: The value, of any type.

    Returns:
        True for a whole number of at least 1, also as a float.
    """
    # `int` fails at NaN and infinity, which `is_number` excludes.
    return is_number(value) and value >= 1 and value == int(value)


def is_bbox(value: object) -> TypeGuard[list[float]]:
    """Return whether a JSON value is a list of four numbers, finite or not.

    Args:
        value: The value, of any type.

    Returns:
        True for such a list; `true` and `false` are no numbers.
    """
    return (
        type(value) is list
        and len(value) == 4
        and all(type(number) in (int, float) for number in value)
    )


def is_finite(bbox: list | None) -> bool:
    """Return whether a bbox is there, and has finite numbers only.

    Args:
        bbox: Four numbers, of any format; None if there is no valid bbox.

    Returns:
        Whether it has; False for None.
    """
    return bbox is not None and all(map(is_number, bbox))


# A number of JSON, also with spaces around it, zeros before it, or nothing
# after its point; Python takes more (`1_0`, other digits).
NUMBER = re.compile(r'\s*-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?\s*')


def as_number(value: object) -> float | None:
    """Read the number in a text.

    Args:
        value: The value, of any type.

    Returns:
        The number, an integer if it is whole. None if the value is no text, or
        the text is no number (see `NUMBER`), longer than 40 characters, or
        beyond `LARGEST`.
    """
    if not is_text(value) or not NUMBER.fullmatch(value) or len(value) > 40:
        return None
    number = float(value)
    if not is_number(number):
        return None
    return int(number) if number == int(number) else number


def as_id(value: object) -> int | None:
    """Return the integer that an id stands for.

    Args:
        value: A text such as `'3'` or `'3.0'`, or a number such as 3.0 or 3;
            any other value is no id.

    Returns:
        The integer; None if the value is not written as a whole number, or
        cannot be an id. What has a point or an exponent is one only up to
        `LARGEST`.
    """
    if is_id(value):
        return value
    # Not by way of a float, which holds integers only up to 2**53. The
    # largest id has 19 digits.
    if is_text(value) and re.fullmatch(r'\s*-?[0-9]{1,19}\s*', value):
        number = int(value)
        return number if is_id(number) else None
    whole = value if type(value) is float else as_number(value)
    if not is_number(whole) or whole != int(whole):
        return None
    return int(whole)


@dataclass(frozen=True)
class Rule:
    """The rule for the values of a key.

    Args:
        holds: Returns whether a value follows the rule.
        needed: What a value must be, in words.
        if_missing: What the user can do about a missing value.
        is_fixable: Whether `mending` fills in a missing value.
    """

    holds: Callable[[object], bool]
    needed: str
    if_missing: str = 'add it'
    is_fixable: bool = False


Schema = Mapping[str, Mapping[str, Rule]]
ID = Rule(is_id, 'an integer (64 bits)')
TEXT = Rule(is_text, 'a string that is not empty')
SIDE = Rule(
    is_side, 'a positive whole number', 'add it (--fix does, with --images)'
)


# List -> key -> rule.
SCHEMA: Schema = dict(
    images=dict(id=ID, file_name=TEXT, width=SIDE, height=SIDE),
    annotations=dict(
        id=Rule(is_id, ID.needed, 'add one', is_fixable=True),
        image_id=ID,
        category_id=ID,
        bbox=Rule(
            is_bbox,
            'a list of four numbers',
            'add it (--fix does, from a polygon or a mask)',
        ),
        area=Rule(
            is_number,
            'a finite number',
            'CocoDataset needs it, add w * h of the bbox',
            is_fixable=True,
        ),
        iscrowd=Rule(
            lambda value: value in (0, 1),
            '0 or 1',
            'COCOeval needs it, add 0',
            is_fixable=True,
        ),
    ),
    categories=dict(id=ID, name=TEXT),
)


def find_name_error(name: str) -> str:
    r"""Return why a file name of a COCO file must not be opened.

    A name must be relative, and must not lead out of the image folder on any
    operating system. `/a.jpg`, `C:a.jpg`, `..\a.jpg` and `a/../../b.jpg` break
    this rule, `a/../b.jpg` follows it. Links inside the folder may point
    anywhere. A name must not hold a null byte or half of a surrogate pair.

    Args:
        name: The file name, with `/` or `\`. An empty one leads nowhere else,
            so it is fine here.

    Returns:
        What is wrong with the name, such as `'holds a null byte'`; `''` if
        nothing is wrong.
    """
    if '\0' in name:
        return 'holds a null byte'
    # JSON can write half a surrogate pair, which UTF-8 cannot.
    if re.search('[\ud800-\udfff]', name):
        return 'is not valid Unicode'
    path = name.replace('\\', '/')
    # After `normpath`, each `..` that leads out stands at the front.
    top = posixpath.normpath(path).split('/')[0]
    if path.startswith('/') or re.match('[A-Za-z]:', path) or top == '..':
        return 'leads outside the folder of the images'
    return ''


def find_repeated(values: Iterable) -> list:
    """Return the values that occur more than once.

    Args:
        values: Any hashable values.

    Returns:
        Each of them once, in the order in which they first occur; empty if all
        are different.
    """
    return [value for value, n in Counter(values).items() if n > 1]


# The keys of a JSON file, or of the first object in it -> what wrote it.
OTHER_FORMATS = {
    ('items', 'categories'): 'Datumaro',
    ('shapes', 'imagePath'): 'LabelMe or X-AnyLabeling, for one image',
    ('_via_img_metadata',): 'VIA',
    ('regions', 'filename'): 'VIA',
    ('objects', 'size'): 'Supervisely, for one image',
    ('samples',): 'FiftyOne',
    ('data_row', 'projects'): 'Labelbox',
    ('Labeled Data', 'Label'): 'Labelbox',
    ('source-ref',): 'SageMaker Ground Truth',
    ('data', 'annotations'): 'Label Studio',
    ('data', 'predictions'): 'Label Studio',
    ('features', 'type'): 'GeoJSON',
    ('bbox', 'score', 'category_id'): 'detection results',
}


def advise_on_format(content: object) -> str:
    """Say what to do about JSON that is no COCO object.

    Args:
        content: What is in the file, of any type.

    Returns:
        The advice, without a full stop; it names the tool if the keys of the
        content, or of the first value in it, are those of `OTHER_FORMATS`.
    """
    values = list(content.values()) if isinstance(content, dict) else content
    first = values[0] if isinstance(values, list) and values else None
    for keys, name in OTHER_FORMATS.items():
        for part in (content, first):
            if isinstance(part, dict) and set(keys) <= part.keys():
                return (
                    f'this looks like {name}: export the labels as COCO '
                    'instances (docs/formats.md)'
                )
    return 'is it a COCO file?'


def advise_on_text(content: bytes) -> str:
    """Say what to do about a file that is not valid JSON.

    Args:
        content: The bytes in the file.

    Returns:
        The advice, without a full stop. If each of the first two lines has an
        object, it is that of `advise_on_format` for these objects.
    """
    lines = content.splitlines()[:2]
    try:
        objects = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        objects = []
    if len(objects) == 2 and all(isinstance(one, dict) for one in objects):
        return f'it has an object in each line; {advise_on_format(objects)}'
    return 'write it again, without a byte order mark'
