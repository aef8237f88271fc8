"""Which variables of a detector's config name its data."""

from mmengine.config import Config

from projects.data_distillation.base_configs.own_data import find_own_data


def make_cfg(root: str) -> Config:
    dataset = dict(data_root=root, ann_file='train.json')
    return Config(
        dict(
            train_dataloader=dict(dataset=dataset),
            data_root=root,
            other_root='data/other/',
            names='train.json.txt',
            lengths=[1, 2],
            work_dir='train.json',
        )
    )


def test_variables_that_begin_with_a_used_path_name_data():
    assert find_own_data(make_cfg('data/')) == [
        *('data_root', 'other_root', 'names')
    ]
    assert find_own_data(make_cfg('data/'), ['names']) == [
        *('data_root', 'other_root')
    ]


def test_empty_path_is_the_beginning_of_no_variable():
    """Every text begins with an empty one."""
    assert find_own_data(make_cfg('')) == ['names']
