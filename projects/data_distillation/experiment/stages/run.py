"""Runs an experiment from the teacher to the comparison."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...files.atomic import write_json
from ...label_files.coco.measures import measure_pseudo_labels
from ..given_teachers.evaluation import (
    add_speeds,
    check_teachers,
    describe_models,
    forget_record,
    name_teacher,
    read_record,
    record_models,
)
from ..processes.log import say
from .comparison import find_best_round, summarize_models, summarize_seeds
from .gains import find_truth, link_best_model, measure_gains
from .next_steps import (
    advise_on_gain,
    describe_teacher,
    warn_of_labels,
    warn_of_passes,
    warn_of_teacher,
)
from .stage_results import (
    name_round_dir,
    require_checkpoint,
    set_rounds_aside,
)
from .stages import Stages
from .training import count_passes


@dataclass(frozen=True)
class Distillation:
    """A run of an experiment.

    Args:
        stages: The stages of the experiment.
        work_dir: The folder of the results. It has one folder per stage; the
            stages of the second round are in `round2/` and so on.
        num_rounds: The largest number of rounds, 1 or more. A round annotates
            and trains a student, which is the teacher of the next round.
    """

    stages: Stages
    work_dir: Path
    num_rounds: int = 1

    def check(self) -> None:
        """Find the mistakes in all stages before the first one runs.

        Raises:
            ValueError: If the data or the options of a stage cannot be used.
            FileNotFoundError: If a file of a stage, or the checkpoint of a
                given teacher, does not exist.
            CheckpointError: If a given teacher is of another model or lacks a
                class, or the student cannot teach a second round.
            RuntimeError: If the checkpoint of a given teacher is cut short.
            ImportError: If a config imports a module that is not there.
        """
        experiment = self.stages.experiment
        experiment.check(can_teach=self.num_rounds > 1)
        if experiment.teachers:
            check_teachers(experiment, self.num_rounds)

    def run(self) -> dict:
        """Run all stages that are not finished, and compare the models.

        Returns:
            The summary, see `comparison.summarize_models`. It is also written
            to `work_dir/summary.json`.

        Raises:
            StageError: If a stage fails, or its folder holds results of
                another seed. The next call goes on with this stage.
            SystemExit: If a signal stops this process.
            ValueError: If the data of a later stage cannot be used; before the
                first training.
            FileNotFoundError: If a file of a later stage does not exist;
                before the first training.
            StoreError: If shards of a stage differ in what made them.
            CheckpointError, RuntimeError: See `check`.
            ImportError: If a config imports a module that is not there.
            OSError: If a file in the work folder cannot be written.
        """
        self.check()
        teacher = self._get_teacher()
        rounds = self._run_rounds(teacher)
        checkpoints = {'teacher': teacher}
        for model in self.stages.experiment.models:
            # The rounds have trained these.
            if model not in ('teacher', 'student'):
                folder = self.work_dir / model
                checkpoints[model] = self.stages.train(model, folder)
        models = {
            model: self._evaluate(model, checkpoint)
            for model, checkpoint in checkpoints.items()
        }
        models |= self._evaluate_others()
        summary = summarize_models(models, rounds)
        # Added only now: the rounds have evaluated the students.
        checkpoints['student'] = self._find_student(rounds)
        if given := read_record(self.work_dir):
            # Rounds train the same detector.
            summary['given'] = add_speeds(given, self.work_dir)
        if self.stages.experiment.can_evaluate:
            summary |= self._judge(summary, checkpoints)
            for line in advise_on_gain(summary):
                say(line)
        write_json(self.work_dir / 'summary.json', summary)
        return summary

    def preview(self, num_images: int) -> Path:
        """Annotate a few images, and say what to expect of their labels.

        The teacher is trained, and views and merger are chosen, if that is
        left to do.

        Args:
            num_images: The number of unlabeled images, 1 or more.

        Returns:
            The folder with the detections and the pseudo labels.

        Raises:
            StageError: If a stage fails, or has results of another seed.
            SystemExit: If a signal stops this process.
            ValueError: If the data of a stage cannot be used.
            FileNotFoundError: If a file of a stage does not exist.
            StoreError: If shards of a stage differ in what made them.
            CheckpointError, RuntimeError: See `check`.
            ImportError: If a config imports a module that is not there.
            OSError: If a file in the work folder cannot be written.
        """
        self.check()
        teacher = self._get_teacher()
        self._warn_of_teacher(teacher)
        stages = self.stages.tune(self.work_dir / 'tune', teacher)
        folder = self.work_dir / 'preview'
        labels = stages.with_few_images(num_images).annotate(folder, teacher)
        self._expect(stages, self.work_dir, teacher, labels)
        return folder

    def _get_teacher(self) -> Path:
        """Return the checkpoint of the teacher; train it if none is given."""
        folder = self.work_dir / 'teacher'
        given = self.stages.experiment.teachers
        if not given:
            forget_record(folder)
            return self.stages.train('teacher', folder)
        for name, text in describe_models(
            record_models(self.stages.experiment, folder)
        ):
            say(f'{name}: {text}')
        return given[0]

    def _evaluate_others(self) -> dict[str, dict]:
        """Return the metrics of the given teachers after the first."""
        numbers = range(1, len(self.stages.experiment.teachers))
        if not self.stages.experiment.can_evaluate:
            return {name_teacher(n): {} for n in numbers}
        return {
            name_teacher(n): self.stages.evaluate_given(n, self.work_dir)
            for n in numbers
        }

    def _find_student(self, rounds: Sequence[dict]) -> Path:
        """Return the checkpoint of the student in the summary."""
        number = 1 + find_best_round(rounds)
        folder = name_round_dir(self.work_dir, number) / 'student'
        return require_checkpoint(folder)

    def _judge(self, summary: dict, checkpoints: dict[str, Path]) -> dict:
        """Compare the student with its rivals, and link the best model.

        Args:
            summary: The metrics of each model.
            checkpoints: The checkpoint of each model.

        Returns:
            What to add to the summary: `gains` over each rival, if they can be
            measured, and `best_model`.
        """
        # The oracle has seen labels that nobody has, so it is no model to use.
        rivals = {
            name: checkpoint
            for name, checkpoint in checkpoints.items()
            if name != 'oracle'
        }
        folders = {n: path.parent / 'test' for n, path in rivals.items()}
        if 'given' in summary:
            folders['teacher'] = self.work_dir / 'teacher' / 'test'
            # It is there already, and may be too large to ship.
            del rivals['teacher']
        mean_aps = {name: summary[name]['bbox_mAP'] for name in rivals}
        added: dict = {}
        truth = find_truth(self.stages.experiment.load('student'))
        if truth:
            student = folders.pop('student')
            gains = measure_gains(student, folders, truth)
            added['gains'] = {n: asdict(gain) for n, gain in gains.items()}
        added['best_model'] = link_best_model(self.work_dir, mean_aps, rivals)
        return added

    def _evaluate(
        self, model: str, checkpoint: Path, labels: Path | None = None
    ) -> dict:
        if not self.stages.experiment.can_evaluate:
            return {}
        if model == 'teacher' and self.stages.experiment.teachers:
            return self.stages.evaluate_given(0, self.work_dir)
        folder = checkpoint.parent
        return self.stages.evaluate(model, folder, checkpoint, labels)

    def _run_rounds(self, teacher: Path) -> list[dict]:
        """Run rounds until a student is not better than its teacher.

        Args:
            teacher: The checkpoint of the first teacher.

        Returns:
            The result of each round, see `comparison.summarize_models`.
        """
        rounds: list[dict] = []
        before = self._warn_of_teacher(teacher)
        for number in range(1, self.num_rounds + 1):
            folder = name_round_dir(self.work_dir, number)
            stages = self.stages.tune(folder / 'tune', teacher)
            labels = stages.annotate(folder / 'annotate', teacher)
            quality = self._measure_labels(labels)
            warn_of_no_labels(quality)
            expected = self._expect(stages, folder, teacher, labels)
            teacher = self.stages.train('student', folder / 'student', labels)
            after = self._evaluate('student', teacher, labels)
            rounds.append(dict(student=after, pseudo_labels=quality))
            if expected:
                rounds[-1]['expected_labels'] = expected
            if number == self.num_rounds:
                break
            if not is_better(before, after):
                set_rounds_aside(self.work_dir, number + 1)
                break
            say(f'\nround {number + 1}: the student is now the teacher')
            before = after
        return rounds

    def _warn_of_teacher(self, teacher: Path) -> dict:
        """Return and log the metrics of a teacher; warn if it is weak."""
        metrics = self._evaluate('teacher', teacher)
        if not metrics:
            return metrics
        say(f'\n{describe_teacher(metrics)}')
        for line in warn_of_teacher(metrics):
            say(line)
        return metrics

    def _expect(
        self, stages: Stages, folder: Path, teacher: Path, labels: Path
    ) -> dict | None:
        """Log and return what to expect of labels; None if it is not known."""
        expected = stages.expect(folder / 'validate', teacher, labels)
        if expected is None:
            return None
        say(f'\n{expected.format()}')
        figures = expected.to_dict()
        for line in warn_of_labels(figures):
            say(line)
        return figures

    def _measure_labels(self, labels: Path) -> dict:
        """Return the number and, if possible, the quality of the labels."""
        experiment = self.stages.experiment
        if experiment.unlabeled_truth:
            quality = measure_pseudo_labels(labels, experiment.unlabeled_truth)
        else:
            quality = count_labels(json.loads(labels.read_bytes()))
        passes = count_passes(
            experiment.load('student'),
            quality['images'],
            self.stages.launcher.num_processes,
        )
        for line in warn_of_passes(passes):
            say(line)
        return quality if passes is None else dict(quality, passes=passes)


def count_labels(coco: dict) -> dict[str, int]:
    """Count images and pseudo labels.

    Args:
        coco: The content of a file of pseudo labels.

    Returns:
        The numbers of `images` and of `instances`, without regions to ignore.
    """
    labels = coco.get('annotations', ())
    return dict(
        images=len(coco['images']),
        instances=sum(not label.get('iscrowd') for label in labels),
    )


def warn_of_no_labels(quality: dict) -> None:
    """Log a warning if there is no pseudo label at all.

    Args:
        quality: The numbers of the pseudo labels, `instances` and `images`.
    """
    if not quality['instances']:
        say(
            f'warning: there is no pseudo label on {quality["images"]:,} '
            'images. The student takes them for background, and a pipeline '
            'that drops images without labels fails. Train the teacher '
            'longer, or select with a lower score (docs/selection.md)'
        )


def is_better(teacher: dict, student: dict) -> bool:
    """Return whether a student is better than its teacher; log if not.

    Args:
        teacher: The metrics of the teacher.
        student: The metrics of the student.

    Returns:
        Whether the box mAP of the student is above that of the teacher.
    """
    before, after = (model['bbox_mAP'] for model in (teacher, student))
    if after <= before:
        say(
            f'no further round: the student has {100 * after:.1f} mAP, its '
            f'teacher has {100 * before:.1f}'
        )
    return after > before


def make_seed_runs(
    distillation: Distillation, seeds: Sequence[int]
) -> dict[int, Distillation]:
    """Make the run for each seed.

    Args:
        distillation: The run to repeat. The results with seed 0 are in the
            folder `seed0/` of its work folder, and so on.
        seeds: The seeds; one that comes again makes no other run.

    Returns:
        Seed -> run, in order.
    """
    return {
        seed: replace(
            distillation,
            stages=replace(distillation.stages, seed=seed),
            work_dir=distillation.work_dir / f'seed{seed}',
        )
        for seed in seeds
    }


def run_seeds(runs: Mapping[int, Distillation], work_dir: Path) -> dict:
    """Run an experiment with several seeds.

    Args:
        runs: Seed -> run, two or more, see `make_seed_runs`.
        work_dir: The folder that `summary.json` is written to.

    Returns:
        The summary, see `comparison.summarize_seeds`.

    Raises:
        StageError: If a stage fails, or has results of another seed.
        SystemExit: If a signal stops this process.
        StatisticsError: If there is only one run, after it.
        ValueError, RuntimeError: See `Distillation.run`.
        FileNotFoundError: If a file of a stage does not exist.
        ImportError: If a config imports a module that is not there.
        OSError: If a file in a work folder cannot be written.
    """
    summaries = {}
    for seed, one in runs.items():
        say(f'\nseed {seed}')
        summaries[seed] = one.run()
    summary = summarize_seeds(summaries)
    write_json(work_dir / 'summary.json', summary)
    return summary
