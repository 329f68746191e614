# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starting one command: fork, gate, exec.

The child makes itself ready (own session, terminal, directory, streams), says so, and waits at a gate.
Until the gate opens nothing of the command can have run, so its supervisor first writes down that it
may. A failed exec comes back over a close-on-exec pipe and is told apart as a shell does: 127 not
found, 126 not executable; what failed for want of room never started.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from ansible_collections.toft.fleet.plugins.module_utils import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, NoReturn, Optional, Tuple

PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031
DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"


class Command:
    """What to execute, in bytes and with nothing left to look up."""

    def __init__(
        self,
        argv: List[bytes],
        env: Dict[bytes, bytes],
        cwd: bytes,
        umask: int,
        stdin: bool,
        tty: Optional[Dict[str, Any]],
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.umask = umask
        self.stdin = stdin
        self.tty = tty


class Failure:
    """A step (`fork`, `cwd`, `exec`) that the system refused."""

    def __init__(self, step: str, number: int, path: str) -> None:
        self.step = step
        self.number = number
        self.path = path

    def result(self) -> Dict[str, Any]:
        """The part of a job's result that this decides."""
        why = os.strerror(self.number)
        if self.step == "cwd":
            return _not_started("no_cwd", "cannot enter %s: %s" % (self.path, why))
        if self.number == errno.E2BIG:
            return _not_started("too_long", "arguments and environment are too long for this system")
        if self.number in (errno.EMFILE, errno.ENFILE):
            return _not_started("no_files", "cannot start a process: %s" % why)
        if self.number in (errno.EAGAIN, errno.ENOMEM) or self.step != "exec":
            return _not_started("no_process", "cannot start a process: %s" % why)
        if self.number == errno.ENOENT:
            return _exited(127, "not_found", "%s: %s" % (self.path, self._missing()))
        return _exited(126, "not_executable", "%s: %s" % (self.path, why))

    def _missing(self) -> str:
        return "bad interpreter" if os.path.exists(self.path) else "command not found"


def _not_started(code: str, message: str) -> Dict[str, Any]:
    return {"state": "not_started", "error": {"code": code, "message": message[:1000]}}


def _exited(exit_code: int, code: str, message: str) -> Dict[str, Any]:
    return {"state": "exited", "exit_code": exit_code, "error": {"code": code, "message": message[:1000]}}


def shell_argv(text: bytes, path: Optional[bytes]) -> List[bytes]:
    """A shell command line as an argv: bash if that PATH has one, else sh."""
    found = any(os.access(place, os.X_OK) for place in places(b"bash", path))
    # An option-like text would be taken for one more option of the shell.
    guard = [b"--"] if text[:1] in (b"-", b"+") else []
    return [b"bash" if found else b"sh", b"-c", *guard, text]


def places(program: bytes, path: Optional[bytes]) -> List[bytes]:
    """Where a program of that name may be, as execvp looks for it."""
    if b"/" in program:
        return [program]
    return [os.path.join(folder or b".", program) for folder in (path or DEFAULT_PATH).split(b":")]


class Child:
    """A forked command at its gate, and our ends of its streams (`stdin`, `stderr` may be None).

    With a terminal, `stdin` and `stdout` are both its master side.
    """

    def __init__(
        self, pid: int, streams: Tuple[Optional[int], int, Optional[int]], news: int, gate: int, tty: bool
    ) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self.tty = tty
        self._news = news
        self._gate = gate

    def ready(self) -> Optional[Failure]:
        """Wait until the child stands at the gate, or has failed."""
        word = os.read(self._news, 1)
        return None if word == b"+" else _failure(word + _rest(self._news))

    def release(self) -> Optional[Failure]:
        """Open the gate; returns when the command executes or could not be executed."""
        os.write(self._gate, b"+")
        self._close_gate()
        word = _rest(self._news)
        os.close(self._news)
        return _failure(word) if word else None

    def abandon(self) -> None:
        """The gate stays shut: the child ends without having executed anything."""
        self._close_gate()
        os.waitpid(self.pid, 0)

    def _close_gate(self) -> None:
        os.close(self._gate)


def _rest(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 4096), b""))


def _failure(word: bytes) -> Failure:
    step, number, path = [*word.split(b" ", 2), b"", b""][:3]
    return Failure(step.decode() or "fork", int(number or errno.ECHILD), os.fsdecode(path))


def fork(command: Command) -> Child:
    """Raises OSError when there is no process, file or terminal to be had."""
    ours, theirs = _terminal(command) if command.tty else _pipes(command.stdin)
    news_read, news = os.pipe()
    gate_read, gate = os.pipe()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(gate)
        _become(command, theirs, news, gate_read, supervisor)
    for fd in {*theirs, news, gate_read}:
        os.close(fd)
    for stream in ours:
        if stream is not None:
            os.set_blocking(stream, False)
    return Child(pid, ours, news_read, gate, command.tty is not None)


def _pipes(stdin: bool) -> Tuple[Tuple[Optional[int], int, Optional[int]], Tuple[int, int, int]]:
    our_in, their_in = None, -1
    if stdin:
        their_in, our_in = os.pipe()
    else:
        their_in = os.open(os.devnull, os.O_RDONLY)
    our_out, their_out = os.pipe()
    our_err, their_err = os.pipe()
    for end in (our_out, our_err):
        _widen(end)
    return (our_in, our_out, our_err), (their_in, their_out, their_err)


def _widen(pipe: int) -> None:
    """A larger pipe, where there are such (Linux), and as long as this user may have more of them."""
    try:
        fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return


def _terminal(command: Command) -> Tuple[Tuple[int, int, None], Tuple[int, int, int]]:
    master, slave = os.openpty()
    resize(master, command.tty or {})
    return (master, master, None), (slave, slave, slave)


def resize(master: int, window: Dict[str, Any]) -> None:
    import termios

    sizes = [int(window.get(name) or 0) & 0xFFFF for name in ("rows", "cols", "x", "y")]
    fcntl.ioctl(master, termios.TIOCSWINSZ, b"".join(size.to_bytes(2, sys.byteorder) for size in sizes))


def _become(command: Command, streams: Tuple[int, int, int], news: int, gate: int, supervisor: int) -> NoReturn:
    """In the child: turn into the command, or tell why not. Never returns."""
    step, path = "setup", b""
    try:
        _settle(command, streams, supervisor)
        step, path = "cwd", command.cwd
        os.chdir(command.cwd)
        os.write(news, b"+")
        if os.read(gate, 1):
            step, path = "exec", command.argv[0]
            _execute(command)
    except OSError as error:
        where = os.fsencode(error.filename) if error.filename else path
        os.write(news, b"%s %d %s" % (step.encode(), error.errno or 0, where))
    finally:
        os._exit(127)


def _settle(command: Command, streams: Tuple[int, int, int], supervisor: int) -> None:
    os.setsid()
    if command.tty:
        import termios

        fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)
    for target, fd in enumerate(streams):
        os.dup2(fd, target)
    os.umask(command.umask)
    processes.reset_signals()
    _die_with(supervisor)


def _die_with(supervisor: int) -> None:
    """Linux: a command whose supervisor is killed does not live on with nobody to read its output."""
    if not sys.platform.startswith("linux"):
        return
    try:
        # The C half alone: all of `ctypes` costs 5 ms. 1 is PR_SET_PDEATHSIG, 9 SIGKILL.
        import _ctypes

        program = _ctypes.dlopen(None, 2)  # type: ignore[arg-type]
        prctl = _ctypes.dlsym(program, "prctl")
        _ctypes.call_function(prctl, (1, 9))
    except Exception:  # a Python without ctypes: the promise is weaker there, the job runs all the same
        return
    if os.getppid() != supervisor:
        os._exit(127)


def _execute(command: Command) -> None:
    """Like execvp. Raises the OSError that says most: a permission denied before a not found."""
    denied: Optional[OSError] = None
    missing: Optional[OSError] = None
    for place in places(command.argv[0], command.env.get(b"PATH")):
        try:
            os.execve(place, command.argv, command.env)
        except OSError as error:
            error.filename = place
            if error.errno == errno.ENOEXEC:
                _interpret(place, command)
            if error.errno == errno.EACCES:
                denied = denied or error
            elif error.errno in (errno.ENOENT, errno.ENOTDIR):
                missing = _likelier(missing, error)
            else:
                raise
    raise denied or missing or OSError(errno.ENOENT, "", command.argv[0])


def _likelier(known: Optional[OSError], error: OSError) -> OSError:
    """A file that is there and still not found lacks its interpreter, which is worth telling."""
    return error if os.path.exists(error.filename) else known or OSError(errno.ENOENT, "")


def _interpret(place: bytes, command: Command) -> None:
    """A script without a first line that says by what: by sh, as shells do; unless it is a binary."""
    with open(place, "rb") as file:
        if b"\0" in file.read(128):
            return
    os.execve(b"/bin/sh", [b"/bin/sh", place, *command.argv[1:]], command.env)
