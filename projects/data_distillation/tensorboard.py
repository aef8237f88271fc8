"""TensorBoardHook: curves of a training, by one option."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class TensorBoardHook(Hook):
    """Adds MMEngine's TensorBoard backend to those of the config.

    A config says it in `visualizer.vis_backends`, a list, which no
    `--cfg-options` can lengthen; `default_hooks.tensorboard.type=
    TensorBoardHook` can be said of any. The events are in `vis_data/` of the
    run.
    """

    # Before `LoggerHook` writes the first scalars.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Replace the visualizer.

        Args:
            runner: The runner.

        Raises:
            ImportError: If the package `tensorboard` is missing.
        """
        before = runner.cfg.visualizer
        backends = [
            *(before.get('vis_backends') or []),
            dict(type='TensorboardVisBackend'),
        ]
        runner.visualizer = runner.build_visualizer(
            dict(
                before,
                name=f'{runner.experiment_name}_tensorboard',
                vis_backends=backends,
            )
        )
