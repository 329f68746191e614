# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One question to the node program, and its answer: a session, a request, the first frame back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import channel, program
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

MOST = 16 << 20
"""Bytes of an answer that are still believed."""


def ask(transport: Transport, request: Mapping[str, Any], *, deadline: float) -> dict[str, Any] | Cause:
    """`deadline` is a time.monotonic(). A node program's refusal is an answer too: {ok: false, error}."""
    done = channel.run(
        transport,
        program.command(transport.python),
        program.request_bytes(dict(request)),
        deadline=deadline,
        max_output=MOST,
    )
    if isinstance(done, Cause):
        return done
    return _answer(transport, done)


def _answer(transport: Transport, done: channel.Completed) -> dict[str, Any] | Cause:
    reader = program.Reader()
    for kind, payload in reader.feed(done.stdout):
        if kind == b"A":
            answer: dict[str, Any] = json.loads(payload)
            return answer
    if done.exit_code == 127:
        return cause("no_python", transport)
    return cause("protocol", transport, detail=done.stderr.decode(errors="replace")[-300:])
