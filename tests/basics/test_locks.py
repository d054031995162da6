"""Locks on files: one alone, or many."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from basics.locks import FileLock, ProcessLock

ROOT = Path(__file__).parents[2]


def test_many_share_what_one_holds_alone(tmp_path: Path) -> None:
    """And whoever lets it go makes room."""
    file = tmp_path / "new" / "lock"
    with FileLock(file) as one, FileLock(file) as other:
        assert one.share()
        assert other.share()
        assert not other.take()
        assert other.share()
        one.release()
        assert other.take()
        assert not one.share()
        with FileLock(file) as third:
            assert not third.take()
    with FileLock(file) as again:
        assert again.take()


def test_where_no_file_can_be_made_nobody_is_kept_out(tmp_path: Path) -> None:
    """A backup must not end for that."""
    (tmp_path / "file").write_text("")
    with FileLock(tmp_path / "file" / "lock") as lock:
        assert lock.share()
        assert lock.take()


def test_who_lets_go_does_so_for_the_processes_that_were_forked_meanwhile(tmp_path: Path) -> None:
    """They have the same file open, and may live on."""
    with FileLock(tmp_path / "lock") as mine, FileLock(tmp_path / "lock") as other:
        assert mine.share()
        child = subprocess.Popen(["sleep", "60"], pass_fds=descriptors(tmp_path / "lock"))
        mine.release()
        assert other.take()
        child.kill()
        child.wait()


def descriptors(file: Path) -> list[int]:
    """Those of this process that lead to the file."""
    own = Path("/proc/self/fd")
    return [int(entry.name) for entry in own.iterdir() if os.path.realpath(entry) == str(file)]


HOLDER = """
import subprocess, sys
from pathlib import Path
from basics.locks import ProcessLock
with ProcessLock(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(lock.is_held, child.pid, flush=True)
    sys.stdin.read()
"""


def test_a_process_s_lock_ends_with_it_and_not_with_its_children(tmp_path: Path) -> None:
    """A daemon that was killed can be started again at once."""
    file = tmp_path / "state" / "lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        held, child = holder.stdout.readline().split()
        assert held == "True"
        with ProcessLock(file) as mine:
            assert not mine.is_held
        holder.kill()
        holder.wait()
        with ProcessLock(file) as mine:
            assert mine.is_held
        os.kill(int(child), signal.SIGKILL)
    (tmp_path / "file").write_text("")
    with ProcessLock(tmp_path / "file" / "lock") as lock:
        assert lock.is_held
