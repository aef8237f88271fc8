"""Shortens the config of a stage to one batch, and keeps its files apart."""

from collections.abc import MutableMapping, MutableSequence
from pathlib import Path

from mmengine.config import Config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# What names a file or a folder that is written.
WRITTEN = ('outfile_prefix', 'out_file_path', 'out_dir', 'save_dir')
WRITERS = ('val_evaluator', 'test_evaluator', 'default_hooks', 'custom_hooks')
LATER_PIPELINE = 'SwitchPipelineHook'


def keep_apart(cfg: Config, name: str, folder: Path) -> None:
    """Let a run write into its folder only, in this process alone.

    It begins anew, in one process, loads its data without workers, and draws
    into files alone.

    Args:
        cfg: The config. It is changed in place.
        name: The name of the run; no two of a process have the same.
        folder: The folder.
    """
    cfg.work_dir, cfg.experiment_name = str(folder), name
    cfg.launcher, cfg.resume = 'none', False
    # Others may send what they are told to a server.
    cfg.vis_backends = [dict(type='LocalVisBackend')]
    if cfg.get('visualizer'):
        # Runs whose visualizers have one name share the first of them, which
        # writes to a folder that may be gone.
        cfg.visualizer.update(vis_backends=cfg.vis_backends, name=name)
    for key in WRITERS:
        redirect_outputs(cfg.get(key), folder)
    for key in LOADERS:
        if loader := cfg.get(key):
            # For one batch, no process is worth its start.
            loader.num_workers, loader.persistent_workers = 0, False
            # torch refuses it without workers.
            loader.pop('prefetch_factor', None)


def redirect_outputs(part: object, folder: Path) -> None:
    """Replace the files and folders that a part of a config names to write.

    Args:
        part: The part. It is changed in place.
        folder: The folder that takes the place of theirs; names of files stay.
    """
    if isinstance(part, MutableMapping):
        for key, value in part.items():
            if key in WRITTEN and isinstance(value, str):
                part[key] = str(folder / Path(value).name)
            else:
                redirect_outputs(value, folder)
    elif isinstance(part, MutableSequence):
        for value in part:
            redirect_outputs(value, folder)


def shorten_training(cfg: Config) -> int:
    """Let a training validate and save after its first iterations.

    A hook that switches to a later pipeline does so after the first of them.
    The length stays, because schedules and hooks depend on it: `Observer` ends
    the training, and shortens the validation.

    Args:
        cfg: The config. It is changed in place.

    Returns:
        The number of iterations, one for each pipeline of the training: 2 if
        a hook switches to a later one, and the training is not shorter;
        otherwise 1.
    """
    number = 1
    for hook in cfg.get('custom_hooks') or ():
        if hook.get('type') == LATER_PIPELINE and hook.get('iteration', 0) > 1:
            # One iteration before the switch, and one after it.
            hook.iteration, number = 1, 2
    loop = cfg.train_cfg
    number = min(number, loop.get('max_iters') or number)
    by_epoch = 'max_iters' not in loop and loop.get('by_epoch', True)
    loop.val_begin = 1
    loop.val_interval = 1 if by_epoch else number
    loop.pop('dynamic_intervals', None)
    # `setdefault` would return another dict than the one that it stores.
    cfg.default_hooks = cfg.get('default_hooks') or {}
    hooks = cfg.default_hooks
    hooks.setdefault('checkpoint', dict(type='CheckpointHook'))
    hooks['checkpoint'].update(
        interval=1 if by_epoch else number, by_epoch=by_epoch, save_begin=0
    )
    return number
