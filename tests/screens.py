"""What a command prints, and what it should not."""

import re
from pathlib import Path
from typing import NamedTuple

# What no screen has.
NOISE = re.compile(
    r'OneDL|index|[Dd]eprecat|Warning|environment:|Config:|default_scope'
    r'|RuntimeInfoHook|loading ann|Done \(|DONE \(|NUM_THREADS'
)
# What the log file has, although no screen does.
KEPT = 'System environment:', "default_scope = 'mmdet'", 'RuntimeInfoHook'


class Screen(NamedTuple):
    stdout: str
    stderr: str


def check_screen(screen: Screen) -> None:
    """Check that there is nothing that its user does not need."""
    lines = f'{screen.stdout}\n{screen.stderr}'.splitlines()
    assert [line for line in lines if NOISE.search(line)] == []


def check_log(work_dir: Path) -> None:
    """Check that the newest log file has what the screen has not."""
    # They are in folders named by the time.
    *_, log = sorted(work_dir.glob('*/*.log'))
    text = log.read_text()
    assert [part for part in KEPT if part not in text] == []
