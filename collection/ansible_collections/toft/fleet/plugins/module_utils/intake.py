# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an id comes to have a job on this node, and how it goes.

A job is drafted under a hidden name: its record on the disk, its lock held, its socket listening.
Renaming the draft to its id is what accepts it, and succeeds once for an id. A cancelled id is taken
in the same way by a tombstone, so a start that arrives late finds it taken.
"""

from __future__ import annotations

import errno
import fcntl
import os

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs

ROOM_BYTES, ROOM_INODES = 1 << 20, 16
RESERVE_BYTES = 256 << 10
RESULT_BYTES = 4096
ABANDONED_S = 3600.0


class Intake:
    """The root directory of the jobs, for those who change what is in it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def draft(self, accepted: jobs.Record) -> jobs.Job:
        """A job's directory, complete but for its name, its lock held, its socket listening.

        Raises Refused, leaving nothing behind, when the disk could not carry it.
        """
        job = self._hidden()
        try:
            self._prepare(job, accepted)
        except OSError as error:
            self.discard(job)
            raise jobs.refusal(error, self.root) from error
        return job

    def prepare(self) -> None:
        """The root directory is there, and has room for one more job. Raises Refused."""
        try:
            os.makedirs(self.root, 0o700, exist_ok=True)
            _need_room(self.root)
        except OSError as error:
            raise jobs.refusal(error, self.root) from error

    def _hidden(self) -> jobs.Job:
        path = os.path.join(self.root, ".new-%s" % os.urandom(8).hex())
        try:
            os.mkdir(path, 0o700)
        except OSError as error:
            raise jobs.refusal(error, self.root) from error
        return jobs.Job(path)

    def _prepare(self, job: jobs.Job, accepted: jobs.Record) -> None:
        job.lock = os.open(job.file(jobs.LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(job.lock, fcntl.LOCK_EX)
        _reserve(job.file(jobs.RESERVE), RESERVE_BYTES)
        _reserve(job.file("result.tmp"), RESULT_BYTES)
        for stream in jobs.STREAMS:
            os.close(os.open(job.file(stream), os.O_WRONLY | os.O_CREAT, 0o600))
        job.listener = _listen(job.path)
        _write_durably(job.file(jobs.ACCEPTED), frames.dumps(accepted))
        jobs.sync_directory(job.path)

    def accept(self, job: jobs.Job, job_id: str) -> bool:
        """Give the draft its id. False (and the draft is gone) when another has it already."""
        path = os.path.join(self.root, job_id)
        try:
            os.rename(job.path, path)
        except OSError as error:
            self.discard(job)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise jobs.refusal(error, self.root) from error
        job.path = path
        jobs.sync_directory(self.root)
        return True

    def discard(self, job: jobs.Job) -> None:
        job.release()
        _clear(job.path)

    def cancel(self, job_id: str, now: float, boot: str) -> bool:
        """Take an id so that no job can ever have it. False when a job has it already."""
        job = self._hidden()
        never = {
            "state": "not_started",
            "error": jobs.failure("cancelled", "cancelled before it was started"),
        }
        try:
            _write_durably(job.file(jobs.RESULT), frames.dumps(never))
            accepted = {"id": job_id, "accepted_at": jobs.stamp(now), "boot_id": boot}
            _write_durably(job.file(jobs.ACCEPTED), frames.dumps(accepted))
            jobs.sync_directory(job.path)
        except OSError as error:
            _clear(job.path)
            raise jobs.refusal(error, self.root) from error
        return self.accept(job, job_id)

    def remove(self, job_id: str) -> None:
        """Delete a job's directory. Raises Refused while it may run, or when there is none.

        What an ended job left running does not keep it: its supervisor stays, and drops the output.
        """
        job = jobs.Job(os.path.join(self.root, job_id))
        if job.alive() and not os.path.exists(job.file(jobs.RESULT)):
            raise jobs.Refused("still_running", "job %s is still running" % job_id)
        gone = os.path.join(self.root, ".gone-%s" % os.urandom(8).hex())
        try:
            os.rename(job.path, gone)
        except FileNotFoundError:
            raise jobs.Refused("never_seen", "no job has this id here") from None
        _clear(gone)

    def tidy(self, now: float) -> None:
        """Delete what killed programs left half made."""
        for name in os.listdir(self.root) if os.path.isdir(self.root) else []:
            job = jobs.Job(os.path.join(self.root, name))
            try:
                stale = name.startswith(".") and now - os.stat(job.path).st_mtime > ABANDONED_S
                if stale and not job.alive():
                    _clear(job.path)
            except OSError:
                continue  # another program tidies at the same moment


def _need_room(root: str) -> None:
    room = os.statvfs(root)
    short = room.f_bavail * room.f_frsize < ROOM_BYTES
    if short or (room.f_files and room.f_favail < ROOM_INODES):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _reserve(path: str, size: int) -> None:
    """A file whose blocks are really there; without writing them, where that can be had."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        else:
            jobs.write_all(fd, bytes(size))
    finally:
        os.close(fd)


def _listen(path: str) -> int:
    """A listening unix socket in that directory, by a relative name: its address may have only 104 bytes."""
    import _socket

    os.chdir(path)
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    listener.bind(jobs.CONTROL)
    listener.listen(64)
    os.chdir("/")
    return listener.detach()


def _write_durably(path: str, data: bytes) -> None:
    fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        jobs.write_all(fd, data)
        jobs.sync(fd)
    finally:
        os.close(fd)
    os.rename(path + ".tmp", path)


def _clear(path: str) -> None:
    """Remove a job's directory, which holds no other."""
    try:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:
        pass  # half gone already, or held by a read-only disk; `tidy` comes back to it
