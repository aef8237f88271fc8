"""Runs an experiment, from teacher to table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..coco.evaluation import pseudo_label_quality
from ..files.atomic import write_json
from .comparison import summary_of, summary_of_seeds
from .log import say
from .stages import Stages


@dataclass(frozen=True)
class Distillation:
    """An experiment and where its results go.

    Args:
        stages: What to run.
        work_dir: One folder per stage goes here, those of the second round
            and later into `round2/` and so on.
        num_rounds: How often to annotate and train a student, at most: each
            student is the teacher of the next round.
    """

    stages: Stages
    work_dir: Path
    num_rounds: int = 1

    def run(self) -> dict:
        """Run all stages that are not finished, and compare.

        Returns:
            The summary, which is in `work_dir/summary.json` too, see
            `comparison.summary_of`.

        Raises:
            StageError: If a stage fails, or its folder holds results of
                another seed. Run again, it goes on there.
            ValueError, FileNotFoundError: Before the first training, if the
                data of a later stage cannot be used.
        """
        experiment = self.stages.experiment
        experiment.check(can_teach=self.num_rounds > 1)
        teacher = self.stages.train('teacher', self.work_dir / 'teacher')
        rounds = self._rounds(teacher)
        models = {'teacher': self._evaluated('teacher', teacher)}
        for model in experiment.models:
            if model not in ('teacher', 'student'):
                checkpoint = self.stages.train(model, self.work_dir / model)
                models[model] = self._evaluated(model, checkpoint)
        summary = summary_of(models, rounds)
        write_json(self.work_dir / 'summary.json', summary)
        return summary

    def _evaluated(self, model: str, checkpoint: Path) -> dict:
        return self.stages.evaluate(model, checkpoint.parent, checkpoint)

    def _rounds(self, teacher: Path) -> list[dict]:
        """Annotate and train students until validation gains no more."""
        rounds: list[dict] = []
        before = self._evaluated('teacher', teacher)
        for number in range(1, self.num_rounds + 1):
            folder = round_dir(self.work_dir, number)
            labels = self.stages.annotate(folder / 'annotate', teacher)
            quality = self._label_quality(labels)
            warn_of_no_labels(quality)
            teacher = self.stages.train('student', folder / 'student', labels)
            after = self._evaluated('student', teacher)
            rounds.append(dict(student=after, pseudo_labels=quality))
            if number == self.num_rounds or not gains(before, after):
                break
            say(f'\nround {number + 1}: the student is the teacher')
            before = after
        return rounds

    def _label_quality(self, labels: Path) -> dict:
        """Compare with the truth, if `annotate.py` names `unlabeled_truth`."""
        truth = self.stages.experiment.unlabeled_truth
        if truth:
            return pseudo_label_quality(labels, truth)
        content = json.loads(labels.read_bytes())
        return dict(
            images=len(content['images']),
            instances=len(content['annotations']),
        )


def warn_of_no_labels(quality: dict) -> None:
    """Say what it means if there is no pseudo label at all."""
    if not quality['instances']:
        say(
            f'warning: not one pseudo label on {quality["images"]:,} images: '
            'the student takes them for background, and a pipeline that drops '
            'images without labels fails. Train the teacher for longer, or '
            'select from a lower score (docs/selection.md)'
        )


def gains(teacher: dict, student: dict) -> bool:
    """Say whether a student is better than its teacher."""
    before, after = (model['bbox_mAP'] for model in (teacher, student))
    if after <= before:
        say(
            f'no further round: the student has {100 * after:.1f} mAP, its '
            f'teacher {100 * before:.1f}'
        )
    return after > before


def round_dir(work_dir: Path, number: int) -> Path:
    """Return where the results of a round go, counted from 1."""
    return work_dir / f'round{number}' if number > 1 else work_dir


def per_seed(
    distillation: Distillation, seeds: Sequence[int]
) -> dict[int, Distillation]:
    """Return what is run with each seed, in a folder of its own.

    Args:
        distillation: With any seed; `seed0/` and so on go to its work folder.
        seeds: The seeds.
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
        runs: By seed, two or more, see `per_seed`.
        work_dir: Where the summary goes, `summary.json`.

    Returns:
        The summary, see `comparison.summary_of_seeds`.

    Raises:
        StageError, ValueError, FileNotFoundError: See `Distillation.run`.
    """
    summaries = {}
    for seed, one in runs.items():
        say(f'\nseed {seed}')
        summaries[seed] = one.run()
    summary = summary_of_seeds(summaries)
    write_json(work_dir / 'summary.json', summary)
    return summary
