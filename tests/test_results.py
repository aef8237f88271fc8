"""The tables of results on different pages have the same numbers."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODELS = 'teacher', 'control', 'student', 'oracle'
KEYS = *MODELS, 'gap closed'


def read_rows(page: str) -> list[dict[str, str]]:
    """The rows of the page's table of models, with what is above filled in."""
    text = (ROOT / page).read_text()
    # The first one that has all models and how much of the gap is closed.
    table = next(
        found
        for found in re.findall(r'(?:^\|.*\n)+', text, re.MULTILINE)
        if '| teacher | control | student | oracle | gap' in found
    )
    head, _, *lines = table.splitlines()
    names = cells_of(head)
    rows: list[dict[str, str]] = []
    for line in lines:
        row = dict(zip(names, cells_of(line), strict=True))
        above = rows[-1] if rows else row
        rows.append({key: row[key] or above[key] for key in names})
    return rows


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip('|').split('|')]


def read_source() -> dict[str, list[dict[str, str]]]:
    """The single runs in docs/results.md, by the name of their experiment."""
    runs: dict[str, list[dict[str, str]]] = {}
    for row in read_rows('docs/results.md'):
        if 'mean' not in row['split']:
            (name,) = re.findall('`configs/(.*)`', row['detector, config'])
            runs.setdefault(name, []).append(row)
    return runs


SOURCE = read_source()
FIGURE = r'\b(?:\d\d\.\d|\d,\d{3}|0\.\d\d|\d\d %)'
# The column of each stage's time in configs/README.md.
TIMES = dict(teacher=3, annotate=4, student=5, supervised_long=5, oracle=5)
CARDS = sorted((ROOT / 'configs').glob('*/*.py'))


def numbers(row: dict[str, str], *keys: str) -> list[float]:
    return [float(row[key].removesuffix(' %')) for key in keys]


def means(rows: list[dict[str, str]]) -> dict[str, float]:
    return {
        key: sum(float(row[key]) for row in rows) / len(rows) for key in MODELS
    }


def test_source_is_read():
    assert {name: len(rows) for name, rows in SOURCE.items()} == dict(
        digits=3, bccd=1, bccd_gfl_tiny=5
    )


@pytest.mark.parametrize('name', SOURCE)
def test_gap_closed_is_that_of_the_models(name):
    for row in SOURCE[name]:
        teacher, student, oracle, gap = numbers(
            row, 'teacher', 'student', 'oracle', 'gap closed'
        )
        # The models are rounded, too.
        found = 100 * (student - teacher) / (oracle - teacher)
        assert gap == pytest.approx(found, abs=1)


def test_mean_of_the_splits_is_theirs():
    splits = [row for row in SOURCE['bccd_gfl_tiny'] if row['seed'] == '0']
    (mean,) = (
        row for row in read_rows('docs/results.md') if 'mean' in row['split']
    )

    assert numbers(mean, *MODELS) == pytest.approx(
        list(means(splits).values()), abs=0.051
    )
    gaps = [numbers(row, 'gap closed')[0] for row in splits]
    assert numbers(mean, 'gap closed')[0] == round(sum(gaps) / len(gaps))


def test_configs_page_has_the_rows_of_the_source():
    columns = *KEYS, 'seed', 'commit'
    listed: dict[str, list[list[str]]] = {}
    for row in read_rows('configs/README.md'):
        name = re.match(r'\[(.*)\]', row['config'])[1]
        if re.match(r'\d', row['student']):
            listed.setdefault(name, []).append([row[key] for key in columns])

    assert listed == {
        name: [[row[key] for key in columns] for row in rows]
        for name, rows in SOURCE.items()
    }


def test_readme_has_means_and_ranges_of_the_source():
    rows = read_rows('README.md')

    names = {
        'digits': 'digits',
        'blood cells, `bccd_gfl_tiny`': 'bccd_gfl_tiny',
        'blood cells, `bccd`': 'bccd',
    }
    assert len(rows) == len(names)
    for row in rows:
        title, what = row[''].rsplit(', ', 1)
        runs = SOURCE[names[title]]
        if 'split' in what:  # One seed each.
            runs = [run for run in runs if run['seed'] == '0']
        assert len(runs) == int(what.split()[0])
        assert numbers(row, *MODELS) == pytest.approx(
            list(means(runs).values()), abs=0.051
        )
        gaps = sorted(numbers(run, 'gap closed')[0] for run in runs)
        shown = [float(gap) for gap in re.findall(r'\d+', row['gap closed'])]
        assert shown == sorted({gaps[0], gaps[-1]})


@pytest.mark.parametrize('card', CARDS, ids=lambda path: path.parent.name)
def test_card_has_figures_of_the_source(card):
    text = ast.get_docstring(ast.parse(card.read_text())) or ''
    result = text.partition('\nResult')[2]
    known = (ROOT / 'docs/results.md').read_text()

    assert set(re.findall(FIGURE, result)) <= set(re.findall(FIGURE, known))


def test_cards_of_models_have_the_rows_of_the_source():
    stems = dict(control='supervised_long')
    for name, rows in SOURCE.items():
        for model in MODELS:
            card = ROOT / 'configs' / name / f'{stems.get(model, model)}.py'
            result = card.read_text().partition('\nResult')[2]
            found = re.findall(r'\b\d\d\.\d', result.partition('"""')[0])
            seed_0 = [row[model] for row in rows if row['seed'] == '0']
            assert found in (seed_0, seed_0[:1]), card


def test_cards_take_the_time_of_the_page():
    text = (ROOT / 'configs/README.md').read_text()
    rows = {
        cells[0]: cells
        for line in text.splitlines()
        if line.startswith('| ') and len(cells := cells_of(line)) == 6
    }
    for card in CARDS:
        row = rows.get(card.parent.name)
        place = TIMES.get(card.stem)
        time = re.search(r'\nTime: (.*)\n', card.read_text())
        if row and place and time and time[1][0].isdigit():
            machine = row[2].partition(' (')[0]
            if card.stem == 'annotate':
                machine = re.sub(r'.*annotate: (.*)\)', r'\1', row[2])
            assert time[1].startswith(f'{row[place]} on {machine}'), card
