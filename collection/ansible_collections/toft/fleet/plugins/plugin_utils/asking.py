# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Questions to the node program, and its answers: a session, requests, the frames back."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import channel, exchange, program
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

MOST = 16 << 20
"""Bytes of an answer that are still believed."""
KEPT = 8192
"""Bytes of stderr of which a reason is sought."""


def ask(transport: Transport, request: Mapping[str, Any], *, deadline: float) -> dict[str, Any] | Cause:
    """`deadline` is a time.monotonic(). A node program's refusal is an answer too: {ok: false, error}."""
    answers = ask_in_turn(transport, [request], deadline=deadline)
    return answers if isinstance(answers, Cause) else answers[0]


def ask_in_turn(
    transport: Transport, requests: Sequence[Mapping[str, Any]], *, deadline: float
) -> list[dict[str, Any]] | Cause:
    """Several questions in one session; the answers in their order, at least one of them."""
    done = exchange.run(
        transport,
        boot(transport),
        program.request_bytes(*map(dict, requests)),
        deadline=deadline,
        max_output=MOST,
    )
    if isinstance(done, Cause):
        return done
    return _answers(transport, done)


def boot(transport: Transport) -> str:
    """The one command line that a node is ever given for a job. A user to become has passed a strict pattern."""
    if transport.become:
        return f"sudo -n -H -u {transport.become} -- {program.command(transport.python)}"
    if transport.kind == "local" and transport.python is None:
        # The Python that we are: another one would have to be found, and may be a slow stand-in.
        with contextlib.suppress(program.BadInterpreter):
            return program.command(sys.executable)
    return program.command(transport.python)


def silence(transport: Transport, exit_code: int, stderr: bytes) -> Cause:
    """Why the node program did not say its first word, when the way to it was open."""
    words = stderr.decode(errors="replace").strip()[-300:]
    if transport.become and "sudo:" in words:
        return cause("become", transport, detail=words)
    return cause("no_python", transport) if exit_code == 127 else cause("protocol", transport, detail=words)


class Complaint:
    """What a node program, or the way to it, says on stderr while frames go by: the reason, should it end."""

    def __init__(self, transport: Transport, opened: channel.Channel) -> None:
        self.open = True
        self._transport = transport
        self._channel = opened
        self._said = b""

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._channel.stderr, 65536)
            self.open = bool(data)
            self._said = (self._said + data)[-KEPT:]

    def why(self, *, greeted: bool) -> Cause:
        """Why stdout has ended; `greeted`: the node program has said its first word."""
        code = self._channel.wait(time.monotonic() + 1.0)
        code = 255 if code is None else code
        self.read()
        told = self._channel.failure(code, self._said)
        if told is None and not greeted:
            return silence(self._transport, code, self._said)
        return told or cause("connection_lost", self._transport, detail=self._said.decode(errors="replace")[-300:])


def _answers(transport: Transport, done: exchange.Completed) -> list[dict[str, Any]] | Cause:
    answers = [json.loads(payload) for kind, payload in program.Reader().feed(done.stdout) if kind == b"A"]
    return answers or silence(transport, done.exit_code, done.stderr)
