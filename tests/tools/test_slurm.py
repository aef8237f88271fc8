"""Jobs of a real Slurm cluster, with the scripts of docs/cluster.md."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import (
    ROOT,
    DrawnImages,
    annotate,
    annotate_cfg,
    wait_until,
    write_checkpoint,
    written_cfg,
)
from slurm import Cluster, started_cluster, why_no_cluster

# One cluster, for whose ports there is room once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group(__name__)]
DOC = (ROOT / 'docs/cluster.md').read_text()
SCRIPTS = {
    re.search(r'# (\w+)\.sbatch', block)[1]: block
    for block in re.findall(r'```bash\n(#!.*?)```', DOC, flags=re.DOTALL)
}
ONE_TASK = dict(GPUS='1', GPUS_PER_NODE='1', CPUS_PER_TASK='1')
TWO_TASKS = dict(ONE_TASK, GPUS='2', GPUS_PER_NODE='2')
# For a node of few cores and another working directory; the tests have
# activated the environment.
SMALL = {
    '--ntasks-per-node=8': '--ntasks-per-node=2',
    'gres=gpu:8': 'gres=gpu:2',
    'cpus-per-task=5': 'cpus-per-task=1',
    '--array=0-15': '--array=0-1',
    'source .venv/bin/activate\n': '',
    'tools/slurm': f'{ROOT}/tools/slurm',
}
# Images of the toy teacher, each of three forward passes.
NUM_IMAGES = 40
SLOW = '[ -n "$SLURM_RESTART_COUNT" ] || export SECONDS_PER_FORWARD=2\n'


def script(name: str) -> str:
    """A documented script, with smaller numbers."""
    text = SCRIPTS[name]
    for before, after in SMALL.items():
        text = text.replace(before, after)
    return text


@dataclass(frozen=True)
class ToyPool:
    """Images that the toy teacher annotates, and what one process finds."""

    folder: Path
    config: Path
    checkpoint: Path
    expected: dict

    def arguments(self, work_dir: str) -> list:
        return [self.config, self.checkpoint, self.folder / work_dir]

    def check(self, work_dir: str) -> None:
        """Each image was run once, and the labels are those of one process."""
        (file,) = (self.folder / work_dir).rglob('pseudo_labels.json')
        labels = json.loads(file.read_text())
        assert labels['images'] == self.expected['images']
        assert labels['annotations'] == self.expected['annotations']
        names = self.names(work_dir)
        assert len(names) == len(set(names)) == NUM_IMAGES

    def names(self, work_dir: str) -> list[str]:
        """Return the images on disk, as often as they were run."""
        return [
            row for shard in self.list_shards(work_dir) for row in rows(shard)
        ]

    def list_shards(self, work_dir: str) -> list[Path]:
        return sorted((self.folder / work_dir).glob('detections/*.parquet'))


def rows(shard: Path) -> list[str]:
    return pq.read_table(shard)['file_name'].to_pylist()


@pytest.fixture(scope='module')
def cluster() -> Iterator[Cluster]:
    if reason := why_no_cluster():
        pytest.skip(reason)
    with started_cluster() as cluster:
        yield cluster


@pytest.fixture(scope='module')
def pool(tmp_path_factory) -> ToyPool:
    folder = tmp_path_factory.mktemp('pool')
    drawn = DrawnImages(folder / 'drawn', NUM_IMAGES)
    checkpoint = write_checkpoint(folder / 'teacher.pth')
    cfg = annotate_cfg(drawn, checkpoint, folder / 'one')
    return ToyPool(
        folder,
        written_cfg(drawn, checkpoint, folder),
        checkpoint,
        annotate(cfg),
    )


def submit_slow(
    cluster: Cluster, pool: ToyPool, text: str, to: str, **environ: str
) -> str:
    """Hand in annotation that is slow, unless it was put back."""
    return cluster.submit(
        text.replace(f'\n{ROOT}', f'\n{SLOW}{ROOT}'),
        *pool.arguments(to),
        *('--cfg-options', 'custom_hooks.0.images_per_shard=2'),
        **environ,
    )


@pytest.fixture(scope='module', autouse=True)
def slow_job(cluster, pool) -> str:
    """A job that runs, beside the tests, until its minute is over."""
    text = script('annotate').replace('--time=24:00:00', '--time=1')
    text = text.replace('#SBATCH --signal=B:USR1@300\n', '')
    return submit_slow(cluster, pool, text, 'limit', **ONE_TASK)


@pytest.fixture(scope='module')
def training(cluster, tiny_experiment) -> str:
    """The job that has trained a teacher."""
    job = cluster.submit(
        script('train'), 'experiment/teacher.py', 'teacher',
        cwd=tiny_experiment.parent, **TWO_TASKS,
    )  # fmt: skip
    assert cluster.wait(job) == {'COMPLETED'}, cluster.log(job)
    return job


def test_tasks_of_a_job_train_together(cluster, tiny_experiment, training):
    folder = tiny_experiment.parent

    assert (folder / 'teacher/iter_2.pth').is_file()
    (log,) = folder.glob('teacher/*/*.log')
    assert 'GPU number: 2' in log.read_text()
    assert '+ exec srun -p gpu --job-name=' in cluster.log(training)


def test_distill_runs_its_stages_as_job_steps(
    cluster, tiny_experiment, training
):
    folder = tiny_experiment.parent

    cluster.run(
        'python', ROOT / 'tools/distill.py', 'experiment',
        '--teacher', 'teacher/iter_2.pth',
        '--work-dir', 'distilled', '--preview', 2,
        '--launcher', 'slurm', '--partition', 'gpu', '--gpus', '1',
        '--no-rehearsal',
        cwd=folder, CPUS_PER_TASK='1', GRES='',
    )  # fmt: skip

    log = (folder / 'distilled/distill.log').read_text()
    # The teacher is evaluated, and detects on two sets.
    assert log.count('$ env GPUS=1 GPUS_PER_NODE=1 ') == 3
    labels = folder / 'distilled/preview/pseudo_labels.json'
    assert len(json.loads(labels.read_text())['images']) == 2


def test_containers_need_no_scontrol(cluster, pool, tmp_path):
    for program in Path('/usr/bin').iterdir():
        if program.name != 'scontrol':
            (tmp_path / program.name).symlink_to(program)
    path = f'{Path(sys.executable).parent}:{tmp_path}'
    assert not shutil.which('scontrol', path=path)
    clone = tmp_path / 'a clone'  # Its path has a space.
    clone.symlink_to(ROOT)

    cluster.run(
        clone / 'tools/slurm_test.sh', 'gpu', 'annotate',
        pool.config, pool.checkpoint, '--work-dir', pool.folder / 'container',
        **TWO_TASKS, GRES='', PATH=path,
    )  # fmt: skip

    assert len(pool.list_shards('container')) == 2
    pool.check('container')


def test_signal_to_a_script_ends_its_tasks(cluster, pool):
    command = [ROOT / 'tools/slurm_test.sh', 'gpu', 'ended']
    script = subprocess.Popen(
        [*command, pool.config, pool.checkpoint],
        cwd=pool.folder,
        env=cluster.environ | TWO_TASKS | dict(SECONDS_PER_FORWARD='60'),
        stderr=subprocess.DEVNULL,
    )
    jobs = ['squeue', '--noheader', '--name=ended', '--states=RUNNING']
    wait_until(lambda: cluster.run(*jobs), 30)

    script.terminate()

    assert script.wait(60) != 0
    wait_until(lambda: not cluster.run(*jobs), 30)


def test_jobs_of_an_array_annotate_one_pool(cluster, pool):
    jobs = cluster.submit(
        script('array'), *pool.arguments('array'), **ONE_TASK
    )

    assert cluster.wait(jobs) == {'COMPLETED'}, cluster.log(jobs)
    shards = pool.list_shards('array')
    assert sorted(len(rows(shard)) for shard in shards) == [20, 20]
    pool.check('array')


def test_job_puts_itself_back_before_its_time_is_over(cluster, pool):
    text = script('annotate')
    job = submit_slow(cluster, pool, text, 'put_back', **ONE_TASK)
    wait_until(lambda: pool.list_shards('put_back'), 120)

    # What Slurm sends before the limit: `--signal=B:USR1@300`.
    cluster.run('scancel', '--batch', '--signal=USR1', job)
    wait_until(lambda: 'Restarts=1' in cluster.show(job), 30)

    assert 0 < len(pool.names('put_back')) < NUM_IMAGES
    assert cluster.wait(job) == {'COMPLETED'}, cluster.log(job)
    pool.check('put_back')


def test_job_that_its_limit_has_stopped_goes_on(cluster, pool, slow_job):
    assert cluster.wait(slow_job) == {'TIMEOUT'}, cluster.log(slow_job)
    assert 0 < len(pool.names('limit')) < NUM_IMAGES

    cluster.run('scontrol', 'requeue', slow_job)

    assert cluster.wait(slow_job) == {'COMPLETED'}, cluster.log(slow_job)
    pool.check('limit')
