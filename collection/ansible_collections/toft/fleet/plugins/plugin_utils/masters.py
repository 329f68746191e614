# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ssh masters that are kept open, one for each way of reaching a node.

A master is an `ssh -M -N -f` that listens on a control socket (see `control_sockets`), whose name depends on
everything that decides where the connection goes and how, so different options never share one. The lock beside
it lets one process at a time open a master; the others find it open.

A master ends by itself after some idle minutes, and within six seconds of silence when its host is gone
(ServerAliveInterval, see transport.py). One that does not answer is dropped, and `ensure` opens another.

A `deadline` is a value of time.monotonic().
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils import control_sockets, mux
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause, explain
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import (
    Transport,
    jump_hosts,
    ssh_argv,
    ssh_environment,
)

ALIVE = 1.0
"""Seconds for a local process to say that it is there."""
KEY_EXCHANGE = 1.5
"""Seconds after which an opening ssh is waiting for the network and not for the processor."""
PROGRESS = 2.0
"""Seconds after another opening's success in which one that is late is waiting for our processors, not its node."""
TURN = 0.25
"""Seconds that an opening takes of this machine's processors, on a slow one."""
MAX_WORDS = 65536


def ensure(transport: Transport, deadline: float) -> Path | Cause:
    """The control socket of a live master for this node, opened if there is none.

    The cause `no_control_socket` says that masters cannot be had here, which says nothing about the node.
    """
    path = control_sockets.socket_path(transport)
    if isinstance(path, Cause):
        return path
    if _alive(path, deadline):
        return path
    try:
        with control_sockets.lock(path, deadline) as held:
            if not held:
                return cause("timeout", transport)
            if _alive(path, deadline):
                return path
            path.unlink(missing_ok=True)
            return _open_in_turn(transport, path, deadline)
    except OSError as error:
        # A full disk, or no descriptor left.
        return cause("no_control_socket", transport, detail=error.strerror or str(error))


def turns(transports: Iterable[Transport]) -> float:
    """Seconds to allow beyond every node's own limit, because masters for so many must be opened in turn.

    That this machine is busy with key exchanges says nothing about a node.
    """
    paths = [control_sockets.socket_path(each) for each in transports if each.kind == "ssh"]
    missing = sum(isinstance(path, Path) and control_sockets.seen(path) is None for path in paths)
    return max(0, missing - _places()) * TURN


def drop(path: Path, number: int) -> None:
    """Ends the master that failed us, unless another has taken its place already."""
    if control_sockets.seen(path) == number:
        mux.terminate(path, time.monotonic() + ALIVE / 2)
    if control_sockets.seen(path) == number:
        path.unlink(missing_ok=True)


def close(transport: Transport) -> bool:
    """Ends this node's master; True if there was one."""
    path = control_sockets.socket_path(transport)
    return not isinstance(path, Cause) and _close(path)


def close_all() -> int:
    """Ends every master of this user; how many there were."""
    where = control_sockets.directory()
    if isinstance(where, str):
        return 0
    paths = sorted(path for path in where.iterdir() if control_sockets.NAME.match(path.name))
    closed = sum([_close(path) for path in paths])
    for lock in where.glob("m-*.lock"):
        control_sockets.remove_lock(lock)
    return closed


def _alive(path: Path, deadline: float) -> bool:
    return isinstance(mux.check(path, min(deadline, time.monotonic() + ALIVE)), int)


def _close(path: Path) -> bool:
    failure = mux.terminate(path, time.monotonic() + ALIVE)
    path.unlink(missing_ok=True)
    return failure is None


def _open_in_turn(transport: Transport, path: Path, deadline: float) -> Path | Cause:
    """Opens a master when there is a place for it, and once more if the connection was dropped.

    sshd (the jump host's, mostly) drops some of many unauthenticated connections at random: MaxStartups.
    """
    jump = _jump(transport, deadline)
    openings = _openings(os.getpid(), jump)
    result = _open(transport, path, deadline, openings)
    if isinstance(result, Path) or result.code != "connection_lost":
        return result
    if jump:
        result = _named(transport, deadline, openings) or result
    pause = random.uniform(0.1, 0.6)
    if result.code != "connection_lost" or time.monotonic() + pause >= deadline:
        return result
    time.sleep(pause)
    return _open(transport, path, deadline, openings)


def _named(transport: Transport, deadline: float, openings: Openings) -> Cause | None:
    """What a jump host says about its failure: ssh throws these words away for a master (ControlPersist)."""
    left = deadline - time.monotonic()
    if left <= 0 or not openings.places.acquire(timeout=left):
        return None
    try:
        with tempfile.TemporaryFile() as words:
            process = _start(ssh_argv(transport.within(left), command="true"), transport, words.fileno())
            in_time = _ended(process, deadline)
            _end(process)
            words.seek(0)
            said = words.read(MAX_WORDS)
    finally:
        openings.places.release()
    if in_time and process.returncode != 255:
        return None
    return explain(transport, process.returncode, said, timed_out=not in_time)


class Openings:
    """Places for openings that go on at once, and when one last succeeded."""

    def __init__(self, places: int) -> None:
        self.places = threading.BoundedSemaphore(places)
        self.last = -math.inf

    def limit(self, own: float, most: float) -> float:
        """Until when to wait for one whose own limit is `own`: longer while the others still come through."""
        return min(most, max(own, self.last + PROGRESS))


@functools.cache
def _openings(pid: int, jump: str) -> Openings:
    """Of this process: few through one jump host (MaxStartups 10:30:100), else what the processors bear. A forked
    child counts anew, because its parent's threads are not in it.
    """
    return Openings(6 if jump else _places())


def _places() -> int:
    return 8 * (os.cpu_count() or 1)


def _jump(transport: Transport, deadline: float) -> str:
    """The jump host, from the options, or from ssh itself if the configuration may have one."""
    named = jump_hosts(transport.options)
    if named or not _may_have_jumps(transport):
        return named
    argv = ["ssh", "-G", *transport.options, "--", transport.destination]
    try:
        told = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(0.1, min(2.0, deadline - time.monotonic())),
            cwd=control_sockets.working_directory(transport),
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = (line.partition(" ") for line in told.stdout.decode("utf-8", "replace").splitlines())
    return next((value for key, _space, value in lines if key in ("proxyjump", "proxycommand")), "")


def _may_have_jumps(transport: Transport) -> bool:
    try:
        text = control_sockets.config_file(transport.options).read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"^\s*(?:proxy|include)", text, re.IGNORECASE | re.MULTILINE) is not None


def _open(transport: Transport, path: Path, deadline: float, openings: Openings) -> Path | Cause:
    """Starts a master and waits until it has gone to the background, which ssh does once it is logged in.

    The node's own limit counts from when it is its turn.
    """
    left = deadline - time.monotonic()
    if left <= 0 or not openings.places.acquire(timeout=left):
        return cause("not_asked" if left > 0 else "timeout", transport)
    with contextlib.ExitStack() as place, tempfile.TemporaryFile() as words:
        place.callback(openings.places.release)
        begun = time.monotonic()
        argv = ssh_argv(transport.within(deadline - begun), str(path), master=True)
        try:
            process = _start(argv, transport, words.fileno())
        except OSError as error:
            return cause("ssh_failed", transport, detail=f"ssh cannot be started: {error.strerror}")
        in_time = _ended(process, min(deadline, begun + KEY_EXCHANGE))
        # A dead host must not keep others waiting for its place.
        place.close()
        own = begun + transport.connect_timeout
        while not in_time and time.monotonic() < (until := openings.limit(own, deadline)):
            in_time = _ended(process, until)
        _end(process)
        words.seek(0)
        result = _opened(transport, path, process.returncode if in_time else None, words.read(MAX_WORDS))
        if isinstance(result, Path):
            openings.last = time.monotonic()
        return result


def _start(argv: list[str], transport: Transport, words: int) -> subprocess.Popen[bytes]:
    """ssh in a session of its own, so that no terminal's Ctrl-C and no parent's end reaches it.

    Its stdout is a pipe that nothing is written to: the pipe's end tells that it ended or went to the
    background.
    """
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=words,
        env=ssh_environment(os.environ),
        cwd=control_sockets.working_directory(transport),
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    try:
        process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        # With its group: a ProxyCommand is in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _opened(transport: Transport, path: Path, code: int | None, words: bytes) -> Path | Cause:
    """What came of it; `code` is None if the deadline ended it."""
    if code != 0:
        for half_made in path.parent.glob(f"{path.name}.{'?' * (control_sockets.SUFFIX - 1)}"):
            half_made.unlink(missing_ok=True)
        return explain(transport, code, words, timed_out=code is None)
    if control_sockets.seen(path) is None:
        return cause("no_control_socket", transport, detail=words.decode("utf-8", "replace"))
    return path
