"""How the comparison of annotation speeds is written for people."""

from projects.data_distillation.benchmarks.annotation_report import (
    format_report,
)


def test_figures_that_were_not_measured_are_blank():
    stock = dict(images_per_second=2.0, peaks_mib=[7, 9], bbox_mAP=0.25)
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
