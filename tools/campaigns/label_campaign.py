"""Compare views and mergers by the labels that they give.

For each dataset and split it trains a tiny detector from scratch on the
labeled images, keeps the boxes of 24 views of the unlabeled ones, and merges
them in several ways. The labels are then compared with the truth. It takes
about 10 minutes a split on one core, and goes on where it was stopped. The
figures are in docs/results.md.

DATA/NAME must have `images/`, `annotations/train.json` and
`annotations/test.json`.

Example:
    python tools/campaigns/label_campaign.py --data data --splits 0 1 2
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.label_files.coco.matching import ImageMatches
from projects.data_distillation.pseudo_labels.selection.selectors import (
    Candidates,
    LabeledCounts,
    MatchedSelector,
)
from projects.data_distillation.pseudo_labels.tuning.judge import Choice, Judge

ROOT = Path(__file__).resolve().parents[2]
# Labeled images, and the longest side of an image.
DATA = dict(bccd=(5, 256), cards=(24, 256), nuclei=(10, 320), pcb=(40, 320))
SCALES = tuple(n / 8 for n in range(4, 13))
KEPT = """
_base_ = {base!r}
scales = {scales}
flips = [[], [dict(type='Flip')]]
more = [
    [dict(type='Flip', direction=way)] for way in ('vertical', 'diagonal')
]
model = dict(
    keep_views=True,
    views=[
        [dict(type='Resize', scale=scale), *flip]
        for part, ways in ((scales, flips), (scales[3:6], more))
        for scale in part
        for flip in ways
    ],
)
# Nothing is selected here: selection would ask for validation images first.
custom_hooks = [
    dict(type='DetectionHook', labeled=_base_.custom_hooks[0].labeled)
]
"""
# Names of sets of views: the scales in eighths, and the number of flips.
VIEWS = {
    'one view': ([8], 1),
    '2 views: flip': ([8], 2),
    '4 views: all flips': ([8], 4),
    '6 views: 7/8, 1, 9/8': ([7, 8, 9], 2),
    '6 views: 1, 9/8, 5/4': ([8, 9, 10], 2),
    '10 views: 3/4 to 5/4': ([6, 7, 8, 9, 10], 2),
    '12 views: 7/8, 1, 9/8, all flips': ([7, 8, 9], 4),
    '18 views: 1/2 to 3/2': (range(4, 13), 2),
}
MERGERS: dict[str, dict] = {
    'NMS': dict(type='NMSMerger'),
    'voting': dict(type='BoxVotingMerger'),
    'WBF 0.55': dict(type='WBFMerger'),
    'WBF 0.65': dict(type='WBFMerger', iou_threshold=0.65),
    'WBF 0.75': dict(type='WBFMerger', iou_threshold=0.75),
}


@dataclass(frozen=True)
class Split:
    """A split of a dataset.

    Args:
        name: The name of the dataset.
        split: The number of the split.
        data: The folder of the datasets.
        out: The folder of the results.
        options: More arguments of `init_experiment.py`.
    """

    name: str
    split: int
    data: Path
    out: Path
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the split."""
        return self.out / f'{self.name}_{self.split}'

    @property
    def val(self) -> Path:
        """The COCO file of the validation images."""
        return self.data / self.name / 'annotations/test.json'

    @property
    def truth(self) -> Path:
        """The COCO file of the true objects of the unlabeled images."""
        return self.folder / 'unlabeled_truth.json'

    def prepare(self) -> None:
        """Split the data and write the experiment, unless that was done."""
        count, side = DATA[self.name]
        self.split_data(count)
        detector = ROOT / 'configs/bccd_gfl_tiny/teacher.py'
        self.write_experiment(detector, '--image-size', side)

    def split_data(self, count: int, folder: Path | None = None) -> None:
        """Choose the labeled images, unless that was done.

        Args:
            count: How many images are labeled.
            folder: The folder of the parts; None for that of the split.
        """
        folder = folder or self.folder
        if not (folder / 'labeled.json').exists():
            call(
                'split_coco.py', self.val.with_name('train.json'),
                '--count', count, '--seed', self.split, '--keep-classes',
                '--out', folder,
            )  # fmt: skip

    def write_experiment(self, detector: Path, *options: object) -> None:
        """Write the experiment, unless that was done.

        Args:
            detector: The config of the detector.
            *options: More arguments of `init_experiment.py`.
        """
        images = self.data / self.name / 'images'
        if not (self.folder / 'experiment').exists():
            call(
                'init_experiment.py', self.folder / 'experiment',
                '--detector', detector,
                '--labeled', self.folder / 'labeled.json',
                '--labeled-images', images,
                '--val', self.val, '--val-images', images,
                '--unlabeled', self.folder / 'unlabeled.json',
                '--unlabeled-images', images,
                '--unlabeled-truth', self.truth,
                '--from-scratch', *options, *self.options,
            )  # fmt: skip

    def detect(self, stage: str = 'annotate') -> Path:
        """Train the teacher, and keep the boxes of all views.

        Args:
            stage: `annotate` for the unlabeled images, `validate` for the
                validation images.

        Returns:
            The folder of the store.

        Raises:
            OSError: If a file in the folder of the split cannot be written.
        """
        experiment = Experiment(self.folder / 'experiment')
        stages = Stages(experiment, Launcher(), seed=0)
        teacher = stages.train('teacher', self.folder / 'teacher')
        # The last scale of the default views is 5/4.
        width, height = experiment.load('annotate').scales[-1]
        sides = [
            (round(width * s / 1.25), round(height * s / 1.25)) for s in SCALES
        ]
        config = self.folder / f'keep_{stage}.py'
        base = str(experiment.config(stage).resolve())
        config.write_text(KEPT.format(base=base, scales=sides))
        work_dir = self.folder / stage
        if not (work_dir / 'done').is_file():
            call('test.py', config, teacher, '--work-dir', work_dir)
            (work_dir / 'done').touch()
        return work_dir / 'detections'

    def measure(self) -> None:
        """Print a line for each set of views and each merger.

        Raises:
            OSError: If a file in the folder of the split cannot be written.
        """
        self.prepare()
        judge = Judge(self.detect(), self.truth, MERGERS)
        counts = count(self.folder / 'labeled.json') + count(self.val)
        for name, (eighths, num_flips) in VIEWS.items():
            numbers = number_views(eighths, num_flips)
            for merger in MERGERS:
                figures = measure_choice(
                    judge, Choice(numbers, merger), counts
                )
                print(self.name, self.split, name, merger, figures, sep=' | ')


def number_views(eighths: Sequence[int], num_flips: int) -> tuple[int, ...]:
    """Find the numbers of views among those of `KEPT`.

    Args:
        eighths: The scales, in eighths of the test scale.
        num_flips: The flips of each scale: 1 for none, 2 with the horizontal
            one, 4 with all.

    Returns:
        The numbers, ascending.
    """
    numbers = []
    # `KEPT` has 9 scales in 2 flips each (0 to 17), and then the scales 7/8 to
    # 9/8 in the 2 other flips (18 to 23).
    for eighth in eighths:
        numbers += [2 * (eighth - 4), 2 * (eighth - 4) + 1][:num_flips]
        if num_flips == 4:
            numbers += [18 + 2 * (eighth - 7), 19 + 2 * (eighth - 7)]
    return tuple(sorted(numbers))


def measure_choice(judge: Judge, choice: Choice, counts: LabeledCounts) -> str:
    """Measure the cost, the mAP, and the quality of labels of a choice.

    Args:
        judge: The judge of the unlabeled images.
        choice: The views and the merger.
        counts: The counts that matched selection matches.

    Returns:
        The cells of a row.
    """
    trial = judge.try_choice(choice)
    matches, num_images = trial.matches, len(judge.rows)
    found = Candidates(matches.scores, matches.labels, num_images)
    min_scores = MatchedSelector().choose(found, counts)
    shares = [
        trial.cost / judge.cost(number_views([8], 1)),
        100 * float(trial.mean_ap(np.ones((1, num_images)))[0]),
        *measure_labels(matches, min_scores),
    ]
    return format_shares(shares)


def measure_labels(
    matches: ImageMatches, min_scores: np.ndarray
) -> list[float]:
    """Return precision, recall and F1 of the labels of a selection.

    Args:
        matches: The detections, matched with the truth.
        min_scores: The lowest score of a label, by class.

    Returns:
        Precision and recall at IoU 0.5, and the mean F1 of all classes and
        IoUs, in percent.
    """
    is_label = matches.scores >= min_scores[matches.labels]
    truth = matches.num_truth.sum(axis=0)
    f1 = []
    for label, num_truth in enumerate(truth):
        of_class = is_label & (matches.labels == label)
        right = matches.is_right[of_class].sum(axis=0)
        f1.append(2 * right / (of_class.sum() + num_truth))
    right = matches.is_right[is_label, 0].sum()
    return [
        100 * right / is_label.sum(),
        100 * right / truth.sum(),
        100 * float(np.mean(f1)),
    ]


def format_shares(shares: Sequence[float]) -> str:
    """Format figures as the cells of a row.

    Args:
        shares: The figures.

    Returns:
        The cells, one digit after the point.
    """
    return ' | '.join(f'{share:.1f}' for share in shares)


def count(file: Path) -> LabeledCounts:
    """Count the images and the instances in a COCO file.

    Args:
        file: The file.

    Returns:
        The counts, see `LabeledCounts.of`.
    """
    return LabeledCounts.of(json.loads(file.read_bytes()))


def call(tool: str, *arguments: object) -> None:
    """Run a tool, and end if it fails.

    Args:
        tool: The file name of the tool.
        *arguments: The arguments of the tool.

    Raises:
        CalledProcessError: If the tool fails.
    """
    command = [sys.executable, ROOT / 'tools' / tool, *arguments]
    subprocess.run([str(part) for part in command], check=True)


def parse_args(description: str | None) -> argparse.Namespace:
    """Read the command line of a campaign over datasets and splits.

    Args:
        description: The docstring of the campaign, for `--help`.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(description)
    add = parser.add_argument
    add('--data', type=Path, required=True, metavar='DIR')
    add('--out', type=Path, default=Path('work_dirs/labels'), metavar='DIR')
    add('--names', nargs='+', choices=DATA, default=list(DATA))
    add('--splits', type=int, nargs='+', default=[0, 1, 2])
    add(
        '--experiment-options',
        type=shlex.split,
        default=[],
        metavar='OPTIONS',
        help='more options of tools/init_experiment.py, in quotation marks',
    )
    return parser.parse_args()


def run_all(measure: Callable[[Split], None], description: str | None) -> None:
    """Measure all datasets and splits of the command line.

    Args:
        measure: What measures a split, and prints its figures.
        description: What the command line is for.
    """
    args = parse_args(description)
    data, options = args.data.resolve(), tuple(args.experiment_options)
    for split in args.splits:
        for name in args.names:
            measure(Split(name, split, data, args.out, options))


if __name__ == '__main__':
    run_all(Split.measure, __doc__)
