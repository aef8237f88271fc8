"""ValOnTestLoop: validates on the images that a model is tested on."""

from collections.abc import Sequence

from mmdet.registry import LOOPS
from mmengine.runner import Runner, ValLoop


@LOOPS.register_module()
class ValOnTestLoop(ValLoop):
    """Validates with the config's `test_dataloader` and `test_evaluator`.

    An experiment on one's own data replaces these two. Those for validation
    may still be inherited from another experiment, with the images of that
    one, so they are not used. MMEngine needs them to validate at all.

    Args:
        runner: The runner, whose config has both settings.
        dataloader: Not used.
        evaluator: Not used.
        fp16: Whether to compute in half precision.

    Raises:
        AttributeError: If the config lacks one of the two.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: dict | Sequence[dict],
        fp16: bool = False,
    ) -> None:
        cfg = runner.cfg
        super().__init__(runner, cfg.test_dataloader, cfg.test_evaluator, fp16)
