# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs started on nodes: each at most once, and each findable whatever happens in the middle.

What is about to be started where is declared first (see intent). A start whose answer is lost is asked
again under the same id, which the node takes as the same job; if no answer comes at all, the outcome is
`unsure`, and whoever follows the job finds out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.asking import ask
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.command_line import Command, understand
from ansible_collections.toft.fleet.plugins.plugin_utils.conversation import told_by
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import Outcome, run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import Intent, declare
from ansible_collections.toft.fleet.plugins.plugin_utils.masters import turns
from ansible_collections.toft.fleet.plugins.plugin_utils.places import place_on
from ansible_collections.toft.fleet.plugins.plugin_utils.placing import Placed, in_place, placed_on
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked, BadRequest
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

TRIES = 3
ASK_S = 5.0
SEVERAL_BRIEF_S = 1.0
"""How long the start of one of several jobs may wait for its end. Nobody sees what they say before they have ended."""
START_S = 25.0
"""A login shell's environment may take ten seconds the first time."""

NEVER_SENT = frozenset(
    {"refused", "no_route", "dns", "auth", "host_key_changed", "host_key_unknown", "no_python", "bad_name", "become"}
)
"""Causes that come before our first byte: the job has provably not been started."""


def dispatch(members: Sequence[Member], asked: Asked, node: str | None) -> list[dict[str, Any]]:
    """One job on `node`, or one on every member (then with the ids ID-1, ID-2, …). Answers as JSON."""
    given = understand(asked.words, {m.node for m in members}, asked.form, asked.may_name_node)
    chosen = [m for m in members if node is None or m.node == node]
    if not chosen:
        raise BadRequest(f"{node!r} is not a node of this play")
    jobs = [job_request(m, members, asked, given.command, i if node is None else None) for i, m in enumerate(chosen, 1)]
    pairs = [(m, job, placed_on(asked.run_dir, m.node)) for m, job in zip(chosen, jobs, strict=True)]
    if asked.run_dir:
        declare(Path(asked.run_dir), [_intent(m, job, given.command) for m, job, _placed in pairs])
    reached = [m.transport for m in chosen if isinstance(m.transport, Transport)]
    outcomes = run_all(pairs, _start, deadline_each=asked.connect_timeout + START_S + turns(reached))
    return [
        _told(member, job, given.command, _answer(outcome))
        for (member, job, _placed), outcome in zip(pairs, outcomes, strict=True)
    ]


def job_request(
    member: Member, members: Sequence[Member], asked: Asked, command: Command, index: int | None
) -> dict[str, Any]:
    """The node's job request: the command as data, where it runs and what it sees there."""
    variables = member.variables
    env = {str(k): str(v) for k, v in (variables.get("toft_env") or {}).items()}
    wanted = {k: v for k, v in asked.job.items() if k != "become"}
    if index is not None and len(members) > 1 and wanted.get("brief_s"):
        wanted["brief_s"] = SEVERAL_BRIEF_S
    return wanted | {
        **command.to_dict(),
        "id": asked.job["id"] if index is None else f"{asked.job['id']}-{index}",
        "cwd": asked.job.get("cwd") or place_on(member, members, asked.here),
        "workdir": variables.get("toft_workdir"),
        "env": env | dict(asked.job.get("env") or {}),
    }


def _intent(member: Member, job: Mapping[str, Any], command: Command) -> Intent:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    transport = member.transport.to_dict() if isinstance(member.transport, Transport) else {}
    return Intent(job["id"], member.node, transport, command.words, at)


def _start(pair: tuple[Member, dict[str, Any], Placed | None], deadline: float) -> dict[str, Any] | Cause:
    member, job, placed = pair
    if placed is not None and placed.error is not None:
        return {"ok": False, "error": placed.error}
    return start_on(member.transport, in_place(job, placed), deadline)


def start_on(transport: Transport | Cause, job: dict[str, Any], deadline: float) -> dict[str, Any] | Cause:
    """Ask a node to start a job; again if the answer is lost, until `deadline` (a time.monotonic())."""
    if isinstance(transport, Cause):
        return transport
    answer: dict[str, Any] | Cause
    for attempt in range(TRIES):
        left = (deadline - time.monotonic()) / (TRIES - attempt)
        answer = ask(transport, {"verb": "start", "job": job}, deadline=time.monotonic() + left)
        if not isinstance(answer, Cause) or answer.code in NEVER_SENT:
            break
    answer = _made_sure(transport, str(job["id"]), answer, deadline) if attempt else answer
    if not isinstance(answer, Cause) and answer.get("error"):
        return answer | {"error": told_by(transport.node, answer["error"])}
    return answer


def _made_sure(
    transport: Transport, job_id: str, answer: dict[str, Any] | Cause, deadline: float
) -> dict[str, Any] | Cause:
    """The answer to a later try. The earlier ones may have got through, or still be on their way: a refusal holds
    when the node has been told never to start this id."""
    if isinstance(answer, Cause):
        return replace(answer, code="connection_lost") if answer.code in NEVER_SENT else answer
    if answer.get("ok"):
        return answer
    told = ask(transport, {"verb": "cancel", "ids": [job_id]}, deadline=max(deadline, time.monotonic() + ASK_S))
    if isinstance(told, Cause) or not told.get("ok"):
        return cause("connection_lost", transport, detail="a start was refused after one whose answer was lost")
    (record,) = told["records"]
    if record["state"] == "not_started":
        return answer | {"spent": True}
    return {"ok": True, "record": record, "already": True}


def _told(
    member: Member, job: Mapping[str, Any], command: Command, answer: dict[str, Any] | Cause | None
) -> dict[str, Any]:
    told: dict[str, Any] = {"id": job["id"], "node": member.node, "command": list(command.words), "record": None}
    told["transport"] = member.transport.to_dict() if isinstance(member.transport, Transport) else None
    return told | outcome_of(answer)


def _answer(outcome: Outcome[Any, dict[str, Any]]) -> dict[str, Any] | Cause | None:
    """A mistake of ours in the middle of a start says nothing about what the node has done by then."""
    if outcome.error is not None:
        return Cause("protocol", f"the start was broken off: {outcome.error!r}", "toft jobs")
    return outcome.value if outcome.value is not None else outcome.cause


def outcome_of(answer: dict[str, Any] | Cause | None) -> dict[str, Any]:
    """What an answer to a start means: `started`, `refused` (it provably never was), or `unsure`. A `spent` id is
    one that its node will never start any more. `output` is there when the job is over already and was brief."""
    if isinstance(answer, Cause):
        sure = answer.code in NEVER_SENT
        return {"outcome": "refused" if sure else "unsure", "error": answer.to_dict()}
    if answer and answer.get("ok"):
        passed_on = {key: answer.get(key) for key in ("record", "login", "output")}
        return {"outcome": "started", "error": None, **passed_on}
    told = answer or {}
    return {"outcome": "refused", "error": told.get("error"), "spent": bool(told.get("spent"))}
