"""Checks of COCO files: what would ruin a run later, all of it at once.

A check is a generator of problems. It reads columns, in which a value that is
missing or of a wrong type is None: nothing that one check reports can make
another one fail.
"""

import itertools
import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .reading import MIN_SIDE, name_error
from .schema import ID, SCHEMA, Rule, is_number, is_text, shown

# A box may reach outside its image by so many pixels: tools that count pixels
# from 1, or round, go that far, and CocoDataset takes such boxes.
TOLERANCE = 1.0
# Bboxes are judged to be corners if so many, and this part of all, reach
# outside as [x, y, w, h] (about 3 in 4 do that are placed at random), and
# nearly all lie inside as corners; some are broken in any file. Right boxes
# hardly ever do both: each would have to be longer than it is far from the
# left and from the top.
FEWEST_OUTSIDE, PART_OUTSIDE = 5, 0.1
PART_INSIDE = 0.99

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
        return unreadable(path, error.strerror, 'correct the path')
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


def check_lists(file: CocoFile) -> Iterator[Problem]:
    """Find lists that are missing or empty; `annotations` may be empty."""
    for table in file.tables:
        values = file.content.get(table.name)
        if isinstance(values, list) and (values or table is file.annotations):
            continue
        state = 'is empty' if values == [] else 'is no list'
        yield file.problem_of_all(
            f'list {table.name}',
            f'`{table.name}` {state if values is not None else "is missing"}',
            'images without labels are for UnlabeledDataset'
            if table is file.annotations
            else 'add it',
        )


def check_objects(file: CocoFile) -> Iterator[Problem]:
    """Find entries that are no objects."""
    for table in file.tables:
        for index, entry in enumerate(table.entries):
            if entry is NO_OBJECT:
                value = shown(file.content[table.name][index])
                what = f'{value} is no object'
                advice = 'remove it'
                yield file.problem('no object', table, index, what, advice)


def check_values(file: CocoFile) -> Iterator[Problem]:
    """Find values that are missing or that break the rule of their key."""
    for table in file.tables:
        for key, rule in SCHEMA[table.name].items():
            for index, value in enumerate(table.columns[key]):
                if value is None and table.entries[index] is not NO_OBJECT:
                    yield value_problem(file, table, index, key, rule)


def value_problem(
    file: CocoFile, table: Table, index: int, key: str, rule: Rule
) -> Problem:
    """Make the problem of a value that is missing or wrong."""
    value = table.entries[index].get(key)
    if value is None:
        kind, what, advice = f'missing {key}', 'is missing', rule.if_missing
    else:
        kind = f'wrong {key}'
        what = f'is {shown(value)}, {rule.needed} is needed'
        is_quoted = rule is ID and isinstance(value, str)
        advice = 'write it without quotes' if is_quoted else 'correct it'
    return file.problem(kind, table, index, f'`{key}` {what}', advice)


def repeats(values: Iterable) -> Iterator[tuple[int, int]]:
    """Yield where a value first was, and where it is again; not for None."""
    first: dict = {}
    for index, value in enumerate(values):
        if value is not None and first.setdefault(value, index) != index:
            yield first[value], index


def check_ids(file: CocoFile) -> Iterator[Problem]:
    """Find ids that occur more than once in a list, and whole entries."""
    for table in file.tables:
        for first, index in repeats(table.columns['id']):
            yield repeat_problem(file, table, first, index)


def repeat_problem(
    file: CocoFile, table: Table, first: int, index: int
) -> Problem:
    """Make the problem of an id that an earlier entry has."""
    kind = f'repeated {table.singular}'
    places = f'{table.name}[{first}] and {table.name}[{index}]'
    fix = '' if table is file.categories else ' (--fix does)'
    if is_same(table.entries[first], table.entries[index]):
        what, advice = f'{places} are the same', f'remove one{fix}'
    else:
        kind += ' id'
        fix = fix if table is file.annotations else ''
        what = f'{places} both have this id'
        advice = f'give one an id of its own{fix}'
    return file.problem(kind, table, index, what, advice)


def is_same(entry: dict, other: dict) -> bool:
    """Whether two entries say the same; polygons may not have been read."""
    known = dict(segmentation=None)
    try:
        return entry | known == other | known
    except RecursionError:  # nested nearly too deeply to be read
        return False


def check_zero_ids(file: CocoFile) -> Iterator[Problem]:
    """Find annotations of id 0, which COCOeval takes for 'no match'."""
    for index, value in enumerate(file.annotations.columns['id']):
        if value == 0:
            yield file.problem(
                'annotation id 0',
                file.annotations,
                index,
                'COCOeval takes id 0 for "no match" and counts a miss',
                'give it another (--fix does)',
            )


def check_names(file: CocoFile) -> Iterator[Problem]:
    """Find file names and category names that occur more than once."""
    names = image_names(file)
    yield from repeated_names(file, file.images, 'file_name', names)
    names = file.categories.columns['name']
    yield from repeated_names(file, file.categories, 'name', names)


def image_names(file: CocoFile) -> list[str | None]:
    """List the file names, `a/../b.jpg` and `./b.jpg` as `b.jpg`."""
    return [
        name and posixpath.normpath(name)
        for name in file.images.columns['file_name']
    ]


def repeated_names(
    file: CocoFile, table: Table, key: str, names: Sequence[str | None]
) -> Iterator[Problem]:
    """Find names that an earlier entry has, but not entries as a whole."""
    for first, index in repeats(names):
        if is_same(table.entries[first], table.entries[index]):
            continue
        yield file.problem(
            f'repeated {table.singular} {key}',
            table,
            index,
            f'{key} {names[index]!r} is that of {table.place(first)} too',
            'make one entry of the two, and move the annotations to it',
        )


def check_folders(file: CocoFile) -> Iterator[Problem]:
    """Find file names that do not stay inside the folder of the images."""
    for index, name in enumerate(file.images.columns['file_name']):
        error = name_error(name or '')
        if error:
            yield file.problem(
                'file_name outside',
                file.images,
                index,
                f'file_name {name!r} {error}',
                'make it a valid name, relative to the image folder',
            )


def check_references(file: CocoFile) -> Iterator[Problem]:
    """Find annotations of images or categories that are not in the file."""
    for table in (file.images, file.categories):
        known = set(table.columns['id']) - {None}
        texts = {i for i in column_of(table.entries, 'id') if is_text(i)}
        column = file.annotations.columns[f'{table.singular}_id']
        for index, value in enumerate(column):
            if value is None or value in known:
                continue
            if str(value) in texts:
                yield other_type_problem(file, table, index, value)
            # Else the list itself is missing, which is said once.
            elif known:
                yield unknown_problem(file, table, index, value)


def other_type_problem(
    file: CocoFile, table: Table, index: int, value: int
) -> Problem:
    """Make the problem of an id that is a string where it is defined."""
    return file.problem(
        f'{table.singular} id of another type',
        file.annotations,
        index,
        f'{table.singular}_id {value} is an integer, but in '
        f"`{table.name}` that id is the string '{value}'",
        f'write it without quotes in `{table.name}`',
    )


def unknown_problem(
    file: CocoFile, table: Table, index: int, value: int
) -> Problem:
    """Make the problem of an id that is not defined."""
    return file.problem(
        f'unknown {table.singular}',
        file.annotations,
        index,
        f'{table.singular}_id {value} is not in `{table.name}`',
        f'add the {table.singular}, or remove the annotation (--fix does)',
    )


def check_areas(file: CocoFile) -> Iterator[Problem]:
    """Find areas that are not positive though the box is not empty."""
    columns = file.annotations.columns
    for index, (area, bbox) in enumerate(
        zip(columns['area'], columns['bbox'], strict=True)
    ):
        if area is not None and area <= 0 and bbox and min(bbox[2:]) > 0:
            yield file.problem(
                'area not positive',
                file.annotations,
                index,
                f'area {area} is not positive, CocoDataset drops the box',
                'write w * h (--fix does)',
            )


def check_ignored(file: CocoFile) -> Iterator[Problem]:
    """Find annotations that CocoDataset leaves out because they say so."""
    for index, value in enumerate(
        column_of(file.annotations.entries, 'ignore')
    ):
        if value:
            yield file.problem(
                'ignore',
                file.annotations,
                index,
                f'`ignore` is {shown(value)}, CocoDataset drops the box',
                'remove `ignore`; if it is a region to leave out, write '
                'iscrowd 1',
            )


def check_finite(file: CocoFile) -> Iterator[Problem]:
    """Find bboxes with NaN, infinity or absurdly large numbers."""
    for index, bbox in enumerate(file.annotations.columns['bbox']):
        if bbox is not None and not all(map(is_number, bbox)):
            yield file.problem(
                'bbox not finite',
                file.annotations,
                index,
                f'bbox {shown(bbox)} is not finite',
                'remove the annotation (--fix does)',
            )


@dataclass(frozen=True)
class Boxes:
    """The boxes of a file that are four finite numbers.

    Args:
        indices: Shape (n,), the annotations they are from.
        xywh: Shape (n, 4), float64, pixels.
        sizes_wh: Shape (n, 2), of the images; NaN where it is not known, so
            that no comparison with it holds.
    """

    indices: np.ndarray
    xywh: np.ndarray
    sizes_wh: np.ndarray

    @classmethod
    def of(cls, file: CocoFile) -> 'Boxes':
        """Collect the boxes of a file."""
        columns, sizes_wh = file.annotations.columns, image_sizes(file)
        indices = [
            index
            for index, bbox in enumerate(columns['bbox'])
            if bbox is not None and all(map(is_number, bbox))
        ]
        xywh = [columns['bbox'][i] for i in indices]
        unknown = (np.nan, np.nan)
        sizes = [
            sizes_wh.get(columns['image_id'][i], unknown) for i in indices
        ]
        return cls(
            np.array(indices, np.int64),
            np.array(xywh, np.float64).reshape(-1, 4),
            np.array(sizes, np.float64).reshape(-1, 2),
        )

    @property
    def overshoot(self) -> np.ndarray:
        """How far each box reaches outside; shape (n,), pixels."""
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.maximum(-self.xywh[:, :2], ends - self.sizes_wh).max(1)

    @property
    def visible_wh(self) -> np.ndarray:
        """Width and height of the part inside the image; shape (n, 2)."""
        ends = self.xywh[:, :2] + self.xywh[:, 2:]
        return np.minimum(ends, self.sizes_wh) - self.xywh[:, :2].clip(0)

    @property
    def inside_as_corners(self) -> np.ndarray:
        """Whether each is a box in its image if it is read as xyxy."""
        start, end = self.xywh[:, :2], self.xywh[:, 2:]
        inside = (start >= -TOLERANCE) & (end <= self.sizes_wh + TOLERANCE)
        return (inside & (end > start)).all(1)


def image_sizes(file: CocoFile) -> dict[int, tuple[float, float]]:
    """Map the id of each image to its width and height, if both are right."""
    columns = file.images.columns
    rows = zip(columns['id'], columns['width'], columns['height'], strict=True)
    return {row[0]: row[1:] for row in rows if None not in row}


# In order: the first that holds for a box is its problem.
BOX_PROBLEMS = {
    'bbox empty': ('is empty', 'remove the annotation (--fix does)'),
    'bbox thin': (
        'is thinner than 1 pixel, CocoDataset drops it',
        'remove the annotation (--fix does)',
    ),
    'bbox away': (
        'lies outside {image}',
        'remove the annotation (--fix does)',
    ),
    'bbox nearly away': (
        'has less than 1 pixel inside {image}',
        'remove the annotation (--fix does)',
    ),
    'bbox outside': (
        'reaches outside {image}',
        'clip it (--fix does)',
    ),
}


def box_problems(boxes: Boxes) -> np.ndarray:
    """Judge every box.

    Returns:
        Shape (n,): the number of its kind in `BOX_PROBLEMS`, from 1; 0 for
        what is right.
    """
    is_outside = boxes.overshoot > TOLERANCE
    sides, visible = boxes.xywh[:, 2:].min(1), boxes.visible_wh.min(1)
    holds = (
        sides <= 0,
        sides < MIN_SIDE,
        visible <= 0,
        is_outside & (visible < MIN_SIDE),
        is_outside,
    )
    return np.select(holds, range(1, len(holds) + 1), 0)


def check_boxes(file: CocoFile) -> Iterator[Problem]:
    """Find empty and thin boxes and such that are not inside their image.

    If the file seems to hold corners, that is the only problem.
    """
    boxes = Boxes.of(file)
    if are_corners(boxes):
        yield corners_problem(file, boxes)
        return
    kinds = box_problems(boxes)
    for row in np.flatnonzero(kinds):
        yield box_problem(file, boxes, row, list(BOX_PROBLEMS)[kinds[row] - 1])


def are_corners(boxes: Boxes) -> bool:
    """Judge whether bboxes are xyxy, by those whose image is known."""
    is_known = ~np.isnan(boxes.sizes_wh[:, 0])
    num_outside = (boxes.overshoot > TOLERANCE).sum()
    num_inside = boxes.inside_as_corners.sum()
    return bool(
        num_outside >= max(FEWEST_OUTSIDE, PART_OUTSIDE * is_known.sum())
        and num_inside >= PART_INSIDE * is_known.sum()
    )


def corners_problem(file: CocoFile, boxes: Boxes) -> Problem:
    """Make the problem of a file whose bboxes seem to be xyxy."""
    return file.problem_of_all(
        'bboxes are corners',
        f'bboxes seem to be [x1, y1, x2, y2]: of {len(boxes.indices)}, '
        f'{(boxes.overshoot > TOLERANCE).sum()} reach outside their image as '
        f'[x, y, w, h], and {boxes.inside_as_corners.sum()} lie inside it as '
        'corners',
        'subtract x1 from x2 and y1 from y2, then check again',
    )


def box_problem(file: CocoFile, boxes: Boxes, row: int, kind: str) -> Problem:
    """Make the problem of one box."""
    index = int(boxes.indices[row])
    columns = file.annotations.columns
    width, height = boxes.sizes_wh[row]
    what, advice = BOX_PROBLEMS[kind]
    image = f'image {columns["image_id"][index]} ({width:.0f}x{height:.0f})'
    what = f'bbox {columns["bbox"][index]} {what.format(image=image)}'
    return file.problem(kind, file.annotations, index, what, advice)


def categories_of(file: CocoFile) -> list[tuple]:
    """List id and name of the categories, in order."""
    columns = file.categories.columns
    return list(zip(columns['id'], columns['name'], strict=True))


def check_categories(files: Sequence[CocoFile]) -> Iterator[Problem]:
    """Find files whose categories are not those of the first one.

    CocoDataset numbers the labels by the order in the file: two files in
    different order swap classes without a word.
    """
    for file in files[1:]:
        what = difference(categories_of(files[0]), categories_of(file))
        if what:
            yield file.problem_of_all(
                'other categories',
                f'the categories are not those of {files[0].path}, {what}',
                'write the same ids and names in the same order',
            )


def difference(expected: list[tuple], found: list[tuple]) -> str:
    """Say how categories differ; `''` if they do not, or are none."""
    if expected == found or not expected or not found:
        return ''
    names = [name for _, name in expected], [name for _, name in found]
    if set(names[0]) != set(names[1]):
        more, less = (set(a) - set(b) for a, b in (names[::-1], names))
        extra, missing = (shown(sorted(map(str, s))) for s in (more, less))
        return f'missing: {missing}, only here: {extra}'
    if names[0] != names[1]:
        pairs = itertools.zip_longest(*names, fillvalue='nothing')
        number, pair = next(p for p in enumerate(pairs, 1) if len({*p[1]}) > 1)
        return f'number {number} is {pair[1]!r} instead of {pair[0]!r}'
    pairs = zip(expected, found, strict=True)
    (expected_id, name), (found_id, _) = next(p for p in pairs if p[0] != p[1])
    return f'{name!r} has id {found_id} instead of {expected_id}'


def check_shared_names(files: Sequence[CocoFile]) -> Iterator[Problem]:
    """Find file names that two files have, if their images are not given."""
    for first, second in itertools.combinations(files, 2):
        known = set(image_names(first)) - {None}
        for index, name in enumerate(image_names(second)):
            if name in known:
                yield second.problem(
                    f'names of {first.path}',
                    second.images,
                    index,
                    f'same file_name {name!r} in {first.path}',
                    'is it the same image? give --images to be sure',
                )


FILE_CHECKS = (
    check_lists,
    check_objects,
    check_values,
    check_ids,
    check_zero_ids,
    check_names,
    check_folders,
    check_references,
    check_areas,
    check_ignored,
    check_finite,
    check_boxes,
)


def check_file(file: CocoFile) -> Iterator[Problem]:
    """Yield all problems of a file by itself."""
    for check in FILE_CHECKS:
        yield from check(file)


def check_together(
    files: Sequence[CocoFile], has_images: bool
) -> Iterator[Problem]:
    """Yield the problems of files that are used together.

    Args:
        files: The first one is what the others are compared with.
        has_images: Whether the images are compared, so that nothing has to be
            concluded from their names.

    Yields:
        The problems.
    """
    yield from check_categories(files)
    if not has_images:
        yield from check_shared_names(files)


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
