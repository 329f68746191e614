"""Every call passes here: it is written down, judged by the owner's policy, and perhaps put to a person.

`ask` needs a client that can ask (MCP's elicitation). Without one, and when the person does not say yes, the
call is refused, with the words that a person can type to run it or to allow it for good. The policy is read
when the server starts: a job that rewrites the file changes nothing for the session that it belongs to.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse

from toft.fleet.audit import Audit, redacted
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.policy import Policy, Target, Verdict, in_directory, judge, with_environment

Ask = Callable[[str], Awaitable[bool | None]]
"""Puts a question to the person; None: this client cannot ask."""


@dataclass(frozen=True)
class Call:
    """One call of a tool. `arguments` are written down; by the others it is judged, if it runs a command."""

    tool: str
    client: str
    command: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    id: str = field(default_factory=lambda: "c" + secrets.token_hex(5))


@dataclass(frozen=True)
class Gate:
    policy: Policy
    audit: Audit

    def begin(self, call: Call) -> None:
        """Raises Failure if it cannot be written down."""
        self._write(call, "call", client=call.client, **call.arguments)

    def judged(self, call: Call, node: str | None = None, groups: tuple[str, ...] = ()) -> Verdict:
        target = Target(call.tool, node, groups)
        if not call.command:
            return judge(self.policy, target)
        line = with_environment(parse(call.command), call.env)
        return judge(self.policy, target, in_directory(line, call.cwd) if call.cwd else line)

    async def admit(self, call: Call, verdict: Verdict, node: str | None, ask: Ask) -> None:
        """Raises Failure unless the call may go on."""
        answer: bool | None = None
        if verdict.decision == "ask":
            answer = await ask(_question(call, verdict, node))
        allowed = verdict.decision == "allow" or answer is True
        self._write(
            call,
            "decision",
            decision=verdict.decision,
            rule=verdict.rule,
            because=verdict.reason,
            node=node,
            part=verdict.command,
            person=_PERSON[answer] if verdict.decision == "ask" else None,
            allowed=allowed,
        )
        if not allowed:
            raise self._refusal(call, verdict, node, answer)

    def started(self, call: Call, job: str, node: str | None) -> None:
        self._write(call, "started", job=job, node=node)

    def end(self, call: Call, **facts: Any) -> None:
        """What became of it: job, node, exit code, or the failure."""
        self._write(call, "end", **facts)

    def _write(self, call: Call, event: str, **facts: Any) -> None:
        shown = {key: redacted(value) if isinstance(value, str) else value for key, value in facts.items()}
        self.audit.write(event, call=call.id, tool=call.tool, **shown)

    def _refusal(self, call: Call, verdict: Verdict, node: str | None, answer: bool | None) -> Failure:
        what = f"`{verdict.command}`" if verdict.command else call.tool
        why = f"{what} is refused: {verdict.reason} (rule {verdict.rule or 'default'})"
        if verdict.decision == "deny":
            return Failure(f"{why}. The owner's policy denies it; do not look for another way.", exit_code=NOT_STARTED)
        if answer is None:
            why += "; it needs a person's word, and this client cannot ask for one"
        else:
            why += "; the person did not allow it"
        return Failure(f"{why}. Nothing was run.", self._for_a_person(call, node), exit_code=NOT_STARTED)

    def _for_a_person(self, call: Call, node: str | None) -> str:
        allow = f"to allow such calls, add a rule to {self.policy.file} and start the server again"
        if not call.command:
            return f"a person decides: {allow}"
        where = f"{node} " if node else ""
        return f"a person can type: toft offload --shell {where}-- {shlex.quote(call.command)} ({allow})"


_PERSON = {True: "yes", False: "no", None: "could not be asked"}


def _question(call: Call, verdict: Verdict, node: str | None) -> str:
    where = f" on {node}" if node else ""
    part = f"\nWhat it is about: {verdict.command}" if verdict.command and verdict.command != call.command else ""
    what = f"run this{where}:\n{call.command}" if call.command else f"call {call.tool}{where}"
    return f"An agent wants to {what}{part}\nAsked because {verdict.reason}."
