"""Kill a run while it writes labels, results and the report.

The run is killed with SIGKILL at each of the moments at which it changes
files, just before and just after. The next run of the same command
must end in the results of a fresh run, and no file may ever be cut short. The
stages are those of `mutation_campaign.py`. The figures are in
docs/reliability.md.

Example:
    python tools/campaigns/kill_campaign.py
"""

import argparse
import functools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / 'tests'))

from input_mutations import Change
from mutation_campaign import (
    OPTIONS,
    Campaign,
    add_work_dir,
    quicken,
    run_here,
)

from projects.data_distillation.command_line import make_parser
from projects.data_distillation.files.atomic import read_json

# What changes files, or makes sure that they are on disk.
CHANGES = (
    (os, 'fsync'),
    (Path, 'replace'),
    (Path, 'rename'),
    (Path, 'unlink'),
    (Path, 'mkdir'),
    (Path, 'symlink_to'),
)
# What the run has to write again; the student stays as it is.
DELETED = ('annotate/pseudo_labels.json', 'summary.json', 'report.html')


class Moments:
    """Counts the changes of files, and kills this process at one of them.

    Args:
        number: The number of the change, from 0; None to count only.
        is_after: Whether the process dies after this change, not before.
    """

    def __init__(self, number: int | None, is_after: bool = False) -> None:
        self.number, self.is_after, self.count = number, is_after, 0

    def watch(self, during: ExitStack) -> None:
        """Watch all changes.

        Args:
            during: The context in which they are watched.
        """
        for owner, name in CHANGES:
            watched = self._make(getattr(owner, name))
            during.enter_context(mock.patch.object(owner, name, watched))

    def _make(self, change: Callable) -> Callable:
        @functools.wraps(change)
        def watched(*args: object, **kwargs: object) -> object:
            """Change files, unless this is the moment to be killed."""
            is_last = self.count == self.number
            self.count += 1
            if is_last and not self.is_after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = change(*args, **kwargs)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return watched


def run_apart(moments: Moments, note: Path) -> bool:
    """Run the command in another process, which may be killed.

    Args:
        moments: When it is killed.
        note: The file for the number of changes and how the run has ended.

    Returns:
        Whether it has ended by itself.

    Raises:
        OSError: If `note` cannot be written.
    """
    # A fork has the replaced parts and the imports of this process.
    child = os.fork()
    if not child:
        with ExitStack() as during:
            moments.watch(during)
            result = run_here(OPTIONS)
        found = dict(count=moments.count, results=result.results)
        note.write_text(json.dumps(dict(found, error=result.error)))
        # Without the contexts and buffers that it shares with its parent.
        os._exit(0)
    return not os.WIFSIGNALED(os.waitpid(child, 0)[1])


def find_cut(work: Path) -> list[str]:
    """Find files that a reader would see cut short.

    Args:
        work: The work folder.

    Returns:
        Their names. Files that are still being written have a dot in front.
    """
    cut = []
    for file in sorted(work.rglob('[!.]*.json')):
        # Logs of MMEngine have an object on each line.
        if file.parent.name != 'vis_data' and read_json(file) is None:
            cut.append(str(file.relative_to(work)))
    page = work / 'report.html'
    if page.is_file() and not page.read_text().rstrip().endswith('</html>'):
        cut.append(page.name)
    return cut


def make_unfinished(campaign: Campaign) -> None:
    """Enter a finished work folder that lacks the files to be written.

    Args:
        campaign: The campaign, prepared.

    Raises:
        OSError: If a file cannot be deleted.
    """
    campaign.restore()
    os.chdir(campaign.site)
    for name in DELETED:
        (campaign.site / 'work' / name).unlink()


def try_kill(campaign: Campaign, moments: Moments) -> str:
    """Kill a run, run again, and judge.

    Args:
        campaign: The finished work folder.
        moments: When the run is killed.

    Returns:
        The verdict. It begins with `BAD` if anything is other than it must be.

    Raises:
        OSError: If a file cannot be written or deleted.
    """
    make_unfinished(campaign)
    note = campaign.folder / 'note.json'
    if run_apart(moments, note):
        return 'not reached'
    cut = find_cut(campaign.site / 'work')
    run_apart(Moments(None), note)
    again = json.loads(note.read_text())
    expected = campaign.expect(Change('')).results
    if cut:
        return f'BAD: cut short: {cut}'
    if again['results'] != expected:
        return f'BAD: other results, {again["error"]}'
    return 'as a fresh run'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='N',
        help='try each Nth of these moments (default: %(default)s)',
    )
    add_work_dir(parser, 'kill_campaign')
    return parser.parse_args()


def main() -> None:
    """Run the campaign, and print each result and their counts."""
    args = parse_args()
    campaign = Campaign(args.work_dir.resolve())
    with ExitStack() as during:
        quicken(during)
        campaign.prepare()
        make_unfinished(campaign)
        run_apart(Moments(None), campaign.folder / 'note.json')
        total = json.loads((campaign.folder / 'note.json').read_text())
        print(f'{total["count"]} changes of files in a run', flush=True)
        verdicts = []
        for number in range(0, total['count'], args.every):
            for is_after in (False, True):
                moments = Moments(number, is_after)
                verdicts.append(try_kill(campaign, moments))
                print(f'{number}, {is_after}: {verdicts[-1]}', flush=True)
    print(Counter(verdicts))


if __name__ == '__main__':
    main()
