"""What `tools/doctor.py` says of this environment and of others."""

import re
from importlib import metadata

import pytest
from builders import ROOT, load_tool

doctor = load_tool('doctor')


@pytest.mark.parametrize(
    ('version', 'advice'),
    [
        ('2.1.2', ''),
        ('2.1.2+cu121', ''),
        ('2.13.0', ''),
        ('2.13.0+cpu', ''),
        ('2.9', ''),
        ('2.1.1', 'not tried; tried: 2.1.2 to 2.13.0'),
        ('2.13.1', 'not tried; tried: 2.1.2 to 2.13.0'),
        ('3.0', 'not tried; tried: 2.1.2 to 2.13.0'),
    ],
)
def test_version_outside_the_range_was_not_tried(version, advice):
    assert doctor.compare(version, '2.1.2', '2.13.0') == advice


def test_patches_of_the_last_python_are_in_the_range():
    assert doctor.compare('3.13.5', '3.10', '3.13') == ''
    assert doctor.compare('3.14.0', '3.10', '3.13') != ''
    assert doctor.compare('1.0', '2.0', '2.0') == 'not tried; tried: 2.0'
    python = doctor.compare('3.9', *doctor.PYTHONS, 'supported')
    assert python == 'not supported; supported: 3.10 to 3.13'


def test_missing_package_is_broken():
    found = doctor.examine_package(
        'nowhere', ['no-such', 'nor-this'], '1', '2'
    )

    assert found.is_broken
    assert found.found == 'not installed'
    assert found.advice.startswith('install no-such or nor-this, ')


def test_two_distributions_of_one_package_are_named():
    found = doctor.examine_package('x', ['numpy', 'scipy'], '1', '3')

    assert 'keep one of them' in found.advice
    assert re.fullmatch(r'numpy [\d.]+, scipy [\d.]+', found.found)


def test_old_opencv_reads_fewer_formats(monkeypatch):
    monkeypatch.setattr(metadata, 'version', lambda _: '4.11.0.86')

    found = doctor.examine_package('cv2', ['a', 'b'], '4.11.0.86', '4.12')

    assert not found.is_broken
    assert found.advice == 'reads neither GIF nor animated WebP (4.12 does)'


def test_failed_import_is_shown_with_its_reason():
    def load() -> str:
        raise AssertionError('MMCV==2.3.6 is used\nbut incompatible')

    found = doctor.attempt('ops', load, 'do that')

    assert found.is_broken
    assert found.found == 'AssertionError: MMCV==2.3.6 is used'
    assert found.advice == 'do that'


def test_environment_of_the_tests_is_healthy(call_tool):
    done = call_tool('doctor')

    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith('everything that is needed is there\n')
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ['Python', 'torch']
    assert 'they load, and run on the CPU' in done.stdout


def test_broken_environment_ends_with_what_is_broken(call_tool, monkeypatch):
    monkeypatch.setattr(metadata, 'version', missing)

    done = call_tool('doctor')

    assert done.returncode == 1
    assert done.stderr.startswith('does not work yet: torch, mmengine, mmcv, ')
    assert done.stdout.count('BROKEN') == len(doctor.TRIED)


def missing(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def pinned(requirements: str) -> dict[str, str]:
    """The versions that a file of requirements pins."""
    lines = (ROOT / requirements).read_text().splitlines()
    bare = [line.split('#')[0].strip() for line in lines]
    return dict(line.split('==') for line in bare if '==' in line)


def test_ranges_go_from_the_stock_versions_to_those_of_the_forks():
    stock, forks = map(pinned, ('requirements-stock.txt', 'requirements.txt'))

    for names, lowest, highest in doctor.TRIED.values():
        assert {stock[name] for name in names if name in stock} == {lowest}
        assert {forks[name] for name in names if name in forks} == {highest}


def test_installation_page_lists_the_versions_that_were_tried():
    text = (ROOT / 'docs/install.md').read_text()
    (table,) = re.findall(r"^\| \| OpenMMLab's .*\n((?:\|.*\n)+)", text, re.M)
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table.splitlines()
    ]
    listed = {
        name: tuple(cell.split()[-1] for cell in cells)
        for name, *cells in rows[1:]
    }

    assert {'torch', 'mmengine', 'mmcv', 'mmdet', 'numpy'} <= listed.keys()
    for name in listed.keys() - {'Python'}:
        assert listed[name] == doctor.TRIED[name][1:]


def test_installing_moves_no_package_that_a_user_has():
    tomllib = pytest.importorskip('tomllib', reason='Python 3.11 has it')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    names = {
        re.split('[<>=]', line)[0].lower() for line in project['dependencies']
    }

    kept = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'numpy'}
    assert not names & {*kept, *(f'onedl-{name}' for name in kept)}
    assert not {name for name in names if name.startswith('opencv')}
