"""A lock on a folder that lasts as long as the processes that use it.

It is `flock`: the kernel gives it up when a process dies, however it dies, and
children inherit it. Linux keeps it over NFS too, for all machines. Whoever
enters locks the folder for itself alone, and then shares the lock with the
processes that it starts. So nobody else can enter while any of them lives,
even if the first has been killed.
"""

import datetime
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

LOCK = 'distill.lock'
# In the environment of the processes that share locks: their files, as JSON.
VARIABLE = 'DATA_DISTILLATION_LOCKS'
# A file system that knows no locks says one of these.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
# The locks of this process: open descriptor -> file.
HELD: dict[int, Path] = {}


class LockedError(RuntimeError):
    """Another process uses the folder; the message says which."""


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Keep others out of a folder.

    Args:
        folder: The folder; it is made if it does not exist. `distill.lock` in
            it says who uses it, and stays there.

    Yields:
        Whether the folder is locked: some file systems know no locks. After
        the context it is free, unless processes that share the lock still run.

    Raises:
        LockedError: If another process uses the folder, or one that it has
            started. A process cannot lock a folder twice either.
        OSError: If the folder or the file cannot be made or locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Absolute, since the processes that share the lock may run elsewhere.
    file = folder.absolute() / LOCK
    # Not truncated: whoever is refused reads in it who was first. NFS locks
    # exclusively only what is open for writing.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        is_locked = enter_folder(folder, descriptor)
        HELD[descriptor] = file
        yield is_locked
    finally:
        HELD.pop(descriptor, None)  # It is not there if the lock was refused.
        # Not LOCK_UN, which would take the lock from the children, too.
        os.close(descriptor)


def enter_folder(folder: Path, descriptor: int) -> bool:
    """Lock a folder and write who uses it into its file, see `locked`.

    Args:
        folder: The folder, for the message.
        descriptor: The file of the lock, open for reading and writing.

    Returns:
        Whether the folder is locked; False if its file system knows no locks.

    Raises:
        LockedError: If another process uses the folder.
        OSError: If the lock fails for another reason, or the file cannot be
            read or written.
    """
    try:
        # Whoever enters must be alone. Then the stages share the lock, and
        # keep it if this process is killed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write_owner(descriptor, describe_process())
        # Linux gives the old lock up before it takes the new one. If another
        # process comes in between, this one is refused.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(explain_lock(folder)) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def name_locks() -> dict[str, str]:
    """Return the variable that tells a child which locks to share.

    Returns:
        What to add to the environment of the child: `VARIABLE` and a JSON list
        of the files, which is empty if this process has no lock.
    """
    return {VARIABLE: json.dumps([str(file) for file in HELD.values()])}


@contextmanager
def sharing_locks() -> Iterator[None]:
    """Share the locks of the process that has started this one.

    The child of a process inherits its locks, but processes that torchrun or
    Slurm start do not. Without `VARIABLE` in the environment, nothing is
    shared. If another process is just entering, this one waits.

    Yields:
        Nothing; the locks are shared until the context ends.

    Raises:
        OSError: If a lock cannot be opened or shared. A file that is not on
            this machine is skipped, and so is one on a file system without
            locks.
        ValueError: If `VARIABLE` is not JSON.
        TypeError: If it is no list of texts.
    """
    with ExitStack() as opened:
        for name in json.loads(os.environ.get(VARIABLE, '[]')):
            # A local folder of another machine is not here.
            if Path(name).is_file():
                share_lock(opened.enter_context(open(name, 'rb')))
        yield


def share_lock(lock: BinaryIO) -> None:
    """Share a lock, if its file system knows locks.

    While another process holds it alone, this one waits.

    Args:
        lock: The open file of the lock.

    Raises:
        OSError: If sharing fails for another reason.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def describe_process() -> dict:
    """Describe this process to whoever wants to enter.

    Returns:
        `pid`, `host` and `since` (the local time, with its offset).
    """
    return dict(
        pid=os.getpid(),
        host=socket.gethostname(),
        since=datetime.datetime.now().astimezone().isoformat(' ', 'seconds'),
    )


def write_owner(descriptor: int, owner: Mapping) -> None:
    """Write who uses a folder into the open file of its lock.

    Args:
        descriptor: The open file; what it holds is replaced.
        owner: What `describe_process` returns.

    Raises:
        OSError: If the file cannot be written.
    """
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def read_owner(descriptor: int) -> dict:
    """Read who uses a folder.

    Args:
        descriptor: The open file of its lock.

    Returns:
        What `describe_process` returned there; empty if the file does not
        tell.

    Raises:
        OSError: If the file cannot be read.
    """
    try:
        owner = json.loads(os.pread(descriptor, 1 << 16, 0))
    except ValueError:  # Empty between the two steps of `write_owner`.
        return {}
    return owner if isinstance(owner, dict) else {}


def explain_lock(folder: Path) -> str:
    """Say who uses a folder, and what to do.

    Args:
        folder: The folder, with the file of its lock.

    Returns:
        A message for `LockedError`.

    Raises:
        OSError: If the file of the lock cannot be read.
    """
    file = folder / LOCK
    with open(file, 'rb') as lock:
        owner = read_owner(lock.fileno())
    if not owner:
        return f'{folder} is in use by another process: wait for its end'
    pid, host, since = (owner.get(key) for key in ('pid', 'host', 'since'))
    text = f'{folder} is in use by process {pid} on {host}, since {since}'
    holders = find_holders(file)
    # Numbers of processes mean something only on their own machine.
    if host == socket.gethostname() and holders and pid not in holders:
        numbers = ' '.join(map(str, holders))
        return (
            f'{text}. This process has ended, but the stage that it started '
            f'still runs: wait for its end, or stop it with `kill {numbers}`'
        )
    return (
        f'{text}: wait for its end, stop it, or use another --work-dir. If '
        'it has been killed, processes of its stage still run'
    )


def find_holders(file: Path) -> list[int]:
    """Find the other processes of this machine that have opened a file.

    Linux tells only those of the same user, and root those of all.

    Args:
        file: The file; links are followed.

    Returns:
        Their numbers, ascending; empty if there are none, or no `/proc`.
    """
    target = os.path.realpath(file)
    holders = set()
    for link in list_open_files():
        # It may have been closed meanwhile.
        with suppress(OSError):
            if os.readlink(link) == target:
                holders.add(int(link.parts[2]))
    return sorted(holders - {os.getpid()})


def list_open_files() -> Iterator[Path]:
    """Yield the open files of all processes that this user may look at.

    Yields:
        Links `/proc/NUMBER/fd/DESCRIPTOR`, process by process; none where
        there is no `/proc`. Each may be gone when it is read.
    """
    # A process may end meanwhile, or belong to somebody else. A glob raises
    # an error if one ends between two of its steps.
    with suppress(OSError):
        for number in filter(str.isdigit, os.listdir('/proc')):
            with suppress(OSError):
                folder = Path('/proc', number, 'fd')
                yield from [folder / name for name in os.listdir(folder)]
