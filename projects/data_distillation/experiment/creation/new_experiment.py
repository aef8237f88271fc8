"""Takes the arguments of tools/init_experiment.py apart, and uses them."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ...files.atomic import whole_or_nothing
from ...pseudo_labels.selection.rule_options import choose_selector
from ..given_teachers.options import TeacherOptions
from ..scaffold.data import Sources
from ..scaffold.init import init_experiment
from ..scaffold.plan import ExperimentOptions
from ..stages.definition import Experiment
from .label_free import init_label_free
from .sources import LabelFreeSources

# The options that say which images are labeled, and which of them not.
OF_LABELED = {
    'labeled_images': '--labeled-images',
    'left_out': '--leave-out',
    'annotates_empty': '--annotate-empty',
}


def write_experiment(out: Path, detector: str, args: Mapping) -> list[str]:
    """Write the folder of a new experiment, and check it.

    If this fails, nothing is left of the folder.

    Args:
        out: The folder, which must not exist yet.
        detector: The path of the config of the detector, or
            `mmdet::family/name.py`.
        args: The other arguments of `tools/init_experiment.py`, by name.

    Returns:
        Lines for the user: what was chosen and why, and what to do next.

    Raises:
        ValueError: If the arguments do not fit together, or cannot be used.
        FileNotFoundError: If a file or folder does not exist.
        FileExistsError: If `out` exists.
        ImportError: If a config imports a module that is not there.
        KeyError: If an argument is missing, there is no such recipe, or a part
            of a config lacks what it needs.
        OSError: If a file of the experiment cannot be written.
    """
    check_labeled(args)
    selector = choose_selector(args['min_score'], args['per_image'])
    options = ExperimentOptions(
        **take_fields(ExperimentOptions, dict(args, selector=selector))
    )
    teacher = TeacherOptions(**take_fields(TeacherOptions, args))
    if args['labeled']:
        sources = Sources(**take_fields(Sources, args))
        lines = init_experiment(out, detector, sources, options, teacher)
    else:
        unlabeled = LabelFreeSources(**take_fields(LabelFreeSources, args))
        lines = init_label_free(out, detector, unlabeled, options, teacher)
    check_written(out)
    return lines


def check_written(out: Path) -> None:
    """Check a new experiment, and remove it if it cannot be run.

    Args:
        out: The folder of the experiment. It is gone after an error.

    Raises:
        ValueError: If a stage cannot be run.
        FileNotFoundError: If a config is missing.
        ImportError: If a config imports a module that is not there.
    """
    with whole_or_nothing(out):
        Experiment(out).check()


def take_fields(kind: type, args: Mapping) -> dict:
    """Take the arguments that are fields of a dataclass.

    Args:
        kind: The dataclass.
        args: All arguments, by name.

    Returns:
        Name of each field -> value.

    Raises:
        KeyError: If there is no argument for a field.
    """
    return {field.name: args[field.name] for field in fields(kind)}


def check_labeled(args: Mapping) -> None:
    """Check that the options about labeled images go together.

    Args:
        args: The arguments of `tools/init_experiment.py`, by name.

    Raises:
        ValueError: If an option is missing, or would have no effect.
        KeyError: If an argument that is looked at is not there.
    """
    if not args['labeled']:
        for name, flag in OF_LABELED.items():
            if args[name]:
                raise ValueError(f'{flag} goes only with --labeled')
        return
    for name in ('labeled_images', 'val', 'val_images'):
        if not args[name]:
            raise ValueError(f'--labeled needs --{name.replace("_", "-")} too')
    if args['classes']:
        raise ValueError(
            '--classes goes only without --labeled: '
            f'{args["labeled"]} has the classes already'
        )
