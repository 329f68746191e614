"""Where a command's standard input comes from, without taking more from it than the command takes.

`while read x; do toft offload pi1 work "$x"; done < list` must not lose its list to a command that never
reads. A file is read at offsets of our own and left, at the end, where the command stopped reading. A pipe
is only looked into (Linux's tee(2) copies without consuming) until the node says that the command has
really read something. What can neither be looked into nor wound back is simply read, as ssh does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import Protocol

CHUNK = 65536


class Stdin(Protocol):
    """`fd` is what to poll for more, None while there is nothing to wait for."""

    @property
    def fd(self) -> int | None: ...

    def take(self, room: int) -> bytes | None:
        """The next bytes, at most `room`; b"" at the end; None if there is nothing just now."""

    def consumed(self, offset: int) -> None:
        """The command has taken this many bytes so far."""

    def close(self) -> None:
        """Leave the descriptor as a command run here would have left it."""


def source(fd: int) -> Stdin:
    """The right way to read this descriptor; a closed one is at its end."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return Closed()
    if stat.S_ISREG(mode):
        return File(fd)
    if stat.S_ISFIFO(mode) and (tee := _tee()) is not None:
        return Pipe(fd, tee)
    return Stream(fd)


class Closed:
    """No input at all: its end comes at once."""

    fd: int | None = None

    def take(self, room: int) -> bytes | None:
        return b""

    def consumed(self, offset: int) -> None: ...

    def close(self) -> None: ...


class Stream:
    """A terminal, a socket: what is read is gone."""

    def __init__(self, fd: int) -> None:
        self.fd: int | None = fd

    def take(self, room: int) -> bytes | None:
        if self.fd is None:
            return None
        data = _read(self.fd, min(room, CHUNK))
        if data == b"":
            self.fd = None
        return data

    def consumed(self, offset: int) -> None: ...

    def close(self) -> None: ...


class File:
    """A regular file, shared with whoever started us: its offset moves once, at the end."""

    def __init__(self, fd: int) -> None:
        self._file = fd
        self._start = os.lseek(fd, 0, os.SEEK_CUR)
        self._sent = 0
        self._consumed = 0
        self.fd: int | None = fd

    def take(self, room: int) -> bytes | None:
        data = os.pread(self._file, min(room, CHUNK), self._start + self._sent)
        self._sent += len(data)
        if not data:
            self.fd = None
        return data

    def consumed(self, offset: int) -> None:
        self._consumed = max(self._consumed, offset)

    def close(self) -> None:
        os.lseek(self._file, self._start + self._consumed, os.SEEK_SET)


class Pipe:
    """A pipe: one look at what is in it; from the first byte that the command takes on, plain reading."""

    def __init__(self, fd: int, tee: ctypes._FuncPointer) -> None:
        self._pipe = fd
        self._tee = tee
        self._peeked = 0
        self._reading = False
        self._ended = False

    @property
    def fd(self) -> int | None:
        waiting = self._peeked and not self._reading
        return None if self._ended or waiting else self._pipe

    def take(self, room: int) -> bytes | None:
        if self._ended:
            return None
        data = _read(self._pipe, min(room, CHUNK)) if self._reading else self._peek(min(room, CHUNK))
        if data == b"":
            self._ended = True
        return data

    def consumed(self, offset: int) -> None:
        if offset and not self._reading:
            self._reading = True
            self._drop(self._peeked)

    def close(self) -> None: ...

    def _peek(self, room: int) -> bytes | None:
        data = peek(self._pipe, self._tee, room)
        self._peeked = len(data or b"")
        return data

    def _drop(self, count: int) -> None:
        while count > 0:
            count -= len(os.read(self._pipe, count)) or count


def peek(fd: int, tee: ctypes._FuncPointer, room: int) -> bytes | None:
    """A copy of what is in the pipe; b"" if its writers are gone; None if it is just empty."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        nonblock = 2  # SPLICE_F_NONBLOCK
        count = tee(fd, writer, min(room, CHUNK), nonblock)
        if count < 0:
            return None if ctypes.get_errno() == errno.EAGAIN else b""
        return os.read(reader, count) if count else b""
    finally:
        os.close(reader)
        os.close(writer)


def _tee() -> ctypes._FuncPointer | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "tee", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
        function.restype = ctypes.c_ssize_t
    return function


def _read(fd: int, room: int) -> bytes | None:
    try:
        return os.read(fd, room)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal whose session is over
            return b""
        raise
