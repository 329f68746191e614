"""The command `toft` as it is started: handed to the warm engine if one runs, unless TOFT_WARM=0 says not to.

It also stands in for `ansible-playbook` where ansible_runner starts that for a command which came through the
engine itself. A start is what this costs, so nothing is imported that is not needed: no typer,
no socket, no signal. Which version it is it says by itself.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys

from toft import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import MutableMapping, Sequence
    from types import FrameType, ModuleType
    from typing import Any

COLD = frozenset({"mcp", "engine", "provision"})
"""Commands that become a process of their own, ask the engine, or run long and may ask for a password; a word of
another command may be one of them."""
PASSED_ON = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH")


def main(kind: str = "toft", named: str | None = None) -> int | None:
    """`named` is the engine that the command came through which starts this."""
    if kind == "toft" and sys.argv[1:] == ["--version"] and sys.stdout:
        sys.stdout.write(f"toft {__version__}\n")
        return 0
    environ = os.environ
    environ.pop("TOFT_ENGINE", None)
    if kind == "toft" and _cold(sys.argv[1:], environ):
        begin_here()
        return None
    from toft.warm import door

    socket_path = named or door.path(environ)
    sock = door.connect(socket_path) if socket_path and _in_foreground() else None
    if sock is None:
        if kind == "toft" and socket_path:
            start_another(socket_path)
        begin_here(kind)
        return None
    return _handed_over(door, sock, kind)


def begin_here(kind: str = "toft") -> None:
    """Without an engine."""
    if kind != "toft":
        program = os.path.join(os.path.dirname(sys.executable), kind)
        os.execv(program, [program, *sys.argv[1:]])
    from toft.cli.main import main as cold

    cold()


def start_another(socket_path: str) -> None:
    """An engine for the next command. It waits until this one has ended before it uses the processor."""
    reading, writing = os.pipe()  # the other end closes when this process ends
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in (1, 2)]
    actions.append((os.POSIX_SPAWN_DUP2, reading, 0))
    argv = [sys.executable, "-P", "-m", "toft.resident.server", socket_path]
    try:
        os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setsid=True)
    except (OSError, NotImplementedError):
        os.close(writing)
    os.close(reading)


def _cold(words: Sequence[str], environ: MutableMapping[str, str]) -> bool:
    return environ.get("TOFT_WARM", "") == "0" or "--cold" in words or not COLD.isdisjoint(words)


def _in_foreground() -> bool:
    """A command in the background would have to stop when it reads from its terminal; a worker would just read."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True


def _handed_over(door: ModuleType, sock: _socket.socket, kind: str) -> int | None:
    header: dict[str, Any] = {
        "kind": kind,
        "argv": [os.fsencode(word) for word in sys.argv],
        "environ": dict(os.environb),
        "umask": _umask(),
        "ignored": [n for n in _signal.valid_signals() if _signal.getsignal(n) == _signal.SIG_IGN],
        "open": [n for n in range(3) if _is_open(n)],
    }
    try:
        here = os.open(".", os.O_RDONLY)
    except OSError:
        begin_here(kind)
        return None
    try:
        door.send(sock, header, [*header["open"], here])
        told, _none = door.receive(sock)
    except OSError:
        told = None
    os.close(here)
    if not told or "pid" not in told:
        # It ended just now, or what it holds is no longer what is installed: nothing was begun.
        sock.close()
        begin_here(kind)
        return None
    return _attended(door, sock, told["pid"])


def _attended(door: ModuleType, sock: _socket.socket, worker: int) -> int:
    """Waits for the worker; what this process is told by signals, it is told."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        try:
            os.kill(worker, number)
        except ProcessLookupError:
            return

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.kill(worker, _signal.SIGSTOP)
        os.kill(os.getpid(), _signal.SIGSTOP)
        os.kill(worker, _signal.SIGCONT)

    for name in PASSED_ON:
        number = getattr(_signal, name)
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, pass_on)
    _signal.signal(_signal.SIGTSTP, stop)
    try:
        told, _none = door.receive(sock)
    except OSError:
        told = None
    if told is None:
        # The engine was killed, and the worker with it, as far as anybody can know.
        os.write(2, b"toft: the warm engine ended in the middle; see: toft jobs\n")
        return 255
    status: int = told["status"]
    if status < 0:
        # It was ended by a signal, and so are we.
        _signal.signal(-status, _signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status if status >= 0 else 128 - status


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
