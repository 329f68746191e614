"""A request to the fleet, as a value, and the play that carries it.

A play names actions of toft.fleet only, and the file in which their request stands. What a person
typed is in that file and nowhere else: Ansible templates whatever it finds in a play.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One action of toft.fleet. `node_of` names the earlier step whose answer has the node; none, no step."""

    action: str
    node_of: str | None = None

    def task(self, request_file: str) -> dict[str, Any]:
        options = {"request": request_file}
        task: dict[str, Any] = {"name": self.action, f"toft.fleet.{self.action}": options}
        task["register"] = f"toft_{self.action}"
        if self.node_of:
            options |= {key: f"{{{{ toft_{self.node_of}.{key} }}}}" for key in ("node", "local")}
            task["when"] = f"toft_{self.node_of}.node is not none"
        return task


@dataclass(frozen=True)
class Request:
    """`pattern` chooses the hosts as Ansible does; `body` is what the actions read, as JSON.

    `label` is the name of the private directory where the run lives (a job's id, for a job);
    `keep` leaves that directory there afterwards, for whoever has to find out what became of it; `owner` says
    in it which process is still looking after the run.
    """

    pattern: str
    steps: tuple[Step, ...]
    body: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    keep: bool = False
    owner: str | None = None

    def playbook(self, request_file: str) -> str:
        """A playbook as JSON, which is YAML."""
        play = {
            "name": "toft",
            "hosts": self.pattern,
            "gather_facts": False,
            "tasks": [step.task(request_file) for step in self.steps],
        }
        return json.dumps([play])


def refuse_pattern(pattern: str) -> str | None:
    """Why a host pattern cannot be used, or None. Patterns go into a play, and a play is templated."""
    if not pattern.strip():
        return "the pattern is empty; name a node, a group or `all`"
    if any(mark in pattern for mark in ("{{", "{%", "{#", "\n", "\x00")):
        return (
            f"the pattern {pattern!r} looks like a template; a pattern is node and group names, as in `builders:!pi*`"
        )
    if pattern.startswith("-"):
        return f"the pattern {pattern!r} looks like an option; put a name first, as in `all:!NAME`"
    return None
