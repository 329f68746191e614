# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a job's supervisor and the programs attached to it say to each other over the job's socket.

Same framing as the outer wire. To the supervisor: STDIN and STDIN_END (with offsets), SIGNAL, WINDOW,
CREDIT (what the client has delivered) as they came from the client, SEEN (two 8-byte offsets: what the
attached program has read from the files) and PING. From it: TICK (there is more than you have seen),
ACCEPTED (8-byte stdin offset, 8-byte limit up to which data may be sent, 8-byte count of what the
command has read, one byte: 1 = nobody reads it any more), PONG, and FINAL with the job's result.

A tick is sent only to a client that has seen everything it was told of, so a fast writer and a slow
reader exchange no more than one tick for each round of reading.
"""

from __future__ import annotations

import os
import select
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

SEEN, PING = b"M", b"P"
TICK, PONG = b"T", b"P"
CREDIT_LASTS_S = 10.0


def accepted_state(payload: bytes) -> Tuple[int, int, bool, int]:
    """(offset, limit, closed, consumed) out of an ACCEPTED payload."""
    offset, rest = frames.split(payload)
    limit, rest = frames.split(rest)
    consumed, flag = frames.split(rest)
    return offset, limit, flag == b"\1", consumed


class Link:
    """One end of the socket; nothing it does waits."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.gone = False
        self._outbox = bytearray()
        self._decoder = frames.Decoder()
        self._said = b""

    @property
    def congested(self) -> bool:
        return bool(self._outbox)

    def read(self) -> List[Tuple[bytes, bytes]]:
        try:
            data = os.read(self.fd, 1 << 18)
            if data:
                return self._decoder.feed(data)
            self.gone = True
        except BlockingIOError:
            pass
        except (OSError, frames.BadFrame):
            self.gone = True
        return []

    def send(self, data: bytes) -> None:
        self._outbox += data
        self.flush()

    def flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: os.write(self.fd, self._outbox)]
        except BlockingIOError:
            return
        except OSError:
            self.gone = True
            self._outbox.clear()

    def saw(self, stdout: int, stderr: int) -> None:
        """An attached program has read the files up to there and waits for more."""
        payload = frames.at(stdout, frames.at(stderr))
        if payload != self._said:
            self._said = payload
            self.send(frames.frame(SEEN, payload))

    def close(self) -> None:
        os.close(self.fd)


class Client(Link):
    """One attached program, as the supervisor sees it."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.delivered: Dict[str, int] = {}
        self.credit_until = 0.0
        self._told = b""
        self._seen = (-1, -1)
        self._idle = False

    def seen(self, payload: bytes, sizes: Tuple[int, int]) -> None:
        stdout, rest = frames.split(payload)
        self._seen = (stdout, frames.split(rest)[0])
        self._idle = True
        self.tick(sizes)

    def tick(self, sizes: Tuple[int, int]) -> None:
        """Tell of more output, if this client waits for any."""
        if self._idle and (sizes[0] > self._seen[0] or sizes[1] > self._seen[1]):
            self._idle = False
            self.send(frames.frame(TICK))

    def tell_stdin(self, state: bytes) -> None:
        if state != self._told and not self.congested:
            self._told = state
            self.send(frames.frame(frames.ACCEPTED, state))

    def credit(self, value: Any, now: float) -> None:
        self.delivered = {name: int(value.get(name) or 0) for name in ("stdout", "stderr")}
        self.credit_until = now + CREDIT_LASTS_S


def accept(listener: int) -> Optional[int]:
    """The next client's descriptor. The `socket` package costs 10 ms to import, its C half nothing."""
    import _socket

    socket = _socket.socket(fileno=listener)
    try:
        return int(socket._accept()[0])  # type: ignore[attr-defined]
    except BlockingIOError:
        return None
    except OSError:  # out of descriptors: the client stays in the queue
        time.sleep(0.05)
        return None
    finally:
        socket.detach()


def connect(path: str) -> Optional[int]:
    """A connection to the supervisor of the job in that directory; None when nobody listens there.

    By a relative name, since the address of a unix socket may have only 104 bytes: this moves the
    whole process there.
    """
    import _socket

    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        os.chdir(path)
        socket.connect(jobs.CONTROL)
        return socket.detach()
    except OSError:
        socket.close()
        return None


def deliver(link: Link, signal: str, patience: float) -> bool:
    """Have the supervisor send that signal; whether it says that it has."""
    deadline = time.monotonic() + patience
    link.send(frames.frame(frames.SIGNAL, signal.encode()) + frames.frame(PING))
    try:
        while not link.gone and time.monotonic() < deadline:
            select.select([link.fd], [], [], deadline - time.monotonic())
            if any(kind == PONG for kind, _payload in link.read()):
                return True
        return False
    finally:
        link.close()
