"""What every student.py shares. It is inherited beside supervised_long.py."""

# Labeled to pseudo-labeled images in each batch: the paper's 6:4 (section 4,
# at second hand: configs/README.md).
ratio_sampler = dict(_delete_=True, type='SourceRatioSampler', ratio=[6, 4])
# Acts if annotate.py was told to mark doubtful regions (`ignore`).
custom_hooks = [dict(type='IgnoreRegionsHook')]
