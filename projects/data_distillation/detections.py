"""The detection store: what the teacher found, on disk, one row per image.

A folder of Parquet files ("shards"). A shard is written under another name,
flushed to disk and renamed, so that it is whole or not there at all; it knows
which images it holds and who made it. Every process writes its own shards,
none waits for another, and a run that was killed goes on from what is there.
"""

import json
import uuid
from collections.abc import Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .coco import replacing, xyxy_to_xywh

SCHEMA = pa.schema(
    [
        ('file_name', pa.string()),  # relative to the image folder
        ('image_id', pa.int64()),  # null: not known, images of a folder
        ('width', pa.int32()),  # of the decoded image, pixels
        ('height', pa.int32()),
        ('unreadable', pa.string()),  # the reason; null: it was read
        # Of each detection, by descending score:
        ('bboxes_xyxy', pa.list_(pa.list_(pa.float32(), 4))),
        ('scores', pa.list_(pa.float32())),
        ('labels', pa.list_(pa.int32())),
        ('num_views', pa.list_(pa.int32())),
        ('corner_spread', pa.list_(pa.float32())),  # see `mergers.py`
    ]
)
PROVENANCE = b'data_distillation'
# Where things were, not what they were: these may change between two runs.
LOCATIONS = ('teacher_config', 'checkpoint')
# What must be the same for scores to mean the same.
TEACHER_KEYS = (
    'detector_sha256',
    'checkpoint_sha256',
    'other_teachers',
    'pipeline',
    'views',
    'mode',
    'merger',
)


# How many boxes are computed with at once, in double precision.
BOXES_AT_ONCE = 1_000_000


class StoreError(ValueError):
    """The detections on disk do not belong to this run."""


class DetectionStore:
    """Writes and reads the detections of one teacher on its views.

    Args:
        folder: Where the shards are; made when the first one is written.
        provenance: What made the detections; a shard with another provenance
            (apart from `LOCATIONS`) is refused. None to read only: then it is
            that of the shards.
        images_per_shard: How many images, at least, go into one file. Of
            these the last ones, not written yet, are lost when the process
            ends before `flush`, or cannot write.

    Raises:
        StoreError: If the folder holds detections of another provenance.
    """

    def __init__(
        self,
        folder: str | Path,
        provenance: dict | None = None,
        images_per_shard: int = 100,
    ) -> None:
        self.folder = Path(folder)
        self.provenance = provenance
        self.images_per_shard = images_per_shard
        self._rows: list[dict] = []
        # Detection goes on while a shard is written.
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._writing: Future | None = None
        self._check_provenance()

    def add(self, *rows: dict) -> None:
        """Add the images of a batch, which go into one shard.

        Args:
            *rows: The values of each image, with the names of `SCHEMA`.

        Raises:
            OSError: If an earlier shard could not be written.
        """
        self._rows += rows
        if len(self._rows) >= self.images_per_shard:
            self._hand_over()

    def flush(self) -> None:
        """Write the images that are not on disk yet as one shard.

        Raises:
            OSError: If this or an earlier shard could not be written.
        """
        self._hand_over()
        self._wait()

    def _hand_over(self) -> None:
        """Let the writer have the rows, once it is done with the last ones."""
        self._wait()
        if self._rows:
            self._writing = self._writer.submit(self._write, self._rows)
            self._rows = []

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            writing.result()  # raises what the writer has raised

    def _write(self, rows: list[dict]) -> None:
        provenance = json.dumps(self.provenance).encode()
        schema = SCHEMA.with_metadata({PROVENANCE: provenance})
        table = pa.Table.from_pylist(rows, schema)
        with replacing(self.folder / f'{uuid.uuid4().hex}.parquet') as file:
            pq.write_table(table, file)

    def file_names(self, only_readable: bool = False) -> set[str]:
        """Return the file names of the images on disk.

        Args:
            only_readable: Leave out the images that could not be read.
        """
        self._wait()
        names: set[str] = set()
        for shard in self._shards():
            rows = pq.read_table(shard, columns=['file_name', 'unreadable'])
            if only_readable:
                rows = rows.filter(pc.is_null(rows['unreadable']))
            names.update(rows['file_name'].to_pylist())
        return names

    def read(self, file_names: Set[str] | None = None) -> pa.Table:
        """Read the detections on disk.

        Args:
            file_names: The images wanted; None for all.

        Returns:
            A table of `SCHEMA`, by image id, then file name, every image
            once, in the same order whatever the shards' order.
        """
        self._wait()
        with ThreadPoolExecutor() as pool:
            tables = list(pool.map(read_shard, self._shards()))
        table = pa.concat_tables([SCHEMA.empty_table(), *tables])
        del tables
        rows = newest_rows(table)
        if file_names is not None:
            names = table['file_name'].take(rows)
            is_wanted = pc.is_in(names, pa.array([*file_names], pa.string()))
            rows = rows.filter(is_wanted)
        by_id = [('image_id', 'ascending'), ('file_name', 'ascending')]
        keys = table.select([name for name, _ in by_id]).take(rows)
        table = table.take(rows.take(pc.sort_indices(keys, by_id)))
        # The shards' memory, which Arrow would keep for later.
        pa.default_memory_pool().release_unused()
        return table

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob('[!.]*.parquet'))

    def check_same_teacher(self, provenance: dict) -> None:
        """Check that these detections can judge others.

        Args:
            provenance: What made the others.

        Raises:
            StoreError: If there are none, or another teacher, other views or
                another merger made them.
        """
        if self.provenance is None:
            raise StoreError(
                f'no detections (*.parquet) in {self.folder}: run '
                'EXPERIMENT/validate.py first, see docs/selection.md'
            )
        made = self.provenance
        differing = [
            key for key in TEACHER_KEYS if made.get(key) != provenance.get(key)
        ]
        if differing:
            raise StoreError(
                f'{self.folder} cannot judge these detections: it differs in '
                f'{differing}. Run EXPERIMENT/validate.py with the same '
                'teacher and settings'
            )

    def _check_provenance(self) -> None:
        for shard in self._shards():
            metadata = pq.read_schema(shard).metadata or {}
            found = json.loads(metadata.get(PROVENANCE, b'{}'))
            self.provenance = self.provenance or found
            differing = differing_keys(found, self.provenance)
            if differing:
                raise StoreError(
                    f'{self.folder} holds detections that this run would not '
                    f'make: {shard.name} differs in {differing}. Use another '
                    '--work-dir, or delete the folder to start anew'
                )


def read_shard(shard: Path) -> pa.Table:
    """Read a shard's rows."""
    return pq.read_table(shard, schema=SCHEMA)


def newest_rows(table: pa.Table) -> pa.Array:
    """Choose one row of each image.

    It may be there twice: from two runs at once, or read at the second try.

    Returns:
        For each file name the last row that was read; if none was, the last.
    """
    names = table['file_name'].combine_chunks().dictionary_encode()
    is_read = pc.is_null(table['unreadable']).to_numpy()
    newest = np.zeros(len(names.dictionary), np.int64)
    # Of several values for one place numpy keeps the last.
    in_order = np.argsort(is_read, kind='stable')
    newest[names.indices.to_numpy()[in_order]] = in_order
    return pa.array(newest)


def differing_keys(one: dict, other: dict) -> list[str]:
    """Return the keys, apart from `LOCATIONS`, whose values differ, sorted."""
    keys = (one.keys() | other.keys()) - set(LOCATIONS)
    return sorted(key for key in keys if one.get(key) != other.get(key))


@dataclass(frozen=True)
class Detections:
    """All detections of all images that were read, as columns.

    Args:
        image_index: Shape (n,), the row of each detection's image; ascending.
        bbox_xywh: Shape (n, 4), float32, pixels, inside the image, rounded to
            1/100.
        scores: Shape (n,), float32, descending within an image.
        labels: Shape (n,).
        num_views: Shape (n,), how many views support the detection.
        corner_spread: Shape (n,), float32, see `mergers.corner_spread`.
    """

    image_index: np.ndarray
    bbox_xywh: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    num_views: np.ndarray
    corner_spread: np.ndarray

    def __getitem__(self, chosen: np.ndarray | slice) -> 'Detections':
        """Return the chosen detections (a mask, indices or a slice)."""
        return Detections(*(column[chosen] for column in vars(self).values()))

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.scores)


def flatten(table: pa.Table) -> Detections:
    """Turn one row per image into one element per detection.

    Args:
        table: Of `SCHEMA`, the images that were read.

    Returns:
        The detections, by image, then as stored.
    """
    lengths = pc.list_value_length(table['scores']).to_numpy()
    image_index = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    columns = [
        pc.list_flatten(table[name]).to_numpy()
        for name in ('scores', 'labels', 'num_views', 'corner_spread')
    ]
    return Detections(image_index, boxes_xywh(table, image_index), *columns)


def boxes_xywh(table: pa.Table, image_index: np.ndarray) -> np.ndarray:
    """Return the boxes as `Detections.bbox_xywh`.

    Args:
        table: Of `SCHEMA`.
        image_index: Shape (n,), the row of each box.
    """
    sizes_wh = np.stack(
        [table['width'].to_numpy(), table['height'].to_numpy()], axis=1
    )
    corners = pc.list_flatten(pc.list_flatten(table['bboxes_xyxy']))
    bboxes_xyxy = corners.to_numpy().reshape(-1, 4)
    bbox_xywh = np.empty(bboxes_xyxy.shape, np.float32)
    for start in range(0, len(bbox_xywh), BOXES_AT_ONCE):
        part = slice(start, start + BOXES_AT_ONCE)
        bbox_xywh[part] = xyxy_to_xywh(
            bboxes_xyxy[part], sizes_wh[image_index[part]]
        )
    return bbox_xywh
