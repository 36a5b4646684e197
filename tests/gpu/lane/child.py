# SPDX-License-Identifier: Apache-2.0
"""Runs a command for a limited time and leaves nothing of it behind: its output goes to files, so that whoever keeps
them open delays nobody; it has a session of its own, which is ended with it; what escaped from there is ended too."""
import collections
import ctypes
import os
import pathlib
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILLED_S = 3  # for a killed process to be gone; one that hangs in the kernel is left
READ_BYTES = 4 * 2**20  # of what a command prints: the beginning
PRINTED_BYTES = 256 * 2**20  # who prints more is ended: the disk is small

Ended = collections.namedtuple("Ended", "status seconds out errors")
libc = ctypes.CDLL(None, use_errno=True)
not_ours = set()  # children that this process had before it started any: a shell's that became it


def adopt_orphans():
    """Descendants whose parents end become children of this process, which can find and end them."""
    not_ours.update(children())
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent():
    """In the child: it must not go on and disturb the next run when this process is killed."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def children():
    """The processes that this one has started or adopted."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and int(entry.name) not in not_ours:
                found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            pass  # no process, or one that has gone
    return found


def end_session(leader):
    """Ends what lives in the session of a child that was not waited for yet, so that its number is still its own."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def end_orphans():
    """Ends and collects what was left to us, until nothing is."""
    deadline_s = time.monotonic() + KILLED_S
    while time.monotonic() < deadline_s:
        found = children()
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            except (ProcessLookupError, ChildProcessError, PermissionError):
                pass
        time.sleep(0.005)


def has_ended(pid, limit_s, files=()):
    """Waits for the child without collecting it; false when the time is over, or it has filled a file."""
    deadline_s, pause_s = time.monotonic() + limit_s, 0.002
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline_s or any(os.fstat(file.fileno()).st_size > PRINTED_BYTES for file in files):
            return False
        time.sleep(pause_s)
        pause_s = min(0.05, pause_s * 1.5)
    return True


def text_of(file):
    """What was written to it."""
    file.seek(0)
    return file.read(READ_BYTES).decode(errors="replace")


def run(command, environment, limit_s, folder):
    """Runs it for at most so long; a status of None says that it was ended for that, or for what it printed. Raises
    OSError if it cannot be started."""
    started_s = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as errors:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                                   start_new_session=True, preexec_fn=die_with_parent)
        try:
            in_time = has_ended(process.pid, limit_s, (out, errors))
            seconds = time.monotonic() - started_s
        finally:
            end_session(process.pid)
            status = process.wait() if has_ended(process.pid, KILLED_S) else None
            end_orphans()
        return Ended(status if in_time else None, seconds, text_of(out), text_of(errors))
