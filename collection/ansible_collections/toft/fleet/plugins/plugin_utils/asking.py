# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Questions to the node program, and its answers: a session, requests, the frames back."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import exchange, program
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

MOST = 16 << 20
"""Bytes of an answer that are still believed."""


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


def _answers(transport: Transport, done: exchange.Completed) -> list[dict[str, Any]] | Cause:
    answers = [json.loads(payload) for kind, payload in program.Reader().feed(done.stdout) if kind == b"A"]
    return answers or silence(transport, done.exit_code, done.stderr)
