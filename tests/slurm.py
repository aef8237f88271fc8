"""A Slurm cluster of one node on this machine, for as long as tests need it.

The node claims more cores and GPUs than the machine has, so that jobs which
ask for some start at once; the "GPUs" are empty files.
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from builders import process_environ, wait_until

PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'srun', 'scontrol')
NODE_CPUS, NODE_GPUS = 64, 8
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
# A requeued job waits until its credentials have expired: 5 s is the least.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
KillWait=10
MinJobAge=3600
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:{gpus}
PartitionName=gpu Nodes=localhost Default=YES
"""
GPUS = 'NodeName=localhost Name=gpu File={folder}/gpu[0-{last}]\n'
# Of jobs that have ended and are not to start again.
ENDED = {'COMPLETED', 'FAILED', 'TIMEOUT', 'CANCELLED', 'NODE_FAIL'}


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its folder, the environment of its commands."""

    folder: Path
    environ: dict[str, str]

    def run(
        self, *command: object, cwd: Path | None = None, **environ: str
    ) -> str:
        """Run a command that must succeed, and return what it prints."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.folder,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def submit(
        self,
        script: str,
        *arguments: object,
        cwd: Path | None = None,
        **environ: str,
    ) -> str:
        """Hand in an sbatch script and return the number of the job."""
        with tempfile.NamedTemporaryFile('w', suffix='.sbatch') as file:
            file.write(script)
            file.flush()
            said = self.run(
                *('sbatch', '--parsable', file.name, *arguments),
                cwd=cwd,
                **environ,
            )
        return said.strip()

    def log(self, job: str) -> str:
        """Return what a job, or the tasks of a job array, have printed."""
        logs = sorted(self.folder.glob(f'job-{job}_*.out'))
        return '\n'.join(log.read_text() for log in logs)

    def show(self, job: str) -> str:
        """Return what Slurm says of a job, or the tasks of a job array."""
        return self.run('scontrol', 'show', 'job', job)

    def states(self, job: str) -> set[str]:
        """Return the states of a job, or of the tasks of a job array."""
        return set(re.findall(r'JobState=(\w+)', self.show(job)))

    def wait(self, job: str) -> set[str]:
        """Wait until a job has ended, and return its states."""
        wait_until(lambda: self.states(job) <= ENDED, 180)
        return self.states(job)


def why_no_cluster() -> str | None:
    """Say why no cluster can be started here; None if it can."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f'{missing} not found (Debian: apt install slurm-wlm munge)'
    if os.geteuid() != 0:
        return 'a Slurm node of its own needs root'
    return None


@contextmanager
def started_cluster() -> Iterator[Cluster]:
    """Start a cluster; stop it and all its jobs in the end, whatever happens.

    Raises:
        TimeoutError: If its node is not idle after 30 s, with the logs.
    """
    with ExitStack() as stack:
        # Short, since the path of a socket must be.
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix='slurm-', ignore_cleanup_errors=True
                )
            )
        )
        write_config(folder)
        config = folder / 'slurm.conf'
        environ = process_environ(
            SLURM_CONF=str(config),
            SBATCH_OUTPUT=f'{folder}/job-%A_%a.out',
            OMP_NUM_THREADS='1',  # Of each task, as torchrun sets it.
        )
        cluster = Cluster(folder, environ)
        stack.enter_context(daemon(munged_command(folder), folder, environ))
        wait_until((folder / 'munge.socket').exists, 10)
        for command in (
            ['slurmctld', '-D', '-i', '-f', config],
            ['slurmd', '-D', '-N', 'localhost', '-f', config],
        ):
            stack.enter_context(daemon(command, folder, environ))
        try:
            wait_until(lambda: is_idle(cluster), 30)
        except TimeoutError as error:
            logs = [log.read_text()[-1500:] for log in folder.glob('*.log')]
            raise TimeoutError('\n'.join(logs)) from error
        stack.callback(end_jobs, cluster)
        yield cluster


def munged_command(folder: Path) -> list[str]:
    """Return how to start the program that Slurm's programs trust."""
    return [
        'munged',
        '--foreground',
        '--force',  # Folders in /tmp are too open for its taste.
        f'--key-file={folder}/munge.key',
        f'--socket={folder}/munge.socket',
        f'--pid-file={folder}/munge.pid',
        f'--log-file={folder}/munge.log',
        f'--seed-file={folder}/munge.seed',
    ]


def write_config(folder: Path) -> None:
    """Write the configuration, the key and the GPUs of a cluster."""
    (folder / 'munge.key').write_bytes(os.urandom(128))
    (folder / 'munge.key').chmod(0o600)
    (folder / 'state').mkdir()
    (folder / 'spool').mkdir()
    text = CONFIG.format(
        host=socket.gethostname().split('.')[0],
        ports=free_ports(2),
        folder=folder,
        cpus=NODE_CPUS,
        gpus=NODE_GPUS,
    )
    (folder / 'slurm.conf').write_text(text)
    for number in range(NODE_GPUS):
        (folder / f'gpu{number}').touch()
    text = GPUS.format(folder=folder, last=NODE_GPUS - 1)
    (folder / 'gres.conf').write_text(text)


def free_ports(num_ports: int) -> list[int]:
    """Return ports that nothing listens to."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(('127.0.0.1', 0)))
            for _ in range(num_ports)
        ]
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def daemon(command: list, folder: Path, environ: dict) -> Iterator[None]:
    """Run a program in the background, its output in a log; stop it."""
    with (folder / f'{command[0]}.log').open('w') as log:
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def is_idle(cluster: Cluster) -> bool:
    """Say whether the node is ready for jobs."""
    done = subprocess.run(
        ['sinfo', '--noheader', '--format=%T'],
        env=cluster.environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.strip() == 'idle'


def end_jobs(cluster: Cluster) -> None:
    """Kill the jobs that still run, which would outlive the daemons."""
    cluster.run('scancel', '--user=root', '--state=PENDING')
    cluster.run('scancel', '--user=root', '--signal=KILL', '--full')
    wait_until(lambda: not cluster.run('squeue', '--noheader').strip(), 30)
