"""The detection store: what the teacher found, on disk, one row per image.

A folder of shards (see `shards.py`). Every process writes its own, none waits
for another, and a run that was killed goes on from what is there.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mmengine.logging import print_log

from .provenance import TEACHER_KEYS, Made, differing_keys
from .shards import (
    SCHEMA,
    ShardError,
    read_provenance,
    read_shard,
    write_shard,
)


class StoreError(ValueError):
    """The detections on disk do not belong to this run."""


class DetectionStore:
    """Writes and reads the detections of one teacher on its views.

    Files that are no whole shards are named in the log and left alone: for
    `images`, what they hold is not there.

    Args:
        folder: Where the shards are; made when the first one is written.
        provenance: What made the detections; a shard with another provenance
            (apart from `LOCATIONS`) is refused. None to read only: then it is
            that of the shards.
        images_per_shard: How many images, at least, go into one file ...
        seconds_per_shard: ... unless they take longer than this. What is not
            written yet is lost when the process is killed.

    Raises:
        StoreError: If the folder holds detections of another provenance; also
            when reading, if they came later.
    """

    def __init__(
        self,
        folder: str | Path,
        provenance: dict | None = None,
        images_per_shard: int = 100,
        seconds_per_shard: float = 60.0,
    ) -> None:
        self.folder = Path(folder)
        self.provenance = provenance
        self.images_per_shard = images_per_shard
        self.seconds_per_shard = seconds_per_shard
        self.written: set[Path] = set()
        self._rows: list[dict] = []
        self._last_write = time.monotonic()
        # Detection goes on while a shard is written.
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._writing: Future | None = None
        self._reported: set[Path] = set()
        for shard in self.shards():
            try:
                self._check_provenance(shard, read_provenance(shard))
            except ShardError as error:
                self._report(shard, error)

    def add(self, *rows: dict) -> None:
        """Add the images of a batch, which go into one shard.

        Args:
            *rows: The values of each image, with the names of `SCHEMA`.

        Raises:
            OSError: If an earlier shard could not be written.
        """
        self._rows += rows
        seconds = time.monotonic() - self._last_write
        if (
            len(self._rows) >= self.images_per_shard
            or seconds >= self.seconds_per_shard
        ):
            self._wait()
            self._writing = self._writer.submit(self._write, self._take())

    def flush(self) -> None:
        """Write the images that are not on disk yet as one shard.

        Raises:
            OSError: If this or an earlier shard could not be written.
        """
        self._wait()
        # Not by the writer, which a process that ends has no more.
        self._write(self._take())

    def _take(self) -> list[dict]:
        rows, self._rows = self._rows, []
        self._last_write = time.monotonic()
        return rows

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            writing.result()  # raises what the writer has raised

    def _write(self, rows: list[dict]) -> None:
        if not rows:
            return
        if self.provenance is None:
            raise StoreError(
                'a store must be given a provenance to write, got '
                f'{len(rows)} images for {self.folder} without one'
            )
        shard = self.folder / f'{uuid.uuid4().hex}.parquet'
        try:
            write_shard(shard, rows, self.provenance)
        except OSError as error:
            raise OSError(
                error.errno,
                f'{error.strerror or error}: the detections of {len(rows)} '
                f'images cannot be written to {self.folder}. What was written '
                'before is kept: mend it (make room?) and run the same again',
            ) from error
        self.written.add(shard)

    def images(self) -> dict[str, bool]:
        """Return the file name of each image on disk: whether it was read."""
        images: dict[str, bool] = {}
        for shard in self._from_shards(images_of):
            for name, is_read in shard.items():
                images[name] = is_read or images.get(name, False)
        return images

    def read(
        self, image_ids: Mapping[str, int | None] | None = None
    ) -> pa.Table:
        """Read the detections on disk.

        Args:
            image_ids: The images wanted, by file name, and their ids, which
                replace those of the store; None for all, with the store's.

        Returns:
            A table of `SCHEMA`, by image id, then file name, every image
            once, in the same order whatever the shards' order.

        Raises:
            StoreError: If images are missing, or may be: a file is no whole
                shard.
        """
        tables = self._from_shards(lambda table: table)
        if image_ids is None and self._reported:
            raise StoreError(
                f'images may be missing: {len(self._reported)} files in '
                f'{self.folder} are no whole shards, see the log. Run the '
                'annotation again, which does their images again; then move '
                'these files away'
            )
        table = pa.concat_tables([SCHEMA.empty_table(), *tables])
        del tables
        rows = one_row_per_image(table)
        names, ids = (table[k].take(rows) for k in ('file_name', 'image_id'))
        if image_ids is not None:
            known = pc.index_in(names, pa.array([*image_ids], pa.string()))
            rows, names = (x.filter(pc.is_valid(known)) for x in (rows, names))
            if missing := len(image_ids) - len(rows):
                raise StoreError(
                    f'{missing:,} of {len(image_ids):,} images are not in '
                    f'{self.folder}: run the annotation again'
                )
            new_ids = pa.array([*image_ids.values()], pa.int64())
            ids = new_ids.take(known.drop_null())
        order = pc.sort_indices(
            pa.table([ids, names], ['id', 'name']),
            [('id', 'ascending'), ('name', 'ascending')],
        )
        table = table.take(rows.take(order))
        column = SCHEMA.get_field_index('image_id')
        table = table.set_column(column, 'image_id', ids.take(order))
        # The shards' memory, which Arrow would keep for later.
        pa.default_memory_pool().release_unused()
        return table

    def shards(self) -> list[Path]:
        """Return the shards, by name; some may not be whole."""
        return sorted(self.folder.glob('[!.]*.parquet'))

    def _from_shards(self, make: Callable[[pa.Table], Made]) -> list[Made]:
        """Return what is made of each whole shard."""
        self._wait()
        shards, found = self.shards(), []
        with ThreadPoolExecutor() as pool:
            made = pool.map(partial(self._from_shard, make), shards)
            for shard, one in zip(shards, made, strict=True):
                if isinstance(one, ShardError):
                    self._report(shard, one)
                else:
                    found.append(one)
        return found

    def _from_shard(
        self, make: Callable[[pa.Table], Made], shard: Path
    ) -> Made | ShardError:
        """Return what is made of a shard, or why it is no whole one."""
        try:
            table, provenance = read_shard(shard)
            self._check_provenance(shard, provenance)
            return make(table)
        except ShardError as error:
            return error

    def _report(self, shard: Path, error: ShardError) -> None:
        """Say once that a file is no whole shard.

        In the thread that asked for the shards: MMEngine's managers of loggers
        stay locked for all others when a call of that one has failed.
        """
        if shard not in self._reported:
            print_log(
                f'{shard} is left out: {error}', 'current', logging.WARNING
            )
        self._reported.add(shard)

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

    def _check_provenance(self, shard: Path, found: dict) -> None:
        self.provenance = self.provenance or found
        differing = differing_keys(found, self.provenance)
        if differing:
            raise StoreError(
                f'{self.folder} holds detections that this run would not '
                f'make: {shard.name} differs in {differing}. Use another '
                '--work-dir, or delete the folder to start anew'
            )


def images_of(table: pa.Table) -> dict[str, bool]:
    """Return the file name of each row of `SCHEMA`: whether it was read."""
    is_read = pc.is_null(table['unreadable'])
    names = table['file_name'].to_pylist()
    return dict(zip(names, is_read.to_pylist(), strict=True))


def one_row_per_image(table: pa.Table) -> pa.Array:
    """Choose one row of each image.

    It may be there twice: from two runs at once, or read at the second try.

    Returns:
        For each file name a row that was read; if none was, any.
    """
    names = table['file_name'].combine_chunks().dictionary_encode()
    is_read = pc.is_null(table['unreadable']).to_numpy()
    chosen = np.zeros(len(names.dictionary), np.int64)
    # Of several values for one place numpy keeps the last.
    in_order = np.argsort(is_read, kind='stable')
    chosen[names.indices.to_numpy()[in_order]] = in_order
    return pa.array(chosen)
