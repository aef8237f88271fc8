r"""Plant errors in the labels of the training images, and look by folds.

200 images are labeled, with errors as `planting_campaign.py` plants them. A
teacher of each of three folds is trained on the other two, with their errors,
as `suspicious_labels.py --folds 3` does. It goes on where it was stopped. The
figures are in docs/results.md. Needs the package cleanlab for its column.

Example:
    PYTHONPATH=CLEANLAB python tools/campaigns/fold_campaign.py --data data \
        --names cards --splits 0
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from label_campaign import DATA, ROOT, Split, run_all
from planting_campaign import format_precision, plant

from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.experiment.stages.folds import detect_by_folds
from projects.data_distillation.experiment.stages.launcher import Launcher
from projects.data_distillation.experiment.stages.stages import Stages
from projects.data_distillation.report.fold_review import review_folds

NUM_LABELED, NUM_FOLDS = 200, 3


def measure(split: Split) -> None:
    """Plant, train, look, and print the precision of each method.

    Args:
        split: The dataset and the split.

    Raises:
        OSError: If a file in the folder of the split cannot be written.
    """
    right = split.folder / 'right/labeled.json'
    split.split_data(NUM_LABELED, right.parent)
    planted, changed, removed = plant(
        json.loads(right.read_bytes()), split.split
    )
    # Where `write_experiment` looks for them.
    for name in ('labeled', 'unlabeled', 'unlabeled_truth'):
        copy = json.loads(right.with_name(f'{name}.json').read_bytes())
        copy = planted if name == 'labeled' else copy
        (split.folder / f'{name}.json').write_text(json.dumps(copy))
    split.write_experiment(
        ROOT / 'configs/bccd_gfl_tiny/teacher.py',
        # Boxes that were shifted may reach outside their image.
        *('--image-size', DATA[split.name][1], '--allow-problems'),
        '--no-rehearsal',
    )
    experiment = Experiment(split.folder / 'experiment', models=('teacher',))
    stages = Stages(experiment, Launcher(), seed=0)
    folds = detect_by_folds(stages, split.folder / 'folds', NUM_FOLDS)
    precision = format_precision(review_folds(folds), changed, removed)
    print(f'{split.name} {split.split}: {precision}', flush=True)


if __name__ == '__main__':
    run_all(measure, __doc__)
