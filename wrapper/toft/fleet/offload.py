"""`offload`: one command to the right node, its streams here, its exit code ours.

What can be stopped at any moment is written down first: the record of the job before anything is asked of
anybody, and, by the action that starts it, on which node it is about to be started. So whoever looks later
(`toft jobs`) can always find out what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.requests import Request, Step
from toft.fleet import announcements, interrupted, owners
from toft.fleet.announcements import Announcement
from toft.fleet.commands import Words
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet, new_id, now
from toft.fleet.follow import BRIEF_S, Brief
from toft.fleet.settings import home_directory
from toft.fleet.sync import Told, Tree, order, tree_at, tree_meant
from toft.store.records import Job


@dataclass(frozen=True)
class Offload:
    """What to run and how. `on` narrows the candidates to a pattern, `node` is one by name; times in seconds.

    `awaited`: somebody will follow it from its start, so that it is held back until he reads. `brief`: its start may
    wait for a quick end, for it probably needs no input.
    `sync` brings the tree along: True any directory, None a working tree unless `cwd` says where to run, False none.
    """

    words: Words
    on: str | None = None
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    stdin: bool = True
    tty: Mapping[str, Any] | None = None
    become: bool = False
    retries: int = 0
    node: str | None = None
    sync: bool | None = None
    awaited: bool = True
    brief: bool = True

    def job(self, job_id: str) -> dict[str, Any]:
        return {
            "id": job_id,
            "cwd": self.cwd,
            "env": dict(self.env),
            "timeout_s": self.timeout_s,
            "stdin": "pipe" if self.stdin else "none",
            "tty": self.tty,
            "become": self.become,
            "awaited": self.awaited,
            "brief_s": BRIEF_S if self.brief and self.awaited and not self.tty else None,
        }


@dataclass(frozen=True)
class Started:
    """A job on its node. `sure` is False when the node's answer was lost: it may not have started."""

    job: Job
    transport: Transport
    decision: dict[str, Any]
    sure: bool
    tree: Tree | None = None
    placed: dict[str, Any] | None = None
    announcement: Announcement | None = None
    brief: Brief | None = None

    @property
    def brought(self) -> Told | None:
        """What was synced for it, if anything had to be."""
        return Told.of(self.placed) if self.placed and self.placed["outcome"] == "synced" else None


def start(fleet: Fleet, offload: Offload, say: Callable[[str], None]) -> Started:
    """Route and start; on another node if the first provably never started it and a retry is left.

    Raises Failure with exit code 125 when nothing runs.
    """
    excluded: list[str] = []
    while True:
        try:
            return _start_once(fleet, offload, tuple(excluded))
        except Failure as failure:
            if failure.node is None or len(excluded) >= offload.retries:
                raise
            say(f"{failure.message}; trying another node")
            excluded.append(failure.node)


def _start_once(fleet: Fleet, offload: Offload, exclude: tuple[str, ...]) -> Started:
    job = Job(new_id(), offload.words.words, now(), cwd=offload.cwd, owner=owners.me())
    tree = _tree(fleet, offload)
    run_dir = fleet.engine.runs / job.id
    fleet.store.add(replace(job, run_dir=str(run_dir)))
    body = fleet.body(**offload.words.to_body(), exclude=list(exclude), node=offload.node, job=offload.job(job.id))
    steps = [Step("route"), Step("dispatch", node_of="route")]
    if tree is not None:
        body["sync"] = order(fleet, tree)
        steps.insert(1, Step("sync", node_of="route"))
    try:
        answers = fleet.ask(Request(offload.on or "all", tuple(steps), body, label=job.id, keep=True))
    except Failure as failure:
        return _broken_off(fleet, replace(job, run_dir=str(run_dir)), failure)
    started = _started(fleet, job, answers["route"]["decision"], answers.steps.get("dispatch") or {})
    places = (answers.steps.get("sync") or {}).get("places") or [None]
    decision, away = started.decision, not answers["route"]["local"]
    said = announcements.of_job(fleet, started.job.command, decision) if away else None
    return replace(started, tree=tree, placed=places[0], announcement=said)


def _broken_off(fleet: Fleet, job: Job, failure: Failure) -> Started:
    """Raises the failure unless the job had been started by then."""
    there = interrupted.found(fleet, job)
    if there is None:
        _not_started(fleet, job, failure.message)
        raise failure
    fleet.store.update(there)
    decision = {"node": there.node, "reason": there.reason, "why": "it was stopped while it was being started"}
    return Started(there, Transport.from_dict(there.transport or {}), decision, sure=there.state != "unknown")


def _tree(fleet: Fleet, offload: Offload) -> Tree | None:
    home = home_directory(fleet.engine.environment)
    if offload.sync:
        return tree_meant(fleet.cwd, fleet.settings, home)
    return None if offload.sync is False or offload.cwd else tree_at(fleet.cwd, fleet.settings, home)


def _started(fleet: Fleet, job: Job, decision: dict[str, Any], dispatched: dict[str, Any]) -> Started:
    job = replace(job, node=decision["node"], reason=decision["reason"])
    if decision["node"] is None:
        _not_started(fleet, job, decision["why"])
        raise Failure(decision["why"], decision["fix"] or "toft status", NOT_STARTED)
    (told,) = dispatched["jobs"]
    if told["outcome"] == "refused":
        _not_started(fleet, job, told["error"]["message"])
        raise Failure(told["error"]["message"], told["error"].get("fix", ""), NOT_STARTED, job.node)
    transport = Transport.from_dict(told["transport"])
    job = replace(job, transport=told["transport"], command=tuple(told["command"]))
    job = job.with_node_record(told["record"]) if told["record"] else replace(job, state="unknown")
    fleet.store.update(job)
    brief = Brief.told(told.get("output"))
    return Started(job, transport, decision, sure=told["outcome"] == "started", brief=brief)


def _not_started(fleet: Fleet, job: Job, why: str) -> None:
    """It provably never ran: the record says so, and nothing is left to look for."""
    fleet.store.update(replace(job, state="not_started", exit_code=NOT_STARTED, origin="toft", error=why))
    owners.forget(fleet.engine.runs / job.id)
