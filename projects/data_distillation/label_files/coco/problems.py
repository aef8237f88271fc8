"""A problem of a COCO file, and how a list of problems is printed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a COCO file.

    Args:
        file: The path of the file.
        kind: A name that all problems of the same kind share.
        where: The entry, such as `annotation 17`; `''` for the whole file.
        what: What is wrong, with the value.
        advice: What the user can do about it.
        index: The entry's place in its list; None for the whole file.
        is_fixable: Whether `mending` solves the problem.
    """

    file: str
    kind: str
    where: str
    what: str
    advice: str
    index: int | None = None
    is_fixable: bool = False

    @property
    def text(self) -> str:
        """The problem in one line, without the option that solves it."""
        parts = (self.file, self.where, self.what, self.advice)
        return ': '.join(part for part in parts if part)

    def __str__(self) -> str:
        return self.text + (' (--fix does)' if self.is_fixable else '')

    def explain(self) -> str:
        """Explain the problem to a user who has not run check_coco.py.

        Returns:
            The text of the problem, then that check_coco.py lists all of them
            and whether it solves this one; only the text if the problem is of
            the whole file and nothing solves it.
        """
        if self.index is None and not self.is_fixable:
            return self.text
        fix = ', and its option --fix solves this one'
        return (
            f'{self.text}. tools/check_coco.py lists all problems'
            f'{fix if self.is_fixable else ""}'
        )


def format_problems(problems: Iterable[Problem], max_shown: int) -> list[str]:
    """Return the lines that describe problems, grouped by file and kind.

    Args:
        problems: The problems. They are counted one by one and not kept: a
            large file may have a million of them.
        max_shown: The most problems of one kind in one file that get a line
            each.

    Returns:
        The lines. Files and kinds are in the order of their first problem, and
        a line after each kind says how many more there are, if any. The last
        line has the number of all problems. Empty if there is no problem.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    hidden: Counter = Counter()
    for problem in problems:
        kinds = groups.setdefault(problem.file, {})
        lines = kinds.setdefault(problem.kind, [])
        if len(lines) < max_shown:
            lines.append(str(problem))
        else:
            hidden[problem.file, problem.kind] += 1
    return list(join_groups(groups, hidden))


def join_groups(
    groups: dict[str, dict[str, list[str]]], hidden: Counter
) -> Iterator[str]:
    """Yield the lines of each file, kind by kind, and then the total.

    Args:
        groups: File -> kind -> the lines to show.
        hidden: (file, kind) -> the number of problems without a line.

    Yields:
        The lines; none if there is no group.
    """
    num_shown = 0
    for file, kinds in groups.items():
        for kind, lines in kinds.items():
            yield from lines
            num_shown += len(lines)
            if hidden[file, kind]:
                yield f'... and {hidden[file, kind]} more of this kind'
    if groups:
        yield f'problems: {num_shown + hidden.total()}'
