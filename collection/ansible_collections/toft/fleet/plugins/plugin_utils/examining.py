# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All nodes examined at once: is it there, does a job run on it, and what does it see of its own services.

A load proves that a node can be asked, which takes an sh; a job needs much more: Python, a login shell that comes to
its end, a disk with room, a directory to run in. So one is run, `true`, started and removed again in the same session
by the same requests as any other. Its id is always the same for this machine: should that session break off, the next
examination takes away what was left.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils.asking import ask_in_turn
from ansible_collections.toft.fleet.plugins.plugin_utils.candidates import described
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.command_line import Command
from ansible_collections.toft.fleet.plugins.plugin_utils.dispatching import job_request
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import Outcome, run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.masters import turns
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member
from ansible_collections.toft.fleet.plugins.plugin_utils.survey import Seen, probe
from ansible_collections.toft.fleet.plugins.plugin_utils.tailscale_cli import PROGRAMS
from ansible_collections.toft.fleet.plugins.plugin_utils.this_machine import machine_id
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

AGENTS, TAILNET = "agents", "tailnet"
TRIAL = Command(argv=("true",))
TRIAL_S, BRIEF_S = 4.0, 5.0
"""How long the job may take, and how long its end is waited for: it is over then, and can be removed."""
AGENT_S, TAILNET_S = 5.0, 3.0
SESSION_S = 20.0
"""A login shell's environment may take ten seconds the first time; for the rest see above."""


@dataclass(frozen=True)
class Session:
    """What the node program answered: about the job, the job's removal, and its services, where it got so far."""

    start: Mapping[str, Any] | None = None
    removal: Mapping[str, Any] | None = None
    look: Mapping[str, Any] | None = None
    seconds: float = 0.0
    cause: Cause | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"trial": self._trial(), "look": (self.look or {}).get("found")}

    def _trial(self) -> dict[str, Any]:
        start = self.start or {}
        cause = None if self.cause is None else self.cause.to_dict()
        removed = bool((self.removal or {}).get("removed"))
        told = {"record": start.get("record"), "login": start.get("login"), "error": start.get("error")}
        return told | {"cause": cause, "removed": removed, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Examined:
    load: Load
    latency_s: float
    session: Session


def examine(members: Sequence[Member], asked: Asked) -> dict[str, dict[str, Any]]:
    """By name, as JSON: what `status` tells of a node, with `trial` and `look`; both are null for one that is not
    there."""
    reached = [member.transport for member in members if isinstance(member.transport, Transport)]
    patience = asked.patience + turns(reached)

    def work(member: Member, _deadline: float) -> Examined | Cause:
        begun = time.monotonic()
        load = probe(member, interval=asked.interval, deadline=begun + patience)
        if isinstance(load, Cause):
            return load
        latency = time.monotonic() - begun - (load.interval_s or 0.0)
        return Examined(load, latency, _session(member, _requests(member, members, asked)))

    outcomes = run_all(members, work, deadline_each=patience + SESSION_S)
    nodes = described([_seen(outcome) for outcome in outcomes], asked.policy)
    return {outcome.item.node: nodes[outcome.item.node] | _told(outcome) for outcome in outcomes}


def _requests(member: Member, members: Sequence[Member], asked: Asked) -> list[dict[str, Any]]:
    ours = hashlib.sha256((machine_id() or "").encode()).hexdigest()[:12]
    blank = replace(asked, job={"id": f"doctor-{ours}", "timeout_s": TRIAL_S, "stdin": "none", "brief_s": BRIEF_S})
    job = job_request(member, members, blank, TRIAL, None)
    remove = {"verb": "remove", "ids": [job["id"]]}
    return [remove, {"verb": "start", "job": job}, remove, {"verb": "look", **_services(member)}]


def _services(member: Member) -> dict[str, Any]:
    """Those that it should have by the inventory."""
    wanted: dict[str, Any] = {}
    if AGENTS in member.groups:
        wanted["agent"] = {"port": _number(member.variables.get("toft_agent_port")), "patience_s": AGENT_S}
    if TAILNET in member.groups:
        wanted["tailnet"] = {"programs": list(PROGRAMS), "patience_s": TAILNET_S}
    return wanted


def _number(value: object) -> int | None:
    """Variables that were given as KEY=VALUE are text."""
    return int(str(value)) if str(value).isdecimal() else None


def _session(member: Member, requests: Sequence[Mapping[str, Any]]) -> Session:
    if isinstance(member.transport, Cause):
        return Session(cause=member.transport)
    begun = time.monotonic()
    answers = ask_in_turn(member.transport, requests, deadline=begun + SESSION_S)
    seconds = time.monotonic() - begun
    if isinstance(answers, Cause):
        return Session(seconds=seconds, cause=answers)
    _left, start, removal, look = [*answers, None, None, None][:4]
    return Session(start, removal, look, seconds)


def _seen(outcome: Outcome[Member, Examined]) -> Seen:
    if outcome.error is not None:
        raise outcome.error
    found = outcome.value
    latency = max(0.0, found.latency_s if found else outcome.seconds) * 1000
    return Seen(outcome.item, found.load if found else None, outcome.cause, round(latency, 1))


def _told(outcome: Outcome[Member, Examined]) -> dict[str, Any]:
    return outcome.value.session.to_dict() if outcome.value else {"trial": None, "look": None}


def inventory(groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The groups and the plain variables that were asked for, as `ansible-inventory --list` writes them."""
    wanted = asked.inventory.get("variables", [])
    known = {host: _plain(hostvars[host], wanted) for host in groups.get("all", ()) if wanted}
    listed: dict[str, Any] = {
        name: {"hosts": list(groups[name])} for name in asked.inventory["groups"] if name in groups
    }
    return listed | {"_meta": {"hostvars": known}}


def _plain(variables: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    found = {name: variables[name] for name in wanted if name in variables}
    return {name: value for name, value in found.items() if isinstance(value, (str, int, bool))}
