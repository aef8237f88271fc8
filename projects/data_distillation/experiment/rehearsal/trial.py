"""Tries the stages of an experiment, one after another, in this process."""

import gc
import math
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmdet.registry import DATASETS, RUNNERS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ...files.atomic import read_json, write_json
from ...files.decoding import ImageError, decode_image, read_image_file
from ...mmdet_tools import ADDED
from ...multi_view.inference.safe_loading import refusing_code
from ...multi_view.inference.unreadable import is_unreadable
from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from ...text import format_error
from ...training.own_checkpoint import TrainingRunner
from ..stages.gains import find_results_key
from ..stages.stage_options import parse_options
from ..stages.stage_results import require_checkpoint
from .loads import refusing_other_weights
from .observer import Observer
from .quick_configs import quick_configs
from .shorten import keep_apart, shorten_training
from .stages_to_try import StageToTry

# The stages to try, and what became of them, in the folder of a rehearsal.
STAGES, RESULT = 'stages.json', 'result.json'
# So many unlabeled images are looked at for some that can be read.
MAX_LOOKED_AT = 20


# No `Exception`: datasets would take it for the fault of an image.
class TimeUpError(BaseException):
    """The rehearsal has taken longer than it may."""


@dataclass(frozen=True)
class RehearsalResult:
    """How far a rehearsal has come.

    Args:
        stage: The stage that is tried.
        doing: What it does, as the end of a sentence.
        error: The name of the error that has ended the rehearsal; empty if
            none has.
        text: The text of the error.
        place: Where the error was raised.
        is_complete: Whether all stages were tried.
    """

    stage: str = ''
    doing: str = ''
    error: str = ''
    text: str = ''
    place: str = ''
    is_complete: bool = False


def run_trials(folder: Path) -> int:
    """Try all stages, and write what became of them.

    Args:
        folder: The folder with `STAGES`. `RESULT` and the results of the
            stages go there. If `RESULT` cannot, an OSError is raised.

    Returns:
        The exit code: 1 if a stage has failed, otherwise 0.
    """
    request: Any = read_json(folder / STAGES)
    trials = Trials(folder)
    try:
        with limit_time(request['seconds']), refusing_code(), quick_configs():
            for stage in request['stages']:
                trials.run(StageToTry(**stage))
    # A stage may raise anything.
    except (Exception, TimeUpError) as error:
        traceback.print_exc()
        trials.fail(error)
        return 1
    trials.write(RehearsalResult(is_complete=True))
    return 0


@contextmanager
def limit_time(seconds: int) -> Iterator[None]:
    """Raise `TimeUpError` when the time is up.

    Args:
        seconds: The time in seconds; 0 for no limit.

    Yields:
        Nothing. The limit ends with the context.

    Raises:
        TimeUpError: If the time is up.
        ValueError: If another thread than the main one calls it.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        """End what runs."""
        raise TimeUpError(f'it has taken {seconds} s')

    # A signal, because no thread could end what runs.
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)  # 0 seconds set none.
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Trials:
    """Runs stages of which the later ones need the results of the earlier.

    Args:
        folder: The folder of the results. All methods but `load_labeled`
            raise an OSError if something cannot be written there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.teacher: Path | None = None
        self.result = RehearsalResult()

    def run(self, stage: StageToTry) -> None:
        """Try a stage, and free what it has used.

        Args:
            stage: The stage to try.

        Raises:
            Exception: Whatever the stage raises; also the errors of `train`
                and `detect`.
        """
        self.write(RehearsalResult(stage.name))
        self.say('while it is set up')
        if stage.is_training:
            self.train(stage)
        else:
            self.detect(stage)
        # A runner and its hooks hold each other.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def write(self, result: RehearsalResult) -> None:
        """Write how far the rehearsal has come.

        Args:
            result: How far it has come.
        """
        self.result = result
        write_json(self.folder / RESULT, asdict(result))

    def say(self, doing: str) -> None:
        """Write what the stage does.

        Args:
            doing: What it does, such as `while it is set up`.
        """
        self.write(replace(self.result, doing=doing))

    def fail(self, error: BaseException) -> None:
        """Write which error has ended the rehearsal.

        Args:
            error: The error.
        """
        self.write(
            replace(
                self.result,
                error=type(error).__name__,
                text=str(error) or format_error(error),
                place=find_raising_line(error),
            )
        )

    def train(self, stage: StageToTry) -> None:
        """Train for a step, validate, and evaluate what was saved.

        Args:
            stage: The training.

        Raises:
            StageError: If the training has left no whole checkpoint.
            FileNotFoundError, ImportError, ValueError: See `load_config`.
            CheckpointError: If it begins with weights of another model.
        """
        cfg = self.load_labeled(stage, ADDED['train.py'])
        folder = self.folder / stage.name
        keep_apart(cfg, f'{stage.name} trained', folder)
        number = shorten_training(cfg)
        runner = make_runner(cfg)
        runner.register_hook(Observer(self.say, number))
        with refusing_other_weights():
            runner.train()
        self.say('while its checkpoint is loaded')
        checkpoint = require_checkpoint(folder)
        self.evaluate(stage, checkpoint)
        # Only the teacher is needed later, and a checkpoint may have
        # gigabytes.
        if stage.name == 'teacher':
            self.teacher = checkpoint
        else:
            shutil.rmtree(folder)

    def evaluate(self, stage: StageToTry, checkpoint: Path) -> None:
        """Evaluate a model on a batch, as after its training.

        Args:
            stage: The training of the model.
            checkpoint: The weights of the model.

        Raises:
            FileNotFoundError, ImportError, ValueError: See `load_config`.
        """
        cfg = self.load_labeled(stage)
        if key := find_results_key(cfg):
            cfg.merge_from_dict({key: str(self.folder / 'results')})
        cfg.load_from = str(checkpoint)
        keep_apart(cfg, f'{stage.name} tested', self.folder / 'test')
        runner = make_runner(cfg)
        runner.register_hook(Observer(self.say))
        self.say('while it is evaluated')
        runner.test()

    def load_labeled(
        self, stage: StageToTry, added: dict[str, object] | None = None
    ) -> Config:
        """Read the config of a model, with the pseudo labels of this trial.

        Args:
            stage: The model.
            added: What the tool of the stage adds to its config; None for
                nothing.

        Returns:
            The config.

        Raises:
            FileNotFoundError, ImportError, ValueError: See `load_config`.
        """
        cfg = load_config(stage, added)
        if stage.labels_key:
            labels = self.folder / 'annotate' / PSEUDO_LABELS
            cfg.merge_from_dict({stage.labels_key: str(labels)})
        return cfg

    def detect(self, stage: StageToTry) -> None:
        """Let the teacher detect on a batch, and make labels of it.

        Args:
            stage: The stage, `annotate`, `validate` or `tune`.

        Raises:
            FileNotFoundError: If the config does not exist.
            ImportError: If the config imports a module that is not there.
            ValueError: If an option cannot be used, or no image can, see
                `find_readable`.
        """
        cfg = load_config(stage)
        cfg.load_from = stage.teacher or str(self.teacher)
        keep_apart(cfg, f'{stage.name} run', self.folder / stage.name)
        if stage.name == 'tune':
            # Choosing by one image would say nothing. All views are tried.
            cfg.dry_run, cfg.dry_run_seconds = True, math.inf
        if stage.validation_key:
            detections = self.folder / 'validate/detections'
            cfg.merge_from_dict({stage.validation_key: str(detections)})
        self.say('while it reads images')
        cfg.test_dataloader.dataset.indices = find_readable(cfg)
        runner = make_runner(cfg)
        runner.register_hook(Observer(self.say))
        self.say('while it detects on its first images')
        runner.test()


def load_config(
    stage: StageToTry, added: dict[str, object] | None = None
) -> Config:
    """Read the config of a stage, with the changes of this run.

    Args:
        stage: The stage.
        added: What the tool of the stage adds to its config: key with dots ->
            value; None for nothing.

    Returns:
        The config, with the values of the run and the options; the options
        come last. MMEngine's default scope is that of this config.

    Raises:
        FileNotFoundError: If the config does not exist.
        ImportError: If the config imports a module that is not there.
        ValueError: If an option is not `KEY=VALUE`.
    """
    cfg = Config.fromfile(stage.config)
    changes = {**(added or {}), **stage.values, **parse_options(stage.options)}
    cfg.merge_from_dict(changes)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return cfg


def make_runner(cfg: Config) -> Runner:
    """Make a runner as MMDetection's tools do.

    Args:
        cfg: The config of the stage.

    Returns:
        The runner. Whatever building it raises is passed on.
    """
    is_plain = 'runner_type' not in cfg
    return TrainingRunner.from_cfg(cfg) if is_plain else RUNNERS.build(cfg)


def find_readable(cfg: Config) -> list[int]:
    """Find a batch of images that can be read.

    Args:
        cfg: The config of a stage that detects.

    Returns:
        The indices of the images, in order: at least one, and at most as many
        as a batch has. They count the images of the dataset before its own
        `indices` choose some.

    Raises:
        ValueError: If the pipeline fails on an image that can be decoded, if
            the first images cannot be, or if there is none.
    """
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    indices = cfg.test_dataloader.dataset.get('indices')
    if not len(dataset):
        raise ValueError('there is no image to detect on')
    found: list[int] = []
    for number in range(min(len(dataset), MAX_LOOKED_AT)):
        samples = dataset[number]['data_samples']
        sample = samples[0] if isinstance(samples, list) else samples
        if not is_unreadable(sample):
            is_list = isinstance(indices, list)
            found.append(indices[number] if is_list else number)
        elif is_decodable(sample.img_path):
            # The file is sound, so others would fail in the same way.
            raise ValueError(f'its pipeline fails: {sample.unreadable}')
        if len(found) == (cfg.test_dataloader.get('batch_size') or 1):
            break
    if not found:
        raise ValueError(
            f'none of the first {min(len(dataset), MAX_LOOKED_AT)} images '
            f'can be read, such as {sample.img_path}: {sample.unreadable}'
        )
    return found


def is_decodable(path: str) -> bool:
    """Return whether an image file can be decoded.

    Args:
        path: The path of the file.

    Returns:
        Whether it can be decoded; False if there is no such file.
    """
    try:
        decode_image(read_image_file(path))
    except ImageError:
        return False
    return True


def find_raising_line(error: BaseException) -> str:
    """Find where an error was raised, outside of PyTorch.

    Args:
        error: The error, with its traceback.

    Returns:
        The last three parts of the path, and the line; empty if it is not
        known.
    """
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if '/torch/' not in frame.filename:
            parts = Path(frame.filename).parts[-3:]
            return f'{Path(*parts)}, line {frame.lineno}'
    return ''
