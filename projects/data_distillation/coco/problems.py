"""A COCO file with whatever is wrong in it, and the problems found."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .schema import SCHEMA

SINGULAR = dict(
    images='image', annotations='annotation', categories='category'
)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a file.

    Args:
        file: The file.
        kind: What problems of the same kind share; for counting.
        where: The entry, such as `annotation 17`; `''` for the whole file.
        what: What is wrong, with the value.
        advice: What to do.
        index: The entry's place in its list.
    """

    file: str
    kind: str
    where: str
    what: str
    advice: str
    index: int | None = None

    def __str__(self) -> str:
        parts = (self.file, self.where, self.what, self.advice)
        return ': '.join(part for part in parts if part)


# Stands for what is no object, so that entries keep their places.
NO_OBJECT: dict = {}


@dataclass(frozen=True)
class Table:
    """One of the lists of a COCO file.

    Args:
        name: Its key, such as `'images'`.
        entries: The objects; `NO_OBJECT` for what is none.
        columns: Key -> the value of each entry; None for what is missing or
            breaks the key's rule.
    """

    name: str
    entries: list[dict]
    columns: dict[str, list]

    @classmethod
    def of(cls, name: str, values: object) -> 'Table':
        """Read a list; what is none gives an empty table."""
        values = values if isinstance(values, list) else []
        entries = [v if isinstance(v, dict) else NO_OBJECT for v in values]
        columns = {
            key: [
                v if rule.holds(v) else None for v in column_of(entries, key)
            ]
            for key, rule in SCHEMA[name].items()
        }
        return cls(name, entries, columns)

    @property
    def singular(self) -> str:
        """What one entry is called."""
        return SINGULAR[self.name]

    def place(self, index: int) -> str:
        """Say which entry this is: by its id, or by its place."""
        identity = self.columns['id'][index]
        if identity is None:
            return f'{self.name}[{index}]'
        return f'{self.singular} {identity}'


def column_of(entries: Iterable[dict], key: str) -> Iterator[object]:
    """Yield the value of a key in each entry, None where there is none."""
    return (entry.get(key) for entry in entries)


@dataclass(frozen=True)
class CocoFile:
    """A COCO file, with whatever is wrong in it.

    Args:
        path: As the user gave it.
        content: The object in the file.
        images, annotations, categories: Its lists.
    """

    path: str
    content: dict
    images: Table
    annotations: Table
    categories: Table

    @classmethod
    def of(cls, path: str | Path, content: dict) -> 'CocoFile':
        """Take the lists of a COCO object apart."""
        tables = {name: Table.of(name, content.get(name)) for name in SCHEMA}
        return cls(str(path), content, **tables)

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        """The three lists."""
        return self.images, self.annotations, self.categories

    def problem(
        self, kind: str, table: Table, index: int, what: str, advice: str
    ) -> Problem:
        """Make a problem of one entry."""
        place = table.place(index)
        return Problem(self.path, kind, place, what, advice, index)

    def problem_of_all(self, kind: str, what: str, advice: str) -> Problem:
        """Make a problem of the whole file."""
        return Problem(self.path, kind, '', what, advice)


def read_file(path: Path, polygons: bool = False) -> CocoFile | Problem:
    """Read a COCO file, whatever is in it.

    Args:
        path: The file.
        polygons: Whether to keep `segmentation`, which no check needs and
            which is most of a large file.

    Returns:
        The file, or the problem if it holds no JSON object.
    """
    hook = None if polygons else without_polygons
    try:
        # As pycocotools reads it: nothing but UTF-8.
        content = json.loads(path.read_text('utf-8'), object_hook=hook)
    except OSError as error:
        reason = error.strerror or str(error)
        return unreadable(path, reason, 'correct the path')
    except ValueError as error:
        return unreadable(path, f'not valid JSON ({error})', 'write it anew')
    except RecursionError:
        return unreadable(path, 'nested too deeply', 'is it a COCO file?')
    if not isinstance(content, dict):
        what = f'holds a {type(content).__name__}, not an object'
        return unreadable(path, what, 'is it a COCO file, or results?')
    return CocoFile.of(path, content)


def unreadable(path: Path, what: str, advice: str) -> Problem:
    """Make the problem of a file that cannot be read."""
    return Problem(str(path), 'file', '', what, advice)


def without_polygons(entry: dict) -> dict:
    """Remove `segmentation` from an object that was just read."""
    entry.pop('segmentation', None)
    return entry


def report(problems: Iterable[Problem], max_shown: int) -> list[str]:
    """Write problems down, by file and kind.

    Args:
        problems: They are counted one by one; a large file may have a million.
        max_shown: How many of one kind in one file get a line each.

    Returns:
        The lines; the last one has the count. None if there is no problem.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    hidden: Counter = Counter()
    for problem in problems:
        lines = groups.setdefault(problem.file, {}).setdefault(
            problem.kind, []
        )
        if len(lines) < max_shown:
            lines.append(str(problem))
        else:
            hidden[problem.file, problem.kind] += 1
    return list(report_lines(groups, hidden))


def report_lines(
    groups: dict[str, dict[str, list[str]]], hidden: Counter
) -> Iterator[str]:
    """Yield the lines of each file, kind by kind, and the count."""
    num_shown = 0
    for file, kinds in groups.items():
        for kind, lines in kinds.items():
            yield from lines
            num_shown += len(lines)
            if hidden[file, kind]:
                yield f'... and {hidden[file, kind]} more of this kind'
    if groups:
        yield f'problems: {num_shown + hidden.total()}'
