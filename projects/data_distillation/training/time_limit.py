"""TimeLimitHook: ends a training that is only to be measured."""

import time
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """Ends a training after some time, and saves its weights.

    Several processes would not end at the same iteration, and wait for each
    other. They train to their last iteration.

    Args:
        max_seconds: The time, counted from the start of the first iteration,
            after which no iteration is begun; the first one always is.
    """

    # What averages weights or times the iteration comes before.
    priority = 'VERY_LOW'

    def __init__(self, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        self._begin = 0.0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Note when the first iteration begins.

        Args:
            runner: The runner; it is not used.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.
        """
        # The workers of the data loader may have taken long to start.
        self._begin = self._begin or time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """End the training if it is time.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.
            outputs: The losses; they are not used.
        """
        is_over = time.monotonic() - self._begin >= self.max_seconds
        if is_over and get_world_size() == 1:
            runner.train_loop.stop_training = True

    def after_train(self, runner: Runner) -> None:
        """Save the weights and name them, as a training of full length does.

        The files are `iter_N.pth`, without the optimizer, and
        `last_checkpoint` in the work folder.

        Args:
            runner: The runner of the training.

        Raises:
            OSError: If one of the files cannot be written.
            TrainingDivergedError: If a weight is NaN or infinite, and the
                training has a `FiniteLossHook`.
        """
        name = f'iter_{runner.iter}.pth'
        runner.save_checkpoint(
            runner.work_dir,
            name,
            save_optimizer=False,
            # After the loop, the last iteration is counted already.
            meta=dict(iter=runner.iter),
            by_epoch=False,
        )
        if is_main_process():
            # `CheckpointHook`, which does not save here, writes it.
            note = Path(runner.work_dir) / 'last_checkpoint'
            note.write_text(str(note.with_name(name)))
