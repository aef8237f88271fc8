"""Estimates roughly how long an experiment takes where there is no GPU."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from ...multi_view.inference.safe_loading import refusing_code
from ...text import format_roughly
from ..stages.definition import Experiment
from ..stages.model_names import CONTROL
from ..stages.training import is_teacher_control
from .load import describe_load

# Forward, backward and the step of the optimizer, in forward passes.
PASSES_OF_TRAINING = 3
SMALL = 'configs/bccd_gfl_tiny/teacher.py --from-scratch'
# It has 0.9 million weights. MMDetection's smallest have 3 million or more.
MAX_SMALL = 2_000_000
# From this time on, a smaller detector is named.
LONG = 3600
# On a busy machine, one pass may take several times as long as another.
MIN_SECONDS, MIN_PASSES = 1, 2


@dataclass(frozen=True)
class Work:
    """What an experiment computes.

    Args:
        num_trained: The number of images that the models of the experiment
            see in their trainings, counted each time.
        num_views: The number of views of all unlabeled images together.
    """

    num_trained: int
    num_views: int

    @classmethod
    def of(cls, experiment: Experiment) -> 'Work':
        """Count what the stages of an experiment compute.

        Args:
            experiment: The experiment, whose trainings count iterations.

        Returns:
            The work; an annotation without `views` counts as one view. A
            teacher that is given is not trained, and one that is the control
            is trained once. Of a training, the batches of one process count.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
        """
        untrained: set[str] = set()
        if experiment.teachers:
            untrained.add('teacher')  # It is given.
        elif is_teacher_control(experiment):
            untrained.add(CONTROL)
        models = set(experiment.models) - untrained
        cfgs = [experiment.load(model) for model in models]
        trained = (
            cfg.train_cfg.max_iters * cfg.train_dataloader.batch_size
            for cfg in cfgs
        )
        views = experiment.load('annotate').model.get('views') or [None]
        num_images = len(experiment.build_images('annotate'))
        return cls(sum(trained), num_images * len(views))

    def estimate(self, seconds: float, of_view: float | None = None) -> float:
        """Estimate how long the work takes.

        Args:
            seconds: The time of a forward pass of one image.
            of_view: The time of a forward pass of a view, for a teacher that
                is another detector than the student; None if it takes as long.

        Returns:
            The time of all trainings and of the annotation, in seconds.
        """
        of_view = seconds if of_view is None else of_view
        passes = PASSES_OF_TRAINING * self.num_trained
        return passes * seconds + self.num_views * of_view


def measure_stage(experiment: Experiment, stage: str) -> tuple[float, int]:
    """Measure how long the model of a stage needs for one image.

    The weights are random, or those that the model loads when it is built.

    Args:
        experiment: The experiment.
        stage: The name of the stage; its first test image is taken.

    Returns:
        Seconds, see `measure_forward`, and the number of weights.

    Raises:
        Exception: If the config, the model or its data cannot be used.
    """
    cfg = experiment.load(stage)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with refusing_code():
        model = MODELS.build(cfg.model)
    sample = DATASETS.build(cfg.test_dataloader.dataset)[0]
    num_weights = sum(weight.numel() for weight in model.parameters())
    return measure_forward(model, sample), num_weights


def measure_forward(model: BaseModel, sample: dict) -> float:
    """Measure how long a model needs to test one image.

    Args:
        model: The model. It is in evaluation mode afterwards.
        sample: An image, as the test pipeline gives it.

    Returns:
        Seconds, the least of at least `MIN_PASSES` passes, which go on for at
        least `MIN_SECONDS`.
    """
    model.eval()
    seconds: list[float] = []
    # In the first pass, layers warm up.
    while len(seconds) < MIN_PASSES or sum(seconds) < MIN_SECONDS:
        begin = time.perf_counter()
        with torch.no_grad():
            model.test_step(pseudo_collate([sample]))
        seconds.append(time.perf_counter() - begin)
    # Other load on the machine only makes a pass longer.
    return min(seconds)


def describe_time(folder: Path) -> Iterator[str]:
    """Say how long an experiment will take on this CPU, if that is needed.

    The teacher, the control, the student and the annotation count; an oracle,
    tuning and given teachers after the first do not.

    Args:
        folder: The folder of the experiment.

    Yields:
        Nothing if there is a GPU. Otherwise a line with the time; if it is
        more than `LONG` seconds, another one with what takes less. If a model
        cannot test its first image, a line that says why.

    Raises:
        FileNotFoundError: If the folder lacks `annotate.py`, or a file that it
            names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or the unlabeled images cannot be used.
    """
    if torch.cuda.is_available():
        return
    models = ('teacher', CONTROL, 'student')
    there = (name for name in models if (folder / f'{name}.py').is_file())
    experiment = Experiment(folder, tuple(there))
    of_view = None
    try:
        # A given teacher may be another detector.
        seconds, num_weights = measure_stage(experiment, 'student')
        if experiment.teachers:
            of_view, _ = measure_stage(experiment, 'teacher')
    # A detector without its weights may find nothing to compute with.
    except Exception as error:
        yield f'not estimated, since a first image failed: {error}'
        return
    total = Work.of(experiment).estimate(seconds, of_view)
    yield (
        f'roughly {format_roughly(total)} on this machine, which has no GPU, '
        f'{describe_load()}; --dry-run of tools/distill.py measures it'
    )
    if total > LONG:
        yield from list_savings(num_weights)


def list_savings(num_weights: int) -> Iterator[str]:
    """Say what makes an experiment take less time.

    Args:
        num_weights: The number of weights of the student.

    Yields:
        A line for the user.
    """
    smaller = 'with a smaller --image-size, if objects stay large enough'
    if num_weights > MAX_SMALL:
        smaller = (
            f'with a small detector, such as --detector {SMALL}, or {smaller}'
        )
    yield (
        f'less {smaller}. Fewer --iterations cost quality: a teacher that has '
        'learned too little makes labels that harm'
    )
