"""What every student.py shares. It is inherited beside supervised_long.py."""

# Labeled to pseudo-labeled images in each batch: the paper's 6:4 (section 4,
# at second hand: configs/README.md).
ratio_sampler = dict(_delete_=True, type='SourceRatioSampler', ratio=[6, 4])
# Where few images are labeled. 6:4 is for as many labeled as unlabeled ones.
# Found by trial on the digits, which are 30 to 400, on another seed.
few_labeled_sampler = dict(ratio_sampler, ratio=[3, 7])
# Of the labeled and the pseudo-labeled images, in place of the labeled alone.
concatenated = dict(_delete_=True, type='ConcatDataset')
# Acts if annotate.py was told to mark doubtful regions (`ignore`).
custom_hooks = [dict(type='IgnoreRegionsHook')]
