"""Makes an experiment without labeled images, whose teacher is given."""

from dataclasses import replace
from pathlib import Path

from ...files.atomic import whole_or_nothing
from ..given_teachers.options import TeacherOptions
from ..scaffold.detector import DetectorConfig
from ..scaffold.given import TeacherConfig
from ..scaffold.init import (
    check_detector,
    check_stages,
    explain_choices,
    make_plan,
    make_recipe,
    name_results,
)
from ..scaffold.plan import RATIO, Data, ExperimentOptions
from ..scaffold.stage_configs import NewExperiment
from ..scaffold.trained_images import check_data
from .label_free_stages import LabelFreeExperiment, UnjudgedExperiment
from .sources import LabelFreeSources


def init_label_free(
    out: Path,
    detector_name: str,
    sources: LabelFreeSources,
    options: ExperimentOptions,
    teacher_options: TeacherOptions,
) -> list[str]:
    """Write the folder of a new experiment without labeled images.

    If this fails, nothing is left of the folder.

    Args:
        out: The folder, which must not exist yet.
        detector_name: The path of the config of the student's detector, or
            `mmdet::family/name.py`.
        sources: The files and folders with the data.
        options: The options of the user.
        teacher_options: The options of the user about the teachers.

    Returns:
        Lines for the user: what was chosen and why, and what to do next.

    Raises:
        ValueError: If the detector, the teachers, the data or the options do
            not fit.
        FileNotFoundError: If a file or folder does not exist.
        FileExistsError: If `out` exists.
        ImportError: If a config imports a module that is not there.
        KeyError: If there is no such recipe, or a part of a config lacks what
            it needs.
        OSError: If a file of the experiment cannot be written.
    """
    check_label_free_options(sources, options, teacher_options)
    detector = DetectorConfig.read(detector_name)
    if out.exists():
        raise FileExistsError(f'{out} exists already: see --overwrite')
    teachers = teacher_options.read()
    with whole_or_nothing(out):
        data = sources.gather(out / 'annotations', teachers)
        data = check_labels(detector, data, options)
        plan = make_plan(detector, data, options)
        recipe = make_recipe(TeacherConfig.of(teachers[0]), options)
        kind = LabelFreeExperiment if sources.val else UnjudgedExperiment
        experiment = kind.of(
            NewExperiment(name_results(out), detector, data, plan),
            teachers,
            recipe,
        )
        experiment.write(out)
        check_stages(out)
        lines = explain_choices(out, detector, data, plan, options)
        return list(experiment.explain(lines))


def check_label_free_options(
    sources: LabelFreeSources,
    options: ExperimentOptions,
    teacher_options: TeacherOptions,
) -> None:
    """Check that what the labeled images would say is said otherwise.

    Args:
        sources: The files and folders with the data.
        options: The options of the user.
        teacher_options: The options of the user about the teachers.

    Raises:
        ValueError: If something is missing, or would have no effect.
    """
    if not teacher_options.teacher:
        raise ValueError(
            'name the labeled images (--labeled), or a teacher that is '
            'trained already (--teacher)'
        )
    if not (sources.val or options.selector):
        raise ValueError(
            'without --labeled and --val, nothing says how many objects an '
            'image has: say how many labels an image shall have on average '
            '(--per-image), or from which score on a detection is a label '
            '(--min-score)'
        )
    if tuple(options.ratio) != RATIO:
        raise ValueError(
            f'--ratio {" ".join(map(str, options.ratio))} is that of labeled '
            'to pseudo-labeled images, and without --labeled there are only '
            'the latter: leave it out'
        )


def check_labels(
    detector: DetectorConfig, data: Data, options: ExperimentOptions
) -> Data:
    """Check the validation images, if any, and the detector.

    Args:
        detector: The detector of the student.
        data: The data of the experiment.
        options: The options of the user.

    Returns:
        The data, with more notes for the user.

    Raises:
        ValueError: If they cannot be used.
        FileNotFoundError: If a file, or all images of one, are missing.
    """
    notes = check_data(data, {}, options.allow_problems, detector.has_masks)
    check_detector(detector, data, options)
    return replace(data, notes=(*data.notes, *notes))
