"""The campaigns can be started: their runs take too long for a test."""

import importlib
from pathlib import Path

import pytest
from builders import ROOT, load_tool

CAMPAIGNS = ROOT / 'tools/campaigns'


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', sorted(file.stem for file in CAMPAIGNS.glob('*.py'))
)
def test_campaign_finds_what_it_imports(name, monkeypatch):
    monkeypatch.syspath_prepend(CAMPAIGNS)

    assert importlib.import_module(name).__doc__


NESTED = """
def outer():
    value = 1

    def inner():
        raise ValueError(value)

    return inner
"""


def test_each_line_of_each_package_can_be_deleted_once(tmp_path):
    campaign = load_tool('campaigns/deletion_campaign')
    (tmp_path / 'module.py').write_text(NESTED)

    lines = campaign.find_lines(tmp_path, Path('module.py'))

    assert sorted(line.first for line in lines) == [2, 5]
    packages = {
        str(package.relative_to(ROOT / campaign.CODE))
        for package in campaign.find_packages(ROOT)
    }
    assert {'.', 'files', 'label_files/coco'} <= packages


def test_tests_of_the_outermost_package_are_no_folders():
    campaign = load_tool('campaigns/deletion_campaign')

    folder = campaign.find_tests(ROOT, campaign.CODE / 'files')
    assert folder == ['tests/files']
    files = campaign.find_tests(ROOT, campaign.CODE)
    assert 'tests/test_text.py' in files
    assert all((ROOT / file).is_file() for file in files)


def test_planting_needs_enough_labels():
    campaign = load_tool('campaigns/planting_campaign')
    label = dict(image_id=1, category_id=1, bbox=[1.0, 2.0, 3.0, 4.0])
    categories = [dict(id=1), dict(id=2)]

    def plant(number: int) -> dict:
        labels = [dict(label, id=one) for one in range(number)]
        coco = dict(annotations=labels, categories=categories)
        return campaign.plant(coco, seed=0)

    with pytest.raises(ValueError, match='at least 11 labels, got 10'):
        plant(10)
    _, changed, removed = plant(11)
    assert sorted(changed.values()) == ['box', 'class']
    assert len(removed) == 1
