"""One command of a `parallel` on one node, from its record to its end, in a thread of its own.

Starts do not go through Ansible one by one. Ansible probed the nodes, resolved their transports and decided
once for all commands; a run of it for each freed slot would cost about a second of it, and a hundred short
commands a hundred seconds. What is left for a start is one session on the connection that is kept open anyway,
as for every other question to a job. The promises are those of a single `offload`: the record is there before
anything is asked, and the intent (which node is about to be asked) before the node is. So a job is started at
most once, and whoever comes later can find it. A command that goes to another node because the first provably
never started it gets an id of its own; one that only found no slot keeps its id, and its intent names the next node.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.dispatching import START_S, outcome_of, start_on
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import Cancelled, Intent, declare_anew
from ansible_collections.toft.fleet.plugins.plugin_utils.placing import in_place
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.control import Control
from toft.fleet import owners
from toft.fleet.execute import fleet_of_thread
from toft.fleet.failures import NOT_STARTED
from toft.fleet.fleet import Fleet, new_id, now
from toft.fleet.follow import Brief, Followed, Wishes, follow
from toft.fleet.mirrors import Mirrors
from toft.store.records import Job

NO_SLOT = "no_slot"
"""A node's word for all its slots being taken."""
CHANGED = "mirror_changed"
"""A node's word for a mirror that does not hold what the job is to see any more."""
REACH = frozenset({"refused", "no_route", "dns", "auth", "host_key_changed", "host_key_unknown", "no_python", "become"})
"""Causes that speak of the node and not of the job: nothing else can be started there either."""


@dataclass(frozen=True)
class Seat:
    """A command and the node it is given to. `node` is the answer of the action `allocate` for it; `slots` how many
    jobs there may be there with this one."""

    number: int
    job: Job
    name: str
    node: dict[str, Any]
    slots: int
    mirrors: Mirrors | None = None


@dataclass(frozen=True)
class Accepted:
    """The node runs it, or may (`sure` False: its answer was lost)."""

    number: int
    job: Job
    sure: bool
    brief: Brief | None = None


@dataclass(frozen=True)
class NeverStarted:
    """`unreachable`: the node is at fault, not the command."""

    number: int
    job: Job
    message: str
    unreachable: bool


@dataclass(frozen=True)
class NoSlot:
    """Not started either, and it may be tried again, there or elsewhere. `spent`: but not under this id."""

    number: int
    job: Job
    message: str
    spent: bool


@dataclass(frozen=True)
class Contact:
    """Contact with the node was lost, or is back."""

    number: int
    node: str
    there: bool


@dataclass(frozen=True)
class Done:
    number: int
    followed: Followed


@dataclass(frozen=True)
class Broke:
    """A bug of ours, to be raised where somebody sees it."""

    number: int
    error: Exception


Report = Accepted | NeverStarted | NoSlot | Contact | Done | Broke


def new_job(fleet: Fleet, command: str, number: int) -> Job:
    """Queued, with a private directory for its intent; its record is not written yet."""
    job = Job(new_id(), (command,), now(), reason=None, owner=owners.me())
    return replace(job, run_dir=str(fleet.engine.runs / job.id))


def make_room(job: Job) -> None:
    """Before its record: a record whose directory is missing means that nothing may be started any more."""
    Path(job.run_dir or "").mkdir(mode=0o700, parents=True, exist_ok=True)


def run(
    fleet: Fleet,
    seat: Seat,
    report: Callable[[Report], None],
    write: Callable[[str, bytes], None],
    control: Control,
) -> None:
    """Start and follow; what happens is reported, nothing is raised."""
    try:
        mine = fleet_of_thread(fleet)
        try:
            _run(mine, seat, report, write, control)
        finally:
            mine.store.close()
    except Exception as error:
        report(Broke(seat.number, error))


def _run(
    fleet: Fleet,
    seat: Seat,
    report: Callable[[Report], None],
    write: Callable[[str, bytes], None],
    control: Control,
) -> None:
    begun = _start(fleet, seat)
    report(begun)
    if isinstance(begun, Accepted):
        wishes = Wishes(
            write, lambda text: None, control, contact=lambda there: report(Contact(seat.number, seat.name, there))
        )
        report(Done(seat.number, follow(fleet, begun.job, wishes, begun.brief)))


def _start(fleet: Fleet, seat: Seat) -> Accepted | NeverStarted | NoSlot:
    transport = Transport.from_dict(seat.node["transport"])
    job = replace(seat.job, node=seat.name, transport=seat.node["transport"])
    try:
        declare_anew(Path(job.run_dir or ""), [Intent(job.id, seat.name, transport.to_dict(), job.command, now())])
    except Cancelled as error:
        return _never(fleet, seat, job, {"code": "cancelled", "message": str(error)})
    request = seat.node["job"] | {"argv": None, "shell": job.command[0], "id": job.id, "slots": seat.slots}
    told = _ask(fleet, seat, transport, request)
    if told["outcome"] == "refused":
        return _refused(fleet, seat, job, told)
    job = job.with_node_record(told["record"]) if told.get("record") else replace(job, state="unknown")
    fleet.store.update(job)
    return Accepted(seat.number, job, told["outcome"] == "started", Brief.told(told.get("output")))


def _ask(fleet: Fleet, seat: Seat, transport: Transport, request: dict[str, Any]) -> dict[str, Any]:
    """Start it in its tree. A mirror that somebody has changed since it was brought is brought once more."""
    for _ in range(2):
        placed = seat.mirrors.on(transport, request) if seat.mirrors else None
        if placed is not None and placed.error is not None:
            return {"outcome": "refused", "error": placed.error}
        deadline = time.monotonic() + fleet.settings.connect_timeout + START_S
        told = outcome_of(start_on(transport, in_place(request, placed), deadline))
        if placed is None or (told["error"] or {}).get("code") != CHANGED:
            break
    return told


def _refused(fleet: Fleet, seat: Seat, job: Job, told: dict[str, Any]) -> NeverStarted | NoSlot:
    error = told["error"] or {}
    if error.get("code") != NO_SLOT:
        return _never(fleet, seat, job, error)
    if told.get("spent"):
        skipped(fleet, job, str(error["message"]))
    return NoSlot(seat.number, seat.job, str(error["message"]), bool(told.get("spent")))


def _never(fleet: Fleet, seat: Seat, job: Job, error: dict[str, Any]) -> NeverStarted:
    message = str(error.get("message") or f"{seat.name} refused it")
    job = skipped(fleet, job, message)
    return NeverStarted(seat.number, job, message, error.get("code") in REACH)


def skipped(fleet: Fleet, job: Job, why: str) -> Job:
    """It provably never ran: the record says so, and nothing is left to look for."""
    job = replace(job, state="not_started", exit_code=NOT_STARTED, origin="toft", error=why)
    fleet.store.update(job)
    owners.forget(Path(job.run_dir or ""))
    return job
