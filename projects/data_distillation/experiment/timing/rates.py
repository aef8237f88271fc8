"""How long trainings and annotations take, measured on a few items."""

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..processes.log import say
from ..processes.process import StageError, capture_output
from ..processes.temporary import temporary_folder
from ..stages.model_names import CONTROL
from ..stages.stage_results import make_flags, require_checkpoint
from ..stages.stages import Stages
from .load import describe_load
from .made_up_labels import let_student_train

# The number of characters that are shown of the output of a failed command.
MAX_OUTPUT = 3000
# The number of iterations that are measured, after some that warm up layers.
NUM_MEASURED, NUM_WARM_UP = 10, 2
# No iteration is begun after this time. Of annotation, `DryRun` limits it.
MAX_SECONDS = 15
RATE = re.compile(r'measured on (\d+ images?[^:]*): ([\d.e-]+) images/s')


@dataclass(frozen=True)
class PlannedStage:
    """A stage of the plan.

    Args:
        name: The name of the stage in the table.
        text: What is left to do, `done`, or `as given`.
        iterations: The number of iterations left to train; 0 for a stage that
            detects.
        images: The number of images left to annotate; 0 for a training.
    """

    name: str
    text: str
    iterations: int = 0
    images: int = 0


@dataclass(frozen=True)
class Rates:
    """The time that trainings and annotations take.

    Args:
        iteration: The seconds of an iteration of training; 0 if nothing is
            left to do.
        image: The seconds of an annotated image; 0 if none is left.
        basis: What each was measured on, such as `3 iterations`.
    """

    iteration: float = 0.0
    image: float = 0.0
    basis: tuple[str, str] = ('', '')

    @classmethod
    def measure(cls, stages: Stages, found: Sequence[PlannedStage]) -> 'Rates':
        """Measure the times that some stages need.

        Args:
            stages: The stages of the run.
            found: The stages.

        Returns:
            The times. That of an iteration is 0 if nothing is left to do; it
            is measured before an annotation too. That of an image is 0 if none
            is left.

        Raises:
            StageError: If a measurement fails.
            SystemExit: If a signal stops this process.
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used, or a training
                has logged no iteration.
            OSError: If the folder of the results cannot be written.
        """
        iteration = image = (0.0, '')
        with temporary_folder() as folder:
            if any(stage.iterations or stage.images for stage in found):
                say('measuring some iterations of a training ...')
                iteration = measure_iteration(stages, folder)
            if any(stage.images for stage in found):
                say('measuring some images of annotate.py ...')
                given = stages.experiment.teachers
                teacher = (given or [require_checkpoint(folder)])[0]
                image = measure_image(stages, folder, teacher)
        return cls(iteration[0], image[0], (iteration[1], image[1]))

    def estimate(self, stage: PlannedStage) -> float:
        """Estimate how long a stage takes, by these rates.

        Args:
            stage: The stage.

        Returns:
            Seconds; 0 if nothing is left to do.
        """
        return stage.iterations * self.iteration + stage.images * self.image

    def __str__(self) -> str:
        """Return what was measured, as text."""
        texts = []
        if self.iteration:
            texts.append(
                f'{self.iteration:.2f} s an iteration ({self.basis[0]})'
            )
        if self.image:
            texts.append(f'{self.image:.2f} s an image ({self.basis[1]})')
        measured = f'{describe_load()}: {", ".join(texts)}; ' if texts else ''
        return f'{measured}starting and evaluating take extra time'


def measure_iteration(stages: Stages, folder: Path) -> tuple[float, str]:
    """Measure an iteration by training a teacher for a few of them.

    If a teacher is given, a control is trained instead. If no image is
    labeled, it is a student, on made-up labels.

    Args:
        stages: The stages of the run.
        folder: The folder that the checkpoint and the log go to; no training
            was in it before.

    Returns:
        The median of the seconds of an iteration, and what it was measured
        on, such as `10 iterations`.

    Raises:
        StageError: If the training fails.
        SystemExit: If a signal stops this process.
        FileNotFoundError: If a config or a file that it names is missing.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config, an option or the unlabeled images cannot be
            used, or the training has logged no iteration.
        OSError: If a file in the folder cannot be written.
    """
    experiment, num = stages.experiment, NUM_WARM_UP + NUM_MEASURED
    stage = CONTROL if experiment.teachers else 'teacher'
    values: dict[str, object] = {}
    if experiment.is_label_free:
        stage = 'student'
        values |= let_student_train(experiment, folder)
    if experiment.load(stage).get('visualizer'):
        # The times are in its file, which other backends do not write.
        backend = dict(type='LocalVisBackend')
        values['visualizer.vis_backends'] = [backend]
    options = (
        f'train_cfg.max_iters={num}',
        # No validation: its images may be many.
        f'train_cfg.val_begin={num + 1}',
        'default_hooks.logger.interval=1',
        # It takes longer than an iteration; `TimeLimitHook` saves the weights.
        f'default_hooks.checkpoint.interval={num + 1}',
        'default_hooks.checkpoint.save_last=False',
        'default_hooks.time_limit.type=mmdet.TimeLimitHook',
        f'default_hooks.time_limit.max_seconds={MAX_SECONDS}',
        *experiment.list_options(stage),
    )
    config, flags = experiment.config(stage), make_flags(values, options)
    capture_output(stages.launcher.make_training(config, folder, *flags))
    # The folder is a new one, so it has one run.
    (log,) = folder.glob('*/vis_data/scalars.json')
    lines = map(json.loads, log.read_text().splitlines())
    times = [line['time'] for line in lines if 'loss' in line]
    measured = choose_warm(times)
    noun = 'iteration' if len(measured) == 1 else 'iterations'
    return statistics.median(measured), f'{len(measured)} {noun}'


def choose_warm(times: Sequence[float]) -> Sequence[float]:
    """Leave out the iterations that warm layers up.

    Args:
        times: The seconds of each iteration, in order, at least one.

    Returns:
        Those after the warm-up. If the time was up before, those after the
        first; if there is one only, that one.
    """
    return times[NUM_WARM_UP:] or times[1:] or times


def measure_image(
    stages: Stages, folder: Path, teacher: Path
) -> tuple[float, str]:
    """Measure annotation by annotating a few images.

    Args:
        stages: The stages of the run.
        folder: The folder that results would go to.
        teacher: A checkpoint. Its quality matters little for the time.

    Returns:
        The seconds of an image, with all processes at work, and what it was
        measured on.

    Raises:
        StageError: If the annotation fails.
        SystemExit: If a signal stops this process.
        FileNotFoundError: If there is no such config.
        ImportError: If the config imports a module that is not there.
        ValueError: If the config or an option cannot be used.
    """
    flags = make_flags(
        stages.experiment.make_values('annotate'),
        stages.experiment.list_options('annotate'),
    )
    command = stages.launcher.choose_for_annotation().make_test(
        stages.experiment.config('annotate'),
        teacher,
        folder / 'annotate',
        '--dry-run',
        *flags,
    )
    speed, basis = parse_speed(capture_output(command))
    return 1 / speed, basis


def parse_speed(output: str) -> tuple[float, str]:
    """Find the speed that a trial of annotation has measured.

    Args:
        output: What `tools/test.py --dry-run` has printed.

    Returns:
        Images per second, of all processes together, and what they were
        measured on.

    Raises:
        StageError: If the output names no speed.
    """
    match = RATE.search(output)
    if match is None:
        raise StageError(
            'measuring failed: annotation must print `measured on ... images: '
            f'... images/s`, got:\n{output[-MAX_OUTPUT:]}'
        )
    return float(match[2]), match[1]
