"""One connection to the node program that follows a job: frames out, frames in, and a pulse.

The node sends something at least every two seconds. Six seconds without a byte is a lost contact: a frozen
node and a cut line keep a connection open for many minutes, and nobody waits that long.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames
from ansible_collections.toft.fleet.plugins.plugin_utils import channel, program
from ansible_collections.toft.fleet.plugins.plugin_utils.asking import Complaint, boot
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.control import Detach, Order, Resize

SILENCE_S = 6.0
CREDIT_EVERY = 256 << 10
HELD = 4 << 20
"""Bytes that may wait to be sent before no more input is taken."""


@dataclass(frozen=True)
class Broken:
    """The node answered, and refuses: it has no such job."""

    code: str
    message: str


def connect(transport: Transport, request: Mapping[str, Any], *, timeout_s: float) -> Link | Broken | Cause:
    """Start the node program, send the request, wait for its answer."""
    deadline = time.monotonic() + timeout_s
    quick = replace(transport, connect_timeout=min(transport.connect_timeout, timeout_s))
    opened = channel.open(quick, boot(transport), deadline=deadline)
    if isinstance(opened, Cause):
        return opened
    link = Link(transport, opened)
    link.send_raw(program.request_bytes(dict(request)))
    answer = _answer(link, deadline + SILENCE_S)
    if isinstance(answer, Link):
        return answer
    link.close()
    return answer


def _answer(link: Link, deadline: float) -> Link | Broken | Cause:
    while time.monotonic() < deadline:
        ready = link.poll([])
        if isinstance(ready, Cause):
            return ready
        for kind, payload in link.frames():
            if kind == "answer":
                error = payload.get("error") or {}
                return link if payload.get("ok") else Broken(error.get("code", ""), error.get("message", ""))
    return cause("timeout", link.transport)


class Link:
    """Frames over a channel. `room` is False while too much waits to be sent."""

    def __init__(self, transport: Transport, opened: channel.Channel) -> None:
        self.transport = transport
        self.last_frame = time.monotonic()
        self._channel = opened
        self._channel.set_blocking(False)
        self._channel.widen()
        self._reader = program.Reader(flowing=frames.STDOUT + frames.STDERR)
        self._out = bytearray()
        self._received: deque[tuple[bytes, bytes]] = deque()
        self._complaint = Complaint(transport, opened)
        self._credited = 0

    @property
    def room(self) -> bool:
        return len(self._out) < HELD

    def send_raw(self, data: bytes) -> None:
        self._out += data

    def send_input(self, offset: int, data: bytes) -> None:
        self._out += frames.frame(frames.STDIN, frames.at(offset, data))

    def send_input_end(self, offset: int) -> None:
        self._out += frames.frame(frames.STDIN_END, frames.at(offset))

    def send_order(self, order: Order) -> None:
        """A signal's name or a window's size; letting go needs no word."""
        if isinstance(order, Resize):
            self._out += frames.message(frames.WINDOW, {"rows": order.rows, "cols": order.cols})
        elif not isinstance(order, Detach):
            self._out += frames.frame(frames.SIGNAL, order.name.encode())

    def credit(self, delivered: Mapping[str, int], *, now: bool = False) -> None:
        """Tell the node now and then how far we are, so that it can hold back a command that outruns us."""
        total = sum(delivered.values())
        if now or total - self._credited >= CREDIT_EVERY:
            self._credited = total
            self._out += frames.message(frames.CREDIT, dict(delivered))

    def still_here(self, delivered: Mapping[str, int]) -> None:
        """Say so at once, by a thread that is sure that no other uses this link now."""
        if len(self._out) < CREDIT_EVERY:
            self.credit(delivered, now=True)
        with contextlib.suppress(OSError):  # whoever uses the link next will notice, and say why
            self._write()

    def poll(self, others: list[int]) -> set[int] | Cause:
        """Wait for the node or for one of the other descriptors: those that are ready, or the Cause why contact is
        lost."""
        poller = select.poll()
        for fd in others:
            poller.register(fd, select.POLLIN)
        poller.register(self._channel.stdout, select.POLLIN)
        if self._complaint.open:
            poller.register(self._channel.stderr, select.POLLIN)
        if self._out and self._channel.stdin >= 0:
            poller.register(self._channel.stdin, select.POLLOUT)
        silent = time.monotonic() - self.last_frame
        wait_s = 0.0 if self._received else max(0.05, SILENCE_S - silent)
        events = dict(poller.poll(wait_s * 1000))
        lost = self._exchange(events)
        if lost is None and time.monotonic() - self.last_frame > SILENCE_S:
            lost = cause("timeout", self.transport, detail="the connection has gone silent")
        return lost or {fd for fd in others if fd in events}

    def frames(self) -> Iterator[tuple[str, Any]]:
        """What has come, one at a time; what is not taken now stays.

        (`stdout` or `stderr`, bytes), or (`accepted`, `answer` or `ended`, JSON).
        """
        while self._received:
            kind, payload = self._received.popleft()
            if kind in _BYTES:
                yield _BYTES[kind], payload
            elif kind in _VALUES:
                yield _VALUES[kind], json.loads(payload)

    def close(self) -> None:
        self._channel.close()

    def _exchange(self, events: Mapping[int, int]) -> Cause | None:
        if self._channel.stdin in events and self._channel.stdin >= 0:
            self._write()
        if self._channel.stderr in events:
            self._complaint.read()
        if self._channel.stdout in events:
            return self._read()
        return None

    def _write(self) -> None:
        try:
            del self._out[: os.write(self._channel.stdin, self._out[:CREDIT_EVERY])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            # What it still says, or why it went, comes on the other descriptors.
            self._out.clear()
            self._channel.close_stdin()

    def _read(self) -> Cause | None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._channel.stdout, 1 << 20)
            if not data:
                return self._complaint.why(greeted=self._reader.greeted)
            self.last_frame = time.monotonic()
            try:
                self._received += self._reader.feed(data)
            except frames.BadFrame as error:
                return cause("protocol", self.transport, detail=str(error))
        return None


_BYTES = {frames.STDOUT: "stdout", frames.STDERR: "stderr"}
_VALUES = {frames.ACCEPTED: "accepted", frames.ANSWER: "answer", frames.FINAL: "ended"}
