r"""Delete one line of logic of each package, and see whether a test fails.

It takes an hour. The figures are in docs/reliability.md. The lines are
deleted in a clone of the last commit, one at a time.

Example:
    python tools/campaigns/deletion_campaign.py --seed 1
"""

import ast
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from projects.data_distillation.command_line import make_parser

ROOT = Path(__file__).resolve().parents[2]
CODE = Path('projects/data_distillation')
# Of a deleted statement. What is longer is more than a line of logic.
MAX_LINES = 6
# And calls, and each `if` without an `else`.
DELETED = ast.Assign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break
# Words, and the options of pytest. The next are tried if no test has failed.
SUITES = {
    'fast tests of the package': ['-n', '0', '-m', 'not slow', 'PACKAGE'],
    'slow tests of the package': ['-n', '0', '-m', 'slow', 'PACKAGE'],
    'fast tests of all': ['-n', '2', '-m', 'not slow'],
}


@dataclass(frozen=True)
class Line:
    """A statement to delete.

    Args:
        file: Its file, relative to the clone.
        first: The number of its first line, from 0.
        end: The number of the line after its last one.
        indent: How far it is indented.
    """

    file: Path
    first: int
    end: int
    indent: int

    def delete(self, text: str) -> str:
        """Return the text of the file with `pass` in place of the statement.

        Args:
            text: The text of the file.
        """
        lines = text.split('\n')
        lines[self.first : self.end] = [' ' * self.indent + 'pass']
        return '\n'.join(lines)


def is_deleted(statement: ast.stmt) -> bool:
    """Return whether a statement is one of those that are deleted.

    Args:
        statement: The statement. Docstrings are none of them.
    """
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    if isinstance(statement, ast.If):
        return not statement.orelse
    return isinstance(statement, DELETED)


def find_lines(root: Path, file: Path) -> Iterator[Line]:
    """Find the statements in the functions of a file.

    Args:
        root: The clone.
        file: The file, relative to it.

    Yields:
        Each statement that can be deleted, once, in any order.
    """
    nodes = [
        node
        for function in ast.walk(ast.parse((root / file).read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    ]
    # A statement of a nested function is in both functions.
    for one in dict.fromkeys(nodes):
        if not isinstance(one, ast.stmt) or not is_deleted(one):
            continue
        first, end = one.lineno - 1, one.end_lineno or one.lineno
        if end - first <= MAX_LINES:
            yield Line(file, first, end, one.col_offset)


def run_tests(root: Path, options: list[str]) -> str:
    """Run tests until one fails.

    Args:
        root: The clone.
        options: The options of pytest.

    Returns:
        The line of pytest about the failed test; '' if there is none.
    """
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-x', *options],
        cwd=root,
        capture_output=True,
        text=True,
    )
    failed = [
        line
        for line in done.stdout.split('\n')
        if line.startswith(('FAILED', 'ERROR'))
    ]
    return failed[0] if failed else ''


def find_packages(root: Path) -> list[Path]:
    """Find the folders of all packages.

    Args:
        root: The clone.

    Returns:
        The folders, the outermost one first; some may have no module.
    """
    return [root / CODE, *sorted((root / CODE).rglob('*/'))]


def find_tests(root: Path, package: Path) -> list[str]:
    """Return the tests of a package, as pytest takes them.

    Args:
        root: The clone.
        package: The folder of the package, relative to the clone.

    Returns:
        The folder of the tests. For the outermost package these are files, as
        its folder has the tests of all others too.
    """
    if package != CODE:
        return [str('tests' / package.relative_to(CODE))]
    files = sorted((root / 'tests').glob('test_*.py'))
    return [str(file.relative_to(root)) for file in files]


def try_without(root: Path, line: Line) -> str:
    """Delete a statement, run tests, and write the file as it was.

    Args:
        root: The clone.
        line: The statement.

    Returns:
        Which tests have failed, and the first of them.

    Raises:
        OSError: If the file cannot be written.
    """
    file, tests = root / line.file, find_tests(root, line.file.parent)
    text = file.read_text()
    file.write_text(line.delete(text))
    try:
        for name, options in SUITES.items():
            wanted = tests if options[-1] == 'PACKAGE' else []
            given = [one for one in options if one != 'PACKAGE']
            if failed := run_tests(root, [*given, *wanted]):
                return f'{name} | {failed[:100]}'
    finally:
        file.write_text(text)
    return 'NONE |'


def main() -> None:
    """Delete a random line of each package."""
    parser = make_parser(__doc__)
    parser.add_argument('--seed', type=int, default=0, help='of the choice')
    chosen = random.Random(parser.parse_args().seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, 'clone')
        subprocess.run(['git', 'clone', '-q', ROOT, root], check=True)
        for package in find_packages(root):
            files = sorted(package.glob('*.py'))
            lines = [
                line
                for file in files
                for line in find_lines(root, file.relative_to(root))
            ]
            if not lines:
                continue
            line = chosen.choice(lines)
            text = (root / line.file).read_text().split('\n')[line.first]
            place = f'{line.file.relative_to(CODE)}:{line.first + 1}'
            found = try_without(root, line)
            print(place, text.strip()[:60], found, sep=' | ', flush=True)


if __name__ == '__main__':
    main()
