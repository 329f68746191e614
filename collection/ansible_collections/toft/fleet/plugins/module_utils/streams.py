# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command's streams, as its supervisor holds them.

Output goes to append-only files. What the disk does not take is counted and let go, since a command
must not hang for want of room. Input is a stream with offsets, whoever sends it.
"""

from __future__ import annotations

import os
import sys

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

READ_BYTES = 1 << 20
STDIN_ROOM = 1 << 20
FIRST_LOOK_S, LONGEST_LOOK_S = 0.002, 0.1


def open_files(job: jobs.Job) -> List[int]:
    """The files of both streams; before the command starts, since afterwards it must not fail."""
    return [os.open(job.file(name), os.O_WRONLY | os.O_APPEND) for name in jobs.STREAMS]


class Stream:
    """One output of the command on its way to its file."""

    def __init__(self, name: str, source: int, file: int, job: jobs.Job) -> None:
        self.name = name
        self.source: Optional[int] = source
        self._file = file
        self.written = 0
        self.lost = 0
        self.quiet = False
        self._ended = False
        self._marked = 0
        self._job = job

    def pump(self, buffer: bytearray) -> bool:
        """Carry over what is there; whether the file has grown."""
        if self.source is None:
            return False
        try:
            count = os.readv(self.source, [buffer])
        except BlockingIOError:
            self.quiet = True
            return False
        except OSError:  # EIO: the last process on the terminal has gone
            count = 0
        if count == 0:
            self.close()
            return False
        before = self.written
        if self._removed():
            self.lost += count
        else:
            self._store(memoryview(buffer)[:count])
        return self.written > before

    def _removed(self) -> bool:
        """Whether the job was removed while survivors still write: then nobody can read it any more."""
        return self._ended and os.fstat(self._file).st_nlink == 0

    def _store(self, data: memoryview) -> None:
        """Onto the disk; what it does not take is counted and let go: the command never waits for room."""
        while data:
            try:
                count = os.write(self._file, data)
            except OSError:
                if self._job.forget(jobs.RESERVE):
                    continue
                self.lost += len(data)
                return
            self.written += count
            data = data[count:]

    def mark(self) -> None:
        """The command has ended; what comes from now on is at most a full pipe of its own."""
        self._ended, self._marked = True, self.written + self.lost

    def settled(self) -> bool:
        """Whether everything that was in the pipe at that moment has been carried over."""
        return self.quiet or self.written + self.lost - self._marked >= READ_BYTES

    def close(self) -> None:
        if self.source is not None:
            os.close(self.source)
        self.source = None


class Stdin:
    """The command's standard input as a stream with offsets, whoever sends it.

    Data that was accepted before is trimmed, data from beyond the end is not taken. Once the command
    reads no more, the rest is accepted and thrown away, so that no sender hangs.

    `consumed` is what the command has really read: what lies in its pipe unread does not count, so that
    a sender can leave to others what the command did not want. The end of input is therefore held back
    until the pipe is empty, which the command cannot tell from the usual order. (A kernel that does not
    say what lies in a pipe, such as macOS's, counts what was written.)
    """

    def __init__(self, fd: Optional[int], tty: bool) -> None:
        self.fd = fd
        self.closed = fd is None
        self.accepted = 0
        self.consumed = 0
        self._tty = tty
        self._pause = FIRST_LOOK_S
        self._held: List[memoryview] = []
        self._size = 0
        self._end: Optional[int] = None

    @property
    def waiting(self) -> bool:
        return bool(self._held)

    @property
    def overfull(self) -> bool:
        """More than any well-behaved client sends: read no more from clients until it has drained."""
        return self._size > 2 * STDIN_ROOM

    @property
    def limit(self) -> int:
        return self.accepted - self._size + STDIN_ROOM

    @property
    def look_again(self) -> Optional[float]:
        """Seconds after which it is worth to look what the command has read; None when it is not."""
        written = self.accepted - self._size
        unsaid = (self.consumed == 0 and written > 0) or self._end is not None
        return self._pause if unsaid and not (self.closed or self._tty or self._held) else None

    def look(self) -> None:
        """What has the command read by now? Hang up if that was the last of it."""
        before, self.consumed = self.consumed, self.accepted - self._size - self._unread()
        self._pause = FIRST_LOOK_S if self.consumed > before else min(2 * self._pause, LONGEST_LOOK_S)
        self.flush()

    def _unread(self) -> int:
        if self.fd is None or self._tty:
            return 0
        import fcntl
        import termios

        try:
            return int.from_bytes(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        except OSError:
            return 0

    def offer(self, offset: int, data: bytes) -> None:
        fresh = memoryview(data)[max(0, self.accepted - offset) :]
        if offset > self.accepted or not fresh:
            return
        self.accepted += len(fresh)
        if not self.closed:
            self._held.append(fresh)
            self._size += len(fresh)
            self.flush()

    def finish(self, offset: int) -> None:
        """No more comes after that offset."""
        self._end = offset
        self.flush()

    def flush(self) -> None:
        """Write what the command takes now; close at the end."""
        try:
            while self._held and self.fd is not None:
                self._consume(os.writev(self.fd, self._held[:16]))
            if self._end is not None and self.accepted >= self._end and not self.closed:
                self._hang_up()
        except BlockingIOError:
            return
        except OSError:  # EPIPE, or EIO of a terminal: nobody reads it any more
            self.close()

    def _consume(self, count: int) -> None:
        self._size -= count
        while count >= len(self._held[0]):
            count -= len(self._held.pop(0))
            if not self._held:
                return
        self._held[0] = self._held[0][count:]

    def _hang_up(self) -> None:
        """The end of input: for a terminal that is a character, and its master side stays open."""
        if self._tty and self.fd is not None:
            os.write(self.fd, b"\x04")
            self._end = None
        elif self._unread() == 0:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self.consumed = self.accepted - self._size - self._unread()
        if self.fd is not None and not self._tty:
            os.close(self.fd)
        self.fd, self.closed = None, True
        self._held, self._size = [], 0

    def state(self) -> bytes:
        limit = (1 << 62) if self.closed else self.limit
        flag = b"\1" if self.closed else b"\0"
        return frames.at(self.accepted, frames.at(limit, frames.at(self.consumed, flag)))
