"""Annotation, merging, selection and quality from Python, as in a notebook.

```
annotate(config, checkpoint, images, out) ──► Annotation
    .detections(name)   boxes of an image      .select(...)  other labels
    .view_boxes(name)   boxes of each view     .merge(...)   other views
    .judge(truth)       precision and recall
```
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from mmengine.config import Config

from .command_line import check_not_read
from .label_files.coco.measures import measure_pseudo_labels
from .multi_view.inference.safe_loading import refusing_code
from .multi_view.inference.view_boxes import ViewBoxes
from .pseudo_labels.annotation.detection_hook import DetectionHook
from .pseudo_labels.annotation.merging_again import iter_rows, merge_again
from .pseudo_labels.detections.shard_files import list_shards
from .pseudo_labels.selection.coco_writer import PSEUDO_LABELS
from .pseudo_labels.selection.export import open_store, select_labels
from .quiet import QuietRunner


@dataclass(frozen=True)
class ImageDetections:
    """The merged detections of an image.

    Args:
        width: The width of the decoded image, in pixels; it means nothing if
            the image could not be read.
        height: The height of the decoded image, in pixels, as before.
        unreadable: Why the image could not be read; then it has no detections.
            None if it was read.
        bboxes_xyxy: Shape (n, 4), float32, pixels of the original image, by
            descending score.
        scores: Shape (n,), float32.
        labels: Shape (n,), int32, the indices of the classes.
        num_views: Shape (n,), int32, how many views support each detection,
            see `Merger.__call__`.
        corner_spread: Shape (n,), float32, see `merging.boxes.corner_spread`.
        masks: n masks as COCO's RLE, dicts with `size` (height, width) and
            `counts` (bytes). A detection without a mask has one without a
            pixel, whose `counts` are not empty. None if only boxes were
            annotated.
        mask_agreement: Shape (n,), float32, see `MaskMerger.merge`; None as
            before.
    """

    width: int
    height: int
    unreadable: str | None
    bboxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    num_views: np.ndarray
    corner_spread: np.ndarray
    masks: list[dict] | None = None
    mask_agreement: np.ndarray | None = None


class Annotation:
    """The detections of a teacher on a set of images.

    Args:
        folder: The folder with `detections/`, as `tools/test.py` and
            `annotate` write it.

    Attributes:
        folder: The same folder.
        store: The store of the detections.
        provenance: What made them, such as the teacher and its classes.

    Raises:
        FileNotFoundError: If the folder holds no detections.
        StoreError: If they cannot be read, or differ in what made them.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.store = open_store(self.folder / 'detections')
        self.provenance = self.store.require_provenance()

    @property
    def classes(self) -> list[str]:
        """The names of the classes; `labels` are indices into them."""
        return list(self.provenance['classes'])

    @property
    def pseudo_labels(self) -> Path:
        """The path of the COCO file of pseudo labels, which need not exist."""
        return self.folder / PSEUDO_LABELS

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The file names of the images, relative to their folder.

        They are in the order of image ids, and then of names.

        Raises:
            StoreError: If a file of detections is damaged.
        """
        return tuple(self._table['file_name'].to_pylist())

    @cached_property
    def _table(self) -> pa.Table:
        return self.store.read()

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def detections(self, name: str) -> ImageDetections:
        """Return the merged detections of an image.

        Args:
            name: The file name of the image, relative to its folder.

        Returns:
            The detections, by descending score; none for an image that could
            not be read.

        Raises:
            KeyError: If the image was not annotated.
            StoreError: If a file of detections is damaged.
        """
        row = self._table.slice(self._find(name), 1).to_pylist()[0]
        bboxes_xyxy = np.array(row['bboxes_xyxy'], np.float32)
        return ImageDetections(
            row['width'],
            row['height'],
            row['unreadable'],
            bboxes_xyxy.reshape(-1, 4),
            np.array(row['scores'], np.float32),
            np.array(row['labels'], np.int32),
            np.array(row['num_views'], np.int32),
            np.array(row['corner_spread'], np.float32),
            **read_masks(row),
        )

    def _find(self, name: str) -> int:
        if name not in self._rows:
            raise KeyError(
                f'{name!r} was not annotated in {self.folder}: the names are '
                f'relative to the image folder, such as {self.names[0]!r}'
            )
        return self._rows[name]

    @cached_property
    def _views(self) -> Mapping[str, ViewBoxes]:
        found = {}
        for table in self.store.iter_views():
            for row, boxes in iter_rows(table):
                # Of two runs, one may have failed to read the image.
                if row['file_name'] not in found or row['unreadable'] is None:
                    found[row['file_name']] = boxes
        return found

    def view_boxes(self, name: str) -> ViewBoxes:
        """Return what was found on each view of an image, not merged.

        The first call reads the boxes of all images, and keeps them.

        Args:
            name: The file name of the image, relative to its folder.

        Returns:
            The boxes of all views, xyxy in pixels of the original image; none
            for an image that could not be read.

        Raises:
            StoreError: If the boxes of views were not kept, or a file is
                damaged.
            KeyError: If the image was not annotated.
        """
        self._find(name)
        return self._views[name]

    def merge(
        self,
        out: str | Path,
        merger: dict | None = None,
        views: Sequence[int] | None = None,
    ) -> 'Annotation':
        """Merge the boxes of views again, without inference.

        Args:
            out: The folder of the new annotation.
            merger: The config of the merger; None for the same.
            views: The numbers of the views, in any order, counted from 0 in
                the order of the config; None for all.

        Returns:
            The new annotation. It has no pseudo labels yet.

        Raises:
            StoreError: If there are no boxes of views, `out` holds other
                detections, or masks would be lost.
            ValueError: If a number is out of range or given twice, if there is
                none, if an argument of the merger is out of range, or if `out`
                is the folder of this annotation.
            KeyError, TypeError: If the type of the merger is not registered,
                or an argument of it is unknown.
            OSError: If the new store cannot be written.
        """
        merge_again(self.store.folder, Path(out) / 'detections', merger, views)
        return Annotation(out)

    def select(
        self,
        labeled: str | Path,
        selection: dict | None = None,
        out: str | Path | None = None,
    ) -> str:
        """Select pseudo labels, and write them.

        Args:
            labeled: The COCO file of the labeled images.
            selection: The arguments of `SelectionRules`; None for the
                default, as many instances per image as there are labeled.
            out: The COCO file to write; None for `pseudo_labels`.

        Returns:
            A summary for people, of several lines.

        Raises:
            FileNotFoundError, StoreError, CocoError, ValueError, KeyError: See
                `select_labels`.
            ValueError: Also if a file that is read would be overwritten.
            TypeError: If an argument of `selection` is unknown.
            OSError: If the file cannot be written.
        """
        file = Path(out) if out else self.pseudo_labels
        rules = selection or {}
        shards = list_shards(self.store.folder)
        check_not_read([file], [labeled, *list_rule_files(rules), *shards])
        return select_labels(self.store.folder, str(labeled), rules, file)

    def judge(self, truth: str | Path) -> dict:
        """Compare the pseudo labels with the truth.

        Args:
            truth: The COCO file of the true objects.

        Returns:
            `images` and `instances`, the numbers of images and of labels in
            `pseudo_labels`; and `precision` and `recall` at IoU 0.5, from 0 to
            1; None if there is nothing to divide by. If all labels and all
            true objects have masks, also `mask_precision` and `mask_recall`.

        Raises:
            FileNotFoundError: If there is no such file, or if nothing was
                selected yet.
            CocoError: If a file cannot be used, or the truth lacks an image
                that has been annotated.
        """
        return measure_pseudo_labels(self.pseudo_labels, str(truth))


def list_rule_files(rules: Mapping) -> list[str | None]:
    """List the COCO files that rules of selection read.

    Args:
        rules: The arguments of `SelectionRules`.

    Returns:
        Their paths; None if there is no file of validation images.
    """
    validation = rules.get('validation') or {}
    return [*(rules.get('counted') or ()), validation.get('ann_file')]


def read_masks(row: Mapping) -> dict:
    """Make the arguments of `ImageDetections` that describe masks.

    Args:
        row: A row of a store, with or without masks, as `to_pylist` gives it.

    Returns:
        `masks` and `mask_agreement`, see there; empty without masks.
    """
    if 'masks' not in row:
        return {}
    size = [row['height'], row['width']]
    return dict(
        masks=[dict(size=size, counts=counts) for counts in row['masks']],
        mask_agreement=np.array(row['mask_agreement'], np.float32),
    )


def annotate(
    config: str | Path,
    checkpoint: str | Path,
    out: str | Path,
    images: str | Path | None = None,
    options: Mapping | None = None,
) -> Annotation:
    """Annotate images with a teacher, in this process.

    Images that are in `out` already are left out, so that a run that was
    stopped goes on.

    Args:
        config: An annotation config, such as `EXPERIMENT/annotate.py`.
        checkpoint: The path or the URL of the teacher's weights.
        out: The work folder, with `detections/` and `pseudo_labels.json`.
        images: A folder of images, which is searched at any depth; None for
            the images of the config.
        options: Changes of the config, key with dots -> value, such as
            `{'model.keep_views': True}`.

    Returns:
        The annotation.

    Raises:
        FileNotFoundError: If a file is missing.
        ImportError: If the config imports a module that is not there.
        CheckpointError: If the checkpoint could run code, or does not fit.
        StoreError: If `out` holds detections of another teacher.
        CocoError, ValueError: If the data or the config cannot be used.
        KeyError, TypeError: If a type in the config is not registered, or an
            argument or one of the options does not fit.
        RuntimeError: If the checkpoint is cut short.
        OSError: If the results cannot be written.
        AnnotationStopped: If SIGTERM has stopped the run; what was annotated
            is kept. This is no `Exception`.
    """
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(options or {}))
    cfg.load_from, cfg.work_dir = str(checkpoint), str(out)
    if images is not None:
        cfg.merge_from_dict(
            {
                'test_dataloader.dataset.data_root': '',
                'test_dataloader.dataset.ann_file': '',
                'test_dataloader.dataset.data_prefix': dict(img=str(images)),
            }
        )
    # Runs of one name in a process would share a log and its folder.
    cfg.experiment_name = f'annotate_{uuid.uuid4().hex}'
    cfg.visualizer = dict(type='Visualizer', name=cfg.experiment_name)
    with refusing_code():
        runner = QuietRunner.from_cfg(cfg)
        try:
            runner.test()
        # Of Ctrl-C too: the process, such as a notebook, goes on.
        except BaseException:
            for hook in runner.hooks:
                if isinstance(hook, DetectionHook):
                    hook.leave()
            raise
    return Annotation(out)
