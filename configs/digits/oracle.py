"""Oracle"""

_base_ = './supervised_long.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            _base_.labeled,
            dict(
                _base_.labeled,
                ann_file='annotations/unlabeled_truth.json',
                data_prefix=dict(img='images/unlabeled/'),
            ),
        ],
    )
)
