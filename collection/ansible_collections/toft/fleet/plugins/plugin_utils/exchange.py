# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A whole talk with a program on a node: what it is given, what it says, and how it ended.

A `deadline` is a value of time.monotonic().
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.toft.fleet.plugins.plugin_utils import channel
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause, explain
from ansible_collections.toft.fleet.plugins.plugin_utils.channel import Channel
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

CHUNK = 65536
LINGER = 2.0
"""Seconds of silence after a program's end that its still open output is waited for (a child may hold it)."""
MAX_OUTPUT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Completed:
    stdout: bytes
    stderr: bytes
    exit_code: int


def run(
    transport: Transport,
    command: str,
    input_bytes: bytes = b"",
    *,
    deadline: float,
    max_output: int = MAX_OUTPUT,
) -> Completed | Cause:
    """Starts `command`, gives it `input_bytes`, and collects what it says until it ends.

    Reading and writing go on together. More than `max_output` bytes on stdout is the cause `protocol`;
    stderr is cut there. Whatever still runs at the deadline loses its channel.
    """
    opened = channel.open(transport, command, deadline=deadline)
    if isinstance(opened, Cause):
        return opened
    with opened:
        return exchange(transport, opened, input_bytes, deadline=deadline, max_output=max_output)


def exchange(
    transport: Transport,
    opened: Channel,
    input_bytes: bytes = b"",
    *,
    deadline: float,
    max_output: int = MAX_OUTPUT,
) -> Completed | Cause:
    """The same over a channel that is open; whoever opened it closes it."""
    return _Exchange(transport, opened, input_bytes, max_output).run(deadline)


class _Exchange:
    """One run: the bytes still to write, the bytes read so far."""

    def __init__(self, transport: Transport, opened: Channel, data: bytes, max_output: int) -> None:
        self._transport = transport
        self._channel = opened
        self._left = memoryview(data)
        self._max_output = max_output
        self._out: Mapping[int, bytearray] = {opened.stdout: bytearray(), opened.stderr: bytearray()}
        self._open = set(self._out)
        self._poll = select.poll()
        self._ended = False

    def run(self, deadline: float) -> Completed | Cause:
        self._begin()
        limit = deadline
        while self._open and len(self._out[self._channel.stdout]) <= self._max_output:
            events = self._poll.poll(channel.milliseconds(limit))
            for fd, _event in events:
                self._handle(fd)
            if not events and time.monotonic() >= limit:
                break
            limit = min(deadline, time.monotonic() + LINGER) if self._ended else deadline
        return self._result(deadline)

    def _begin(self) -> None:
        self._channel.set_blocking(False)
        for fd in self._out:
            self._poll.register(fd, select.POLLIN)
        if self._channel.ending.fileno() >= 0:
            self._poll.register(self._channel.ending.fileno(), select.POLLIN)
        if self._left:
            self._poll.register(self._channel.stdin, select.POLLOUT)
        else:
            self._channel.close_stdin()

    def _handle(self, fd: int) -> None:
        if fd in self._out:
            self._read(fd)
        elif fd == self._channel.stdin:
            self._write()
        elif self._channel.wait(time.monotonic()) is not None:
            self._poll.unregister(fd)
            self._ended = True

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._poll.unregister(fd)
            self._open.discard(fd)
        elif fd == self._channel.stdout or len(self._out[fd]) < self._max_output:
            self._out[fd].extend(data)

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._channel.stdin, self._left[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            # The program does not want the rest; what it says still counts.
            self._left = self._left[:0]
        if not self._left:
            self._poll.unregister(self._channel.stdin)
            self._channel.close_stdin()

    def _result(self, deadline: float) -> Completed | Cause:
        stdout, stderr = (bytes(data) for data in self._out.values())
        if len(stdout) > self._max_output:
            return cause("protocol", self._transport, detail=f"more than {self._max_output} bytes of output")
        code = self._channel.wait(deadline)
        if code is None:
            return explain(self._transport, None, stderr, timed_out=True)
        return self._channel.failure(code, stderr) or Completed(stdout, stderr, code)
