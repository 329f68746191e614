# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A request to the node program that more goes with, both ways: frames out, answers and contents back.

What is sent is written as the node takes it, and what the node says meanwhile is read, so neither waits for
the other. A node that says nothing for SILENCE_S while we wait for it has gone, whatever its connection
looks like; it sends a heartbeat when it has long work.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames
from ansible_collections.toft.fleet.plugins.plugin_utils import channel, program
from ansible_collections.toft.fleet.plugins.plugin_utils.asking import Complaint, boot
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

SILENCE_S = 60.0
FIXES = {
    "disk_full": "toft exec {node} df -h",
    "read_only": "toft exec {node} mount",
    "no_process": "toft exec {node} 'ulimit -u'",
    "no_memory": "toft status {node}",
    "no_path": "toft exec {node} ls",
    "no_mirror": "toft sync {node}",
    "no_slot": "toft status {node}",
    "no_home": "set toft_workdir for {node} in the inventory",
}
"""What to type after a node's refusal, by its code."""
HELD = 1 << 20
"""Bytes that may wait to be sent."""


class Broken(Exception):
    """The conversation cannot go on: the way was lost (`cause`)."""

    def __init__(self, why: Cause) -> None:
        super().__init__(why.message)
        self.cause = why


class Refused(Exception):
    """The node answered that it will not, with its code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def to_dict(self, node: str) -> dict[str, str]:
        return told_by(node, {"code": self.code, "message": self.message})


def told_by(node: str, error: Mapping[str, Any]) -> dict[str, str]:
    """A node's refusal, with its name and with what to type."""
    code = str(error.get("code"))
    return {"code": code, "message": f"{node}: {error.get('message')}", "fix": FIXES.get(code, "").format(node=node)}


def converse(transport: Transport, verb: str) -> Conversation:
    """The node program booted for a verb, whose request is still to be sent. Raises Broken."""
    opened = channel.open(transport, boot(transport), deadline=time.monotonic() + transport.connect_timeout)
    if isinstance(opened, Cause):
        raise Broken(opened)
    talk = Conversation(transport, opened)
    talk.send(program.bundle(frozenset({verb})))
    talk.flush()
    return talk


class Conversation:
    """An open channel to the node program."""

    def __init__(self, transport: Transport, opened: channel.Channel) -> None:
        self.sent = 0
        self._transport = transport
        self._channel = opened
        self._channel.set_blocking(False)
        self._reader = program.Reader()
        self._out = bytearray()
        self._complaint = Complaint(transport, opened)
        self._arrived: deque[tuple[bytes, bytes]] = deque()
        self._heard = time.monotonic()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def send(self, data: bytes) -> None:
        """Returns when little of it waits. A refusal that comes meanwhile is raised."""
        self._out += data
        self.sent += len(data)
        self._heard = time.monotonic()
        while len(self._out) > HELD:
            self._exchange()
            self._refusal()

    def request(self, value: Mapping[str, Any]) -> None:
        self.send(frames.message(frames.REQUEST, dict(value)))
        self.flush()

    def flush(self) -> None:
        """Returns when nothing waits to be sent."""
        while self._out:
            self._exchange()

    def answer(self) -> dict[str, Any]:
        """The node's next answer. Raises Refused and Broken."""
        kind, payload = self.next()
        if kind != frames.ANSWER:
            raise Broken(cause("protocol", self._transport, detail=f"a frame {kind!r} instead of an answer"))
        return self.judge(payload)

    def judge(self, payload: bytes) -> dict[str, Any]:
        """The value of an answer. Raises Refused."""
        value: dict[str, Any] = frames.loads(payload)
        if not value.get("ok"):
            error = value.get("error") or {}
            raise Refused(str(error.get("code")), str(error.get("message")))
        return value

    def next(self) -> tuple[bytes, bytes]:
        """The node's next frame, but heartbeats."""
        self._heard = time.monotonic()
        while not self._arrived:
            self._exchange()
        return self._arrived.popleft()

    def _refusal(self) -> None:
        for kind, payload in self._arrived:
            if kind == frames.ANSWER:
                self.judge(payload)

    def _exchange(self) -> None:
        poller = select.poll()
        poller.register(self._channel.stdout, select.POLLIN)
        if self._complaint.open:
            poller.register(self._channel.stderr, select.POLLIN)
        if self._out and self._channel.stdin >= 0:
            poller.register(self._channel.stdin, select.POLLOUT)
        left = SILENCE_S - (time.monotonic() - self._heard)
        ready = dict(poller.poll(max(0.0, left) * 1000))
        if not ready and left <= 0:
            raise Broken(cause("timeout", self._transport, detail="the connection has gone silent"))
        if self._channel.stdin in ready:
            self._write()
        if self._channel.stderr in ready:
            self._complaint.read()
        if self._channel.stdout in ready:
            self._read()

    def _write(self) -> None:
        try:
            del self._out[: os.write(self._channel.stdin, self._out[:HELD])]
            self._heard = time.monotonic()
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._out.clear()
            self._channel.close_stdin()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._channel.stdout, 1 << 20)
            if not data:
                raise Broken(self._complaint.why(greeted=self._reader.greeted))
            self._heard = time.monotonic()
            try:
                arrived = self._reader.feed(data)
            except frames.BadFrame as error:
                raise Broken(cause("protocol", self._transport, detail=str(error))) from error
            self._arrived += [one for one in arrived if one[0] != frames.HEARTBEAT]
