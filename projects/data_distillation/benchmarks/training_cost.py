"""Compares a training with the same one made of MMDetection's own parts.

Both run in one process and take turns, some iterations at a time, so that
other load on the machine affects both alike.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ..arguments import check_at_least_1
from ..mmdet_tools import ADDED
from .stopwatch import Stopwatch, read_clock


def compare_training(
    cfg: Config, work_dir: Path, num_turns: int, iterations: int
) -> dict:
    """Train in turns, after a first turn that does not count.

    Args:
        cfg: The config of a student, whose dataset concatenates others. It is
            not changed.
        work_dir: The folder to which both write, into `ours` and `stock`.
        num_turns: The number of turns of each that count, at least 1.
        iterations: The number of iterations in a turn, at least 1.

    Returns:
        `wall` and `cpu`: the time of an iteration with our parts, as a
        multiple of that with MMDetection's, in each turn; `seconds`: the wall
        time of an iteration of ours, the median of all turns; and `ours` and
        `stock`: the wall time of an iteration that is not spent in the model,
        in seconds, in each turn.

    Raises:
        ValueError: If `num_turns` or `iterations` is less than 1.
        AttributeError: If the config has no concatenated dataset, or no
            `ratio`.
        FileNotFoundError, CocoError: If a file of the data is missing or
            cannot be used.
    """
    check_at_least_1('num_turns', num_turns)
    check_at_least_1('iterations', iterations)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    contenders = dict(ours=make_ours(cfg), stock=make_stock(cfg))
    trainings = [
        begin_training(one, work_dir / name)
        for name, one in contenders.items()
    ]
    turns = []
    for number in range(num_turns + 1):
        # Whoever comes second finds the caches warm, so they change places.
        order = trainings if number % 2 else trainings[::-1]
        times = [time_iterations(*one, iterations) for one in order]
        turns.append(times if number % 2 else times[::-1])
    return dict(
        wall=[one[0] / other[0] for one, other in turns[1:]],
        cpu=[one[1] / other[1] for one, other in turns[1:]],
        seconds=statistics.median(one[0] for one, _ in turns[1:]) / iterations,
        ours=[one[2] / iterations for one, _ in turns[1:]],
        stock=[other[2] / iterations for _, other in turns[1:]],
    )


def make_ours(cfg: Config) -> Config:
    """Make the training that `tools/train.py` runs.

    Args:
        cfg: The config of a student. It is not changed.

    Returns:
        A new config with the hooks that the tool adds.
    """
    ours = Config(cfg.to_dict())
    ours.merge_from_dict(ADDED['train.py'])
    return ours


def make_stock(cfg: Config) -> Config:
    """Make the same training of parts that MMDetection has.

    Args:
        cfg: The config of a student, whose sampler has a `ratio`. It is not
            changed.

    Returns:
        A new config with MMDetection's sampler and datasets. It has no custom
        hooks, and no hook that resumes.

    Raises:
        AttributeError: If the config has no concatenated dataset, or no
            `ratio`.
    """
    stock = Config(cfg.to_dict())
    loader = stock.train_dataloader
    ratio = loader.sampler.ratio
    loader.sampler = dict(
        type='MultiSourceSampler',
        batch_size=loader.batch_size,
        source_ratio=list(ratio),
    )
    for part in loader.dataset.datasets:
        part.type = 'CocoDataset'
    stock.custom_hooks = []
    stock.default_hooks.pop('resume', None)
    return stock


def begin_training(
    cfg: Config, work_dir: Path
) -> tuple[Callable[[], None], Stopwatch]:
    """Begin a training.

    Args:
        cfg: The config of the training. It is changed in place.
        work_dir: The folder that it writes to. The experiment has its name.

    Returns:
        A function that runs one iteration, and the stopwatch of its model:
        forward and backward passes, and the step of the optimizer. The
        function also loads the batch.

    Raises:
        Exception: Whatever MMEngine raises for a config that it cannot build.
    """
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    cfg.log_level = 'ERROR'
    runner = Runner.from_cfg(cfg)
    loop = runner.build_train_loop(runner.cfg.train_cfg)

    def run() -> None:
        """Do what comes before the first iteration of a training."""
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        runner.model.train()

    # `Runner.train` prepares all that a training needs, and then calls this in
    # place of the loop's own `run`.
    loop.run = run
    runner._train_loop = loop
    runner.train()
    model = Stopwatch(runner.model.train_step)
    runner.model.train_step = model
    return lambda: loop.run_iter(next(loop.dataloader_iterator)), model


def time_iterations(
    step: Callable[[], None], model: Stopwatch, num: int
) -> tuple[float, float, float]:
    """Run iterations, and measure their time.

    Args:
        step: The function that runs one.
        model: The stopwatch of its model.
        num: The number of iterations.

    Returns:
        The wall time, to the end of the work on a GPU, the CPU time of this
        process without its workers, and the wall time outside of the model, in
        seconds, of all iterations together.
    """
    before = model.seconds
    start = read_clock(), time.process_time()
    for _ in range(num):
        step()
    # First the CPU time: waiting for a GPU may keep a core busy.
    cpu = time.process_time() - start[1]
    wall = read_clock() - start[0]
    return wall, cpu, wall - (model.seconds - before)
