"""Measures what a job of many does besides detecting, on made-up shards.

A job looks at all images and at the shards of all jobs when it starts, and
again when it ends. With many jobs, this must stay small.
"""

import time
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from ..label_files.coco.contents import resolve_paths
from ..pseudo_labels.annotation.sampler import PendingSampler
from ..pseudo_labels.detections.store import DetectionStore
from ..text import format_table
from .memory import read_process_peak_mib
from .selection import write_store

# The batch size of the examples.
BLOCK = 8


def measure_job(folder: Path, num_images: int, num_jobs: int) -> dict:
    """Measure the steps of one job that goes on after its node was lost.

    Args:
        folder: An empty folder for the shards.
        num_images: The number of images of all jobs. The shards have all of
            them; where the rest is shared out, every other one counts as done.
        num_jobs: The number of jobs, at least 1.

    Returns:
        `images`, `files` and `bytes` (those of the shards), `peak_mib` (that
        of this process, in whole MiB), and `seconds`: each step -> its wall
        time and its CPU time, in the order of the steps.

    Raises:
        FileExistsError: If the folder has detections already.
        FileNotFoundError: If the system is not Linux.
        ValueError: If there are no jobs.
        OSError: If a shard cannot be written.
    """
    write_store(folder / 'detections', num_images)
    seconds: dict[str, tuple[float, float]] = {}

    def take(step: str, function: Callable) -> object:
        """Take the time of a step, and return what it returns."""
        start = time.perf_counter(), time.process_time()
        result = function()
        seconds[step] = (
            time.perf_counter() - start[0],
            time.process_time() - start[1],
        )
        return result

    store = DetectionStore(folder / 'detections')
    sampler = PendingSampler(
        range(num_images), num_parts=num_jobs, rank=0, world_size=1
    )
    names = [f'{i:012}.jpg' for i in sampler.draw_part(BLOCK)]
    take('look for its own images', lambda: resolve_paths(names, folder))
    take('open the shards', lambda: DetectionStore(folder / 'detections'))
    take('list what is done', store.list_images)
    done = set(range(0, num_images, 2))
    take('share out the rest', lambda: sampler.share_out(done, BLOCK))
    take('count at the end', store.count_rows)
    size, _ = store.count_bytes()
    return dict(
        images=num_images,
        files=len(store.list_shards()),
        bytes=size,
        peak_mib=int(read_process_peak_mib()),
        seconds=seconds,
    )


def format_jobs(reports: list[dict]) -> str:
    """Format reports of `measure_job` as a table for the user.

    Args:
        reports: The reports, at least one. Each becomes a column.

    Returns:
        The lines of the table.

    Raises:
        IndexError: If there are no reports.
    """
    table = Table('step: wall / CPU seconds')
    for report in reports:
        table.add_column(f'{report["images"]:,} images', justify='right')
    for step in reports[0]['seconds']:
        values = (report['seconds'][step] for report in reports)
        table.add_row(step, *(f'{w:.2f} / {cpu:.2f}' for w, cpu in values))
    for name in ('files', 'bytes', 'peak_mib'):
        table.add_row(name, *(f'{report[name]:,}' for report in reports))
    return format_table(table)
