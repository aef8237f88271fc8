"""Make an experiment for the configs that the installed MMDetection ships.

Each is made for a few digits, as `tools/init_experiment.py --from-scratch
--no-rehearsal` does, and builds its model and its datasets. A line says
whether that works, is refused with a reason, or fails. Counts follow. All
configs take half an hour. The lines are also in `results.txt` of the work
folder; the configs that it has are not tried again. The figures are in
docs/reliability.md.

Examples:
    python tools/campaigns/config_campaign.py
    python tools/campaigns/config_campaign.py --every 11
    python tools/campaigns/config_campaign.py --only yolox detr
"""

import argparse
import collections
import gc
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mmdet

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.digits.dataset import Recipe, write_digits
from projects.data_distillation.experiment.rehearsal.quick_configs import (
    quick_configs,
)
from projects.data_distillation.experiment.scaffold.data import Sources
from projects.data_distillation.experiment.scaffold.init import (
    init_experiment,
)
from projects.data_distillation.experiment.scaffold.plan import (
    RATIO,
    ExperimentOptions,
)
from projects.data_distillation.experiment.stages.definition import Experiment
from projects.data_distillation.quiet import quiet_screen

CONFIGS = Path(mmdet.__file__).parent / '.mim/configs'
# Variables, and what is no detector.
LEFT_OUT = {'_base_', 'common'}
# What an error of a detector begins with that nobody has foreseen.
UNFORESEEN = 'the detector cannot be used with this data'
MISSING = 'is not installed'
COUNTS = dict(labeled=8, val=4, unlabeled=4)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--every', type=int, default=1, metavar='N', help='only every N-th')
    add(
        '--only',
        nargs='+',
        default=[''],
        metavar='TEXT',
        help='only those whose names have one of these texts',
    )
    add(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/config_campaign'),
        help='the folder of the data (default: %(default)s)',
    )
    return parser.parse_args()


def list_configs(args: argparse.Namespace) -> Iterator[str]:
    """Choose the configs to try.

    Args:
        args: The arguments of the command line.

    Yields:
        Names relative to `CONFIGS`, sorted.
    """
    names = sorted(
        str(file.relative_to(CONFIGS))
        for file in CONFIGS.rglob('*.py')
        if not LEFT_OUT & {*file.relative_to(CONFIGS).parts}
    )
    chosen = (n for n in names if any(text in n for text in args.only))
    yield from list(chosen)[:: args.every]


def make_sources(folder: Path) -> Sources:
    """Write the images, unless they are there.

    Args:
        folder: The folder of the data.

    Returns:
        Where the images and their labels are.

    Raises:
        OSError: If a file cannot be written.
    """
    if not folder.is_dir():
        write_digits(folder, recipe=Recipe(images=COUNTS))
    annotations, images = folder / 'annotations', folder / 'images'
    return Sources(
        labeled=annotations / 'labeled.json',
        labeled_images=images / 'labeled',
        val=annotations / 'val.json',
        val_images=images / 'val',
        unlabeled=str(images / 'unlabeled'),
    )


def try_config(name: str, sources: Sources, out: Path) -> tuple[str, str]:
    """Make an experiment for a config.

    Args:
        name: The name of the config.
        sources: The data.
        out: The folder of the experiment, which is removed again.

    Returns:
        `works`, `refused` or `FAILS`, and why.
    """
    options = ExperimentOptions(ratio=RATIO, from_scratch=True)
    try:
        lines = init_experiment(out, f'mmdet::{name}', sources, options)
        Experiment(out).check()
    except (ValueError, OSError) as error:
        text = ' '.join(str(error).split())
        is_foreseen = not text.startswith(UNFORESEEN) or MISSING in text
        kind = 'refused' if is_foreseen else 'FAILS'
        return kind, text.replace(f'mmdet::{name}', 'it')
    # A config may raise anything; it is a fault if that is not refused.
    except Exception as error:
        return 'FAILS', f'{type(error).__name__}: {error}'
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return 'works', f'{sum("changed" in line for line in lines)} notes'


def read_results(file: Path) -> dict[str, str]:
    """Read what became of configs that were tried before.

    Args:
        file: The file, which need not be there.

    Returns:
        Name -> the line about it.
    """
    lines = file.read_text().splitlines() if file.is_file() else []
    # The kind takes 8 columns, see `main`.
    return {line[8:].partition(': ')[0]: line for line in lines}


@quiet_screen()
def main() -> None:
    """Try the configs, and print what became of them."""
    args = parse_args()
    sources = make_sources(args.work_dir / 'digits')
    results = args.work_dir / 'results.txt'
    known = read_results(results)
    counts: collections.Counter[str] = collections.Counter()
    # MMEngine collects garbage for each dataset, which takes long among all
    # these modules.
    gc.freeze()
    with quick_configs():
        for name in list_configs(args):
            if name not in known:
                kind, why = try_config(name, sources, args.work_dir / 'made')
                known[name] = f'{kind:8}{name}: {why[:300]}'
                with results.open('a') as file:
                    print(known[name], file=file)
            counts[known[name].split()[0]] += 1
            print(known[name], flush=True)
    print(dict(counts))


if __name__ == '__main__':
    main()
