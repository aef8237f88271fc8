"""Runs MMDetection's own tools, also distributed over CPUs."""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

import mmdet
import torch
from torch import distributed

from .checkpoint_safety import refusing_code

# The wrapper that the runner makes by default asks for a GPU.
CPU_OPTIONS = [
    '--cfg-options',
    'model_wrapper_cfg.type=MMDistributedDataParallel',
    'model_wrapper_cfg.device_ids=None',
    'model_wrapper_cfg.broadcast_buffers=False',
]


def run_mmdet_tool(name: str) -> None:
    """Run a tool that MMDetection ships, with this process's arguments.

    Args:
        name: Its file name, such as `'train.py'`.

    Raises:
        CheckpointError: If a checkpoint could run code.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--launcher', default='none')
    launcher = parser.parse_known_args()[0].launcher
    if launcher != 'none' and not torch.cuda.is_available():
        init_cpu_processes(launcher)
        sys.argv += CPU_OPTIONS
    file = Path(mmdet.__file__).parent / '.mim' / 'tools' / name
    spec = importlib.util.spec_from_file_location(f'mmdet_{file.stem}', file)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with refusing_code():
        tool.main()


def init_cpu_processes(launcher: str) -> None:
    """Start the process group over gloo; mmengine's own way needs GPUs.

    Args:
        launcher: `'pytorch'` (torchrun has set the environment) or `'slurm'`.

    Raises:
        ValueError: For another launcher.
    """
    if launcher not in ('pytorch', 'slurm'):
        raise ValueError(
            "without a GPU the launcher must be 'none', 'pytorch' or 'slurm', "
            f'got {launcher!r}'
        )
    if launcher == 'slurm':
        os.environ.update(
            RANK=os.environ['SLURM_PROCID'],
            LOCAL_RANK=os.environ['SLURM_LOCALID'],
            WORLD_SIZE=os.environ['SLURM_NTASKS'],
        )
        os.environ.setdefault(
            'MASTER_ADDR', os.environ['SLURM_LAUNCH_NODE_IPADDR']
        )
        os.environ.setdefault('MASTER_PORT', '29500')
    distributed.init_process_group('gloo')
