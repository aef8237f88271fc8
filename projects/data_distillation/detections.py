"""The detection store: what the teacher found, on disk, one row per image.

A folder of Parquet files ("shards"). A shard is written under another name,
flushed to disk and renamed, so that it is whole or not there at all; it knows
which images it holds and who made it. Every process writes its own shards,
none waits for another, and a run that was killed goes on from what is there.
"""

import json
import os
import uuid
from collections.abc import Set
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f'{uuid.uuid4().hex}.parquet'
        temporary = self.folder / f'.{name}'
        with temporary.open('wb') as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.folder / name)

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
        tables = [
            pq.read_table(shard, schema=SCHEMA) for shard in self._shards()
        ]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        names = table['file_name'].to_pylist()
        # An image may be there twice: from two runs at once, or read at the
        # second try. The later in this order wins.
        is_read = pc.is_null(table['unreadable']).to_pylist()
        order = sorted(range(len(names)), key=is_read.__getitem__)
        row_of = {names[i]: i for i in order}
        if file_names is not None:
            row_of = {n: row_of[n] for n in row_of.keys() & file_names}
        rows = pa.array(sorted(row_of.values()), pa.int64())
        by_id = [('image_id', 'ascending'), ('file_name', 'ascending')]
        return table.take(rows).sort_by(by_id)

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob('[!.]*.parquet'))

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


def differing_keys(one: dict, other: dict) -> list[str]:
    """Return the keys, apart from `LOCATIONS`, whose values differ, sorted."""
    keys = (one.keys() | other.keys()) - set(LOCATIONS)
    return sorted(key for key in keys if one.get(key) != other.get(key))
