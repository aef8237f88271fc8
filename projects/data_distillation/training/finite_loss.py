"""FiniteLossHook: ends a training whose loss is no number any more."""

import math
from collections.abc import Mapping

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

# Mixed precision skips a step whose gradients overflow, and halves its scale,
# which begins at 2^16. After so many steps in a row, it is not the scale.
MAX_SKIPPED = 20
# The parts of a checkpoint that have weights.
WEIGHTS = ('state_dict', 'ema_state_dict')
# 35 is the max_norm of most configs of MMDetection that clip gradients.
REMEDIES = (
    'Lower the learning rate (optim_wrapper.optimizer.lr, here {rate}), clip '
    'the gradients (optim_wrapper.clip_grad=dict(max_norm=35)), warm up '
    'longer (LinearLR in param_scheduler), or look for boxes without area '
    '(tools/check_coco.py). With mixed precision, try without it'
)


class TrainingDivergedError(RuntimeError):
    """The weights of a model are no numbers; the message says what to try."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends a training whose loss is NaN or infinite and stays so.

    A loss that is no number makes weights that are none, and nothing mends
    them. The training ends at that iteration. If the weights are still
    numbers, as in mixed precision, which skips such a step, it goes on while
    at most `max_skipped` losses in a row are none. A checkpoint is never saved
    with weights that are no numbers, so that a training that is resumed begins
    with numbers.

    `tools/train.py` adds this hook to every training, as
    `default_hooks.finite_loss`.

    Args:
        max_skipped: The number of iterations in a row whose loss may be no
            number while the weights are, 0 or more.

    Raises:
        ValueError: If `max_skipped` is below 0.
    """

    # It runs after what averages weights and before what saves them.
    priority = 'LOW'

    def __init__(self, max_skipped: int = MAX_SKIPPED) -> None:
        if max_skipped < 0:
            raise ValueError(
                f'max_skipped must be at least 0, got {max_skipped}'
            )
        self.max_skipped = max_skipped
        self.num_skipped = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Check the losses of an iteration.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.
            outputs: The name and the value of each loss, a number or a tensor
                of one element; None for none. Values whose name has no 'loss'
                are not checked.

        Raises:
            TrainingDivergedError: If a loss is NaN or infinite, and so is a
                weight, or so was a loss in each of the `max_skipped`
                iterations before.
        """
        losses = {
            # A detector may log plain numbers too. Each `float` waits for the
            # GPU.
            name: float(torch.as_tensor(value).detach())
            for name, value in (outputs or {}).items()
            # What else is logged, such as an accuracy, may lack a value.
            if 'loss' in name
        }
        wrong = {
            name: value
            for name, value in losses.items()
            if not math.isfinite(value)
        }
        self.num_skipped = self.num_skipped + 1 if wrong else 0
        if not wrong:
            return
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        name = find_infinite(dict(state_dict=model.state_dict()))
        if name is None and self.num_skipped <= self.max_skipped:
            return
        cause = f'the weights ({name}) are no numbers any more'
        if name is None:
            cause = f'so were the {self.max_skipped} iterations before'
        found = ', '.join(f'{n} is {v}' for n, v in wrong.items())
        # MMEngine counts an iteration after its hooks: the first is number 0
        # here.
        raise TrainingDivergedError(
            f'the training has diverged at iteration {runner.iter + 1}: '
            f'{found}, and {cause}. {advise_on_divergence(runner)}'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save weights that are no numbers.

        Args:
            runner: The runner of the training.
            checkpoint: What is to be saved, see `find_infinite`.

        Raises:
            TrainingDivergedError: If a weight is NaN or infinite.
        """
        if name := find_infinite(checkpoint):
            raise TrainingDivergedError(
                f'the training has diverged at iteration {runner.iter + 1}: '
                f'the weights ({name}) are no numbers any more, so no '
                f'checkpoint is saved. {advise_on_divergence(runner)}'
            )


def advise_on_divergence(runner: Runner) -> str:
    """Say what to try after a training has diverged.

    Args:
        runner: The runner, whose config has the learning rate.

    Returns:
        A text without a full stop at its end. It calls the rate None if the
        config has none.
    """
    optimizer = (runner.cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    return REMEDIES.format(rate=optimizer.get('lr'))


def find_infinite(checkpoint: Mapping) -> str | None:
    """Find the first weight that is NaN or infinite.

    Args:
        checkpoint: The content of a checkpoint, which may lack `WEIGHTS`; each
            of these maps names to tensors. Integers and other values are not
            checked.

    Returns:
        Its name in `state_dict`, or else in `ema_state_dict`; None if all
        weights are numbers, or there are none.
    """
    for part in WEIGHTS:
        for name, value in (checkpoint.get(part) or {}).items():
            is_tensor = isinstance(value, torch.Tensor)
            if is_tensor and not torch.isfinite(value).all():
                return name
    return None
