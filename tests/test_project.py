"""What the project says of itself: packages, hooks, version, citation."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from builders import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it along.
    import tomli as tomllib

PACKAGE = ROOT / 'projects/data_distillation'
PACKAGES = sorted(
    file.parent
    for file in PACKAGE.rglob('*/__init__.py')
    if file.parent.name != 'templates'
)
SETTINGS = tomllib.loads((ROOT / 'pyproject.toml').read_text())
ARCHITECTURE = (ROOT / 'docs/architecture.md').read_text()
LINKED = sorted(
    str(file.relative_to(ROOT))
    for pattern in ('*.md', 'docs/*.md', 'configs/*.md')
    for file in ROOT.glob(pattern)
    if '](' in file.read_text()
)
CONTRACTS = SETTINGS['tool']['importlinter']['contracts']


def headings_of(file: Path) -> set[str]:
    """Return the names that links to the headings of a page have."""
    headings = re.findall(r'^#+ (.*)', file.read_text(), re.MULTILINE)
    return {
        re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')
        for heading in headings
    }


def public_functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods that others may call."""
    for child in ast.iter_child_nodes(node):
        if getattr(child, 'name', '').startswith('_'):
            continue
        if isinstance(child, ast.ClassDef):
            yield from public_functions(child)
        elif isinstance(child, ast.FunctionDef):
            yield child


def takes_arguments(function: ast.FunctionDef) -> bool:
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args)]
    own = names and names[0] in ('self', 'cls')
    others = [*given.kwonlyargs, given.vararg, given.kwarg]
    return any([*names[bool(own) :], *others])


def unread_errors(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield each `pytest.raises` that takes an error of any words."""
    read = [
        item.context_expr
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if item.optional_vars
    ]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or node in read:
            continue
        words = {keyword.arg for keyword in node.keywords}
        if ast.unparse(node.func) == 'pytest.raises' and 'match' not in words:
            yield node


def docstring(folder: Path) -> str:
    namespace: dict = {}
    exec((folder / '__init__.py').read_text(), namespace)
    return namespace['__doc__']


def test_there_is_something_to_check():
    assert len(PACKAGES) >= 34
    assert len(CONTRACTS) >= 5
    assert all(len(contract['layers']) <= 8 for contract in CONTRACTS)


@pytest.mark.parametrize('folder', PACKAGES, ids=lambda path: path.name)
def test_package_says_what_it_is_for(folder):
    (purpose,) = docstring(folder).splitlines()

    assert purpose.endswith('.')
    assert 'import' not in purpose  # The layers say this, and are checked.
    assert len(list(folder.glob('*.py'))) <= 16


@pytest.mark.parametrize('contract', CONTRACTS, ids=lambda one: one['name'])
def test_rows_of_the_packages_stand_in_the_order_of_the_floors(contract):
    (container,) = contract['containers']
    folder = PACKAGE.joinpath(*container.split('.')[2:])
    heading = 'package' if folder == PACKAGE else f'in `{folder.name}`'
    _, table = ARCHITECTURE.split(f'| {heading} | job |\n|---|---|\n')
    rows, _ = table.split('\n\n', 1)
    names = re.findall(
        r'`(\w+)`', ''.join(re.findall(r'^\|.*?\|', rows, re.M))
    )
    floor_by_name = {
        name: number
        for number, floor in enumerate(contract['layers'])
        for name in floor.split(' | ')
    }

    assert sorted(names) == sorted(floor_by_name)
    floors = [floor_by_name[name] for name in names]
    assert floors == sorted(floors)


def test_each_folder_of_packages_has_floors():
    containers = {contract['containers'][0] for contract in CONTRACTS}
    groups = {
        folder.parent.relative_to(PACKAGE.parents[1]) for folder in PACKAGES
    }

    assert {'.'.join(group.parts) for group in groups} == containers


def test_no_module_is_long():
    lengths = {
        file: len(file.read_text().splitlines())
        for file in PACKAGE.rglob('*.py')
    }

    assert [file for file, n in lengths.items() if n > 400] == []


# Attributes of what is called as a module is.
ATTRIBUTES = {
    'annotations.image_index', 'attributes.rotation', 'detector.test_step',
    'masks.min_score', 'view.frame_hw',
}  # fmt: skip
SUFFIXES = {'html', 'json', 'txt', 'yaml'}
# What tools write, and files of other projects.
OTHER_FILES = {'given_teacher.py', 'semi_coco_detection.py', 'filter_pl.py'}


def names_of(tree: ast.Module) -> set[str]:
    """Return all names that a module defines somewhere."""
    found = {getattr(node, 'name', '') for node in ast.walk(tree)}
    return found | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }


@pytest.mark.slow
def test_modules_are_quoted_by_their_present_names():
    modules = [f for f in PACKAGE.rglob('*.py') if f.stem[0] != '_']
    known = {f.stem: names_of(ast.parse(f.read_text())) for f in modules}
    for file in modules:
        known.setdefault(file.parent.name, set()).add(file.stem)
    files = {f.name for f in ROOT.glob('[cpt]*/**/*.py')} | OTHER_FILES

    for file in modules:
        quoted = re.findall(r'`(?:\w+/)*(\w+)\.(\w+)`', file.read_text())
        for module, name in quoted:
            text = f'{module}.{name}'
            if name == 'py':
                assert text in files | {'tune.py'}, file
            elif module in known and name not in SUFFIXES:
                assert name in known[module] or text in ATTRIBUTES, file


def test_no_two_modules_have_the_same_name():
    """A traceback, a search or an open tab names a module without folder."""
    counts = Counter(
        file.name
        for file in PACKAGE.rglob('*.py')
        if not file.name.startswith('__')
    )

    assert [name for name, count in counts.items() if count > 1] == []


def count_code_lines(function: ast.FunctionDef, lines: list[str]) -> int:
    """Count the lines that are neither docstring nor comment nor empty."""
    has_docstring = ast.get_docstring(function) is not None
    first = function.body[has_docstring] if function.body[1:] else None
    head = range(function.lineno - 1, function.body[0].lineno - 1)
    start = first.lineno - 1 if first else function.body[0].lineno - 1
    body = range(start, function.end_lineno)
    code = (lines[number].strip() for number in (*head, *body))
    return sum(bool(line) and not line.startswith('#') for line in code)


@pytest.mark.slow
def test_no_function_is_long():
    lengths = {}
    for folder in (PACKAGE, ROOT / 'tools'):
        for file in folder.rglob('*.py'):
            text = file.read_text()
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    lines = count_code_lines(node, text.split('\n'))
                    lengths[f'{file.name}: {node.name}'] = lines

    assert len(lengths) > 1500
    assert [name for name, n in lengths.items() if n > 40] == []


@pytest.mark.slow
def test_public_functions_describe_their_arguments():
    functions = [
        (file.name, function)
        for file in PACKAGE.rglob('*.py')
        for function in public_functions(ast.parse(file.read_text()))
    ]

    assert len(functions) > 1000
    assert [
        f'{file}:{function.lineno} {function.name}'
        for file, function in functions
        if takes_arguments(function)
        and 'Args:' not in (ast.get_docstring(function) or '')
    ] == []


@pytest.mark.slow
def test_tests_read_the_errors_that_they_expect():
    files = sorted((ROOT / 'tests').rglob('*.py'))

    assert [
        f'{file.name}:{call.lineno}'
        for file in files
        for call in unread_errors(ast.parse(file.read_text()))
    ] == []


@pytest.mark.parametrize(
    ('call', 'num_unread'),
    [
        ('pytest.raises(ValueError)', 1),
        ("pytest.raises(ValueError, match='no')", 0),
        ('pytest.raises(ValueError) as error', 0),
    ],
)
def test_error_of_any_words_is_found(call, num_unread):
    tree = ast.parse(f'with open(file), {call}:\n    pass')

    assert len(list(unread_errors(tree))) == num_unread


@pytest.mark.parametrize(
    ('signature', 'takes'),
    [('self', False), ('', False), ('size', True), ('self, *, size', True)],
)
def test_own_object_is_no_argument(signature, takes):
    (function,) = ast.parse(f'def f({signature}): pass').body

    assert takes_arguments(function) == takes


@pytest.mark.parametrize('page', LINKED)
def test_links_of_the_page_lead_somewhere(page):
    text = (ROOT / page).read_text()
    links = re.findall(r'\]\((?!https?:)([^)#]*)#?([^)]*)', text)

    assert links
    for link, heading in links:
        file = (ROOT / page).parent / link if link else ROOT / page
        assert file.exists(), link
        assert not heading or heading in headings_of(file), heading


def test_modules_that_the_architecture_names_exist():
    files = set(re.findall(r'`((?!tools)[\w/]+/\w+\.py)`', ARCHITECTURE))

    assert len(files) >= 8
    assert [file for file in files if not (PACKAGE / file).is_file()] == []


def test_hooks_run_tools_that_requirements_name():
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
    (repository,) = hooks['repos']
    entries = ' '.join(hook['entry'] for hook in repository['hooks'])
    tools = set(re.findall(r'\.venv/bin/([\w-]+)', entries))

    pinned = (ROOT / 'requirements.txt').read_text()
    packages = {'lint-imports': 'import-linter'}
    assert tools == {'ruff', 'codespell', 'lint-imports'}
    for tool in tools:
        assert f'\n{packages.get(tool, tool)}==' in pinned


def test_version_stands_once():
    version = SETTINGS['project']['version']
    others = ['README.md', 'CITATION.cff', 'projects/data_distillation']

    assert re.fullmatch(r'\d+\.\d+\.\d+', version)
    assert f'\n## {version}\n' in (ROOT / 'CHANGELOG.md').read_text()
    for name in others:
        path = ROOT / name
        files = path.rglob('*.py') if path.is_dir() else [path]
        assert not [f for f in files if version in f.read_text()]


def test_citation_names_the_paper_and_the_project():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())

    assert citation['title'] == 'Data Distillation for MMDetection'
    assert '1712.04440' in citation['preferred-citation']['url']
    assert len(citation['preferred-citation']['authors']) == 5


def test_range_of_python_is_the_same_everywhere():
    assert SETTINGS['project']['requires-python'] == '>=3.10,<3.14'
    assert SETTINGS['tool']['mypy']['python_version'] == '3.10'
    for name in ('README.md', 'docs/install.md', 'tools/setup.sh'):
        text = ' '.join((ROOT / name).read_text().split())
        found = re.findall(r'3\.\d+ to 3\.\d+', text)
        assert found, name
        assert set(found) == {'3.10 to 3.13'}
    doctor = (ROOT / 'tools/doctor.py').read_text()
    assert "PYTHONS = '3.10', '3.13'" in doctor


def test_tests_that_are_named_exist():
    names = 'requirements.txt', '.ci/run', 'CONTRIBUTING.md'
    files = [*(ROOT / name for name in names), *ROOT.glob('docs/*.md')]
    named = re.findall(
        r'tests/[\w/]+(?:\.py)?', ''.join(map(Path.read_text, files))
    )

    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []
