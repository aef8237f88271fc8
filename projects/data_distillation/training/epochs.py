"""EpochHook: the epoch of a training that counts iterations."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class EpochHook(Hook):
    """Tells the detector which epoch of its own config a training is in.

    Some assign objects in another way in their first epochs (TOOD), and ask
    MMEngine's message hub, where training by iterations leaves epoch 0.

    Args:
        max_epochs: Of the detector's config, for the whole training.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the epoch, from 0.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
        """
        epoch = runner.iter * self.max_epochs // runner.max_iters
        runner.message_hub.update_info('epoch', epoch)
