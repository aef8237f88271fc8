"""What is noticed when a stage's config or files have changed."""

import json

import pytest
from mmengine.config import Config

from projects.data_distillation.experiment.stages.fingerprint import (
    collect_evaluation_settings,
    collect_training_settings,
    list_differences,
    set_aside,
    write_settings,
)


@pytest.fixture
def cfg(tmp_path) -> Config:
    for name in ('train.json', 'val.json'):
        (tmp_path / name).write_text(json.dumps(dict(images=[name])))
    val = dict(data_root=str(tmp_path), ann_file='val.json')
    return Config(
        dict(
            model=dict(type='GFL', neck=dict(out_channels=8)),
            train_dataloader=dict(
                num_workers=2,
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[dict(ann_file=str(tmp_path / 'train.json'))],
                ),
            ),
            train_cfg=dict(max_iters=600),
            default_hooks=dict(
                logger=dict(interval=50), checkpoint=dict(interval=500)
            ),
            test_dataloader=dict(dataset=val),
            test_evaluator=dict(ann_file=str(tmp_path / 'val.json')),
            work_dir='a',
        )
    )


def differing(cfg: Config, folder, **options) -> list[str]:
    """Change the config and say what is noticed in training's settings."""
    write_settings(folder, collect_training_settings(cfg, 0))
    cfg.merge_from_dict(options)
    return list_differences(folder, collect_training_settings(cfg, 0))


@pytest.mark.parametrize(
    ('option', 'text'),
    [
        ({'train_cfg.max_iters': 9}, 'train_cfg.max_iters was 600, is 9'),
        ({'model.neck.out_channels': 4}, 'model.neck.out_channels was 8, i'),
        ({'train_cfg.new': 'x'}, "train_cfg.new was None, is 'x'"),
        ({'custom_hooks': [dict(type='E')]}, 'custom_hooks.0.type was None'),
    ],
)
def test_change_of_the_config_is_named(cfg, tmp_path, option, text):
    (change,) = differing(cfg, tmp_path, **option)

    assert change.startswith(text)


@pytest.mark.parametrize(
    'option',
    [
        {'train_dataloader.num_workers': 0},
        {'default_hooks.logger.interval': 1},
        {'default_hooks.checkpoint.interval': 1},
        {'work_dir': 'b'},
        {'test_dataloader.dataset.ann_file': 'other.json'},
        {'visualizer': dict(type='Visualizer')},
    ],
)
def test_what_changes_no_weight_is_not_noticed(cfg, tmp_path, option):
    assert differing(cfg, tmp_path, **option) == []


def test_other_pretrained_weights_are_noticed(cfg, tmp_path):
    weights = dict(type='Pretrained', checkpoint='torchvision://resnet50')
    cfg.model.backbone = dict(init_cfg=weights)
    other = {'model.backbone.init_cfg.checkpoint': 'torchvision://resnet18'}

    (change,) = differing(cfg, tmp_path, **other)

    assert change.startswith('model.backbone.init_cfg.checkpoint was ')
    # Earlier versions did not write which weights these were.
    settings = collect_training_settings(cfg, 0)
    del settings['model']['backbone']['init_cfg']['checkpoint']
    write_settings(tmp_path, settings)
    now = collect_training_settings(cfg, 0)
    assert list_differences(tmp_path, now) == []


def test_change_of_a_labeled_file_is_noticed(cfg, tmp_path):
    write_settings(tmp_path, collect_training_settings(cfg, 0))
    file = tmp_path / 'train.json'
    file.write_text('{}')

    assert list_differences(tmp_path, collect_training_settings(cfg, 0)) == [
        f'{file} has changed'
    ]
    file.unlink()
    (gone,) = list_differences(tmp_path, collect_training_settings(cfg, 0))
    assert gone.startswith(f'files.{file} was ')
    assert gone.endswith('is None')


def test_evaluation_depends_on_validation_data_and_checkpoint(cfg, tmp_path):
    checkpoint = tmp_path / 'iter_1.pth'
    write_settings(tmp_path, collect_evaluation_settings(cfg, checkpoint))
    cfg.train_cfg.max_iters = 1
    assert (
        list_differences(
            tmp_path, collect_evaluation_settings(cfg, checkpoint)
        )
        == []
    )

    (tmp_path / 'val.json').write_text('{}')
    found = list_differences(
        tmp_path, collect_evaluation_settings(cfg, tmp_path / 'iter_2.pth')
    )

    assert found == [
        f'{tmp_path}/val.json has changed',
        "checkpoint was 'iter_1.pth', is 'iter_2.pth'",
    ]


def test_evaluation_depends_on_the_bytes_of_the_checkpoint(cfg, tmp_path):
    checkpoint = tmp_path / 'iter_1.pth'
    checkpoint.write_bytes(b'one')
    write_settings(tmp_path, collect_evaluation_settings(cfg, checkpoint))
    checkpoint.write_bytes(b'two')

    (found,) = list_differences(
        tmp_path, collect_evaluation_settings(cfg, checkpoint)
    )

    assert found.startswith('checkpoint_sha256 was ')


def test_training_depends_on_the_number_of_processes(cfg, tmp_path):
    write_settings(tmp_path, collect_training_settings(cfg, 0, 1))

    assert list_differences(
        tmp_path, collect_training_settings(cfg, 0, 2)
    ) == ['num_processes was 1, is 2']


def test_what_an_earlier_version_did_not_write_has_not_changed(cfg, tmp_path):
    checkpoint = tmp_path / 'iter_1.pth'
    checkpoint.write_bytes(b'one')
    for settings, added in (
        (collect_training_settings(cfg, 0, 2), 'num_processes'),
        (collect_evaluation_settings(cfg, checkpoint), 'checkpoint_sha256'),
    ):
        write_settings(
            tmp_path, {k: v for k, v in settings.items() if k != added}
        )

        assert list_differences(tmp_path, settings) == []
        assert list_differences(tmp_path, settings | {'new': 1}) == [
            'new was None, is 1'
        ]


@pytest.mark.parametrize('text', ['', '{"seed": 1', '[]', '{}'])
def test_damaged_settings_are_a_change(cfg, tmp_path, text):
    (tmp_path / 'settings.json').write_text(text)

    assert list_differences(tmp_path, collect_training_settings(cfg, 0)) == [
        'settings.json is damaged'
    ]


def test_change_that_explains_others_is_named_first(cfg, tmp_path):
    cfg.train_cfg.max_iters = 1
    cfg.custom_hooks = [dict(type='Some', min_iters=5)]
    cfg.default_hooks.epoch = dict(type='EpochHook', max_epochs=1)
    write_settings(tmp_path, collect_training_settings(cfg, 0))
    cfg.train_cfg.max_iters = 2
    cfg.custom_hooks[0].min_iters = 6
    cfg.default_hooks.epoch.max_epochs = 2
    (tmp_path / 'train.json').write_text('{}')

    changes = list_differences(tmp_path, collect_training_settings(cfg, 0))

    assert [change.split()[0] for change in changes] == [
        f'{tmp_path}/train.json',
        'train_cfg.max_iters',
        'custom_hooks.0.min_iters',
        'default_hooks.epoch.max_epochs',
    ]


def test_folder_without_results_has_no_changes(cfg, tmp_path):
    assert (
        list_differences(tmp_path / 'new', collect_training_settings(cfg, 0))
        == []
    )


def test_long_values_are_cut(cfg, tmp_path):
    (change,) = differing(cfg, tmp_path, **{'model.type': 'x ' * 100})

    assert len(change) < 100


@pytest.mark.parametrize('deleted', [1, 2, 3])
def test_results_are_set_aside_after_some_were_deleted(tmp_path, deleted):
    for number in (1, 2, 3):
        (tmp_path / f'replaced/student-{number}').mkdir(parents=True)
    # Neither of these is one of them.
    (tmp_path / 'replaced/student-old').mkdir()
    (tmp_path / 'replaced/student-7-8').mkdir()
    (tmp_path / f'replaced/student-{deleted}').rmdir()
    (tmp_path / 'student').mkdir()
    (tmp_path / 'student/weights').touch()

    place = set_aside(tmp_path / 'student')

    assert place.name == ('student-3' if deleted == 3 else 'student-4')
    assert (place / 'weights').is_file()


def test_results_are_set_aside_as_often_as_they_change(tmp_path):
    for number in (1, 2):
        folder = tmp_path / 'student'
        folder.mkdir()
        (folder / 'weights').write_text(str(number))

        place = set_aside(folder)

        assert place == tmp_path / f'replaced/student-{number}'
        assert (place / 'weights').read_text() == str(number)
        assert not folder.exists()
