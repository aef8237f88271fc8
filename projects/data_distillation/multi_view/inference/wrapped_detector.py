"""A detector inside a model that MMEngine loads checkpoints into."""

from mmengine.model import BaseTTAModel, revert_sync_batchnorm
from torch import nn

from .point_encoding import mend_point_encoding


class WrappedDetector(BaseTTAModel):
    """A model with a detector as its `module`, ready for inference.

    It derives from `BaseTTAModel` because MMEngine then loads checkpoints into
    `module`.

    Args:
        module: The detector, or its config.
        data_preprocessor: The data preprocessor of the detector, if `module`
            is a config that has none; otherwise None.
    """

    def __init__(
        self, module: dict | nn.Module, data_preprocessor: dict | None
    ) -> None:
        if isinstance(module, dict) and data_preprocessor:
            # The own preprocessor of the module comes last, and wins.
            module = {'data_preprocessor': data_preprocessor, **module}
        super().__init__(module)
        mend_point_encoding(self.module)
        # In inference, a synchronized norm is a plain one, but in processes on
        # CPUs it fails.
        revert_sync_batchnorm(self)
