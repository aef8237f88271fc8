"""Observer: follows a training or an evaluation that ends after one batch."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from ...multi_view.inference.tta import MultiViewTTA
from ...multi_view.inference.unreadable import is_unreadable
from .made_up import add_detection, add_label

Say = Callable[[str], None]


class Observer(Hook):
    """Says what a run does, and ends its training.

    Args:
        say: Takes what the run does, as the end of a sentence.
        num_iterations: The number of iterations to train; 0 for an evaluation.
    """

    priority = 'VERY_HIGH'

    def __init__(self, say: Say, num_iterations: int = 0) -> None:
        self.say, self.num_iterations = say, num_iterations

    def before_train(self, runner: Runner) -> None:
        """Check the heads against the classes of the images.

        Args:
            runner: The runner, whose loop by epochs is shortened.

        Raises:
            ValueError: If a head has other classes, see `check_heads`.
        """
        classes = runner.train_dataloader.dataset.metainfo.get('classes')
        check_heads(runner.model, classes or ())
        loop = runner.train_loop
        # `stop_training` ends such a loop only when its epoch is over.
        if isinstance(loop, EpochBasedTrainLoop):
            loop.dataloader = FirstBatches(
                loop.dataloader, self.num_iterations
            )
        self.say('while it loads its first batch')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Say which iteration comes.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch, from 0.
            data_batch: The batch; it is not used.
        """
        later = ', which has its later pipeline' if batch_idx else ''
        self.say(f'in training iteration {batch_idx + 1}{later}')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """End the training after its last iteration.

        Args:
            runner: The runner of the training.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.
            outputs: The losses; they are not used.
        """
        # The loop counts an iteration after its hooks.
        if runner.iter + 1 >= self.num_iterations:
            runner.train_loop.stop_training = True
            self.say('after its training iteration')

    def before_val(self, runner: Runner) -> None:
        """Shorten a validation.

        Args:
            runner: The runner, whose validation is shortened.
        """
        self.say('while it validates')
        shorten_loop(runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Shorten an evaluation; an annotation has few images already.

        Args:
            runner: The runner, whose evaluation is shortened.
        """
        if not isinstance(runner.model, MultiViewTTA):
            shorten_loop(runner.test_loop)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Give each annotated image a label, for the student.

        Args:
            runner: The runner of the test.
            batch_idx: The number of the batch; it is not used.
            data_batch: The batch; it is not used.
            outputs: The merged samples. They are changed in place.
        """
        if not isinstance(runner.model, MultiViewTTA):
            return
        for sample in outputs or ():
            if not is_unreadable(sample):
                add_label(sample)


def check_heads(model: torch.nn.Module, classes: Sequence[str]) -> None:
    """Check that the heads of a model have the classes of the images.

    With too many classes, nothing fails: the training is only worse. Heads of
    an RPN and semantic heads are left out.

    Args:
        model: The model.
        classes: The names of the classes; empty if nothing is to be checked.

    Raises:
        ValueError: With the first head that has others.
    """
    for name, module in model.named_modules():
        number = getattr(module, 'num_classes', None)
        is_head = 'head' in name and 'rpn' not in name
        # The classes of pixels are others.
        if not is_head or 'semantic' in name or not isinstance(number, int):
            continue
        if classes and number != len(classes):
            own = name.removeprefix('module.')
            raise ValueError(
                f'model.{own}.num_classes must be the number of classes of '
                f'the images, {len(classes)}, got {number}'
            )


def shorten_loop(loop: BaseLoop) -> None:
    """Let a loop judge its first batch as it would judge all images.

    The evaluator compares with the truth of these images only. It gets a
    detection on each of them: a model that has not learned may find nothing,
    and then there are no metrics.

    Args:
        loop: The loop of a validation or of a test. It is changed in place.
    """
    loop.dataloader = FirstBatches(loop.dataloader, 1)
    evaluator = loop.evaluator
    process = evaluator.process
    of_coco = [
        metric
        for metric in evaluator.metrics
        # Without an `ann_file`, the metric takes the truth from the samples.
        if isinstance(metric, CocoMetric) and metric._coco_api is not None
    ]

    def process_some(
        data_samples: Sequence[DetDataSample], data_batch: dict | None = None
    ) -> None:
        """Process samples that have a detection."""
        for metric in of_coco:
            # Otherwise COCOeval goes through all images of the file.
            metric.img_ids = [sample.img_id for sample in data_samples]
        for sample in data_samples:
            add_detection(sample)
        process(data_samples=data_samples, data_batch=data_batch)

    # An attribute of this object hides the method of its class.
    vars(evaluator).update(process=process_some)


class FirstBatches:
    """The first batches of a data loader, and what else a loader has.

    Args:
        loader: The loader.
        number: The number of batches; all if the loader has fewer.
    """

    def __init__(self, loader: DataLoader, number: int) -> None:
        self.loader, self.number = loader, number

    def __iter__(self) -> Iterator:
        yield from islice(self.loader, self.number)

    def __len__(self) -> int:
        return min(len(self.loader), self.number)

    def __getattr__(self, name: str) -> object:
        # Python calls this only for what is missing here, such as `dataset`.
        return getattr(self.loader, name)
