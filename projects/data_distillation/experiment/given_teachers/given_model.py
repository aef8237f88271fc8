"""Runs a given teacher as its makers test it, with the classes wanted here."""

from collections.abc import Sequence

from mmdet.registry import HOOKS, MODELS
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ...multi_view.inference.checkpoints import check_weights
from ...multi_view.inference.class_maps import ClassMap, ClassNames
from ...multi_view.inference.wrapped_detector import WrappedDetector

# Where several classes of the teacher are one, boxes that overlap more are one
# object.
IOU_THRESHOLD = 0.5


@MODELS.register_module()
class GivenDetector(WrappedDetector):
    """A detector with the classes of the labeled file.

    It is for evaluation; `MultiViewTTA` annotates. `GivenDetectorHook` tells
    it its classes.

    Args:
        module: The detector, or its config.
        classes: The classes of the detector, see `ClassNames`.
        class_map: The names of its classes in the labeled file, see
            `ClassNames`.
        data_preprocessor: The data preprocessor of the detector, if `module`
            has none.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        classes: Sequence[str] | None = None,
        class_map: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(module, data_preprocessor)
        self.names = ClassNames(classes, class_map)
        self.class_map: ClassMap | None = None

    def test_step(self, data: dict) -> list[DetDataSample]:
        """Detect, and map the classes.

        If several classes of the detector are one of the labeled file, boxes
        of one class with an IoU above `IOU_THRESHOLD` compete: only the one
        with the best score is kept.

        Args:
            data: The batch, as the detector takes it.

        Returns:
            The samples of the detector, in order, changed in place. As soon as
            `GivenDetectorHook` has mapped the classes, their boxes (xyxy, in
            pixels of the original images) are of wanted classes only, with the
            labels of the labeled file, in the order of the detector.
        """
        samples = self.module.test_step(data)
        for sample in samples:
            if self.class_map:
                sample.pred_instances = self.class_map.apply(
                    sample.pred_instances, IOU_THRESHOLD
                )
        return samples

    def merge_preds(self, data_samples_list: Sequence) -> None:
        """Refuse to merge: there are no views.

        Args:
            data_samples_list: It is not used.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('GivenDetector runs on plain images')


@HOOKS.register_module()
class GivenDetectorHook(Hook):
    """Checks the checkpoint of a `GivenDetector`, and maps its classes.

    The classes that are wanted are those of the dataset of the test run.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check weights and classes.

        Args:
            runner: The runner.
            checkpoint: The content of the checkpoint.

        Raises:
            TypeError: If the model is not a `GivenDetector`.
            CheckpointError: If weights are missing, have another shape or are
                NaN, or a class is missing.
            KeyError: If the dataset of the test run names no classes.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if not isinstance(model, GivenDetector):
            raise TypeError(
                'GivenDetectorHook is for model=dict(type=GivenDetector), got '
                f'{type(model).__name__}'
            )
        # A file of weights alone has no `state_dict` around them.
        weights = checkpoint.get('state_dict', checkpoint)
        check_weights(model.module, weights)
        wanted = runner.test_dataloader.dataset.metainfo['classes']
        meta = checkpoint.get('meta') or {}
        model.class_map = model.names.map(model.module, meta, wanted)
