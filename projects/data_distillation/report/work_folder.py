"""Finds what an experiment left in its work folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.config import Config
from torch import nn

from ..files.digest import compute_sha256
from ..label_files.coco.reading import (
    CocoError,
    read_labeled,
    read_unlabeled,
)
from ..multi_view.inference.checkpoints import CheckpointError, load_teacher
from ..pseudo_labels.detections.store import StoreError
from ..pseudo_labels.review.calibration import Calibration, calibrate_scores
from ..pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from .shown_labels import (
    LabelSource,
    StoredLabels,
    find_labeled_set,
    read_labels,
)
from .stage_history import find_newest_annotation, read_stages


@dataclass(frozen=True)
class WorkFolder:
    """The stage that annotated last, with what belongs to it.

    Args:
        stage: The folder of the stage, such as `W/annotate` or
            `W/round2/annotate`.
        config: The config of the stage, as MMEngine wrote it there.
        known: Its labels, if they have been read; None to read them.
    """

    stage: Path
    config: Config
    known: StoredLabels | None = None

    @classmethod
    def open(cls, work_dir: Path) -> 'WorkFolder':
        """Open a work folder.

        Args:
            work_dir: The work folder of an experiment.

        Returns:
            Its newest annotation, with the config.

        Raises:
            FileNotFoundError: If it has no annotation, or that has no labels
                or no config.
            ValueError: If a file with metrics is no JSON.
            Exception: Whatever the code of the config raises.
        """
        stage = find_newest_annotation(work_dir, read_stages(work_dir))
        return cls.of_stage(stage)

    @classmethod
    def of_stage(
        cls, stage: Path, known: StoredLabels | None = None
    ) -> 'WorkFolder':
        """Open the folder of an annotation.

        Args:
            stage: The folder.
            known: Its labels, if they have been read; None to read them when
                they are needed.

        Returns:
            The annotation, with its config.

        Raises:
            FileNotFoundError: If it has no labels, or no config.
            Exception: Whatever the code of the config raises.
        """
        file = find_config(stage)
        if file is None or not (stage / PSEUDO_LABELS).is_file():
            raise FileNotFoundError(
                f'no {PSEUDO_LABELS} with a config in {stage}: give the work '
                'folder of an experiment whose stage `annotate` has ended '
                '(tools/distill.py)'
            )
        return cls(stage, Config.fromfile(file), known)

    @property
    def labeled(self) -> dict:
        """The labeled set, `dict(ann_file=..., img_prefix=...)`.

        Raises:
            ValueError: If no hook names labeled images.
        """
        return find_labeled_set(self.config)

    @cached_property
    def labels(self) -> StoredLabels:
        """The detections and the pseudo labels; see `read_labels`.

        Raises:
            FileNotFoundError: If detections or a file of labels are missing.
            StoreError: If the detections cannot be read.
            CocoError: If a file of labels cannot be used.
            ValueError: If a rule of the pseudo labels cannot be used, or no
                hook names labeled images.
            KeyError: If a filter of these has an unknown type, or the hook
                names no `ann_file`.
        """
        return self.known or read_labels(
            LabelSource(
                self.stage / 'detections',
                self.stage / PSEUDO_LABELS,
                self.labeled['ann_file'],
            )
        )

    @cached_property
    def image_folder(self) -> Path:
        """The folder of the unlabeled images; `.` if it was not noted.

        Raises:
            FileNotFoundError, StoreError, CocoError, ValueError, KeyError: See
                `labels`.
        """
        return Path(self.labels.provenance.get('image_folder', '.'))

    def calibrate(self) -> tuple[Calibration | None, str]:
        """Calibrate on the validation images of the experiment, if it can.

        Returns:
            The calibration, and ''; or None, and in words why there is none:
            detections, the truth or `labels` are missing or cannot be used, or
            another teacher made the detections.

        Raises:
            ValueError, KeyError: See `labels`.
            AttributeError: If the config of the validation has no
                `test_dataloader`, or that no dataset with an `ann_file`.
            Exception: Whatever the code of this config raises.
        """
        stage = self.stage.with_name('validate')
        file = find_config(stage)
        if file is None or not (stage / 'detections').is_dir():
            return None, f'{stage} has no detections'
        data = Config.fromfile(file).test_dataloader.dataset
        truth = Path(data.get('data_root') or '', data.ann_file)
        try:
            made_by = self.labels.provenance
            return calibrate_scores(stage / 'detections', truth, made_by), ''
        except (StoreError, CocoError, FileNotFoundError) as error:
            return None, str(error)

    def load_detector(self) -> tuple[nn.Module | None, str]:
        """Load the teacher, if it is still what made the detections.

        Returns:
            The teacher, and ''; or None, and in words why it is not at hand.

        Raises:
            FileNotFoundError, StoreError, CocoError, ValueError, KeyError: See
                `labels`. A `KeyError` also if a type of the detector is not
                registered.
            OSError: If the checkpoint cannot be read.
        """
        made_by = self.labels.provenance
        file = made_by.get('checkpoint')
        if not file or compute_sha256(file) != made_by.get(
            'checkpoint_sha256'
        ):
            return None, f'{file} is not the checkpoint of the detections'
        try:
            module = self.config.model.module.to_dict()
            return load_teacher(module, file), ''
        except CheckpointError as error:
            return None, str(error)

    def find_unlabeled(self) -> np.ndarray | None:
        """Find the images that are unlabeled now.

        The store of the detections keeps those that were labeled since.

        Returns:
            Shape (number of images in the table of `labels`,), bool; None if
            the stage reads a folder, or its file of images cannot be read.

        Raises:
            FileNotFoundError, StoreError, CocoError, ValueError, KeyError: See
                `labels`.
        """
        data = self.config.test_dataloader.dataset
        file = Path(data.get('data_root') or '', data.get('ann_file') or '')
        if file.suffix != '.json' or not file.is_file():
            return None
        try:
            images = read_unlabeled(file)['images']
        except CocoError:
            return None
        left = {image['file_name'] for image in images}
        names = self.labels.table['file_name'].to_pylist()
        return np.array([name in left for name in names])

    def list_labeled(self) -> list[str]:
        """List the paths of the labeled images.

        Returns:
            The paths, in the order of the labeled file. The images need not
            exist.

        Raises:
            FileNotFoundError: If the labeled file is missing.
            CocoError: If the labeled file cannot be used.
            ValueError: If no hook names labeled images.
            KeyError: If the hook names no `ann_file`.
        """
        images = read_labeled(self.labeled['ann_file'])['images']
        folder = Path(self.labeled.get('img_prefix', ''))
        return [str(folder / image['file_name']) for image in images]


def find_config(stage: Path) -> Path | None:
    """Find the newest config that MMEngine wrote into a stage's folder.

    Args:
        stage: The folder.

    Returns:
        The file that was changed last; None if there is none.
    """
    # MMEngine names it like the config of the run, which may differ each time.
    files = sorted(stage.glob('*.py'), key=lambda file: file.stat().st_mtime)
    return files[-1] if files else None
