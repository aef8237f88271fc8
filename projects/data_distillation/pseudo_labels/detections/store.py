"""DetectionStore: what the teacher found, on disk, with one row per image.

The store is a folder of shards, see `shards.py`. Every process writes its own
shards, and none waits for another. A run that was killed goes on from what is
there.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from mmengine.logging import print_log

from .columns import choose_rows, list_images_read
from .differences import TEACHER_KEYS, as_json, find_differing_keys
from .shard_files import list_shards, name_shard
from .shards import (
    SCHEMA,
    VIEW_SCHEMA,
    ShardError,
    count_bytes,
    count_rows,
    read_provenance,
    read_shard,
    write_shard,
)

# What is made of a shard.
Made = TypeVar('Made')


class StoreError(ValueError):
    """Detections on disk cannot be used; the message says why."""


class DetectionStore:
    """Writes and reads the detections of one teacher on its views.

    A file that is not a whole shard is named in the log and left alone. Its
    images count as missing.

    Args:
        folder: The folder of the shards. It is made when the first shard is
            written.
        provenance: The provenance of the detections (what made them), a dict
            that JSON can hold. A shard with another provenance (apart from
            `LOCATIONS`) is refused. None to read only: then the provenance is
            that of the shards.
        images_per_shard: The number of images, at least, that go into one
            shard.
        seconds_per_shard: The time after which a shard is written with fewer
            images, in seconds. What is not written yet is lost when the
            process is killed. Time is looked at only when images are added.

    Attributes:
        provenance: The one given, as a copy with lists for tuples, or that of
            the shards; None if there is neither.
        written: The paths of the shards that this store has written.

    Raises:
        StoreError: If the folder holds detections of another provenance. The
            methods raise it too, if such detections have come later.
        TypeError: If JSON cannot hold the provenance.
    """

    def __init__(
        self,
        folder: str | Path,
        provenance: dict | None = None,
        images_per_shard: int = 100,
        seconds_per_shard: float = 60.0,
    ) -> None:
        self.folder = Path(folder)
        self.provenance = as_json(provenance)
        self.images_per_shard = images_per_shard
        self.seconds_per_shard = seconds_per_shard
        self.written: set[Path] = set()
        self._rows: list[dict] = []
        self._last_write = time.monotonic()
        # Writes in the background, so that detection goes on.
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._writing: Future | None = None
        self._broken: set[Path] = set()
        made_by = self._from_shards(
            lambda shard: (shard, read_provenance(shard))
        )
        for shard, found in made_by:
            self._check_provenance(shard, found)

    def add(self, *rows: dict) -> None:
        """Add the images of a batch, all of which go into one shard.

        It is written in the background. If that fails, the error is raised by
        the next method that needs the disk.

        Args:
            *rows: One dict per image, see `shards.write_shard`.

        Raises:
            OSError: If an earlier shard could not be written.
            StoreError: If the store had no provenance to write it with.
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
        """Write the images that are not on disk yet, as one shard.

        Raises:
            OSError: If this or an earlier shard could not be written.
            StoreError: If there are images, and the store has no provenance.
        """
        self._wait()
        # A process that is ending has no writer thread any more.
        self._write(self._take())

    def _take(self) -> list[dict]:
        rows, self._rows = self._rows, []
        self._last_write = time.monotonic()
        return rows

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            writing.result()  # raises the error of the writer, if any

    def _write(self, rows: list[dict]) -> None:
        if not rows:
            return
        provenance = self.require_provenance()
        shard = name_shard(self.folder)
        try:
            write_shard(shard, rows, provenance)
        except OSError as error:
            raise OSError(
                error.errno,
                f'{error.strerror or error}: the detections of {len(rows)} '
                f'images cannot be written to {self.folder}. What was written '
                'before is kept. Mend the cause (make room?) and run the same '
                'command again',
            ) from error
        self.written.add(shard)

    def list_images(self) -> dict[str, bool]:
        """List the images on disk.

        A file that is not a whole shard is left out, and the log says so once.

        Returns:
            The file name of each image, and whether it was read, at least
            once.

        Raises:
            OSError: If an earlier shard could not be written.
            StoreError: If a shard has another provenance.
        """
        images: dict[str, bool] = {}
        for shard in self._from_shards(
            lambda one: list_images_read(self._read(one))
        ):
            for name, is_read in shard.items():
                images[name] = is_read or images.get(name, False)
        return images

    def read(
        self, image_ids: Mapping[str, int | None] | None = None
    ) -> pa.Table:
        """Read the detections on disk.

        Args:
            image_ids: The file names of the wanted images, with the ids that
                replace those of the store. None for all images, with the ids
                of the store.

        Returns:
            A table with the columns of `SCHEMA`, or with those of
            `MASK_SCHEMA` if the detections have masks. Each image is there
            once, sorted by image id (images without one last) and then by file
            name. There is no row if there is no shard.

        Raises:
            OSError: If an earlier shard could not be written.
            StoreError: If a wanted image is missing, or a shard has another
                provenance; or, with None, if a file is not a whole shard,
                because images may be missing.
        """
        tables = self._from_shards(self._read)
        if image_ids is None and self._broken:
            raise StoreError(
                f'images may be missing: {len(self._broken)} files in '
                f'{self.folder} are not whole shards, see the log. Run the '
                'annotation again, which does their images again, and then '
                'move these files away'
            )
        schema = tables[0].schema if tables else SCHEMA
        # `concat_tables` fails without a table.
        table = pa.concat_tables([schema.empty_table(), *tables])
        del tables
        rows = choose_rows(table)
        names, ids = (table[k].take(rows) for k in ('file_name', 'image_id'))
        if image_ids is not None:
            # Null for an image that is not wanted.
            known = pc.index_in(names, pa.array([*image_ids], pa.string()))
            rows, names = (x.filter(pc.is_valid(known)) for x in (rows, names))
            if missing := len(image_ids) - len(rows):
                raise StoreError(
                    f'{missing:,} of {len(image_ids):,} images are not in '
                    f'{self.folder}: run the annotation again'
                )
            new_ids = pa.array([*image_ids.values()], pa.int64())
            ids = new_ids.take(known.drop_null())
        # Arrow sorts null, which is an image without an id, to the end.
        order = pc.sort_indices(
            pa.table([ids, names], ['id', 'name']),
            [('id', 'ascending'), ('name', 'ascending')],
        )
        table = table.take(rows.take(order))
        column = SCHEMA.get_field_index('image_id')
        table = table.set_column(column, 'image_id', ids.take(order))
        # Arrow would keep the memory of the shards for later use.
        pa.default_memory_pool().release_unused()
        return table

    def iter_views(self) -> Iterator[pa.Table]:
        """Yield the detections of each shard with the boxes of each view.

        Yields:
            Tables with the columns of `VIEW_SCHEMA`, in the order of `shards`.
            Few of them fit into memory together. Unlike in `read`, an image
            may come more than once, see `choose_rows`.

        Raises:
            OSError: If an earlier shard could not be written.
            StoreError: If there is no shard, or one of them is not whole, has
                no boxes of views, or has another provenance.
        """
        self._wait()
        if not self.list_shards():
            raise StoreError(f'no detections (*.parquet) in {self.folder}')
        for shard in self.list_shards():
            try:
                table, provenance = read_shard(shard, VIEW_SCHEMA)
            except ShardError as error:
                raise StoreError(f'{shard} cannot be used: {error}') from error
            self._check_provenance(shard, provenance)
            yield table

    def count_bytes(self) -> tuple[int, int]:
        """Count the bytes on disk, and those that hold the boxes of views.

        Call `images` before, which finds the shards that are damaged.

        Returns:
            The sums of `shards.count_bytes` over the whole shards.

        Raises:
            OSError: If an earlier shard could not be written.
        """
        sizes = self._from_shards(lambda one: (one, *count_bytes(one)))
        whole = [size[1:] for size in sizes if size[0] not in self._broken]
        return sum(total for total, _ in whole), sum(n for _, n in whole)

    def count_rows(self) -> int:
        """Count the rows on disk, of which an image may have several.

        Unlike `images`, this reads only one column of the shards.

        Returns:
            The number, of the whole shards; 0 if there is none.

        Raises:
            OSError: If an earlier shard could not be written.
        """
        return sum(num_rows for num_rows, _ in self._from_shards(count_rows))

    def list_shards(self) -> list[Path]:
        """List the shards of all processes. Some may not be whole.

        Returns:
            Their paths, sorted by name; empty if there is none or no folder.
        """
        return list_shards(self.folder)

    def _from_shards(self, make: Callable[[Path], Made]) -> list[Made]:
        """Make something of each whole shard, in the order of `shards`.

        On a shared disk most of the time is waiting, so many are opened at
        once.
        """
        self._wait()
        shards, found = self.list_shards(), []
        with ThreadPoolExecutor() as pool:
            made = pool.map(partial(try_shard, make), shards)
            for shard, one in zip(shards, made, strict=True):
                if isinstance(one, ShardError):
                    self._leave_out(shard, one)
                else:
                    found.append(one)
        return found

    def _read(self, shard: Path) -> pa.Table:
        table, provenance = read_shard(shard)
        self._check_provenance(shard, provenance)
        return table

    def _leave_out(self, shard: Path, error: ShardError) -> None:
        """Log, once for each file, that it is not a whole shard.

        Call this in the thread that asked for the shards. If a call to
        MMEngine's manager of loggers fails in one thread, the manager stays
        locked for all others.
        """
        if shard not in self._broken:
            print_log(
                f'{shard} is left out: {error}', 'current', logging.WARNING
            )
        self._broken.add(shard)

    def require_provenance(self) -> dict:
        """Return what made the detections, or fail.

        Returns:
            The provenance, see `detections/provenance.py`.

        Raises:
            StoreError: If the store was given no provenance, and has no
                detections that say it.
        """
        if self.provenance is None:
            raise StoreError(
                f'it is not known what makes the detections of {self.folder}: '
                'the store must be given a provenance, or have detections'
            )
        return self.provenance

    def check_same_teacher(self, provenance: dict) -> None:
        """Check that these detections can judge others.

        Args:
            provenance: The provenance of the other detections.

        Raises:
            StoreError: If there are no detections here, or if another teacher,
                other views or another merger made them, see `TEACHER_KEYS`.
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
                f'{self.folder} cannot judge these detections, because it '
                f'differs in {differing}. Run EXPERIMENT/validate.py with the '
                'same teacher and settings'
            )

    def _check_provenance(self, shard: Path, found: dict) -> None:
        self.provenance = self.provenance or found
        differing = find_differing_keys(found, self.provenance)
        if differing:
            raise StoreError(
                f'{self.folder} holds detections that this run would not '
                f'make: {shard.name} differs in {differing}. To annotate, use '
                'another --work-dir, or delete the folder to start over'
            )


def try_shard(make: Callable[[Path], Made], shard: Path) -> Made | ShardError:
    """Make something of a shard.

    Args:
        make: What makes it of the shard's path.
        shard: The path of the shard.

    Returns:
        What `make` returns; the error if the shard is not whole. Other errors
        are raised.
    """
    try:
        return make(shard)
    except ShardError as error:
        return error
