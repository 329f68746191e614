"""`parallel`: many commands at once, each where and when the schedule says.

One thread a running command starts and follows it (see worker); what happens to it comes as a report into one
queue, and everything is decided where that queue is read. So the schedule, the records and what a face sees
change in one thread only; output alone goes straight from its thread to the face.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import schedule as scheduling
from ansible_collections.toft.fleet.plugins.plugin_utils.schedule import Decision, Event, Schedule, Skip, Start

from toft.engine.control import Control, Detach, Order, Signal
from toft.fleet import announcements, sync, worker
from toft.fleet.allotment import Allotment, must_run
from toft.fleet.announcements import Announcement
from toft.fleet.failures import NOT_STARTED
from toft.fleet.fleet import Fleet, now
from toft.fleet.follow import Followed, ending
from toft.fleet.mirrors import Mirrors, tree_of
from toft.fleet.rows import Outcome, Row
from toft.fleet.worker import Accepted, Broke, Contact, Done, NeverStarted, NoSlot, Report, Seat
from toft.store import durations
from toft.store.records import Job

TICK_S = 0.2


@dataclass(frozen=True)
class Watch:
    """What a face gets to see. `wrote` comes from the commands' threads, the others from the caller's."""

    changed: Callable[[Row], None] = lambda row: None
    wrote: Callable[[int, str, str, bytes], None] = lambda number, node, stream, data: None
    tick: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda text: None
    announced: Callable[[Announcement], None] = lambda announcement: None


def run(fleet: Fleet, allotment: Allotment, control: Control, watch: Watch, since: float | None = None) -> Outcome:
    """All of it, to its end. `since` is the time.monotonic() from which the whole is counted."""
    must_run(allotment)
    if said := _announcement(fleet, allotment):
        watch.announced(said)
    running = _Run(fleet, allotment, control, watch, time.monotonic() if since is None else since)
    try:
        running.begin()
        while not running.over:
            running.step()
    finally:
        running.close()
    return running.outcome()


def _announcement(fleet: Fleet, allotment: Allotment) -> Announcement | None:
    """None where all of it stays on this machine, as planned."""
    spans = allotment.spans
    if all(allotment.nodes[span.node]["local"] for span in spans):
        return None
    if len(spans) == 1:
        decision = {**allotment.decisions[spans[0].number], "node": spans[0].node}
        return announcements.of_job(fleet, [allotment.command(spans[0].number)], decision)
    return announcements.of_several(fleet, [allotment.command(span.number) for span in spans])


@dataclass
class _Run:
    """One `parallel` in the making."""

    fleet: Fleet
    allotment: Allotment
    control: Control
    watch: Watch
    since: float
    rows: dict[int, Row] = field(default_factory=dict)
    controls: dict[int, Control] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)
    crowded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        allotment = self.allotment
        self.schedule = Schedule(allotment.tasks, allotment.places, allotment.edges)
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.stopped = False
        tree = tree_of(self.fleet, allotment.asked)
        self.mirrors: Mirrors | None = None
        if tree is not None:
            self.mirrors = Mirrors(sync.order(self.fleet, tree), allotment.asked.cwd, self.watch.say)

    # -- the loop --

    def begin(self) -> None:
        """Every command has its record before any is started."""
        for task in self.allotment.tasks:
            command = self.allotment.command(task.number)
            job = worker.new_job(self.fleet, command, task.number)
            worker.make_room(job)
            self.rows[task.number] = Row(task.number, command, job)
        self.fleet.store.add_all(row.job for row in self.rows.values())
        for row in self.rows.values():
            self.watch.changed(row)
        self._follow(self.schedule.decide(self._now()))

    def step(self) -> None:
        """Wait for a report, or for a moment, and do what follows."""
        with contextlib.suppress(queue.Empty):
            self._take(self.reports.get(timeout=TICK_S))
        for order in self.control.take():
            self._obey(order)
        self._tell()
        self.watch.tick()

    @property
    def over(self) -> bool:
        return self.schedule.over and all(row.final or row.detached for row in self.rows.values())

    def close(self) -> None:
        self._pass_on(Detach())
        for thread in self.threads:
            thread.join(timeout=5)
        for control in self.controls.values():
            control.close()

    def outcome(self) -> Outcome:
        rows = tuple(self.rows[number] for number in sorted(self.rows))
        return Outcome(rows, self.allotment.edges, self._now(), self.allotment.wall_s)

    def _now(self) -> float:
        return time.monotonic() - self.since

    def _change(self, number: int, **values: Any) -> Row:
        row = self.rows[number] = replace(self.rows[number], **values)
        self.watch.changed(row)
        return row

    # -- decisions --

    def _tell(self, *events: Event) -> None:
        self._follow(self.schedule.decide(self._now(), *events))

    def _follow(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Start(number, node):
                    self._start(number, node)
                case Skip(number, why):
                    self._skip(number, why)

    def _start(self, number: int, node: str) -> None:
        row = self.rows[number]
        job = replace(row.job, node=node, reason=self._reason(number, node))
        row = self._change(number, job=job, phase="starting", begun=self._now())
        slots = self.schedule.places[node].most + self.schedule.serving(node)
        seat = Seat(number, job, node, self.allotment.nodes[node], slots, self.mirrors)
        control = self.controls[number] = Control()

        def write(stream: str, data: bytes) -> None:
            self.watch.wrote(number, node, stream, data)

        arguments = (self.fleet, seat, self.reports.put, write, control)
        thread = threading.Thread(target=worker.run, args=arguments, daemon=True, name=f"toft-{number}")
        self.threads.append(thread)
        thread.start()

    def _reason(self, number: int, node: str) -> str:
        """Routing's own where it chose this node, too; otherwise it was the schedule that did."""
        decision = self.allotment.decisions[number]
        return str(decision["reason"]) if decision["node"] == node else "least_loaded"

    def _skip(self, number: int, why: str) -> None:
        decision = self.allotment.decisions[number]
        told = why if decision["eligible"] else str(decision["why"])
        job = worker.skipped(self.fleet, self.rows[number].job, told)
        self._change(number, job=job, phase="skipped", code=NOT_STARTED)
        self.watch.say(f"{number} is not started: {told}")

    # -- reports --

    def _take(self, report: Report) -> None:
        match report:
            case Accepted(number, job):
                self._change(number, job=job, phase="running")
                self._tell(scheduling.Started(number))
            case NeverStarted():
                self._refused(report)
            case NoSlot():
                self._no_slot(report)
            case Contact(number, node, there):
                self._change(number, silent=not there)
                self.watch.say(f"{node} {'is back' if there else 'does not answer; what runs on it runs on'}")
                self._tell(scheduling.Back(node) if there else scheduling.Silent(node))
            case Done(number, followed):
                self._done(number, followed)
            case Broke(_, error):
                raise error

    def _refused(self, report: NeverStarted) -> None:
        """Elsewhere then, as a job of its own; the refused one keeps its record."""
        node = report.job.node or ""
        self._drop(report.number)
        self.watch.say(f"{report.number} was not started on {node}: {report.message}")
        self._wait_again(report.number, self._fresh(report.number))
        gone = [scheduling.Gone(node)] if report.unreachable else []
        self._tell(*gone, scheduling.Refused(report.number, node))

    def _no_slot(self, report: NoSlot) -> None:
        """Others have taken the node's slots."""
        number, node = report.number, report.job.node or ""
        self._drop(number)
        if node not in self.crowded and not self.schedule.taken(node) - 1:
            self.crowded.add(node)
            self.watch.say(f"{node} has no free slot ({report.message}); what is to run there waits for one")
        job = self._fresh(number) if report.spent else replace(report.job, node=None, reason=None)
        self._wait_again(number, job)
        self._tell(scheduling.Full(number, node))

    def _fresh(self, number: int) -> Job:
        """The same command as a new job, with its record."""
        job = worker.new_job(self.fleet, self.rows[number].command, number)
        worker.make_room(job)
        self.fleet.store.add(job)
        return job

    def _wait_again(self, number: int, job: Job) -> None:
        self._change(number, job=job, phase="waiting", begun=None)

    def _done(self, number: int, followed: Followed) -> None:
        job, node = followed.job, followed.job.node or ""
        self._drop(number)
        row = self._change(
            number, job=job, phase="ended", ended=self._now(), code=followed.code, detached=followed.detached
        )
        if not followed.detached and (text := ending(job)) and job.state not in ("exited", "signaled"):
            self.watch.say(f"{number}: {text}")
        self._learn(row)
        sure = job.state != "unknown" and not followed.detached
        ok = job.state == "exited" and job.exit_code == 0
        gone: list[Event] = [scheduling.Gone(node)] if job.state == "unknown" and node in self.schedule.silent else []
        if sure and node in self.schedule.silent:
            gone = [scheduling.Back(node)]
        if not ok and self.allotment.asked.fail_fast and not self.stopped:
            self._stop(f"{number} did not succeed, and --fail-fast was asked for", Signal("TERM"))
        self._tell(*gone, scheduling.Ended(number, ok, sure))

    def _learn(self, row: Row) -> None:
        job = row.job
        if job.state == "exited" and job.duration_s is not None and job.node is not None:
            place = str(self.fleet.cwd)
            run = durations.Duration(row.command, place, job.node, job.duration_s, job.exit_code == 0, now())
            durations.add(self.fleet.store, run)

    def _drop(self, number: int) -> None:
        self.controls.pop(number).close()

    # -- orders --

    def _obey(self, order: Order) -> None:
        """A signal goes to every command that runs, and nothing more is started; letting go lets all run on."""
        if not self.stopped:
            self._stop("toft was interrupted", order)
            return
        self._pass_on(order)

    def _stop(self, why: str, order: Order) -> None:
        self.stopped = True
        self._follow(self.schedule.stop(why))
        self._pass_on(order)

    def _pass_on(self, order: Order) -> None:
        for control in self.controls.values():
            control.give(order)
