"""MMDetection's runtime for iteration-based training of our stages."""

_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(
    imports=['projects.data_distillation'], allow_failed_imports=False
)
default_hooks = dict(
    # Validations count iterations too, as the curves of the report do.
    logger=dict(log_metric_by_epoch=False),
    # 500 iterations of the examples take 1 to 12 minutes, which a run that is
    # killed loses at most. If the last file is torn, the one before is used.
    checkpoint=dict(by_epoch=False, interval=500, max_keep_ckpts=2),
    resume=dict(type='ResumeHook'),
)
log_processor = dict(by_epoch=False)
