r"""Annotate under faults: kills, stops, bad disks, bad files, many images.

It takes long. The figures are in docs/reliability.md. Every run is
`tools/dist_test.sh` with a real teacher.

Example:
    python tools/campaigns/fault_campaign.py kills \
        configs/bccd/annotate.py TEACHER.pth
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / 'tests'))

from bad_images import KINDS, remove_vanishing, write_all
from builders import ROOT, process_environ

from projects.data_distillation import DetectionStore
from projects.data_distillation.command_line import make_parser

CONFIG = """
_base_ = {config!r}
custom_imports = dict(
    imports=['projects.data_distillation', 'fault_campaign']
)
custom_hooks = [
    dict(
        _base_.custom_hooks[0],
        images_per_shard={images_per_shard},
        max_unreadable_share=1.0,
    ),
    dict(type='RunLog', file={log!r}),
]
"""


@HOOKS.register_module()
class RunLog(Hook):
    """Writes down every image that is run, to count those that run twice.

    It writes after each batch, so that a kill loses nothing.

    Args:
        file: The file that the names are appended to.
    """

    priority = 'VERY_HIGH'

    def __init__(self, file: str) -> None:
        # Appended in one call, so that lines of several processes do not mix.
        self.file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Write down the images of a batch.

        Args:
            runner: Not used.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: The samples of the batch.
        """
        names = ''.join(f'{sample.file_name}\n' for sample in outputs or ())
        os.write(self.file, names.encode())


@dataclass
class Run:
    """An annotation, which may be started several times.

    Args:
        config: The `annotate.py`.
        teacher: The checkpoint of the teacher.
        work_dir: The work folder, which must not exist.
        num_processes: The number of processes that annotate.
        images_per_shard: The number of images in one shard.
    """

    config: Path
    teacher: Path
    work_dir: Path
    num_processes: int
    images_per_shard: int = 8

    def __post_init__(self) -> None:
        self.work_dir.mkdir(parents=True)
        self.log = self.work_dir / 'images_run.txt'
        self.log.touch()
        # In the work folder, mmengine writes a config of the same name.
        self.file = self.work_dir.with_name(
            f'annotate_{self.work_dir.name}.py'
        )
        self.file.write_text(
            CONFIG.format(
                config=str(self.config.resolve()),
                images_per_shard=self.images_per_shard,
                log=str(self.log),
            )
        )
        self.labels_file = self.work_dir / 'pseudo_labels.json'

    def read_folder(self, folder: Path) -> None:
        """Let it annotate the images of another folder.

        Args:
            folder: The folder of the images.

        Raises:
            OSError: If the config cannot be written.
        """
        with self.file.open('a') as config:
            config.write(
                'test_dataloader = dict(dataset=dict(data_root="", '
                f'ann_file="", data_prefix=dict(img={str(folder)!r})))\n'
            )

    def start(self) -> subprocess.Popen:
        """Start it as a user does, with its output in `output.txt`.

        Returns:
            The process, which runs.

        Raises:
            OSError: If `output.txt` cannot be written.
        """
        command = [
            'tools/dist_test.sh', self.file, self.teacher,
            self.num_processes, '--work-dir', self.work_dir,
        ]  # fmt: skip
        with (self.work_dir / 'output.txt').open('a') as output:
            return subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env=make_environment(),
                stdout=output,
                stderr=output,
            )

    def finish(self) -> int:
        """Run it to its end.

        Returns:
            The exit code.

        Raises:
            OSError: If `output.txt` cannot be written.
        """
        return self.start().wait()

    def stored(self) -> set[str]:
        """Find the images whose detections are on disk.

        Returns:
            Their file names.
        """
        store = DetectionStore(self.work_dir / 'detections')
        return set(store.list_images())

    def images_run(self) -> list[str]:
        """List the images that have run.

        Returns:
            Their file names, in order; some may occur twice.
        """
        return self.log.read_text().splitlines()

    def labels(self) -> tuple[list, list]:
        """Read what of the pseudo labels must be equal for two runs.

        Returns:
            The images and the annotations.
        """
        content = json.loads(self.labels_file.read_bytes())
        return content['images'], content['annotations']

    def last_error(self) -> str:
        """Find the last line of the output that names an error.

        Returns:
            The line.

        Raises:
            IndexError: If there is none.
        """
        lines = (self.work_dir / 'output.txt').read_text().splitlines()
        return [line for line in lines if 'Error: ' in line.strip()][-1]


def make_environment() -> dict[str, str]:
    """Make an environment in which a stage can import this module.

    Returns:
        The variables of this process, with another `PYTHONPATH`.
    """
    found = process_environ()
    path = found['PYTHONPATH'], str(Path(__file__).resolve().parent)
    return dict(found, PYTHONPATH=os.pathsep.join(path))


def kill_all(process: subprocess.Popen) -> None:
    """End a process and all that it has started with SIGKILL.

    Args:
        process: The process; it has ended afterwards.
    """
    # Listed before: orphans are no longer the children of this process.
    victims = psutil.Process(process.pid).children(recursive=True)
    for victim in [*victims, process]:
        victim.kill()
    psutil.wait_procs(victims)
    process.wait()


def wait_or_kill(process: subprocess.Popen, seconds: float | None) -> bool:
    """Kill a process unless it ends within a number of seconds.

    Args:
        process: The process.
        seconds: The number of seconds; None to wait for its end.

    Returns:
        Whether it was killed.
    """
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_all(process)
        return True
    return False


def measure_start(run: Run) -> float:
    """Measure how long a run takes to its first image.

    The run is killed and its folder deleted.

    Args:
        run: The run.

    Returns:
        Seconds.

    Raises:
        OSError: If a file of the run cannot be written, or its folder not
            deleted.
    """
    begin = time.monotonic()
    process = run.start()
    wait_for_first_image(run, process)
    seconds = time.monotonic() - begin
    kill_all(process)
    shutil.rmtree(run.work_dir)
    return seconds


def wait_for_first_image(run: Run, process: subprocess.Popen) -> None:
    """Wait until an image has run.

    Args:
        run: The run.
        process: The process of the run.

    Raises:
        SystemExit: If it ends without an image.
    """
    while not run.images_run():
        if process.poll() is not None:
            sys.exit(f'ended without an image: see {run.work_dir}/output.txt')
        time.sleep(0.1)


def run_kills(args: argparse.Namespace) -> None:
    """Kill annotations at random moments, and compare their labels.

    Args:
        args: The arguments of the command line.

    Raises:
        OSError: If a file of a run cannot be written.
    """
    expected = make_run(args, 'uninterrupted')
    expected.finish()
    start_up = measure_start(make_run(args, 'start_up'))
    print(f'{start_up:.0f} s to the first image', flush=True)
    # Some kills come before the first image, most of them later.
    seconds = 0.7 * start_up, 1.7 * start_up
    count: collections.Counter = collections.Counter()
    chance = random.Random(args.seed)
    while count['kills'] < args.kills:
        count['rounds'] += 1
        run = make_run(args, f'killed_{count["rounds"]}')
        while not run.labels_file.is_file():
            is_last = count['kills'] == args.kills
            end = None if is_last else chance.uniform(*seconds)
            start_and_kill(run, end, count)
        count['different'] += run.labels() != expected.labels()
    print(
        f'{count["kills"]} kills in {count["rounds"]} annotations of '
        f'{len(expected.labels()[0])} images, of which {count["different"]} '
        f'differ from the uninterrupted one. Run again: {count["lost"]} '
        f'images of open shards, {count["again"]} that were on disk'
    )


def start_and_kill(
    run: Run, seconds: float | None, count: collections.Counter
) -> None:
    """Start a run and kill it unless it ends within a number of seconds.

    Args:
        run: The run.
        seconds: The number of seconds; None to let it end.
        count: The counts so far; `kills`, the images `lost` with open shards,
            and the images that ran `again` although they were on disk are
            increased.

    Raises:
        OSError: If `output.txt` cannot be written.
    """
    before, stored = len(run.images_run()), run.stored()
    process = run.start()
    was_killed = wait_or_kill(process, seconds)
    if not was_killed and process.returncode:
        sys.exit(f'failed without a kill: {run.last_error()}')
    new = set(run.images_run()[before:])
    count['kills'] += was_killed
    count['again'] += len(stored & new)
    count['lost'] += len(new - run.stored())
    print(
        f'{count["kills"]} kills: {len(new)} images run, '
        f'{len(new - run.stored())} of them not on disk; '
        f'{len(run.stored())} on disk',
        flush=True,
    )


def run_stops(args: argparse.Namespace) -> None:
    """Stop one process with SIGSTOP for a while, and compare the labels.

    Args:
        args: The arguments of the command line.

    Raises:
        OSError: If a file of a run cannot be written.
    """
    expected, run = make_run(args, 'uninterrupted'), make_run(args, 'stopped')
    expected.finish()
    process = run.start()
    wait_for_first_image(run, process)
    victim = find_workers(process)[0]
    victim.suspend()
    before = len(run.images_run())
    time.sleep(args.seconds)
    during = len(run.images_run()) - before
    victim.resume()
    code = process.wait()
    is_same = not code and run.labels() == expected.labels()
    names = run.images_run()
    print(
        f'stopped for {args.seconds} s: the others ran {during} of '
        f'{len(set(names))} images meanwhile; exit code {code}, the same '
        f'labels: {is_same}, {len(names) - len(set(names))} images twice'
    )


def find_workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Find the processes that annotate.

    Args:
        process: The launcher, which needs less memory than they do.

    Returns:
        The processes, the largest first.
    """
    children = psutil.Process(process.pid).children(recursive=True)
    sizes = {child: child.memory_info().rss for child in children}
    # Launchers load no detector, and need less.
    large = [child for child, size in sizes.items() if size > 400 * 2**20]
    return sorted(large, key=sizes.__getitem__, reverse=True)


def run_disks(args: argparse.Namespace) -> None:
    """Annotate to a full disk, to a read-only one, and to a good one.

    Args:
        args: The arguments of the command line.

    Raises:
        OSError: If a folder cannot be made, or a file of the good disk not
            written.
    """
    expected = make_run(args, 'uninterrupted')
    expected.finish()
    run = make_run(args, 'disk')
    folder = run.work_dir / 'detections'
    folder.mkdir()
    with mounted(folder, f'size={args.disk_size}'):
        report(run, 'full disk')
        kept = run.stored()
        remount(folder, 'ro')
        report(run, 'read-only')
        remount(folder, 'rw,size=64m')
        code = run.finish()
        is_equal = run.labels() == expected.labels()
    times = collections.Counter(run.images_run())
    print(
        f'room again: exit code {code}, labels '
        f'{"equal" if is_equal else "DIFFER"}; run twice: '
        f'{sum(times[name] > 1 for name in kept)} of the kept images, '
        f'{sum(n > 1 for n in times.values())} in all'
    )


def report(run: Run, fault: str) -> None:
    """Run an annotation under a fault, and print how it ends.

    Args:
        run: The run.
        fault: What is wrong, for the line.

    Raises:
        OSError: If `output.txt` cannot be written.
    """
    begin = time.monotonic()
    code = run.finish()
    print(
        f'{fault}: exit code {code} after {time.monotonic() - begin:.0f} s, '
        f'{len(run.stored())} images kept\n  {run.last_error()}',
        flush=True,
    )


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a disk in memory at a folder.

    Args:
        folder: The folder.
        options: The options of `mount`, such as `size=8m`.

    Yields:
        Nothing. The disk is unmounted after the context.
    """
    mount = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(['umount', folder], check=True)


def remount(folder: Path, options: str) -> None:
    """Change how a disk is mounted.

    Args:
        folder: The folder at which it is mounted.
        options: The new options of `mount`.
    """
    subprocess.run(['mount', '-o', f'remount,{options}', folder], check=True)


def run_bad_files(args: argparse.Namespace) -> None:
    """Annotate photographs with a bad file of every kind among them.

    Args:
        args: The arguments of the command line.

    Raises:
        OSError: If a photograph cannot be copied, or a file not be written.
    """
    folder = args.work_dir / 'files_and_photographs'
    write_all(folder)
    photographs = sorted(args.images.iterdir())
    for photograph in photographs:
        shutil.copy(photograph, folder)
    run = make_run(args, 'files')
    run.read_folder(folder)
    process = run.start()
    wait_for_first_image(run, process)
    remove_vanishing(folder)
    print(f'exit code {process.wait()}')
    report_files(run, [photograph.name for photograph in photographs])


def report_files(run: Run, photographs: Sequence[str]) -> None:
    """Print what became of each kind of file, and count the outcomes.

    Args:
        run: The run.
        photographs: The names of the good files.
    """
    content = json.loads(run.labels_file.read_bytes())
    labeled = {image['file_name'] for image in content['images']}
    reasons = {
        row['file_name']: row['unreadable']
        for row in content['info']['data_distillation']['unreadable']
    }
    output = (run.work_dir / 'output.txt').read_text()
    kinds = [kind for kind in KINDS if kind.is_found]
    for kind in kinds:
        reason = reasons.get(kind.file_name, 'labeled')
        print(f'  {kind.file_name!r}: {reason}')
    print(
        f'{len(kinds)} kinds: '
        f'{sum(k.file_name in labeled for k in kinds)} labeled, '
        f'{sum(k.file_name in reasons for k in kinds)} listed, of these '
        f'{sum(r in output for r in reasons.values())} in the log too; '
        f'{sum(name in labeled for name in photographs)} of '
        f'{len(photographs)} photographs labeled'
    )


def run_long(args: argparse.Namespace) -> None:
    """Print the memory of the processes while many small images run.

    Args:
        args: The arguments of the command line.

    Raises:
        OSError: If a file of the run cannot be written.
    """
    run = make_run(args, 'memory', images_per_shard=100)
    run.read_folder(args.images.resolve())
    process = run.start()
    next_count = args.every
    while process.poll() is None:
        time.sleep(0.5)
        count = len(run.images_run())
        if count >= next_count:
            workers = find_workers(process)
            sizes = [f'{one.memory_info().rss / 2**20:.0f}' for one in workers]
            print(f'{count} images: {" ".join(sizes)} MiB', flush=True)
            next_count = count + args.every
    print(f'exit code {process.returncode}')


def make_run(args: argparse.Namespace, name: str, **changes: int) -> Run:
    """Make a run with its own folder.

    Args:
        args: The arguments of the command line.
        name: The name of the folder in the work folder.
        **changes: Other fields of the run.

    Returns:
        The run; nothing has run yet.

    Raises:
        OSError: If the folder or the config of the run cannot be written.
    """
    return Run(
        args.config,
        args.teacher,
        args.work_dir / name,
        args.processes,
        **changes,
    )


CAMPAIGNS = dict(
    kills=run_kills,
    stops=run_stops,
    disks=run_disks,
    files=run_bad_files,
    memory=run_long,
)


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('what', choices=CAMPAIGNS, help='the kind of fault')
    add('config', type=Path, help='an annotate.py')
    add('teacher', type=Path, help='the checkpoint of its teacher')
    add(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/fault_campaign'),
        help='the folder of the results (default: %(default)s)',
    )
    add(
        '--processes',
        type=int,
        default=2,
        help='the number of processes that annotate (default: %(default)s)',
    )
    add('--images', type=Path, help='files, memory: the folder of the images')
    add_faults(parser)
    args = parser.parse_args()
    if args.what in ('files', 'memory') and not args.images:
        parser.error(f'{args.what} needs --images')
    args.work_dir = args.work_dir.resolve() / args.what
    return args


def add_faults(parser: argparse.ArgumentParser) -> None:
    """Add the options of a single kind of fault.

    Args:
        parser: The parser to add to; it is changed in place.
    """
    add = parser.add_argument
    add(
        '--seed',
        type=int,
        default=0,
        help='kills: the random seed of the moments (default: %(default)s)',
    )
    add(
        '--kills',
        type=int,
        default=20,
        help='kills: the least number of kills (default: %(default)s)',
    )
    add(
        '--seconds',
        type=int,
        default=60,
        help='stops: how long a process is stopped (default: %(default)s)',
    )
    add(
        '--disk-size',
        default='200k',
        help='disks: the size of a disk that is too small (default: '
        '%(default)s)',
    )
    add(
        '--every',
        type=int,
        default=2000,
        help='memory: the number of images between two lines (default: '
        '%(default)s)',
    )


if __name__ == '__main__':
    arguments = parse_args()
    CAMPAIGNS[arguments.what](arguments)
