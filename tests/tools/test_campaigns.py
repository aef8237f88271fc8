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


@pytest.fixture
def peers(monkeypatch, tmp_path):
    """The campaign of the peers, which keeps its rows in a new folder."""
    monkeypatch.syspath_prepend(CAMPAIGNS)
    campaign = load_tool('campaigns/peer_campaign')
    monkeypatch.setattr(campaign, 'ROWS', tmp_path / 'peers.json')
    return campaign


def test_row_of_a_peer_is_measured_once(peers, tmp_path):
    runs = []

    def run() -> dict[str, float]:
        runs.append(1)
        return {'control': 0.25, 'oracle': 0.5}

    for number in (0, 0, 1):
        split = peers.Split(tmp_path, number, tmp_path)
        peers.measure(split, 'oracle', run)

    assert len(runs) == 2
    rows = peers.read_rows()
    assert [row['split'] for row in rows] == [0, 0, 1, 1]
    assert all(row['commit'] and row['machine'] for row in rows)


def test_table_of_peers_has_a_column_for_each_split(peers):
    rows = [
        dict(method='student', split=1, bbox_mAP=0.361),
        dict(method='student', split=0, bbox_mAP=0.4),
        dict(method='Soft Teacher', split=1, bbox_mAP=0.102),
    ]

    assert peers.format_table(rows).splitlines() == [
        '| method | split 0 | split 1 |',
        '| --- | --- | --- |',
        '| Soft Teacher | - | 10.2 |',
        '| student | 40.0 | 36.1 |',
    ]


def test_results_have_the_table_of_the_measured_peers(monkeypatch):
    monkeypatch.syspath_prepend(CAMPAIGNS)
    campaign = load_tool('campaigns/peer_campaign')

    table = campaign.format_table(campaign.read_rows())

    assert table.count('\n') >= 3
    assert table in (ROOT / 'docs/results.md').read_text()


def test_row_of_masks_has_boxes_and_masks_of_each_model(monkeypatch):
    monkeypatch.syspath_prepend(CAMPAIGNS)
    campaign = load_tool('campaigns/mask_campaign')
    summary = dict(
        teacher=dict(bbox_mAP=0.25, segm_mAP=0.301),
        supervised_long=dict(bbox_mAP=0.26, segm_mAP=0.3),
        student=dict(bbox_mAP=0.3, segm_mAP=0.35),
    )

    row = campaign.format_row(2, summary)

    assert row == '| 2 | 25.0 / 30.1 | 26.0 / 30.0 | 30.0 / 35.0 | - |'
