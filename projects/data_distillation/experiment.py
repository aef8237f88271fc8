"""Runs an experiment: a folder of stage configs, from teacher to table."""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import DATASETS, HOOKS
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from rich.table import Table

from .checkpoints import sha256_of
from .child_process import ChildProcess
from .coco import write_json
from .coco_writer import read_origin
from .hooks import AnnotationHook
from .metrics import METRICS, pseudo_label_quality
from .resuming import last_checkpoint
from .selection_report import render

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
PSEUDO_LABELS = 'pseudo_labels.json'
# Each needs the memory of a detector, and there may be many cores.
MAX_CPU_PROCESSES = 8
# Evaluated models, in the order of the table, with what they stand for.
MODELS = {
    'teacher': 'labeled: lower bound',
    'supervised_long': "labeled, student's schedule",
    'student': 'labeled + pseudo-labeled',
    'oracle': 'labeled + truth: upper bound',
}


class StageError(RuntimeError):
    """A stage of an experiment failed; the message says how to go on."""


@dataclass(frozen=True)
class Experiment:
    """A folder of stage configs, and where its results go.

    Args:
        folder: With `teacher.py`, `annotate.py`, `student.py` and, if wanted,
            `supervised_long.py` and `oracle.py`.
        work_dir: One folder per stage goes here.
        models: Which of `MODELS` to train.
        num_processes: How many processes train and annotate. On a CPU more
            of them annotate, up to `MAX_CPU_PROCESSES`: there is nothing to
            gain from training in several.
        seed: The random seed of all trainings; None to leave it open.
        options: Of every stage's config, as `--cfg-options` takes them.

    Raises:
        FileNotFoundError: If a stage config does not exist.
    """

    folder: Path
    work_dir: Path
    models: tuple[str, ...]
    num_processes: int = 1
    seed: int | None = None
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for stage in ('annotate', *self.models):
            if not self.config(stage).is_file():
                raise FileNotFoundError(
                    f'{self.folder} is no experiment with these options: '
                    f'{self.config(stage)} not found'
                )

    def config(self, stage: str) -> Path:
        """Return the config file of a stage."""
        return self.folder / f'{stage}.py'

    def load(self, stage: str) -> Config:
        """Return the config of a stage, with the options."""
        cfg = Config.fromfile(self.config(stage))
        cfg.merge_from_dict(parse_options(self.options))
        return cfg

    def run(self) -> dict:
        """Run all stages that are not finished, and compare.

        Returns:
            The summary, which is in `work_dir/summary.json` too: the metrics
            of each model, `gap_closed` (None without an oracle) and
            `pseudo_labels`.

        Raises:
            StageError: If a stage fails, or its folder holds results of other
                settings. Run again, it goes on there.
            ValueError, FileNotFoundError: Before the first training, if the
                data of a later stage cannot be used.
        """
        self.check()
        self._train('teacher')
        self._annotate()
        summary = {}
        for model in self.models:
            self._train(model)
            summary[model] = self._evaluate(model)
        summary['gap_closed'] = gap_closed(summary)
        summary['pseudo_labels'] = self._pseudo_label_quality()
        write_json(self.work_dir / 'summary.json', summary)
        return summary

    @property
    def pseudo_labels(self) -> Path:
        """The file of pseudo labels."""
        return self.work_dir / 'annotate' / PSEUDO_LABELS

    def check(self) -> None:
        """Find mistakes of the later stages before the first training.

        Raises:
            ValueError, FileNotFoundError: If the data of a stage cannot be
                used.
        """
        pseudo_label_key(self.load('student'))
        cfg = self.load('annotate')
        truth = cfg.get('unlabeled_truth')
        if truth and not Path(truth).is_file():
            raise FileNotFoundError(
                f'`unlabeled_truth` of {self.config("annotate")} not found: '
                f'{truth}; remove it where the truth is not known'
            )
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        for hook in map(HOOKS.build, cfg.custom_hooks):
            if isinstance(hook, AnnotationHook):
                hook.check_data(dataset)

    def _begin(self, stage: str, **inputs: str | None) -> Path:
        """Return the stage's folder, which holds nothing of other settings."""
        folder = self.work_dir / stage
        config = self.load(stage).to_dict()
        if stage == 'annotate':
            config = without_selection(config)
        text = json.dumps(config, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        wanted = dict(config=digest, seed=self.seed, **inputs)
        note = folder / 'settings.json'
        found = json.loads(note.read_bytes()) if note.is_file() else wanted
        differing = sorted(k for k in wanted if wanted[k] != found.get(k))
        if differing:
            raise StageError(
                f'{folder} holds results of other settings ({differing} '
                'changed): delete it to run the stage again, or use another '
                '--work-dir'
            )
        write_json(note, wanted)
        return folder

    def _train(self, stage: str) -> None:
        """Train until the checkpoint of the last iteration is there."""
        options = [] if self.seed is None else [f'randomness.seed={self.seed}']
        inputs = {}
        if stage == 'student':
            key = pseudo_label_key(self.load(stage))
            options.append(f'{key}={self.pseudo_labels}')
            inputs = dict(pseudo_labels=sha256_of(self.pseudo_labels))
        folder = self._begin(stage, **inputs)
        if (folder / 'finished').is_file():
            print(f'{stage}: trained already, in {folder}')
            return
        checkpoint = last_checkpoint(folder)
        arguments = ['--work-dir', folder]
        arguments += ['--resume', checkpoint] if checkpoint else []
        self._call('train', self.config(stage), *arguments, options=options)
        shutil.rmtree(folder / 'test', ignore_errors=True)
        (folder / 'finished').touch()

    def _annotate(self) -> None:
        teacher = last_checkpoint(self.work_dir / 'teacher')
        folder = self._begin('annotate', teacher=sha256_of(teacher))
        config = self.config('annotate')
        if self._is_selected():
            print(f'annotate: done already, {self.pseudo_labels}')
            return
        self._call(
            'test',
            config,
            teacher,
            *('--work-dir', folder),
            num_processes=self._annotating_processes(),
        )
        if not self.pseudo_labels.is_file():
            raise StageError(
                f'annotation ended without writing {self.pseudo_labels}: run '
                'the same again'
            )

    def _is_selected(self) -> bool:
        """Say whether there are pseudo labels, by the config's rules."""
        if not self.pseudo_labels.is_file():
            return False
        used = read_origin(self.pseudo_labels).get('selection')
        hooks = self.load('annotate').custom_hooks
        rules = [
            # As it comes back from the file: tuples become lists.
            json.loads(json.dumps(hook.rules.config))
            for hook in map(HOOKS.build, hooks)
            if isinstance(hook, AnnotationHook)
        ]
        return rules == [used]

    def _annotating_processes(self) -> int:
        """Without a GPU: one process a core, since each runs on its own."""
        if torch.cuda.is_available():
            return self.num_processes
        num_cores = len(os.sched_getaffinity(0))
        return max(self.num_processes, min(num_cores, MAX_CPU_PROCESSES))

    def _evaluate(self, stage: str) -> dict:
        """Return COCO's box metrics of a model, measured once."""
        folder = self.work_dir / stage / 'test'
        if not newest_metrics(folder):
            checkpoint = last_checkpoint(self.work_dir / stage)
            self._call(
                'test', self.config(stage), checkpoint, '--work-dir', folder
            )
        return newest_metrics(folder)

    def _pseudo_label_quality(self) -> dict:
        """Compare with the truth, if `annotate.py` names `unlabeled_truth`."""
        truth = self.load('annotate').get('unlabeled_truth')
        if truth:
            return pseudo_label_quality(self.pseudo_labels, truth)
        labels = json.loads(self.pseudo_labels.read_bytes())
        return dict(
            images=len(labels['images']), instances=len(labels['annotations'])
        )

    def _call(
        self,
        tool: str,
        *arguments: str | Path,
        num_processes: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Run `tools/train.py` or `tools/test.py` and show the command."""
        if options := [*options, *self.options]:
            arguments = [*arguments, '--cfg-options', *options]
        num_processes = num_processes or self.num_processes
        command = ['python', TOOLS / f'{tool}.py', *arguments]
        if num_processes > 1:
            # The scripts take the number of processes as the last argument
            # by position.
            at = next(
                i for i, a in enumerate(arguments) if str(a).startswith('--')
            )
            command = [
                TOOLS / f'dist_{tool}.sh',
                *arguments[:at],
                num_processes,
                *arguments[at:],
            ]
        run_command([str(part) for part in command])


def without_selection(config: dict) -> dict:
    """Leave out of an annotate config what detections do not depend on."""
    hooks = [dict(hook, selection=None) for hook in config['custom_hooks']]
    return dict(config, custom_hooks=hooks)


def run_command(command: list[str]) -> None:
    """Show a command and run it, with this Python as `python`.

    Raises:
        StageError: If it fails.
        SystemExit: See `ChildProcess.run`.
    """
    shown = shlex.join(
        part.replace(f'{Path.cwd()}/', '', 1) for part in command
    )
    print(f'\n$ {shown}', flush=True)
    environment = dict(
        os.environ,
        PATH=f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
    )
    code = ChildProcess(command, environment).run()
    if code:
        raise StageError(
            f'this command ended with exit code {code}: {shown}\n'
            'What is finished is kept: run the same again to go on'
        )


def newest_metrics(folder: Path) -> dict | None:
    """Read the metrics that the last evaluation wrote.

    Args:
        folder: The work folder of `tools/test.py`.

    Returns:
        COCO's metrics without their prefix, such as `bbox_mAP`; None if there
        is no evaluation.
    """
    files = sorted(folder.glob('*/[0-9]*.json'))
    if not files:
        return None
    metrics = json.loads(files[-1].read_bytes())
    # CocoMetric reports nothing at all for a model that detects nothing.
    nothing = dict.fromkeys(METRICS, 0.0)
    prefix = 'coco/'
    return nothing | {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }


def parse_options(options: Sequence[str]) -> dict:
    """Return what `--cfg-options` makes of its arguments.

    Args:
        options: Such as `model.bbox_head.num_classes=3`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    return parser.parse_args(['--options', *options]).options or {}


def pseudo_label_key(config: Config) -> str:
    """Find where a student's config names the file of pseudo labels.

    Args:
        config: The config.

    Returns:
        The key with dots, for `--cfg-options`.

    Raises:
        ValueError: If it does not name exactly one `pseudo_labels.json`.
    """
    loader = config.train_dataloader
    keys = list(find_values(loader, 'train_dataloader'))
    if len(keys) != 1:
        raise ValueError(
            f'train_dataloader of {config.filename} must name one ann_file '
            f'.../{PSEUDO_LABELS}, found {len(keys)}'
        )
    return keys[0]


def find_values(value: object, key: str) -> Iterator[str]:
    """Yield the dotted keys of all values that name the pseudo-label file."""
    children: list = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, (list, tuple)):
        children = list(enumerate(value))
    elif str(value).endswith(PSEUDO_LABELS):
        yield key
    for name, child in children:
        yield from find_values(child, f'{key}.{name}')


def gap_closed(summary: dict) -> float | None:
    """Return the share of the gap from teacher to oracle that is closed.

    Args:
        summary: The metrics of each model.

    Returns:
        (student - teacher) / (oracle - teacher) in box mAP; None without an
        oracle, or if the oracle is not above the teacher.
    """
    if 'oracle' not in summary:
        return None
    teacher, student, oracle = (
        summary[model]['bbox_mAP']
        for model in ('teacher', 'student', 'oracle')
    )
    if oracle <= teacher:
        return None
    return (student - teacher) / (oracle - teacher)


def comparison(summary: dict) -> str:
    """Make the table of the paper's Table 1a.

    Args:
        summary: As `Experiment.run` returns it.

    Returns:
        The table and a line each on the gap and on the pseudo labels.
    """
    table = Table(
        'model', 'trained on', title='Comparison on the validation set'
    )
    for metric in METRICS:
        table.add_column(metric.removeprefix('bbox_'), justify='right')
    for model in (model for model in MODELS if model in summary):
        values = [f'{100 * summary[model][metric]:.1f}' for metric in METRICS]
        table.add_row(model, MODELS[model], *values)
    lines = [render(table)]
    quality = summary['pseudo_labels']
    labels = '{instances:,} pseudo labels on {images:,} images'
    if quality.get('precision') is not None:
        labels += ', precision {precision:.3f}, recall {recall:.3f} at IoU 0.5'
    lines.append(labels.format(**quality))
    if summary['gap_closed'] is not None:
        lines.append(
            f'gap from teacher to oracle closed: {summary["gap_closed"]:.0%}'
        )
    return '\n'.join(lines)
