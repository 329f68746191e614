"""The warm engine: everything imported, a fork for each command, nothing kept between them.

One process for each user and each set of surroundings. A lock says which one it is; killing it at any moment loses
nothing, because each command runs in a worker of its own, and the next one finds no engine and starts another.
It ends when nobody has asked for some minutes.

    python -m toft.resident.server SOCKET
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from toft.warm import door

if TYPE_CHECKING:
    from toft.resident.preload import Loaded

IDLE_S = 900.0
QUIET_S = 20.0
"""The longest that the command which started us may keep us from getting ready."""


def main(argv: list[str]) -> int:
    os.chdir("/")
    path = Path(argv[1])
    with _only_one(path) as alone:
        if not alone:
            return 0
        _wait_for_the_starter()
        # What is read once is read now; who differs in it by then looks for another name.
        if door.name(os.environ) != path.name:
            return 0
        from toft.resident import preload

        loaded = preload.everything()
        gc.collect()
        gc.freeze()
        return Server(path, loaded, _idle_limit()).serve()


def _idle_limit() -> float:
    try:
        return float(os.environ.get("TOFT_ENGINE_IDLE", "") or IDLE_S)
    except ValueError:
        return IDLE_S


def _wait_for_the_starter() -> None:
    """Until the command that started us has ended (its end of our stdin closes), or is long at work."""
    with contextlib.suppress(OSError):
        select.select([0], [], [], QUIET_S)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[bool]:
    """Holds the lock, with our process id in its file."""
    fd = os.open(door.lock(str(path)), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


@dataclass
class Server:
    path: Path
    loaded: Loaded
    idle_s: float
    begun: float = field(default_factory=time.time)
    served: int = 0
    workers: dict[int, socket.socket] = field(default_factory=dict)
    ending: bool = False

    def serve(self) -> int:
        listener = self._listening()
        inode = os.lstat(self.path).st_ino
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        last = time.monotonic()
        while not self.ending:
            poller = select.poll()
            for fd in (listener.fileno(), wake):
                poller.register(fd, select.POLLIN)
            for conn in self.workers.values():
                poller.register(conn, 0)
            ready = dict(poller.poll(60_000 if self.idle_s > 60 else self.idle_s * 1000))
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            self._reap()
            self._kill_the_deserted(ready)
            if listener.fileno() in ready:
                self._begin(listener)
            if ready or self.workers:
                last = time.monotonic()
            elif time.monotonic() - last > self.idle_s or not self._is_ours(inode):
                break
        listener.close()
        if self._is_ours(inode):
            self.path.unlink()
        while self.workers:
            self._wait()
        return 0

    def _listening(self) -> socket.socket:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        listener.bind(str(self.path))
        os.umask(before)
        listener.listen(64)
        listener.setblocking(False)
        return listener

    def _is_ours(self, inode: int) -> bool:
        try:
            return os.lstat(self.path).st_ino == inode
        except OSError:
            return False

    def _end(self, *_: object) -> None:
        self.ending = True

    def _begin(self, listener: socket.socket) -> None:
        try:
            conn = listener.accept()[0]
        except OSError:
            return
        if door.peer(conn) != os.getuid():
            conn.close()
            return
        self.served += 1
        pid = os.fork()
        if pid:
            self.workers[pid] = conn
            return
        from toft.resident import worker

        listener.close()
        for other in self.workers.values():
            other.close()
        signal.set_wakeup_fd(-1)
        worker.attend(conn, self)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._ended(*ended)

    def _wait(self) -> None:
        try:
            self._ended(*os.wait())
        except ChildProcessError:
            self.workers.clear()

    def _ended(self, pid: int, status: int) -> None:
        """A worker says by itself how it ended, unless a signal ended it."""
        conn = self.workers.pop(pid, None)
        if conn is None:
            return
        if os.WIFSIGNALED(status):
            with contextlib.suppress(OSError):
                door.send(conn, {"status": -os.WTERMSIG(status)})
        conn.close()

    def _kill_the_deserted(self, ready: dict[int, int]) -> None:
        """A command that was killed is gone at once, here as anywhere."""
        for pid, conn in self.workers.items():
            if conn.fileno() in ready:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
