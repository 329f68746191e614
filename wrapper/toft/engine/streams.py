"""A job's bytes, from its node to here and back, whatever the network does meanwhile.

The node keeps stdout and stderr in files; we ask for them from the offset up to which they have been
written out here. So a lost connection costs nothing but time: the next one goes on at the same byte. Each
way is bounded: input that the node has not accepted yet is kept (1 MiB at most) to be sent again, output
is written as it comes, and while our reader is slow nothing more is read.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.control import Control, Detach, Order, Signal
from toft.engine.link import Broken, Link, connect
from toft.engine.stdin import Closed, Stdin

RETRY_S = 0.5
WINDOW = 1 << 20
PULSE_S = 1.0
HOPELESS = frozenset({"auth", "host_key_changed", "host_key_unknown", "no_python", "no_sh", "bad_name", "protocol"})
"""Causes that waiting does not mend."""


@dataclass(frozen=True)
class Ended:
    """The node's final record of the job."""

    record: dict[str, Any]


@dataclass(frozen=True)
class Detached:
    """We let go; the job goes on."""


@dataclass(frozen=True)
class LostContact:
    """No word from the node for the whole of the patience; the job may well be running."""

    cause: Cause


@dataclass(frozen=True)
class Rejected:
    """The node was reached and does not have what we ask for."""

    code: str
    message: str


Outcome = Ended | Detached | LostContact | Rejected


class ReaderGone(Exception):
    """Whoever read our output has gone away (`| head`)."""


@dataclass
class Streams:
    """One job followed to its end. `write(stream, data)` puts bytes out; `patience_s` is how long contact may be
    lost; `notify` is told of a lost and a regained contact in words, `contact` whether it is there. `wait=False`
    ends with what is there now."""

    job_id: str
    transport: Transport
    write: Callable[[str, bytes], None]
    control: Control
    stdin: Stdin = field(default_factory=Closed)
    with_stdin: bool = False
    wait: bool = True
    patience_s: float = 300.0
    notify: Callable[[str], None] = lambda text: None
    contact: Callable[[bool], None] = lambda there: None
    delivered: dict[str, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})

    def __post_init__(self) -> None:
        self._unaccepted: list[tuple[int, bytes]] = []
        self._read = 0
        self._input_ended = not self.with_stdin
        self._input_closed_there = False
        self._orders: list[Order] = []
        self._last_contact = time.monotonic()
        self._writing = Writing()
        self.reconnects = 0

    def follow(self) -> Outcome:
        """Connect, carry, connect again… until the job has ended, we let go, or patience does."""
        try:
            while True:
                outcome = self._once()
                if not isinstance(outcome, Cause):
                    return outcome
                patience = 0.0 if outcome.code in HOPELESS else self.patience_s
                if time.monotonic() - self._last_contact > patience:
                    return LostContact(outcome)
                if self._told_to_detach(RETRY_S):
                    return Detached()
        finally:
            self._writing.end()
            self.stdin.close()

    def _once(self) -> Outcome | Cause:
        remaining = self.patience_s - (time.monotonic() - self._last_contact)
        link = connect(self.transport, self._request(), timeout_s=max(1.0, min(5.0, remaining)))
        if isinstance(link, Cause):
            self._say_lost(link)
            return link
        if isinstance(link, Broken):
            return Rejected(link.code, link.message)
        try:
            return self._carry(link)
        finally:
            link.close()

    def _request(self) -> dict[str, Any]:
        return {
            "verb": "follow",
            "id": self.job_id,
            "wait": self.wait,
            "stdin": self.with_stdin and not self._input_closed_there,
            **self.delivered,
        }

    def _carry(self, link: Link) -> Outcome | Cause:
        self._say_back()
        link.credit(self.delivered, now=True)
        for offset, data in self._unaccepted:
            link.send_input(offset, data)
        if self._input_ended and self.with_stdin:
            link.send_input_end(self._read)
        while True:
            if self._orders and self._obey(link):
                return Detached()
            fds = [self.control.fd] + ([self.stdin.fd] if self._wants_input(link) else [])
            ready = link.poll([fd for fd in fds if fd is not None])
            if isinstance(ready, Cause):
                self._say_lost(ready)
                return ready
            self._last_contact = link.last_frame
            for kind, payload in link.frames():
                record = self._frame(link, kind, payload)
                if record is not None:
                    return Ended(record)
            if self.control.fd in ready:
                self._orders += self.control.take()
            if self._wants_input(link) and self.stdin.fd in ready:
                self._feed(link)

    def _frame(self, link: Link, kind: str, payload: Any) -> dict[str, Any] | None:
        """One frame from the node; the final record if it is that."""
        if kind in ("stdout", "stderr"):
            self._put_out(link, kind, payload)
            self.delivered[kind] += len(payload)
            link.credit(self.delivered)
        elif kind == "accepted":
            self._accepted(payload)
        elif kind == "ended":
            self.stdin.consumed(int(payload.get("stdin_consumed") or 0))
            return dict(payload)
        return None

    def _put_out(self, link: Link, stream: str, data: bytes) -> None:
        """Write; a command whose reader has gone gets what it would get here: SIGPIPE."""
        if self._reader_gone:
            return
        try:
            with self._writing.to(lambda: link.still_here(self.delivered)):
                self.write(stream, data)
        except (ReaderGone, OSError) as error:
            self._reader_gone = True
            if isinstance(error, OSError):
                self.notify(f"the {stream} of job {self.job_id} cannot be written here: {error.strerror}")
            link.send_order(Signal("PIPE"))

    def _accepted(self, word: dict[str, Any]) -> None:
        offset = int(word.get("offset", 0))
        self._unaccepted = [(at, data) for at, data in self._unaccepted if at + len(data) > offset]
        self.stdin.consumed(int(word.get("consumed") or 0))
        if word.get("closed"):
            self._input_closed_there = True
            self._unaccepted.clear()

    def _wants_input(self, link: Link) -> bool:
        waiting = self._read - (self._unaccepted[0][0] if self._unaccepted else self._read)
        return (
            not self._input_ended
            and not self._input_closed_there
            and waiting < WINDOW
            and link.room
            and self.stdin.fd is not None
        )

    def _feed(self, link: Link) -> None:
        data = self.stdin.take(WINDOW)
        if data is None:
            return
        if data:
            link.send_input(self._read, data)
            self._unaccepted.append((self._read, data))
            self._read += len(data)
        else:
            self._input_ended = True
            link.send_input_end(self._read)

    def _obey(self, link: Link) -> bool:
        """Pass the orders on; True if one says to let go."""
        orders, self._orders = self._orders, []
        for order in orders:
            if isinstance(order, Detach):
                return True
            link.send_order(order)
        return False

    def _told_to_detach(self, wait_s: float) -> bool:
        """Sleep between two tries, but hear a person who has had enough."""
        import select

        if select.select([self.control.fd], [], [], wait_s)[0]:
            self._orders += self.control.take()
        return any(isinstance(order, Detach) for order in self._orders)

    def _say_lost(self, cause: Cause) -> None:
        if not self.reconnects or not self._lost:
            self.contact(False)
            self.notify(f"contact with {self.transport.node} lost ({cause.message}); the job goes on, trying again")
        self._lost = True
        self.reconnects += 1

    def _say_back(self) -> None:
        if self._lost:
            self.contact(True)
            self.notify(f"{self.transport.node} is back")
        self._lost = False
        self._last_contact = time.monotonic()

    _lost: bool = False
    _reader_gone: bool = False


class Writing:
    """Output being written. While our reader keeps us waiting, a word goes to the node every second: it holds the
    command back for somebody who is slow, and not for somebody who has gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = 0.0
        self._meanwhile: Callable[[], None] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def to(self, meanwhile: Callable[[], None]) -> Iterator[None]:
        """Around one write. `meanwhile` is called by another thread, never after this has ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, daemon=True, name="toft-writing")
            self._thread.start()
        self._began, self._meanwhile = time.monotonic(), meanwhile
        try:
            yield
        finally:
            with self._lock:
                self._meanwhile = None

    def end(self) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(PULSE_S):
            with self._lock:
                if self._meanwhile is not None and time.monotonic() - self._began >= PULSE_S:
                    self._meanwhile()


def write_all(fd: int, data: bytes) -> None:
    """All of it, to a descriptor that may be slow or non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])
        except BrokenPipeError as error:
            raise ReaderGone from error
