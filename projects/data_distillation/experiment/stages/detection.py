"""Runs a teacher on the images of a stage, and notices what is outdated."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ...files.atomic import read_json, write_json
from ...files.digest import compute_sha256
from ...pseudo_labels.annotation.moved_images import (
    describe_changed,
    find_moved_images,
)
from ...pseudo_labels.annotation.provenance import make_provenance
from ...pseudo_labels.annotation.unlabeled import UnlabeledDataset
from ...pseudo_labels.detections.differences import (
    IMAGE_FOLDER,
    find_differing_keys,
)
from ...pseudo_labels.detections.moved import MovedImages
from ...pseudo_labels.detections.shard_files import list_shards
from ...pseudo_labels.detections.store import DetectionStore
from ...pseudo_labels.freshness.image_states import (
    hash_detected,
    hash_named,
    save_digests,
)
from ...pseudo_labels.selection.coco_writer import PSEUDO_LABELS, read_origin
from ...training.finished import FINISHED
from ..processes.log import say
from ..processes.process import StageError, run_stage
from ..processes.progress_bar import Counter, StoredImages
from .definition import Experiment
from .fingerprint import (
    EXPERIMENT,
    IMAGE_FILES,
    compute_digests,
    list_differences,
    pick_keys,
    read_settings,
    write_settings,
)
from .launcher import Launcher
from .stage_results import (
    join_reasons,
    make_flags,
    replace_file,
    replace_results,
)

DETECTIONS = 'detections'
# What a stage makes together with a file.
COMPANIONS = {'annotate.py': ('validate.py',)}
TEACHER = 'checkpoint_sha256'


@dataclass(frozen=True)
class DetectionStage:
    """A stage in which a teacher runs on images.

    Args:
        experiment: The stage configs.
        launcher: Makes the command.
        stage: `annotate`, `validate` or `tune`.
        folder: The work folder of the stage.
        teacher: The checkpoint of the teacher.
        outcome: The file in this folder that the stage makes of all
            detections; None if it makes none.
    """

    experiment: Experiment
    launcher: Launcher
    stage: str
    folder: Path
    teacher: Path
    outcome: str | None = None

    def run(self, **values: object) -> None:
        """Run the teacher on all images that have no detections yet.

        Args:
            **values: Values of the config that are those of this run: key with
                dots -> value.

        Raises:
            StageError: If the stage fails, or ends without its outcome.
            SystemExit: If a signal stops this process.
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
            StoreError: If shards in the folder differ in what made them.
            CocoError: If the images or the pseudo labels there cannot be used.
            OSError: If a file in the work folder cannot be written.
        """
        if outdated := self.find_outdated():
            replace_results(self.stage, self.folder, outdated)
        reasons = self.find_changes()
        # What was found out about the files of the images.
        save_digests(self.folder)
        if self.is_finished() and not reasons:
            self._say_done()
            return
        if reasons:
            why = join_reasons(reasons)
            say(f'{self.stage}: runs again with its detections, since {why}')
        self._keep_changed_outcome()
        # From here on, a run that is stopped is not finished.
        (self.folder / FINISHED).unlink(missing_ok=True)
        # Before the command: what changes while it runs must count as a
        # change.
        settings = self.collect_settings()
        write_settings(self.folder, settings)
        values = {**self.experiment.make_values(self.stage), **values}
        flags = make_flags(values, self.experiment.list_options(self.stage))
        config = self.experiment.config(self.stage)
        launcher = self.launcher.choose_for_annotation()
        command = launcher.make_test(config, self.teacher, self.folder, *flags)
        images = self.experiment.build_images(self.stage)
        counter = Counter(StoredImages(self.folder / DETECTIONS), len(images))
        run_stage(self.stage, command, self.folder, counter)
        self._require_outcome()
        # The detections may be deleted to save space.
        names = images.map_image_ids().keys()
        settings[IMAGE_FILES] = hash_detected(self.folder / DETECTIONS, names)
        write_settings(self.folder, settings)
        write_json(self.folder / FINISHED, self._describe_outcome())

    def _say_done(self) -> None:
        say(f'{self.stage}: already done, in {self.folder}')
        # Earlier versions left an empty record.
        if read_json(self.folder / FINISHED) and not self._is_own_outcome():
            say(
                f'{self.stage}: {self.outcome} is not what the stage wrote '
                'last; it is used as it is'
            )

    def is_done(self) -> bool:
        """Return whether nothing is left to do; nothing is changed.

        Returns:
            Whether the stage is finished, and nothing it depends on has
            changed since.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
            StoreError: If shards in the folder differ in what made them.
            CocoError: If the images or the pseudo labels there cannot be used.
        """
        is_current = not (self.find_outdated() or self.find_changes())
        return is_current and self.is_finished()

    def is_finished(self) -> bool:
        """Return whether the stage has ended, and its outcome is there.

        Returns:
            Whether it is so; for a stage without an outcome, all images must
            have detections.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
            StoreError: If shards in the folder differ in what made them.
        """
        has_ended = (self.folder / FINISHED).is_file()
        return has_ended and self._has_outcome()

    def _has_outcome(self) -> bool:
        """Return whether the file is there or, without one, all detections."""
        if self.outcome:
            names = self.outcome, *COMPANIONS.get(self.outcome, ())
            return all((self.folder / name).is_file() for name in names)
        wanted = (
            self.experiment.build_images(self.stage).map_image_ids().keys()
        )
        return (
            wanted
            <= DetectionStore(self.folder / DETECTIONS).list_images().keys()
        )

    def _require_outcome(self) -> None:
        if not self._has_outcome():
            raise StageError(
                f'{self.stage} ended without writing '
                f'{self.folder}/{self.outcome or DETECTIONS}: run the same '
                'command again'
            )

    def _describe_outcome(self) -> dict:
        """Return what tells whether the outcome is what the stage wrote."""
        if not self.outcome:
            return {}
        return dict(outcome_sha256=compute_sha256(self.folder / self.outcome))

    def _is_own_outcome(self) -> bool:
        return read_json(self.folder / FINISHED) == self._describe_outcome()

    def _keep_changed_outcome(self) -> None:
        """Move an outcome away that a person has put there or changed."""
        if not (self.outcome and (self.folder / self.outcome).is_file()):
            return
        if self._is_own_outcome():
            return
        place = replace_file(self.folder / self.outcome)
        say(
            f'{self.stage}: {self.outcome} is not what the stage wrote last; '
            f'it is kept as {place}'
        )

    def find_outdated(self) -> list[str]:
        """Find out why nothing in the folder can be used.

        The outcome may be that of another teacher even if its detections were
        deleted.

        Returns:
            Reasons for a user; none if it can be used.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config or an option cannot be used.
            StoreError: If shards in the folder differ in what made them.
            CocoError: If the images or the pseudo labels there cannot be used.
        """
        if keys := self.find_outdated_keys():
            return [f'{key} has changed' for key in keys]
        before = self._find_former_teacher()
        if before and before != compute_sha256(self.teacher):
            return [f'{TEACHER} has changed']
        return []

    def _find_former_teacher(self) -> str | None:
        """Return the SHA-256 of the teacher before; None if it is not known.

        Labels that a person has put there are used as they are. So what the
        labels say of their teacher counts only where nothing else tells.
        """
        settings = read_settings(self.folder) or {}
        if TEACHER in settings:
            return settings[TEACHER]
        labels = self.folder / PSEUDO_LABELS
        is_labels = self.outcome == PSEUDO_LABELS and labels.is_file()
        return read_origin(labels).get(TEACHER) if is_labels else None

    def find_changes(self) -> list[str]:
        """Find what has changed since the outcome was made.

        Returns:
            Reasons for a user; none if nothing has.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
            StoreError: If shards in the folder differ in what made them.
        """
        changes = list_differences(self.folder, self.collect_settings())
        if self._find_differing_keys() == [IMAGE_FOLDER]:
            changes.append('the images are in another folder')
        if exchanged := self._find_moved().changed:
            changes.append(describe_changed(exchanged))
        if self._compare_with_deleted():
            changes.append('images have other content')
        return changes

    def _compare_with_deleted(self) -> bool:
        """Return whether images differ from those of deleted detections."""
        before = (read_settings(self.folder) or {}).get(IMAGE_FILES)
        if not before or list_shards(self.folder / DETECTIONS):
            return False
        images = self.experiment.build_images(self.stage)
        infos = map(images.get_data_info, range(len(images)))
        names = {info['img_path']: info['file_name'] for info in infos}
        return hash_named(names, self.folder) not in (None, before)

    def find_outdated_keys(self) -> list[str]:
        """Return what differs in the making of the detections in the folder.

        Returns:
            The keys of the provenance that differ; none if the detections can
            be used, or if there are none.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
            StoreError: If shards in the folder differ in what made them.
        """
        keys = self._find_differing_keys()
        # The run takes the detections over.
        is_moved = keys == [IMAGE_FOLDER] and self._find_moved().rows
        return [] if is_moved else keys

    def _find_differing_keys(self) -> list[str]:
        """Return what differs, also if the run takes the detections over."""
        found = DetectionStore(self.folder / DETECTIONS).provenance
        if not found:
            return []
        images = self.experiment.build_images(self.stage)
        return find_differing_keys(found, self._describe_detections(images))

    def _describe_detections(self, images: UnlabeledDataset) -> dict:
        """Return what would make the detections of some images now."""
        cfg = self.experiment.load(self.stage)
        cfg.load_from = str(self.teacher)
        hook = self.experiment.build_detection_hook(self.stage)
        return dict(make_provenance(cfg, images), purpose=hook.purpose)

    def _find_moved(self) -> MovedImages:
        images = self.experiment.build_images(self.stage)
        made_by = self._describe_detections(images)
        return find_moved_images(self.folder / DETECTIONS, made_by, images)

    def list_detected(self) -> set[str]:
        """List the images that have detections, also by another name.

        Returns:
            The names that they have now.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
            StoreError: If shards in the folder differ in what made them.
        """
        moved = self._find_moved()
        return {*moved.rows, *moved.in_place}

    def collect_settings(self) -> dict:
        """Collect the settings of what is made of the detections.

        Returns:
            Settings by name, as they come back from a JSON file.

        Raises:
            FileNotFoundError: If a config or a file that it names is missing.
            ImportError: If a config imports a module that is not there.
            ValueError: If a config, an option or the images cannot be used.
            OSError: If a file that counts by its content cannot be read.
        """
        cfg = self.experiment.load(self.stage)
        images = self.experiment.build_images(self.stage)
        # By names and ids, not by paths: images that were moved have the same
        # detections.
        names = json.dumps(images.map_image_ids())
        # The configs that tuning writes inherit from those of the experiment.
        experiment = self.experiment.folder.resolve().as_posix()
        written = {EXPERIMENT: experiment} if self.stage == 'tune' else {}
        return {
            **written,
            **pick_keys(cfg, ['custom_hooks']),
            'files': compute_digests(cfg.custom_hooks),
            'images': hashlib.sha256(names.encode()).hexdigest(),
            TEACHER: compute_sha256(self.teacher),
        }
