"""Say what is installed, whether it fits, and what to do if it does not.

It imports nothing of this project, so it also runs where the rest does not.

Example: `python tools/doctor.py`
"""

import argparse
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import NamedTuple

# Package -> its distributions, and the lowest and the highest version that the
# tests passed with. The first distribution that is installed counts.
TRIED = {
    'torch': (['torch'], '2.1.2', '2.13.0'),
    'mmengine': (['onedl-mmengine', 'mmengine'], '0.10.7', '0.10.12'),
    'mmcv': (['onedl-mmcv', 'mmcv'], '2.1.0', '2.3.6'),
    'mmdet': (['onedl-mmdetection', 'mmdet'], '3.3.0', '3.5.1'),
    'numpy': (['numpy'], '1.26.4', '2.2.6'),
    'cv2': (
        ['opencv-python', 'opencv-python-headless'],
        '4.11.0.86',
        '4.12.0.88',
    ),
    'pycocotools': (['pycocotools'], '2.0.8', '2.0.11'),
    'pyarrow': (['pyarrow'], '23.0.1', '23.0.1'),
}
# Supported, as in pyproject.toml; 3.11 alone was tried.
PYTHONS = '3.10', '3.13'
# Older ones read neither GIF nor animated WebP.
OPENCV_WITH_GIF = '4.12'
INSTALL = 'see docs/install.md'


class Finding(NamedTuple):
    """A line of the report.

    Args:
        name: What was looked at.
        found: What was found.
        advice: What to do; `''` if it is as it should be.
        is_broken: Whether nothing works as long as it is so.
    """

    name: str
    found: str
    advice: str = ''
    is_broken: bool = False


def examine() -> Iterator[Finding]:
    """Examine everything, from the interpreter to the GPU.

    Yields:
        Each finding, in this order.
    """
    python = platform.python_version()
    yield Finding(
        'Python',
        f'{python} ({sys.executable})',
        compare(python, *PYTHONS, 'supported'),
    )
    for name, (distributions, lowest, highest) in TRIED.items():
        yield examine_package(name, distributions, lowest, highest)
    yield attempt(
        "mmcv's ops", load_ops, f'build mmcv with its ops, {INSTALL}'
    )
    yield attempt('this project', load_project, INSTALL)
    yield attempt('GPU', find_gpu, 'install torch first')


def examine_package(
    name: str, distributions: list[str], lowest: str, highest: str
) -> Finding:
    """Say which version of a package is installed, and whether it was tried.

    Args:
        name: The name that the package is imported by.
        distributions: The names that it is installed by.
        lowest: The lowest version that was tried.
        highest: The highest version that was tried.

    Returns:
        The finding.
    """
    versions = {d: find_version(d) for d in distributions}
    found = {d: version for d, version in versions.items() if version}
    if not found:
        advice = f'install {" or ".join(distributions)}, {INSTALL}'
        return Finding(name, 'not installed', advice, is_broken=True)
    text = ', '.join(f'{d} {version}' for d, version in found.items())
    if len(found) > 1 and name != 'cv2':
        advice = 'both install the same package: keep one of them'
        return Finding(name, text, advice)
    version = next(iter(found.values()))
    advice = compare(version, lowest, highest)
    if name == 'cv2' and parse(version) < parse(OPENCV_WITH_GIF):
        advice = (
            f'reads neither GIF nor animated WebP ({OPENCV_WITH_GIF} does)'
        )
    return Finding(name, text, advice)


def find_version(distribution: str) -> str | None:
    """Find the installed version of a distribution.

    Args:
        distribution: The name that pip knows.

    Returns:
        The version; None if it is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def compare(
    version: str, lowest: str, highest: str, what: str = 'tried'
) -> str:
    """Say if a version is outside the range that was tried or is supported.

    Args:
        version: The version that is installed.
        lowest: The lowest version of the range.
        highest: The highest version of the range.
        what: What the range is: tried or supported.

    Returns:
        What to say; empty if it is inside.
    """
    # A range that ends with 3.13 has 3.13.5.
    end = parse(version)[: len(parse(highest))]
    if parse(lowest) <= parse(version) and end <= parse(highest):
        return ''
    known = lowest if lowest == highest else f'{lowest} to {highest}'
    return f'not {what}; {what}: {known}'


def parse(version: str) -> tuple[int, ...]:
    """Read the numbers of a version.

    Args:
        version: The version, such as `2.1.2+cu121`.

    Returns:
        Such as (2, 1, 2); what follows `+` does not count.
    """
    return tuple(map(int, re.findall(r'\d+', version.split('+')[0])))


def attempt(name: str, load: Callable[[], str], advice: str) -> Finding:
    """Say what a function returns, or how it failed.

    Args:
        name: What is looked at.
        load: The function.
        advice: What to do if it fails.

    Returns:
        The finding; with the advice if the function has failed.
    """
    try:
        return Finding(name, load())
    # Libraries raise anything when they are imported.
    except Exception as error:
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        return Finding(name, reason, advice, is_broken=True)


def load_ops() -> str:
    """Run one of mmcv's compiled ops.

    Returns:
        What to say.

    Raises:
        ImportError: If mmcv has no ops, or they do not fit torch.
    """
    # Imported here: the checks before must work even if this one fails.
    torch = importlib.import_module('torch')
    ops = importlib.import_module('mmcv.ops')
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    ops.nms(boxes, torch.ones(1), 0.5)
    return 'they load, and run on the CPU'


def load_project() -> str:
    """Import this project.

    Returns:
        The folder of the package.
    """
    package = importlib.import_module('projects.data_distillation')
    return os.path.dirname(str(package.__file__))


def find_gpu() -> str:
    """Name the GPUs, and run one of mmcv's ops there.

    Returns:
        What to say; `none: ...` without a GPU.

    Raises:
        ImportError: If mmcv has no ops, or they do not fit torch.
    """
    torch = importlib.import_module('torch')
    if not torch.cuda.is_available():
        return 'none: training and annotation run on the CPU'
    ops = importlib.import_module('mmcv.ops')
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]], device='cuda')
    ops.nms(boxes, torch.ones(1, device='cuda'), 0.5)
    count = torch.cuda.device_count()
    return f"{count}: {torch.cuda.get_device_name(0)}; mmcv's ops run there"


def main() -> None:
    """Print the report; the exit code is 1 if something cannot work."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, root)
    broken = []
    for finding in examine():
        mark = 'BROKEN' if finding.is_broken else '!' if finding.advice else ''
        print(f'{finding.name:14}{finding.found}')
        if finding.advice:
            print(f'{mark:>12}  {finding.advice}')
        broken += [finding.name] * finding.is_broken
    if broken:
        sys.exit(f'does not work yet: {", ".join(broken)}')
    print('everything that is needed is there')


if __name__ == '__main__':
    main()
