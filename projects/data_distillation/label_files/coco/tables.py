"""A COCO file as tables: its lists, read without an error whatever they hold.

The checks read columns. In a column, each value that is missing or breaks its
rule is None, so a value that one check reports cannot make another one fail.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ...files.encoding import EncodingError, decode_text
from .problems import Problem
from .schema import (
    SCHEMA,
    Rule,
    Schema,
    advise_on_format,
    advise_on_text,
    as_id,
    is_text,
)

SINGULAR = dict(
    images='image', annotations='annotation', categories='category'
)

# What an annotation refers by -> the list, and the key of a name in it.
REFERENCES = dict(
    image_id=('images', 'file_name'), category_id=('categories', 'name')
)
# Stands for a value that is no object, so that all others keep their places.
NO_OBJECT: dict = {}


@dataclass(frozen=True)
class Table:
    """One of the lists of a COCO file.

    Args:
        name: The key of the list, such as `'images'`.
        entries: The objects in the list; `NO_OBJECT` in place of what is not
            an object.
        rules: Key -> the rule of its values.
    """

    name: str
    entries: list[dict]
    rules: Mapping[str, Rule]
    _columns: dict[str, list] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(
        cls, name: str, values: object, rules: Mapping[str, Rule]
    ) -> 'Table':
        """Make the table of a list.

        Args:
            name: The key of the list.
            values: What the file has there; the table of no list is empty.
            rules: Key -> the rule that its value must follow.

        Returns:
            The table; entries that are no objects become `NO_OBJECT`.
        """
        values = values if isinstance(values, list) else []
        entries = [v if isinstance(v, dict) else NO_OBJECT for v in values]
        return cls(name, entries, rules)

    @property
    def singular(self) -> str:
        """What one entry is called: `'image'`, for example."""
        return SINGULAR[self.name]

    def column(self, key: str) -> list:
        """Return the values of a key that has a rule.

        Args:
            key: A key of `rules`.

        Returns:
            The value of each entry; None where it is missing or breaks its
            rule. The list is made once and kept: do not change it.
        """
        if key not in self._columns:
            holds = self.rules[key].holds
            self._columns[key] = [
                value if holds(value := entry.get(key)) else None
                for entry in self.entries
            ]
        return self._columns[key]

    @cached_property
    def text_ids(self) -> set[str]:
        """The ids that are texts, which is against the rules."""
        return set(filter(is_text, self.values('id')))

    def values(self, key: str) -> Iterator[object]:
        """Look up the value of any key in each entry, right or wrong.

        Args:
            key: The key.

        Returns:
            The value of each entry, in order; None where it is missing.
        """
        return (entry.get(key) for entry in self.entries)

    def describe_place(self, index: int) -> str:
        """Say which entry this is: its id, or its place without an id.

        Args:
            index: The index of the entry.

        Returns:
            Such as `image 7` or `images[3]`.
        """
        identity = self.entries[index].get('id')
        if self.rules['id'].holds(identity):
            return f'{self.singular} {identity}'
        return f'{self.name}[{index}]'


@dataclass(frozen=True)
class CocoFile:
    """A COCO file as tables, whatever is wrong in it.

    Args:
        path: The path, as the user gave it.
        content: The object in the file.
        images, annotations, categories: The tables of its lists.
        has_known_boxes: Whether the user says that the boxes are those of
            COCO, so that no other format is looked for.
    """

    path: str
    content: dict
    images: Table
    annotations: Table
    categories: Table
    has_known_boxes: bool = False

    @classmethod
    def of(
        cls, path: str | Path, content: dict, schema: Schema = SCHEMA
    ) -> 'CocoFile':
        """Make the tables of a COCO object.

        Args:
            path: The path of its file, for the messages.
            content: The object. It is not changed.
            schema: The rules that the values of the three lists must follow.

        Returns:
            The file, with the values of the object.
        """
        tables = {
            name: Table.of(name, content.get(name), rules)
            for name, rules in schema.items()
        }
        return cls(
            str(path),
            content,
            tables['images'],
            tables['annotations'],
            tables['categories'],
        )

    def with_content(self, content: dict) -> 'CocoFile':
        """Make the same file with another content.

        Args:
            content: The other content; it is not changed.

        Returns:
            A new file with the path and the known boxes of this one, and the
            rules of `SCHEMA`.
        """
        other = CocoFile.of(self.path, content)
        return replace(other, has_known_boxes=self.has_known_boxes)

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        """The three tables."""
        return self.images, self.annotations, self.categories

    @cached_property
    def named(self) -> dict[str, dict[str, list]]:
        """What texts stand for that are names where an id must be.

        Key of an annotation -> text -> the ids that it may mean (one or two),
        see `find_named`.
        """
        return {
            key: find_named(
                set(filter(is_text, self.annotations.values(key))),
                self.table(name),
                name_key,
            )
            for key, (name, name_key) in REFERENCES.items()
        }

    def table(self, name: str) -> Table:
        """Return the table of a list.

        Args:
            name: `'images'`, `'annotations'` or `'categories'`.

        Returns:
            The table of that list.
        """
        return getattr(self, name)

    def make_problem(
        self,
        kind: str,
        table: Table,
        index: int,
        what: str,
        advice: str,
        is_fixable: bool = False,
    ) -> Problem:
        """Make a problem of one entry; see `Problem`.

        Args:
            kind: What kind of problem it is.
            table: The list with the entry.
            index: The index of the entry.
            what: What is wrong.
            advice: What the user can do.
            is_fixable: Whether `--fix` solves it.

        Returns:
            A problem of that entry.
        """
        where = table.describe_place(index)
        return Problem(self.path, kind, where, what, advice, index, is_fixable)

    def make_file_problem(self, kind: str, what: str, advice: str) -> Problem:
        """Make a problem of the whole file; see `Problem`.

        Args:
            kind: What kind of problem it is.
            what: What is wrong.
            advice: What the user can do.

        Returns:
            A problem that no entry has, and that cannot be mended.
        """
        return Problem(self.path, kind, '', what, advice)


def find_named(texts: set[str], table: Table, key: str) -> dict[str, list]:
    """Find which texts are names of entries, in upper or lower case, not ids.

    Args:
        texts: Texts that refer to an entry.
        table: The list of the entries.
        key: The key of their names.

    Returns:
        Text -> a list with the id of the one entry of this name, as written.
        A number that is an id, too, has both ids, first its own, unless other
        texts show which is meant. It lacks texts that entries have as ids, and
        those that are names of no entry, of several, or of one without an id.
    """
    names = [(name or '').strip().casefold() for name in table.column(key)]
    by_name = dict(zip(names, table.values('id'), strict=True))
    single = {name for name, count in Counter(names).items() if count == 1}
    texts = texts - table.text_ids
    found = {t: t.strip().casefold() for t in texts}
    named = {t: by_name[n] for t, n in found.items() if n in single}
    known = set(table.column('id')) - {None}
    ids = {t: as_id(t) for t in texts if as_id(t) in known}
    # Those that can be read in one way only say how to read the others.
    if ids.keys() <= named.keys() and not named.keys() <= ids.keys():
        ids = {}
    elif named.keys() <= ids.keys() and not ids.keys() <= named.keys():
        named = {}
    return {
        t: [i] if ids.get(t, i) == i else [ids[t], i]
        for t, i in named.items()
        if i is not None
    }


def read_file(
    path: str | Path,
    polygons: bool = False,
    schema: Schema = SCHEMA,
    summarize: Callable[[dict], dict] | None = None,
) -> CocoFile | Problem:
    """Read a COCO file, whatever is in it.

    The file must be in UTF-8 without a byte order mark, because CocoMetric
    reads it with pycocotools, which takes nothing else.

    Args:
        path: The path of the file.
        polygons: Whether to keep `segmentation`, as checks of masks need it.
        schema: The rules that its values must follow.
        summarize: Takes each object in the file and returns what takes its
            place, instead of removing `segmentation`. Not with `polygons`.

    Returns:
        The file; a problem if it cannot be read or is not a JSON object.
    """
    # While the file is read, so that never all polygons are in memory.
    hook = None if polygons else summarize or remove_polygons
    content = read_object(path, bytes.decode, hook)
    if isinstance(content, Problem):
        return content
    return CocoFile.of(path, content, schema)


def read_file_to_mend(path: str | Path, encoding: str) -> CocoFile | Problem:
    """Read a COCO file in any encoding, with its polygons.

    Args:
        path: The path of the file.
        encoding: The encoding; `''` if it is not known, see `decode_text`.

    Returns:
        The file; a problem if it cannot be read or is not a JSON object.
    """
    content = read_object(path, lambda text: decode_text(text, encoding), None)
    if isinstance(content, Problem):
        return content
    return CocoFile.of(path, content)


def read_object(
    path: str | Path,
    decode: Callable[[bytes], str],
    hook: Callable[[dict], dict] | None,
) -> dict | Problem:
    """Read the JSON object in a file; see `read_file`.

    Args:
        path: The path of the file.
        decode: Returns the text of the bytes in the file.
        hook: Returns what takes the place of an object; None for none.

    Returns:
        The object, or the problem that it cannot be read.
    """
    try:
        written = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # A NUL character in the path.
        what = getattr(error, 'strerror', None) or str(error)
        return Problem(str(path), 'file', '', what, 'correct the path')
    is_fixable = False
    try:
        content = json.loads(decode(written), object_hook=hook)
    except EncodingError as error:
        what, advice = str(error), 'say which one, with --encoding'
    except ValueError as error:  # Also UnicodeDecodeError.
        what = f'is not valid JSON in UTF-8 ({error})'
        advice = advise_on_text(written)
        is_fixable = is_readable(written)
    except RecursionError:
        what, advice = 'is nested too deeply', 'is it a COCO file?'
    else:
        if isinstance(content, dict):
            return content
        what = f'must hold a COCO object, got a {type(content).__name__}'
        advice = advise_on_format(content)
    return Problem(str(path), 'file', '', what, advice, None, is_fixable)


def is_readable(content: bytes) -> bool:
    """Return whether this is a JSON object in an encoding that is clear.

    Args:
        content: The bytes of the file.

    Returns:
        Whether it is; False if it is nested too deeply.
    """
    try:
        return isinstance(json.loads(decode_text(content)), dict)
    except (ValueError, RecursionError):
        return False


def remove_polygons(entry: dict) -> dict:
    """Remove `segmentation` from an object that was just read.

    Args:
        entry: The object; it is changed in place.

    Returns:
        The object itself.
    """
    entry.pop('segmentation', None)
    return entry
