"""What MMEngine does because a checkpoint of plain values says so."""

import itertools
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from projects.data_distillation.multi_view.inference.checkpoints import (
    CheckpointError,
)
from projects.data_distillation.multi_view.inference.safe_loading import (
    refusing_code,
)


class Model(BaseModel):
    """One weight, whose loss is the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, mode='tensor', **kwargs):
        return dict(loss=self.weight.sum()) if mode == 'loss' else [0]


class Score(BaseMetric):
    """A score that is higher each time."""

    scores = itertools.count()

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(score=next(self.scores))


def loader() -> DataLoader:
    data = [dict(inputs=torch.ones(1))] * 6
    return DataLoader(data, batch_size=1)


def train(
    work_dir: Path, resumed: Path | None = None, max_iters=4, **hook
) -> None:
    saving = dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=1,
        max_keep_ckpts=1,
        save_best='score',
        rule='greater',
    )
    runner = Runner(
        Model(),
        str(work_dir),
        train_dataloader=loader(),
        val_dataloader=loader(),
        train_cfg=dict(by_epoch=False, max_iters=max_iters, val_interval=2),
        val_cfg={},
        val_evaluator=Evaluator(Score()),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        param_scheduler=dict(
            type='OneCycleLR', eta_max=0.1, total_steps=9, by_epoch=False
        ),
        default_hooks=dict(checkpoint=dict(saving, **hook)),
        load_from=resumed and str(resumed),
        resume=resumed is not None,
        log_level='ERROR',
        # Its message hub is that of no other training.
        experiment_name=f'{work_dir}_{resumed}'.replace('/', '_'),
    )
    runner.train()


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> dict:
    """What MMEngine itself has saved at the second iteration."""
    folder = tmp_path_factory.mktemp('saved')
    train(folder, max_keep_ckpts=9)
    return torch.load(folder / 'iter_2.pth', weights_only=False)


class Attack:
    """A checkpoint that names files which are not of its training.

    Args:
        field: What it acts by.
        saved: A checkpoint that does nothing.
        folder: The folder of all files.
    """

    def __init__(self, field: str, saved: dict, folder: Path) -> None:
        self.made = folder / 'made'
        self.precious = folder / 'precious.pth'
        self.precious.write_bytes((folder / 'evil.pth').read_bytes())
        # Where `iter_{}.pth` leads to.
        (folder / 'work/iter_').mkdir(parents=True)
        info = dict(saved['message_hub']['runtime_info'])
        info.update(
            {
                'best_ckpt': {'best_ckpt': str(self.precious)},
                'keep_ckpt_ids': {'keep_ckpt_ids': ['/../../precious', 1]},
            }.get(field, {})
        )
        content = dict(
            saved,
            message_hub=dict(saved['message_hub'], runtime_info=info),
            meta=dict(saved['meta']),
        )
        if field == 'config':
            content['meta']['config'] = f'open({str(self.made)!r}, "w")\na = 1'
        torch.save(content, folder / 'evil.pth')

    def has_worked(self) -> bool:
        published = self.precious.parent.glob('precious-*.pth')
        is_gone = not self.precious.exists()
        return self.made.exists() or is_gone or any(published)


@pytest.mark.slow
@pytest.mark.parametrize('is_protected', [True, False])
@pytest.mark.parametrize(
    ('field', 'hook'),
    [
        ('config', {}),
        ('best_ckpt', {}),
        ('best_ckpt', dict(published_keys=['meta'], rule='less')),
        ('keep_ckpt_ids', {}),
    ],
)
def test_no_value_makes_a_resumed_training_act(
    saved, tmp_path, field, hook, is_protected
):
    evil = tmp_path / 'evil.pth'
    torch.save(saved, evil)
    attack = Attack(field, saved, tmp_path)

    with refusing_code() if is_protected else nullcontext():
        train(tmp_path / 'work', evil, **hook)

    assert attack.has_worked() != is_protected
    assert (tmp_path / 'work/iter_4.pth').is_file()


@pytest.mark.slow
@pytest.mark.parametrize('is_moved', [False, True])
def test_training_deletes_its_own_older_checkpoints(tmp_path, is_moved):
    work = tmp_path / 'work'
    with refusing_code():
        train(work)
        if is_moved:
            work = work.rename(tmp_path / 'moved')
        train(work, work / 'iter_4.pth', max_iters=6)

    names = {file.name for file in work.glob('*.pth')}
    assert names == {'iter_6.pth', 'best_score_iter_6.pth'}


@pytest.mark.slow
def test_resumed_training_goes_on_as_if_nothing_was_checked(saved, tmp_path):
    for name, refusing in (('checked', refusing_code()), ('', nullcontext())):
        work = tmp_path / f'work_{name}'
        work.mkdir()
        torch.save(saved, work / 'iter_2.pth')
        with refusing:
            train(work, work / 'iter_2.pth')

    checked, plain = (
        torch.load(tmp_path / name / 'iter_4.pth', weights_only=False)
        for name in ('work_checked', 'work_')
    )
    assert torch.equal(
        checked['state_dict']['weight'], plain['state_dict']['weight']
    )
    for found, expected in zip(
        checked['param_schedulers'], plain['param_schedulers']
    ):
        assert found == expected
    hubs = [each['message_hub'] for each in (checked, plain)]
    assert hubs[0]['runtime_info'].keys() == hubs[1]['runtime_info'].keys()
    assert dict(hubs[0]['resumed_keys']) == dict(hubs[1]['resumed_keys'])
    losses = [hub['log_scalars']['train/loss'].data[0] for hub in hubs]
    assert losses[0].tolist() == losses[1].tolist()


def loaded(file: Path, content: object) -> dict:
    torch.save(content, file)
    with refusing_code():
        return torch.load(file)


@pytest.fixture
def log(tmp_path, caplog):
    """What MMEngine logs, whatever level an earlier runner asked for."""
    logger = MMLogger.get_instance(str(tmp_path))
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def hub_of(**info: object) -> dict:
    keys = dict.fromkeys(info, True)
    return dict(log_scalars={}, runtime_info=info, resumed_keys=keys)


@pytest.mark.parametrize(
    ('value', 'shown'),
    [
        ('/b/best.pth', "'/b/best.pth'"),
        (torch.ones(2), 'tensor([1., 1.])'),
        # It names no file.
        ('', None),
        ([], None),
        (None, None),
    ],
)
def test_log_says_which_files_stay(tmp_path, log, value, shown):
    loaded(tmp_path / 'a.pth', dict(message_hub=hub_of(best_ckpt=value)))

    said = [f'it deletes no {shown}, which' in text for text in log.messages]
    assert said == ([True] if shown else [])


def test_log_says_that_a_config_is_left_out(tmp_path, log):
    loaded(tmp_path / 'a.pth', dict(meta=dict(iter=1)))
    assert not log.messages

    found = loaded(tmp_path / 'a.pth', dict(meta=dict(config='a = 1')))

    assert found['meta'] == {}
    (text,) = log.messages
    assert text.startswith('`config` in the `meta` of the checkpoint is left')


def test_config_of_another_maker_is_not_written_on(tmp_path):
    hub = hub_of(cfg='import os', last_ckpt='/etc/passwd', other=1)

    found = loaded(tmp_path / 'a.pth', dict(message_hub=hub))['message_hub']

    assert found['runtime_info'] == dict(other=1)
    assert found['resumed_keys'] == dict(other=True)


@pytest.mark.parametrize(
    'path',
    [
        'best_a.pth',
        '/elsewhere/best_a.pth',
        'a.pth',
        '../best_b.pth',
        3,
        None,
        torch.ones(2),
    ],
)
@pytest.mark.parametrize('key', ['best_ckpt', 'best_ckpt_coco/bbox_mAP'])
@pytest.mark.parametrize('is_work_folder', [True, False])
def test_only_the_best_checkpoint_beside_it_may_be_deleted(
    tmp_path, path, key, is_work_folder
):
    work = tmp_path / 'work'
    work.mkdir()
    for file in (work / 'best_a.pth', tmp_path / 'best_b.pth'):
        file.touch()
    if is_work_folder:
        (work / 'last_checkpoint').touch()

    hub = loaded(work / 'a.pth', dict(message_hub=hub_of(**{key: path})))

    info = hub['message_hub']['runtime_info']
    is_own = is_work_folder and str(path).endswith('best_a.pth')
    assert info == ({key: str(work / 'best_a.pth')} if is_own else {})


@pytest.mark.parametrize(
    'value',
    [[1, 2], [1, '2'], [-1], [True], [1.5], 'a', np.array([1, 2])],
)
@pytest.mark.parametrize('is_work_folder', [True, False])
def test_only_numbers_of_kept_checkpoints_are_left(
    tmp_path, value, is_work_folder
):
    if is_work_folder:
        (tmp_path / 'last_checkpoint').touch()

    hub = loaded(
        tmp_path / 'a.pth', dict(message_hub=hub_of(keep_ckpt_ids=value))
    )

    is_own = is_work_folder and str(value) == '[1, 2]'
    expected = dict(keep_ckpt_ids=value) if is_own else {}
    assert hub['message_hub']['runtime_info'] == expected


@pytest.mark.parametrize(
    'content',
    [
        dict(meta=dict(iter='{0.__class__}')),
        dict(meta=dict(epoch=1.5)),
        dict(meta=dict(seed=-1)),
        dict(meta=np.ones(1)),
        dict(message_hub=HistoryBuffer()),
        dict(message_hub=dict(hub_of(), runtime_info=[])),
        dict(message_hub=hub_of(sampler_seed='1')),
        dict(message_hub=hub_of(best_score='1')),
        dict(message_hub=hub_of(**{'best_score_a/b': [1]})),
        dict(param_schedulers='a'),
        dict(param_schedulers=[1]),
    ],
)
def test_values_of_another_type_are_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match='MMEngine writes no such check'):
        loaded(tmp_path / 'a.pth', content)


def test_schedulers_get_neither_functions_nor_another_optimizer(tmp_path):
    state = dict(optimizer=1, step=OrderedDict, last_step=3)
    content = dict(param_schedulers=dict(optimizer=[state], other=[state]))

    found = loaded(tmp_path / 'a.pth', content)['param_schedulers']

    plain = [dict(last_step=3)]
    assert found == dict(optimizer=plain, other=plain)


def test_dictionaries_keep_no_methods_of_the_checkpoint(tmp_path):
    meta = OrderedDict(config='1', iter=2)
    meta.pop = meta.get = OrderedDict

    found = loaded(tmp_path / 'a.pth', OrderedDict(meta=meta))

    assert found['meta'] == dict(iter=2)
    assert type(found['meta']) is dict


def test_weights_alone_are_left_as_they_are(tmp_path):
    weights = torch.nn.Linear(1, 1).state_dict()
    weights['meta'] = torch.ones(1)

    found = loaded(tmp_path / 'a.pth', weights)

    assert found.keys() == weights.keys()
    assert found._metadata == weights._metadata
