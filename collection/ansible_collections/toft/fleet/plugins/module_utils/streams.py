# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command's streams, as its supervisor holds them.

Output goes to append-only files. What the disk does not take is counted and let go, since a command
must not hang for want of room. Input is a stream with offsets, whoever sends it.
"""

from __future__ import annotations

import os

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

READ_BYTES = 1 << 20
STDIN_ROOM = 1 << 20


class Stream:
    """One output of the command on its way to its file."""

    def __init__(self, name: str, source: int, job: jobs.Job) -> None:
        self.name = name
        self.source: Optional[int] = source
        self.written = 0
        self.lost = 0
        self.quiet = False
        self._marked = 0
        self._job = job
        self._file = os.open(job.file(name), os.O_WRONLY | os.O_APPEND)

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
        self._store(memoryview(buffer)[:count])
        return self.written > before

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
        self._marked = self.written + self.lost

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
    """

    def __init__(self, fd: Optional[int], tty: bool) -> None:
        self.fd = fd
        self.closed = fd is None
        self.accepted = 0
        self._tty = tty
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
        else:
            self.close()

    def close(self) -> None:
        if self.fd is not None and not self._tty:
            os.close(self.fd)
        self.fd, self.closed = None, True
        self._held, self._size = [], 0

    def state(self) -> bytes:
        limit = (1 << 62) if self.closed else self.limit
        return frames.at(self.accepted, frames.at(limit, b"\1" if self.closed else b"\0"))
