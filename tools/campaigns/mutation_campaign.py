"""Change a finished work folder at random, and run the same command again.

Each run must end in the results of a fresh run or in a clear refusal, and do
what its plan says. The stages are real, of a tiny experiment
(`toy_experiment.py`), in this process. The figures are in
docs/reliability.md. It goes on where it was stopped.

Example:
    python tools/campaigns/mutation_campaign.py --mutations 120
"""

import argparse
import gc
import hashlib
import io
import json
import os
import random
import re
import shutil
import sys
import time
import traceback
from collections import Counter
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / 'tests'))

import torch
from builders import load_tool
from input_mutations import Change, apply_change
from matplotlib.figure import Figure
from mmengine.config import Config
from mutations import MUTATIONS, Mutation
from shared_fixtures import StageHere, read_configs_once
from toy_experiment import write_experiment

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.experiment.processes import process
from projects.data_distillation.experiment.rehearsal.quick_configs import (
    quick_configs,
)
from projects.data_distillation.experiment.stages import gains
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.timing.time_plan import (
    list_planned_stages,
)
from projects.data_distillation.pseudo_labels.quality import expectation
from projects.data_distillation.pseudo_labels.tuning import search

OPTIONS = ('--control', '--seed', '1')
MODELS = ('teacher', 'supervised_long', 'student')


class Stage(StageHere):
    """Runs a stage here, unless it has several processes."""

    def run(self) -> int:
        """Run the command."""
        if self.command[0] == 'python':
            return super().run()
        # Past `StageHere`: it is run as a command.
        return super(StageHere, self).run()


@dataclass
class MutationResult:
    """How a run has ended.

    Args:
        code: The exit code.
        error: What it said at its end, if it has failed.
        commands: The stages that ran, `train teacher` and so on.
        planned: The stages of the plan -> what is to be done.
        crashes: The tracebacks of the command itself.
        results: What must be equal for equal results.
    """

    code: int = 0
    error: str = ''
    commands: list[str] = field(default_factory=list)
    planned: dict[str, str] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    results: dict = field(default_factory=dict)


def run_here(options: tuple[str, ...]) -> MutationResult:
    """Plan and run the command in the current folder.

    Args:
        options: The options of `tools/distill.py`.

    Returns:
        How it has ended. Errors of the command are in it and are not raised.
    """
    result = MutationResult()
    tool = load_tool('distill')
    command = [
        'distill.py', 'experiment', '--work-dir', 'work', '--no-rehearsal',
        *options,
    ]  # fmt: skip
    screen, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, 'argv', command),
        redirect_stdout(screen),
        redirect_stderr(errors),
    ):
        try:
            result.planned = plan(tool)
        except (OSError, ValueError, RuntimeError) as error:
            result.planned = dict(refused=str(error))
        except Exception:
            result.crashes.append('plan: ' + traceback.format_exc())
        screen.seek(0)  # Else what follows begins after as many zeros.
        screen.truncate()
        try:
            tool.main()
        except SystemExit as end:
            result.code, result.error = 1, str(end.code)
        except Exception:
            result.code = 1
            result.crashes.append(traceback.format_exc())
    text = screen.getvalue()
    result.commands = re.findall(
        r'^\$ .*?(train|test)\.(?:py|sh) \S*?(\w+)\.py', text, re.M
    )
    result.commands = [' '.join(one) for one in result.commands]
    if not result.code:
        result.results = collect_results(text)
    return result


def plan(tool: ModuleType) -> dict[str, str]:
    """Plan a run, as `tools/distill.py --dry-run` does.

    Args:
        tool: The module of `tools/distill.py`; it reads `sys.argv`.

    Returns:
        Stage -> what is to be done.
    """
    distillation = tool.make_distillation(tool.parse_args())
    distillation.check()
    return {step.name: step.text for step in list_planned_stages(distillation)}


def collect_results(text: str) -> dict:
    """Collect what must be equal for equal results.

    Args:
        text: What the command has printed; the other results are read from the
            work folder.

    Returns:
        The table, the summary, and hashes of labels, weights and detections.
    """
    work = Path('work')
    found: dict = dict(table=text.split('Comparison')[-1].split('report:')[0])
    found['summary'] = json.loads((work / 'summary.json').read_bytes())
    labels = json.loads((work / 'annotate/pseudo_labels.json').read_bytes())
    found['labels'] = hash_of([labels['images'], labels['annotations']])
    for model in MODELS:
        folder = work / model
        if model not in found['summary']:
            continue
        record = json.loads((folder / 'finished').read_bytes())
        weights = torch.load(folder / record['checkpoint'], weights_only=False)
        values = {k: v.tolist() for k, v in weights['state_dict'].items()}
        found[model] = hash_of(values)
        results = (folder / 'test/results.bbox.json').read_bytes()
        found[f'{model} detections'] = hash_of(json.loads(results))
    found['best'] = str(Path('work/best_model.pth').resolve().parent.name)
    return found


def hash_of(value: object) -> str:
    """Compute a hash of a value.

    Args:
        value: What JSON can hold.

    Returns:
        16 hexadecimal digits, equal for equal values.
    """
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@dataclass
class Campaign:
    """Mutations of one finished work folder.

    Args:
        folder: The folder of the campaign.
    """

    folder: Path

    def __post_init__(self) -> None:
        self.site = self.folder / 'site'
        self.finished = self.folder / 'finished'

    def prepare(self) -> None:
        """Make the experiment, and run it with two seeds.

        Raises:
            RuntimeError: If one of these runs fails.
            OSError: If a folder cannot be made, renamed or removed.
        """
        if self.finished.is_dir():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.site.mkdir(parents=True)
        write_experiment(self.site)
        other = self._run(('--control', '--seed', '2'))
        (self.site / 'work').rename(self.site / 'other_seed')
        first = self._run(OPTIONS)
        if other.code or first.code:
            raise RuntimeError(
                f'the experiment itself fails: {other}, {first}'
            )
        self._keep('', first)
        self.site.rename(self.finished)

    def _run(self, options: tuple[str, ...]) -> MutationResult:
        os.chdir(self.site)
        return run_here(options)

    def _keep(self, name: str, result: MutationResult) -> None:
        file = self.folder / 'fresh.json'
        known = json.loads(file.read_text()) if file.is_file() else {}
        known[name] = asdict(result)
        file.write_text(json.dumps(known, indent=1))

    def restore(self) -> None:
        """Put the finished folder back to where it was made.

        Raises:
            OSError: If the folder cannot be copied.
        """
        os.chdir(self.folder)
        shutil.rmtree(self.site, ignore_errors=True)
        shutil.copytree(self.finished, self.site, symlinks=True)

    def expect(self, change: Change) -> MutationResult:
        """Find what a fresh run gives.

        Args:
            change: The change. The fresh run gets it too, if it is one of the
                inputs.

        Returns:
            The result of the fresh run. It is run once for each change.

        Raises:
            OSError: If a folder cannot be copied or removed.
        """
        known = json.loads((self.folder / 'fresh.json').read_text())
        if change.name not in known:
            self.restore()
            shutil.rmtree(self.site / 'work')
            apply_change(self.site, change.name)
            self._keep(change.name, self._run(change.options or OPTIONS))
            return self.expect(change)
        return MutationResult(**known[change.name])

    def mutate(self, number: int) -> dict:
        """Change something, run again, and judge.

        Args:
            number: The number of the mutation, its random seed.

        Returns:
            A line of `outcomes.jsonl`: number, kind and text of the change,
            the verdict of `judge`, seconds, and the result without its
            results.

        Raises:
            OSError: If the folder cannot be copied.
        """
        chance = random.Random(number)
        kind = choose_kind(number, chance)
        self.restore()
        change = kind(self.site, chance)
        begin = time.monotonic()
        result = self._run(change.options or OPTIONS)
        seconds = time.monotonic() - begin
        verdict = self.judge(change, result)
        return dict(
            number=number,
            kind=kind.__name__,
            text=change.text,
            verdict=verdict,
            seconds=round(seconds),
            **{k: v for k, v in asdict(result).items() if k != 'results'},
        )

    def judge(self, change: Change, result: MutationResult) -> str:
        """Say whether a run has ended as it must.

        Args:
            change: What was changed before the run.
            result: How the run has ended.

        Returns:
            The verdict. It begins with `BAD` if the run has ended as it must
            not.

        Raises:
            OSError: If a folder cannot be copied or removed.
        """
        if result.crashes:
            return f'BAD: traceback {result.crashes[0][-300:]}'
        if wrong := find_unplanned(result):
            return f'BAD: the plan {wrong}'
        if result.code:
            by_stage = ' by a stage' if ' failed: ' in result.error else ''
            return f'refused{by_stage}'
        expected = self.expect_with_labels(change, result)
        differing = [
            key
            for key in result.results.keys() | expected.results.keys()
            if result.results.get(key) != expected.results.get(key)
        ]
        if differing:
            return f'BAD: other than a fresh run in {sorted(differing)}'
        return 'as it was' if not result.commands else 'as a fresh run'

    def expect_with_labels(
        self, change: Change, result: MutationResult
    ) -> MutationResult:
        """Find what to expect, also of labels that somebody has changed.

        They are used as they are. So the student must be the one of a fresh
        training with them.

        Args:
            change: What was changed before the run.
            result: How the run has ended, without an error.

        Returns:
            The result to expect.

        Raises:
            OSError: If a folder cannot be copied or removed.
        """
        expected = self.expect(change) if change.name else None
        expected = expected or self.expect(Change(''))
        if result.results['labels'] == expected.results['labels']:
            return expected
        if 'pseudo_labels.json' not in change.text:
            return expected
        os.chdir(self.site)
        shutil.rmtree('work/student')
        return run_here(change.options or OPTIONS)


def choose_kind(number: int, chance: random.Random) -> Mutation:
    """Choose what to change: each kind once, then by how often each is.

    Args:
        number: The number of the mutation, from 0.
        chance: The source of random numbers.

    Returns:
        The kind.
    """
    if number < len(MUTATIONS):
        return list(MUTATIONS)[number]
    return chance.choices(list(MUTATIONS), list(MUTATIONS.values()))[0]


def find_unplanned(result: MutationResult) -> str:
    """Find where a run differs from its plan.

    Args:
        result: How the run has ended, with its plan.

    Returns:
        The first difference in words; empty if there is none.
    """
    if 'refused' in result.planned:
        if not result.code:
            return f'refused: {result.planned["refused"][:200]}'
        return ''
    for name, text in result.planned.items():
        stage = name.split(': ')[-1]
        if ': ' in name and not name.startswith('round 1'):
            continue
        tool = 'train' if stage in MODELS else 'test'
        has_run = f'{tool} {stage}' in result.commands
        if has_run and text == 'done':
            return f'said {stage} is done, but it ran'
        # What comes before may give the same as it did.
        before = dict(student=('annotate', 'tune'), annotate=('tune',))
        is_kept = any(
            f'test {one}' in result.commands for one in before.get(stage, ())
        )
        if not (has_run or text == 'done' or result.code or is_kept):
            return f'said {text} of {stage}, but it did not run'
    return ''


def quicken(during: ExitStack) -> None:
    """Leave out what takes most of the time of a run and changes nothing.

    Configs are read once, see `read_configs_once` of the tests. Intervals have
    fewer draws.

    Args:
        during: The context at whose end all is as before.
    """
    patch = mock.patch.object
    during.enter_context(quick_configs())
    read_once = read_configs_once(Config._file2dict)
    for target, name, value in (
        (Config, '_file2dict', staticmethod(read_once)),
        (gains, 'NUM_DRAWS', 20),
        (expectation, 'NUM_DRAWS', 20),
        (search, 'NUM_DRAWS', 20),
        (Figure, 'savefig', lambda _, file, **__: file.write('<svg></svg>')),
        (process, 'ChildProcess', Stage),
        # One process annotates: each takes seconds to start.
        (Launcher, 'for_annotation', lambda self: self),
    ):
        during.enter_context(patch(target, name, value))
    gc.freeze()
    os.environ['PYTHONPATH'] = os.pathsep.join(sys.path[:3])


def add_work_dir(parser: argparse.ArgumentParser, name: str) -> None:
    """Add `--work-dir`, by default a folder with the name of the campaign."""
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs') / name,
        help='the folder of the results (default: %(default)s)',
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--mutations',
        type=int,
        default=120,
        help='the number of mutations (default: %(default)s)',
    )
    parser.add_argument(
        '--only', type=int, nargs='*', help='repeat these numbers'
    )
    add_work_dir(parser, 'mutation_campaign')
    return parser.parse_args()


def main() -> None:
    """Run the campaign, and print each result and their counts."""
    args = parse_args()
    campaign = Campaign(args.work_dir.resolve())
    with ExitStack() as during:
        quicken(during)
        campaign.prepare()
        file = campaign.folder / 'outcomes.jsonl'
        lines = file.read_text().splitlines() if file.is_file() else []
        known = {one['number']: one for one in map(json.loads, lines)}
        for number in args.only or range(args.mutations):
            if number in known and not args.only:
                continue
            result = campaign.mutate(number)
            known[number] = result
            with file.open('a') as opened:
                opened.write(json.dumps(result) + '\n')
            print(
                f'{number}: {result["text"]}: {result["verdict"]} '
                f'({result["seconds"]} s; {", ".join(result["commands"])}) '
                f'{result["error"][:300]}',
                flush=True,
            )
    print(Counter(one['verdict'][:20] for one in known.values()))


if __name__ == '__main__':
    main()
