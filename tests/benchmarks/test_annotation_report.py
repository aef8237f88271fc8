"""How the comparison of annotation speeds is written for people."""

import json

import pytest

from projects.data_distillation.benchmarks import annotation
from projects.data_distillation.benchmarks.annotation_report import (
    format_report,
)

STOCK = dict(images_per_second=2.0, peaks_mib=[7, 9], bbox_mAP=0.25)


def test_figures_that_were_not_measured_are_blank():
    stock = STOCK
    bare = dict(images_per_second=4.0, peaks_mib=[5], bbox_mAP=None)
    difference = dict(matched=0.5, pixels=0.25, score=0.0)
    fast = dict(
        stock,
        speed_of_stock=1.5,
        share_of_bare_passes=0.875,
        difference=difference,
    )
    masks = dict(bare, share_of_boxes=0.625)

    text = format_report(
        dict(
            images=3,
            contenders=dict(fast=fast, bare=bare, stock=stock, masks=masks),
        )
    )

    cells = [line.split('│')[1:-1] for line in text.split('\n')]
    assert [[cell.strip() for cell in row] for row in cells if row] == [
        ['fast', '2.000', '1.50', '0.875', '', '9', '0.2500'],
        ['bare', '4.000', '', '', '', '5', ''],
        ['stock', '2.000', '', '', '', '9', '0.2500'],
        ['masks', '4.000', '', '', '0.625', '5', ''],
    ]
    assert '50.00% of the boxes are those of stock' in text


@pytest.fixture
def call_benchmark(call_tool, monkeypatch, tmp_path):
    """Calls the tool, of which the benchmark itself is left out."""
    config = tmp_path / 'annotate.py'
    config.write_text('a = 1')

    class Comparison:
        def __init__(self, *arguments: object) -> None:
            pass

        def run(self, *numbers: int) -> dict:
            if numbers == (7, 4):
                raise ValueError('no image is left')
            return dict(images=3, contenders=dict(stock=STOCK))

    monkeypatch.setattr(annotation, 'Comparison', Comparison)
    return lambda *options: call_tool(
        'benchmark_annotation', config, 't.pth', *options
    )


def test_table_is_shown_though_no_file_can_be_written(
    call_benchmark, tmp_path
):
    (tmp_path / 'blocked').touch()

    done = call_benchmark('--out', tmp_path / 'blocked/report.json')

    assert done.returncode == 1
    assert '3 images' in done.stdout
    assert done.stderr.startswith('error: [Errno ')


def test_file_has_the_figures_and_the_machine(call_benchmark, tmp_path):
    call_benchmark('--out', tmp_path / 'new/report.json')

    report = json.loads((tmp_path / 'new/report.json').read_text())
    assert report['contenders'] == dict(stock=STOCK)
    assert set(report['machine']) == {'device', 'threads', 'torch'}


def test_benchmark_that_cannot_be_run_is_an_error(call_benchmark):
    done = call_benchmark('--images', 7)

    assert done.returncode == 1
    assert done.stderr == 'error: no image is left\n'
