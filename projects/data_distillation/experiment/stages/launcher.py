"""The commands that start the processes of a stage."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ...arguments import check_is_one_of


def find_tools() -> Path:
    """Find the command lines, in a clone or where pip has installed them.

    Returns:
        The folder with `distill.py`, `train.py` and so on.
    """
    root = Path(__file__).resolve().parents[4]
    clone = root / 'tools'
    if (clone / 'distill.py').is_file():
        return clone
    return root / 'data_distillation_tools'


TOOLS = find_tools()
LAUNCHERS = ('none', 'pytorch', 'slurm')
# Each process needs memory for a detector, and there may be many cores.
MAX_CPU_PROCESSES = 8
# The number of tasks on a Slurm node, unless the environment names another.
GPUS_PER_NODE = 8


@dataclass(frozen=True)
class Launcher:
    """Makes the commands that call `tools/train.py` and `tools/test.py`.

    They are the commands that users of MMDetection know.

    Args:
        name: `'none'`, `'pytorch'` (`tools/dist_*.sh`, on this machine) or
            `'slurm'` (`tools/slurm_*.sh`, which read their environment).
        num_processes: The number of processes that train and annotate.
        partition: The partition of Slurm; None for other launchers.

    Raises:
        ValueError: If there is no such launcher, or the arguments do not fit
            together.
    """

    name: str = 'none'
    num_processes: int = 1
    partition: str | None = None

    def __post_init__(self) -> None:
        check_is_one_of('launcher', self.name, LAUNCHERS)
        if self.num_processes < 1:
            raise ValueError(
                f'gpus must be at least 1, got {self.num_processes}'
            )
        if self.name == 'none' and self.num_processes > 1:
            raise ValueError(
                f"{self.num_processes} processes need a launcher, got 'none': "
                "use 'pytorch' or 'slurm'"
            )
        if (self.name == 'slurm') != bool(self.partition):
            raise ValueError(
                "the launcher 'slurm' needs a partition, and no other has "
                f'one, got {self.name!r} and {self.partition!r}'
            )

    def choose_for_annotation(self) -> 'Launcher':
        """Choose the launcher for annotation.

        On a CPU it starts at least one process for each core, up to
        `MAX_CPU_PROCESSES`. Images are annotated independently, so this is
        faster; training on a CPU gains nothing from several processes.

        Returns:
            A launcher with these processes, or this one on a GPU and with
            Slurm.
        """
        if self.name == 'slurm' or torch.cuda.is_available():
            return self
        # A container or a job may use fewer than the machine has.
        num_cores = len(os.sched_getaffinity(0))
        num = max(self.num_processes, min(num_cores, MAX_CPU_PROCESSES))
        return replace(self, name='pytorch', num_processes=num)

    def make_training(
        self, config: Path, work_dir: Path, *flags: str | Path
    ) -> list[str]:
        """Make the command that trains.

        Args:
            config: The config of the stage.
            work_dir: The folder of the results.
            *flags: Other arguments of `tools/train.py`.

        Returns:
            The words of the command.
        """
        if self.name == 'slurm':
            return self._launch_by_slurm('train', config, work_dir, *flags)
        return self._launch_locally('train', [config], work_dir, flags)

    def make_test(
        self, config: Path, checkpoint: Path, work_dir: Path, *flags: str
    ) -> list[str]:
        """Make the command that annotates or evaluates.

        Args:
            config: The config of the stage.
            checkpoint: The checkpoint of the model.
            work_dir: The folder of the results.
            *flags: Other arguments of `tools/test.py`.

        Returns:
            The words of the command.
        """
        if self.name == 'slurm':
            return self._launch_by_slurm(
                'test', config, checkpoint, '--work-dir', work_dir, *flags
            )
        return self._launch_locally(
            'test', [config, checkpoint], work_dir, flags
        )

    def _launch_locally(
        self,
        tool: str,
        what: Sequence[Path],
        work_dir: Path,
        flags: Sequence[str | Path],
    ) -> list[str]:
        command = ['python', TOOLS / f'{tool}.py', *what]
        if self.num_processes > 1:
            script = TOOLS / f'dist_{tool}.sh'
            command = [script, *what, self.num_processes]
        return to_texts([*command, '--work-dir', work_dir, *flags])

    def _launch_by_slurm(
        self, tool: str, config: Path, *rest: str | Path
    ) -> list[str]:
        per_node = min(self.num_processes, GPUS_PER_NODE)
        environment = [
            f'GPUS={self.num_processes}',
            f'GPUS_PER_NODE={os.environ.get("GPUS_PER_NODE", per_node)}',
        ]
        script = TOOLS / f'slurm_{tool}.sh'
        job = config.stem
        # The scripts of Slurm read both from their environment.
        command = ['env', *environment, script, self.partition, job, config]
        return to_texts([*command, *rest])


def to_texts(parts: Sequence[object]) -> list[str]:
    """Convert the parts of a command to strings.

    Args:
        parts: Texts, paths and numbers.

    Returns:
        The strings, in order.
    """
    return [str(part) for part in parts]
