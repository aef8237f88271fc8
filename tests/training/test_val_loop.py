"""ValOnTestLoop: an experiment's own images, whatever it has inherited."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

# As tools/init_experiment.py wrote it before the digits validated.
OWN_IMAGES = """
_base_ = './teacher.py'
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/labeled.json',
        data_prefix=dict(img='images/labeled/'),
    )
)
test_evaluator = dict(ann_file='data/digits/annotations/labeled.json')
"""


@pytest.fixture
def runner(tiny_experiment, monkeypatch, tmp_path):
    monkeypatch.chdir(tiny_experiment.parent)

    def build(name: str, text: str = "_base_ = './teacher.py'") -> Runner:
        (tiny_experiment / f'{name}.py').write_text(text)
        cfg = Config.fromfile(tiny_experiment / f'{name}.py')
        cfg.work_dir = str(tmp_path / name)
        cfg.experiment_name = f'{tmp_path.name}_{name}'
        return Runner.from_cfg(cfg)

    return build


@pytest.mark.slow
def test_images_are_those_of_the_test_settings(runner):
    loop = runner('own', OWN_IMAGES).val_loop

    assert len(loop.dataloader.dataset) == 3
    (metric,) = loop.evaluator.metrics
    assert len(metric._coco_api.imgs) == 3


def test_own_experiment_validates_as_it_is_tested(runner):
    plain = runner('plain')

    assert plain.cfg.val_cfg.type == 'ValOnTestLoop'
    assert len(plain.val_loop.dataloader.dataset) == 2


def test_half_precision_is_possible(runner):
    text = "_base_ = './teacher.py'\nval_cfg = dict(fp16=True)"

    assert runner('half', text).val_loop.fp16
