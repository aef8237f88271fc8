"""The benchmark: the contenders find the same, and the comparison is right."""

import json
from pathlib import Path

import pytest
import torch
from builders import (
    DrawnImages,
    annotate_cfg,
    masks_cfg,
    run,
    write_checkpoint,
)
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from projects.data_distillation.benchmarks.annotation import (
    Comparison,
    compare_boxes,
    compute_median_ratio,
)
from projects.data_distillation.benchmarks.stock import make_stock_config

pytestmark = pytest.mark.slow


def benchmark_cfg(drawn: DrawnImages, work_dir: Path) -> Config:
    cfg = annotate_cfg(drawn, None, work_dir)
    cfg.unlabeled_truth = str(drawn.folder / 'truth.json')
    return cfg


@pytest.fixture
def cfg(drawn, tmp_path) -> Config:
    return benchmark_cfg(drawn, tmp_path / 'work')


@pytest.fixture(scope='module')
def comparison(tmp_path_factory) -> Comparison:
    folder = tmp_path_factory.mktemp('benchmark')
    drawn = DrawnImages(folder / 'drawn')
    checkpoint = write_checkpoint(folder / 'teacher.pth')
    cfg = benchmark_cfg(drawn, folder / 'work')
    return Comparison(cfg, str(checkpoint), ['exact', 'fast'], folder / 'runs')


@pytest.fixture(scope='module')
def report(comparison) -> dict:
    """The report on a benchmark of all images, two in each turn."""
    return comparison.run(num_images=100, images_per_turn=2)


def test_exact_mode_finds_the_boxes_of_stock(report):
    contenders = report['contenders']

    assert contenders['exact']['difference']['matched'] == 1.0
    assert contenders['exact']['difference']['pixels'] < 1e-4
    assert contenders['exact']['difference']['score'] == 0.0
    # The drawn rectangles, within the blur of scaling.
    assert (
        contenders['exact']['bbox_mAP']
        == contenders['stock']['bbox_mAP']
        > 0.5
    )


def test_every_contender_runs_each_image_once(comparison, report):
    contenders = list(report['contenders'])

    assert contenders == ['exact', 'bare exact', 'fast', 'bare fast', 'stock']
    assert report['images'] == 5  # as many as there are
    assert (
        len(comparison.contenders['stock'].seconds) == 3
    )  # 2, 2 and 1 images


def test_image_of_the_warm_up_is_run_again_in_its_turn(comparison, report):
    contender = comparison.contenders['exact']
    contender.found.clear()

    contender.take_turn([0])

    assert '0.png' in contender.found


def test_speed_and_memory_of_every_contender_are_measured(report):
    contenders = report['contenders']

    for contender in contenders.values():
        assert contender['images_per_second'] > 0
        assert min(contender['peaks_mib']) > 100
    for mode in ('exact', 'fast'):
        assert contenders[mode]['speed_of_stock'] > 0
        assert 0 < contenders[mode]['share_of_bare_passes']


def test_masks_are_measured_beside_boxes_alone(drawn, tmp_path):
    cfg = masks_cfg(drawn, tmp_path / 'work')
    weights = cfg.load_from

    comparison = Comparison(cfg, weights, ['exact'], tmp_path / 'runs')
    contenders = comparison.run(num_images=2, images_per_turn=1)['contenders']

    assert list(contenders) == [
        'exact', 'bare exact', 'exact boxes', 'bare exact boxes'
    ]  # fmt: skip
    found = {
        name: comparison.contenders[name].found['0.png'].pred_instances
        for name in ('exact', 'exact boxes')
    }
    assert 'masks' in found['exact']
    assert 'masks' not in found['exact boxes']
    assert torch.equal(found['exact'].bboxes, found['exact boxes'].bboxes)
    shares = {
        name: {key for key in one if key.startswith(('share', 'speed'))}
        for name, one in contenders.items()
    }
    assert shares == {
        'exact': {'share_of_bare_passes', 'share_of_boxes'},
        'bare exact': {'share_of_boxes'},
        'exact boxes': {'share_of_bare_passes'},
        'bare exact boxes': set(),
    }


def test_tool_prints_a_table_and_writes_a_report(cfg, checkpoint, tmp_path):
    cfg.custom_imports = dict(imports=['builders'])
    cfg.dump(tmp_path / 'annotate.py')
    out = tmp_path / 'report.json'

    done = run(
        'python', 'tools/benchmark_annotation.py', tmp_path / 'annotate.py',
        checkpoint, '--images', '2', '--mode', 'exact', '--out', out,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_bytes())
    assert list(report['contenders']) == ['exact', 'bare exact', 'stock']
    assert report['machine']['torch'] == torch.__version__
    assert '2 images' in done.stdout
    assert '100.00% of the boxes are those of stock' in done.stdout


def test_views_that_stock_cannot_make_are_refused(cfg):
    cfg.model.views = [[dict(type='Tile')], [dict(type='Tile', row=1)]]

    with pytest.raises(ValueError, match=r'every flip of every.*Tile'):
        make_stock_config(cfg)


def test_views_that_are_no_grid_are_refused(cfg):
    cfg.model.views = cfg.model.views[:3]

    with pytest.raises(ValueError, match='every flip of every scale'):
        make_stock_config(cfg)


def sample(*boxes):
    """Boxes are (left, score, label), 100 pixels wide and high."""
    return DetDataSample(
        pred_instances=InstanceData(
            bboxes=torch.tensor(
                [[x, 0.0, x + 100, 100] for x, *_ in boxes]
            ).reshape(-1, 4),
            scores=torch.tensor([score for _, score, _ in boxes]),
            labels=torch.tensor([label for *_, label in boxes]),
        ),
    )


def test_difference_is_that_of_the_boxes_that_match():
    stock = {'a': sample((0.0, 0.9, 0), (150.0, 0.8, 1)), 'b': sample()}
    ours = {'a': sample((2.0, 0.6, 0), (150.0, 0.8, 0)), 'b': sample()}

    found = compare_boxes(ours, stock)

    assert found['matched'] == 0.5  # the other one is of another class
    assert found['pixels'] == 2.0
    assert found['score'] == pytest.approx(0.3)


def test_ratio_is_the_median_of_the_turns():
    assert compute_median_ratio([1.0, 2.0, 30.0], [1.0, 1.0, 1.0]) == 2.0
