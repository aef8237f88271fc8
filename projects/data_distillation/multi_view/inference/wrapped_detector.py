"""A detector inside a model that MMEngine loads checkpoints into."""

from mmengine.model import BaseTTAModel, revert_sync_batchnorm
from torch import nn

from .checkpoints import add_preprocessor
from .point_encoding import mend_point_encoding


class WrappedDetector(BaseTTAModel):
    """A model with a detector as its `module`, ready for inference.

    It derives from `BaseTTAModel` because MMEngine then loads checkpoints into
    `module`. Subclasses define `merge_preds`.

    Args:
        module: The detector, which is changed in place, or its config.
        data_preprocessor: The config of the data preprocessor of the detector,
            for a `module` that is a config and has none. It is not used
            otherwise, and may be None.

    Raises:
        TypeError: If `module` is neither a detector nor a config, or an
            argument in the config is unknown.
        KeyError: If a type in the config is not registered.
        AssertionError: If the detector has no `test_step`.
    """

    def __init__(
        self, module: dict | nn.Module, data_preprocessor: dict | None
    ) -> None:
        if isinstance(module, dict):
            module = add_preprocessor(module, data_preprocessor)
        super().__init__(module)
        mend_point_encoding(self.module)
        # In inference, a synchronized norm is a plain one, but in processes on
        # CPUs it fails.
        revert_sync_batchnorm(self)
