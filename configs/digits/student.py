"""Student"""

_base_ = './supervised_long.py'

train_dataloader = dict(
    sampler=dict(_delete_=True, type='SourceRatioSampler', ratio=[6, 4]),
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            _base_.labeled,
            dict(
                _base_.labeled,
                data_root='',
                ann_file='work_dirs/digits/annotate/pseudo_labels.json',
                data_prefix=dict(img=_base_.data_root + 'images/unlabeled/'),
                filter_cfg=dict(filter_empty_gt=False),
            ),
        ],
    ),
)
