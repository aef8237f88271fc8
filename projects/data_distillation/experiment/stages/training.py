"""Trains one model of an experiment to its end."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ...pseudo_labels.freshness.image_states import save_digests
from ...pseudo_labels.freshness.weights import hash_weights
from ...pseudo_labels.selection.coco_writer import hash_labels
from ...training.finished import (
    FINISHED,
    find_ending,
    mark_finished,
    read_record,
)
from ...training.own_checkpoint import RUN_VARIABLE
from ...training.resume import find_sound_checkpoint
from ..processes.log import say
from ..processes.process import StageError, run_stage
from ..processes.progress_bar import Counter, TrainedIterations
from .definition import Experiment, find_pseudo_label_key
from .fingerprint import (
    IMAGE_FILES,
    SETTINGS,
    TRAINING_KEYS,
    WEIGHTS,
    collect_training_settings,
    list_differences,
    pick_keys,
    read_settings,
    write_settings,
)
from .launcher import Launcher
from .model_names import CONTROL
from .stage_results import (
    hash_read_images,
    is_link_to_teacher,
    make_flags,
    replace_file,
    replace_results,
    require_own_checkpoint,
)


@dataclass(frozen=True)
class Training:
    """The training of a model.

    Args:
        experiment: The stage configs.
        launcher: Makes the command.
        seed: The random seed; None if the config decides.
        stage: The name of the model, one of `TRAINED`.
        folder: The work folder of the stage.
        labels: The file of pseudo labels; None for other models than the
            student.
    """

    experiment: Experiment
    launcher: Launcher
    seed: int | None
    stage: str
    folder: Path
    labels: Path | None = None

    def run(self) -> Path:
        """Train the model to its last iteration, unless that was done.

        Returns:
            The checkpoint of the last iteration.

        Raises:
            StageError: If training fails, or if the folder holds results of
                another seed.
            SystemExit: If a signal stops this process.
            FileNotFoundError: If the config or the file of pseudo labels is
                missing.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
            OSError: If a file in the work folder cannot be written.
        """
        self.check_seed()
        if reasons := self.find_changes():
            replace_results(self.stage, self.folder, reasons)
        save_digests(self.folder.parent)
        ending = find_ending(self.folder)
        if ending.checkpoint:
            say(f'{self.stage}: already trained, in {self.folder}')
            if not read_record(self.folder):
                mark_finished(self.folder, ending.checkpoint)
            return ending.checkpoint
        if ending.fault:
            self._reopen(ending.fault)
        write_settings(self.folder, self.collect_settings())
        checkpoint = self._train()
        # The evaluation there was of the weights before.
        shutil.rmtree(self.folder / 'test', ignore_errors=True)
        mark_finished(self.folder, checkpoint)
        return checkpoint

    def find_changes(self) -> list[str]:
        """Find what has changed since the results were made.

        Returns:
            Reasons for a user; none if nothing has, or there are no results.

        Raises:
            FileNotFoundError: If the config or the file of pseudo labels is
                missing.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
        """
        is_known = (self.folder / SETTINGS).is_file()
        if read_record(self.folder) and not is_known:
            return [f'{SETTINGS} is missing']
        return list_differences(self.folder, self.collect_settings())

    def make_values(self) -> dict[str, object]:
        """Make the values of the config that are those of this run.

        The evaluation of the model gets them too: hooks of the training may
        build its dataset there.

        Returns:
            Key with dots -> value.

        Raises:
            FileNotFoundError: If there is no such config.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
        """
        values: dict[str, object] = {}
        if self.seed is not None:
            values['randomness.seed'] = self.seed
        if self.labels:
            key = find_pseudo_label_key(self.experiment.load(self.stage))
            values[key] = str(self.labels)
        return values

    def collect_settings(self) -> dict:
        """Collect the settings that the weights depend on.

        The folder of the pseudo labels does not count.

        Returns:
            Settings by name, see `collect_training_settings`.

        Raises:
            FileNotFoundError: If the config or the file of pseudo labels is
                missing.
            ImportError: If the config imports a module that is not there.
            ValueError: If the config or an option cannot be used, or the
                config of a student does not name one file of pseudo labels.
        """
        cfg = self.experiment.load(self.stage)
        images = self._hash_images(cfg)
        begin = dict(load_from=cfg.get('load_from'), model=cfg.get('model'))
        weights = hash_weights(begin)
        if self.labels:
            # The labels count by what is in them, below: the same file may be
            # at another path, or have another date.
            cfg.merge_from_dict({find_pseudo_label_key(cfg): ''})
        settings = collect_training_settings(
            cfg, self.seed, self.launcher.num_processes
        )
        if self.labels:
            settings['files'][self.labels.name] = hash_labels(self.labels)
        return {**settings, IMAGE_FILES: images, WEIGHTS: weights}

    def _hash_images(self, cfg: Config) -> dict[str, str | None]:
        """Hash the images of each COCO file, see `hash_read_images`."""
        cfg = cfg.copy()
        if self.labels:
            key = find_pseudo_label_key(cfg)
            cfg.merge_from_dict({key: str(self.labels)})
        images = hash_read_images(cfg.train_dataloader, self.folder.parent)
        if self.labels and (labels := str(self.labels)) in images:
            # By name, so that another work folder makes no difference.
            images[self.labels.name] = images.pop(labels)
        return images

    def check_seed(self) -> None:
        """Refuse results of another seed, which are not outdated.

        Raises:
            StageError: If the folder holds such results.
        """
        before = (read_settings(self.folder) or {}).get('seed', self.seed)
        if before == self.seed:
            return
        name, how = f'seed {before}', f'with --seed {before}'
        if before is None:
            name, how = 'a seed of the configs or by chance', 'without --seed'
        raise StageError(
            f'{self.folder} holds results of {name}, got seed {self.seed}: go '
            f'on with them {how}, or use another --work-dir, or --seeds'
        )

    def _reopen(self, fault: str) -> None:
        """Let a training go on that has lost its last checkpoint."""
        say(f'{self.stage}: trains to its end again, since {fault}')
        name = read_record(self.folder).get('checkpoint', '')
        # Only a file in this folder, whatever a changed record names.
        file = self.folder / Path(name).name
        if name and file.is_file():
            say(f'{file.name}: moved to {replace_file(file)}')
        (self.folder / FINISHED).unlink()

    def _train(self) -> Path:
        """Run the command, from the last checkpoint if there is one.

        Returns:
            The checkpoint that it has written last.
        """
        flags: list[str | Path] = []
        if resumed := find_sound_checkpoint(self.folder):
            flags += ['--resume', resumed]
        options = self.experiment.list_options(self.stage)
        flags += make_flags(self.make_values(), options)
        config = self.experiment.config(self.stage)
        command = self.launcher.make_training(config, self.folder, *flags)
        total = self.experiment.load(self.stage).train_cfg.get('max_iters')
        counter = Counter(TrainedIterations(self.folder), total)
        # Another run in the same folder could write a checkpoint too: see
        # `find_own_checkpoint`.
        run = uuid.uuid4().hex
        variables = {RUN_VARIABLE: run}
        run_stage(self.stage, command, self.folder, counter, variables)
        return require_own_checkpoint(self.folder, run, resumed)


def is_teacher_control(experiment: Experiment) -> bool:
    """Return whether the teacher of an experiment is its control, too.

    It is, if it is trained as long as the student.

    Args:
        experiment: The experiment.

    Returns:
        Whether the configs of both models have the same settings of training;
        False if the teacher is given, or if there is no config of the control.

    Raises:
        FileNotFoundError: If there is no config of the teacher.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used.
    """
    if experiment.teachers or not experiment.config(CONTROL).is_file():
        return False
    of_teacher, of_control = (
        pick_keys(experiment.load(stage), TRAINING_KEYS)
        for stage in ('teacher', CONTROL)
    )
    return of_teacher == of_control


def link_control(control: Training) -> None:
    """Let the teacher be the control, if both are trained in the same way.

    The folder of the control becomes a link to that of the teacher. If it has
    results with the present settings, it stays as it is.

    Args:
        control: The training of the control, in a folder beside `teacher/`.

    Raises:
        FileNotFoundError: If there is no config of the teacher.
        ImportError: If a config imports a module that is not there.
        ValueError: If a config or an option cannot be used.
        OSError: If an older link or older results cannot be moved away.
    """
    folder = control.folder
    if is_link_to_teacher(folder):
        folder.unlink()  # The lengths may have changed since then.
    if not is_teacher_control(control.experiment):
        return
    if folder.is_dir() and (reasons := control.find_changes()):
        replace_results(CONTROL, folder, reasons)
    if not folder.exists():
        try:
            # A relative link, so that the work folder can be moved.
            folder.symlink_to('teacher', target_is_directory=True)
        except OSError as error:  # Some file systems have no links.
            say(
                f'{CONTROL}: trained like the teacher and as long, since no '
                f'link can be made: {error}'
            )
            return
        say(f'{CONTROL}: the teacher, which is trained as long as the student')


def count_passes(
    student: Config, num_images: int, num_processes: int = 1
) -> float | None:
    """Count how often a student sees each pseudo-labeled image.

    Args:
        student: The config of the student.
        num_images: The number of pseudo-labeled images.
        num_processes: The number of processes that train.

    Returns:
        The mean over the images; None if there is no image, if the config
        counts epochs, or if its sampler has no ratio of sources.

    Raises:
        ValueError: See `find_pseudo_label_key`.
    """
    loader, loop = student.train_dataloader, student.train_cfg
    ratio = (loader.get('sampler') or {}).get('ratio')
    if not (ratio and num_images and loop.get('max_iters')):
        return None
    # train_dataloader.dataset.datasets.1.ann_file
    source = int(find_pseudo_label_key(student).split('.')[3])
    share = ratio[source] / sum(ratio)
    num_seen = loop.max_iters * loader.batch_size * num_processes * share
    return num_seen / num_images
