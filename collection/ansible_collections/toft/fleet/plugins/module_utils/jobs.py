# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The jobs of a node: one directory each, written so that every question has one answer.

A directory is made ready under another name and appears under its id by one rename, which fails when
that id is taken: so an id starts at most once, and no half-made job is ever seen.

    record.json    what was accepted; on the disk before anything starts
    lock           flock'ed by the supervisor for as long as it lives (a pid can be reused, a lock cannot)
    live           the boot id, while the job runs (the load probe counts these)
    spawned.json   pid and start time; written before the command may execute
    stdout stderr  the streams, append only
    result.json    the end; its blocks are reserved from the start, so that a full disk cannot lose it
    reserve        room for the last output when the disk fills up
    ctl            the supervisor's socket

No file is ever rewritten. What a job's state is follows from which of them exist, whether the lock is
held and whether the node has booted since (`judge`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    Record = Dict[str, Any]

ACCEPTED, SPAWNED, RESULT = "record.json", "spawned.json", "result.json"
LOCK, LIVE, CONTROL, RESERVE = "lock", "live", "ctl", "reserve"
STREAMS = ("stdout", "stderr")

NOTHING_YET = (
    "exit_code",
    "signal",
    "pid",
    "cwd",
    "command",
    "started_at",
    "ended_at",
    "duration_s",
    "cpu_s",
    "max_rss_bytes",
    "error",
    "boot_id",
)
ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class Refused(Exception):
    """Why the node does not do what was asked; becomes an answer's `error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


NAMED = {
    errno.ENOSPC: ("disk_full", "disk full on %s"),
    errno.EDQUOT: ("disk_full", "disk full on %s (quota)"),
    errno.EROFS: ("read_only", "read-only file system: %s"),
    errno.EAGAIN: ("no_process", "no more processes: %s"),
    errno.ENOMEM: ("no_memory", "out of memory: %s"),
    errno.EMFILE: ("no_files", "too many open files: %s"),
    errno.ENFILE: ("no_files", "too many open files on the node: %s"),
    errno.EACCES: ("no_access", "permission denied: %s"),
    errno.EPERM: ("no_access", "not permitted: %s"),
}


def refusal(error: OSError, where: str) -> Refused:
    code, text = NAMED.get(error.errno or 0, ("os_error", "%s: " + (error.strerror or str(error))))
    return Refused(code, text % where)


def valid(job_id: object) -> bool:
    """Whether this is `^[a-z0-9][a-z0-9-]{2,40}$` (without the cost of `re`)."""
    return isinstance(job_id, str) and 3 <= len(job_id) <= 41 and job_id[0] != "-" and ID_CHARACTERS.issuperset(job_id)


def boot_id() -> str:
    """One value for each boot of the machine, or "" where none can be had."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return _sysctl("kern.bootsessionuuid") or _sysctl("kern.boottime")


def _sysctl(name: str) -> str:
    with os.popen("sysctl -n %s 2>/dev/null" % name) as pipe:
        return pipe.read().strip()


def stamp(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + ".%03dZ" % ((seconds - whole) * 1000)


def blank(job_id: str) -> Record:
    record: Record = dict.fromkeys(NOTHING_YET)
    record.update(id=job_id, state="not_started", survivors=[], lost_bytes=0)
    record.update(stdout_bytes=0, stderr_bytes=0)
    return record


def never_seen(job_id: str) -> Record:
    return dict(blank(job_id), error={"code": "never_seen", "message": "no job has this id here"})


def judge(accepted: Record, spawned: Optional[Record], result: Optional[Record], alive: bool, boot: str) -> Record:
    """The record of a job from what stands in its directory.

    `alive` must have been asked before the files were read: a supervisor that ends in between has
    written its result first.
    """
    record = blank("")
    record.update(accepted)
    record.update(spawned or {})
    if result is not None:
        record.update(result)
    elif alive:
        record["state"] = "running"
    elif record["boot_id"] != boot:
        record.update(state="lost", error=failure("lost", "the node restarted while it ran"))
    elif spawned is None:
        record["error"] = failure("never_spawned", "its supervisor ended before it could start it")
    else:
        record.update(state="unknown", error=failure("unknown", "its supervisor ended without a result"))
    return record


def failure(code: str, message: str) -> Dict[str, str]:
    return {"code": code, "message": message}


class Job:
    """One job's directory, and the open files that keep it: the lock and the listening socket."""

    def __init__(self, path: str, lock: int = -1, listener: int = -1) -> None:
        self.path = path
        self.lock = lock
        self.listener = listener

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def release(self) -> None:
        """Close what the supervisor holds by itself from now on."""
        for fd in (self.lock, self.listener):
            if fd >= 0:
                os.close(fd)
        self.lock = self.listener = -1

    def spawned(self, facts: Record) -> None:
        """Readable at once, though not durable: after a power cut the job is lost in any case."""
        fd = os.open(self.file("spawned.tmp"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        write_all(fd, frames.dumps(facts))
        os.close(fd)
        os.rename(self.file("spawned.tmp"), self.file(SPAWNED))

    def alive(self) -> bool:
        """Whether a supervisor holds the lock."""
        try:
            fd = os.open(self.file(LOCK), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(fd)

    def size(self, stream: str) -> int:
        try:
            return os.stat(self.file(stream)).st_size
        except FileNotFoundError:
            return 0

    def finish(self, result: Record) -> None:
        """Put the result on the disk; no block and no inode is needed that is not there already."""
        data = frames.dumps(result)
        fd = os.open(self.file("result.tmp"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.pwrite(fd, data, 0)
            os.ftruncate(fd, len(data))
            sync(fd)
        finally:
            os.close(fd)
        os.rename(self.file("result.tmp"), self.file(RESULT))
        self.forget(LIVE)
        self.forget(RESERVE)
        sync_directory(self.path)

    def forget(self, name: str) -> bool:
        """Remove one file; whether it was there."""
        try:
            os.unlink(self.file(name))
            return True
        except OSError:
            return False

    def record(self, boot: str) -> Optional[Record]:
        """The job's record now, or None when there is no such job."""
        alive = self.alive()
        accepted = _read(self.file(ACCEPTED))
        if accepted is None:
            return None
        result = _read(self.file(RESULT))
        record = judge(accepted, _read(self.file(SPAWNED)), result, alive, boot)
        for stream in STREAMS:
            size = self.size(stream)
            record["lost_bytes"] += max(0, record[stream + "_bytes"] - size)
            record[stream + "_bytes"] = size
        if not alive and result is None:
            self.forget(LIVE)
        return record


class Jobs:
    """All jobs under one root directory (0700)."""

    def __init__(self, root: str) -> None:
        self.root = root

    def job(self, job_id: str) -> Job:
        return Job(os.path.join(self.root, job_id))

    def record(self, job_id: str, boot: str) -> Optional[Record]:
        return self.job(job_id).record(boot)

    def ids(self) -> List[str]:
        try:
            return sorted(name for name in os.listdir(self.root) if valid(name))
        except FileNotFoundError:
            return []


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync(fd: int) -> None:
    """To the medium itself: on macOS fsync stops at the drive's cache."""
    if sys.platform == "darwin" and hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: str) -> Optional[Record]:
    """The object in that file; None when it is not there, or was cut by a power failure."""
    try:
        with open(path, "rb") as file:
            value = frames.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
