# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A byte channel to a program on a node: three descriptors and an ending.

`open` starts the program (one of our constant command lines, never a user's) and gives a Channel; see
`exchange` for a whole talk with it. What stands behind a channel is one of two things: a process here (the
program itself on the local node, or a plain ssh), or a session of a kept-open ssh master. Both end with an
exit code.

A `deadline` is a value of time.monotonic(). All descriptors are pipes and close-on-exec.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ansible_collections.toft.fleet.plugins.plugin_utils import control_sockets, masters, mux
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause, explain
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport, ssh_argv, ssh_environment

SESSION = 3.0
"""Seconds that a node has to open a session in a connection that is there; it takes one round trip."""
WIDE_BYTES = 512 << 10
BROKEN = ("gone", "timeout", "protocol")


class Ending(Protocol):
    """How a program's end is met: by waiting for it, or by forcing it."""

    def fileno(self) -> int:
        """Becomes readable at the end; -1 where the system has no such descriptor."""

    def wait(self, deadline: float) -> int | None: ...

    def close(self) -> None:
        """Ends our side if it still runs, and frees everything."""


class Channel:
    """An open channel. The descriptors are ints, -1 once closed; whoever opened it closes it."""

    def __init__(
        self,
        kind: str,
        ends: tuple[int, int, int],
        ending: Ending,
        failure: Callable[[int, bytes], Cause | None],
    ) -> None:
        self.kind = kind
        """local, mux or ssh"""
        self.stdin, self.stdout, self.stderr = ends
        self.ending = ending
        self.failure = failure
        """(exit code, stderr) -> the cause, if it was the way to the program that failed and not the
        program
        """

    def set_blocking(self, blocking: bool) -> None:
        for fd in (self.stdin, self.stdout, self.stderr):
            if fd >= 0:
                os.set_blocking(fd, blocking)

    def widen(self) -> None:
        """Room for a lot of output, where the system lets us."""
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(self.stdout, fcntl.F_SETPIPE_SZ, WIDE_BYTES)

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def wait(self, deadline: float) -> int | None:
        """The exit code, or None if it still runs at the deadline. 255 also stands for a lost way."""
        return self.ending.wait(deadline)

    def close(self) -> None:
        """Frees everything; a program that still runs loses its channel (a local one is killed)."""
        self.close_stdin()
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1
        self.ending.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ProcessEnding:
    """The ending of a child process that leads a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pidfd = _pidfd(process.pid)

    def fileno(self) -> int:
        return self._pidfd

    def wait(self, deadline: float) -> int | None:
        if self._process.returncode is None and self._pidfd >= 0:
            _readable(self._pidfd, deadline)
            self._process.poll()
        if self._process.returncode is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))
        code = self._process.returncode
        return 128 - code if code is not None and code < 0 else code

    def close(self) -> None:
        if self._process.poll() is None:
            # Not reaped yet, so the group is still ours. ProxyCommand children are in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def open(transport: Transport, command: str, *, deadline: float, tty: str | None = None) -> Channel | Cause:
    """Starts `command` on the node. With `tty` (a TERM value) ssh asks for a terminal there; never here.

    A plain ssh is still connecting when this returns: its failure shows as an exit code that `failure`
    explains.
    """
    if transport.kind == "local":
        return _spawn("local", ["/bin/sh", "-c", command], os.environ, lambda code, stderr: None, transport)
    if transport.kind != "ssh":
        return cause("ssh_failed", transport, detail=transport.reason)
    try:
        kept = _open_kept(transport, command, deadline, tty)
    except OSError as error:
        return cause("ssh_failed", transport, detail=f"no pipe: {error.strerror}")
    return kept if kept is not None else open_plain(transport, command, deadline=deadline, tty=tty)


def open_plain(transport: Transport, command: str, *, deadline: float, tty: str | None = None) -> Channel | Cause:
    """A channel over an ssh connection of its own."""
    within = transport.within(deadline - time.monotonic())
    argv = ssh_argv(within, term=tty is not None, command=command)
    return _spawn(
        "ssh",
        argv,
        ssh_environment(os.environ, tty),
        lambda code, stderr: _ssh_failure(transport, code, stderr),
        transport,
    )


def _open_kept(transport: Transport, command: str, deadline: float, tty: str | None) -> Channel | Cause | None:
    """A session of the kept-open master; None if it takes a connection of its own.

    A master that was there already may be the remains of a host that is gone or was restarted: it has SESSION
    seconds to answer, and is then dropped and opened afresh, once.
    """
    path = control_sockets.socket_path(transport)
    if isinstance(path, Cause):
        return None
    opened = _session_of_old(transport, path, command, deadline, tty)
    if isinstance(opened, mux.Failure) and opened.kind in BROKEN:
        fresh = masters.ensure(transport, deadline)
        if isinstance(fresh, Cause):
            return None if fresh.code == "no_control_socket" else fresh
        opened = _session(transport, fresh, command, deadline, tty)
    if isinstance(opened, Channel):
        return opened
    return _session_failure(transport, opened)


def _session_of_old(
    transport: Transport, path: Path, command: str, deadline: float, tty: str | None
) -> Channel | mux.Failure:
    number = control_sockets.seen(path)
    if number is None:
        return mux.Failure("gone", "")
    patience = time.monotonic() + SESSION
    opened = _session(transport, path, command, min(deadline, patience), tty)
    # A caller in a hurry is no proof against the connection, and others may be using it.
    cut_short = isinstance(opened, mux.Failure) and opened.kind == "timeout" and deadline < patience
    if isinstance(opened, mux.Failure) and opened.kind in BROKEN and not cut_short:
        masters.drop(path, number)
    return opened


def _session(transport: Transport, path: Path, command: str, deadline: float, tty: str | None) -> Channel | mux.Failure:
    # Fresh pipes for each try: a master that hangs keeps its ends of the old ones.
    near, far = pipes()
    try:
        session = mux.open_session(path, command, far, deadline, term=tty)
    except BaseException:
        # Ctrl-C.
        close_all(near)
        raise
    finally:
        close_all(far)
    if isinstance(session, mux.Failure):
        close_all(near)
        return session
    return Channel("mux", near, session, lambda code, stderr: _lost(transport, session))


def _session_failure(transport: Transport, failure: mux.Failure) -> Cause | None:
    if failure.kind in ("refused", "denied"):
        # MaxSessions, mostly: ten sessions in one connection unless sshd is told otherwise.
        return None
    codes = {"gone": "connection_lost", "timeout": "timeout", "scarce": "ssh_failed"}
    code = codes.get(failure.kind, "protocol")
    return cause(code, transport, detail=failure.detail)


def _lost(transport: Transport, session: mux.Session) -> Cause | None:
    return cause("connection_lost", transport) if session.lost else None


def _spawn(
    kind: str,
    argv: list[str],
    environment: Mapping[str, str],
    failure: Callable[[int, bytes], Cause | None],
    transport: Transport,
) -> Channel | Cause:
    try:
        near, far = pipes()
    except OSError as error:
        return cause("ssh_failed", transport, detail=f"no pipe: {error.strerror}")
    try:
        process = subprocess.Popen(
            argv, stdin=far[0], stdout=far[1], stderr=far[2], env=environment, start_new_session=True
        )
    except OSError as error:
        close_all(near)
        return cause("ssh_failed", transport, detail=f"{argv[0]} cannot be started: {error.strerror}")
    finally:
        close_all(far)
    return Channel(kind, near, ProcessEnding(process), failure)


def pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Three pipes as (our ends, the program's ends), each in the order stdin, stdout, stderr."""
    made: list[int] = []
    try:
        for _stream in range(3):
            made.extend(os.pipe())
    except OSError:
        close_all(made)
        raise
    return (made[1], made[2], made[4]), (made[0], made[3], made[5])


def close_all(fds: tuple[int, ...] | list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _ssh_failure(transport: Transport, code: int, stderr: bytes) -> Cause | None:
    # Our programs never end with 255; ssh does when it fails, and when a signal ended the program.
    return explain(transport, code, stderr) if code == 255 else None


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _readable(fd: int, deadline: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(milliseconds(deadline)))


def milliseconds(deadline: float) -> int:
    """How long poll may wait until then."""
    return max(0, math.ceil((deadline - time.monotonic()) * 1000))
