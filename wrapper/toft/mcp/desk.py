"""The use cases behind the tools, each whole in one thread: from a fresh Fleet to a value."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from toft.engine.control import Control
from toft.fleet import hook_file
from toft.fleet import jobs as use
from toft.fleet.allotment import Parallel, allot
from toft.fleet.announcements import Announcement
from toft.fleet.commands import Words
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet, assemble
from toft.fleet.follow import Followed, Wishes, ending, follow
from toft.fleet.nodes import Node
from toft.fleet.offload import Offload, Started, start
from toft.fleet.output import Stretch, stretch
from toft.fleet.parallel import Watch, run
from toft.fleet.route import route
from toft.fleet.rows import Outcome, Row
from toft.fleet.status import Status, status
from toft.fleet.sync import Told, sync
from toft.fleet.sync import pull as fetch
from toft.mcp.trimming import Trimmed
from toft.store.records import Job

System = Literal["linux", "macos"]


@dataclass(frozen=True)
class Wanted:
    """Where a command may run: a pattern, a node by name, a system, an architecture."""

    on: str | None = None
    node: str | None = None
    os: System | None = None
    arch: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a command finds around it; seconds after which it is stopped."""

    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass
class Running:
    """A job under way, looked at from the other thread for progress. `began` is called once it has started."""

    began: Callable[[Job], None]
    started: Started | None = None
    notes: list[str] = field(default_factory=list)
    output: dict[str, Trimmed] = field(default_factory=lambda: {"stdout": Trimmed(), "stderr": Trimmed()})

    @property
    def printed(self) -> int:
        return sum(each.size for each in self.output.values())


@dataclass
class Several:
    """Several jobs under way, by number."""

    began: Callable[[Job], None]
    rows: dict[int, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    output: dict[int, dict[str, Trimmed]] = field(default_factory=dict)
    announcement: str | None = None

    def changed(self, row: Row) -> None:
        before = self.rows.get(row.number)
        first = row.phase == "running" and (before is None or before.phase != "running")
        self.rows[row.number] = row
        self.output.setdefault(row.number, {name: Trimmed(2_000, 4_000) for name in ("stdout", "stderr")})
        if first:
            self.began(row.job)

    def announced(self, announcement: Announcement) -> None:
        self.announcement = announcement.text

    def wrote(self, number: int, node: str, stream: str, data: bytes) -> None:
        self.output[number][stream].put(data)


@dataclass(frozen=True)
class Desk:
    """What every call needs of the process: environment, directory, inventories. `cancelled`: begin nothing more."""

    env: Mapping[str, str]
    cwd: Path
    inventory: tuple[Path, ...] = ()
    cancelled: Callable[[], bool] = lambda: False

    @contextmanager
    def fleet(self) -> Iterator[Fleet]:
        """Configuration and inventory as they are now; the records' connection is closed at the end."""
        fleet = assemble(self.env, self.cwd, inventory=self.inventory)
        try:
            yield fleet.cancellable(self.cancelled)
        finally:
            fleet.store.close()
            hook_file.renew(self.env)

    def status(self, patterns: list[str]) -> Status:
        with self.fleet() as fleet:
            return status(fleet, patterns)

    def route(self, command: str, wanted: Wanted) -> dict[str, Any]:
        with self.fleet() as fleet:
            nodes = self._nodes(fleet, wanted)
            return route(fleet, _line(command), on=_on(wanted, nodes), node=wanted.node).decision

    def placed(self, command: str, wanted: Wanted) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The decision, and the groups of the node that it names."""
        decision = self.route(command, wanted)
        if decision["node"] is None:
            return decision, ()
        (node,) = self.status([decision["node"]]).nodes
        return decision, node.groups

    def run(
        self, command: str, wanted: Wanted, surroundings: Surroundings, control: Control, running: Running
    ) -> Followed:
        with self.fleet() as fleet:
            nodes = self._nodes(fleet, wanted)
            on = _on(wanted, nodes)
            offload = Offload(_line(command), on=on, node=wanted.node, stdin=False, **vars(surroundings))
            started = start(fleet, offload, running.notes.append)
            running.started = started
            running.began(started.job)
            put = {stream: trimmed.put for stream, trimmed in running.output.items()}
            wishes = Wishes(lambda stream, data: put[stream](data), running.notes.append, control)
            return _told(follow(fleet, started.job, wishes, started.brief), running)

    def parallel(self, asked: Parallel, control: Control, several: Several) -> Outcome:
        with self.fleet() as fleet:
            allotment = allot(fleet, asked)
            watch = Watch(several.changed, several.wrote, say=several.notes.append, announced=several.announced)
            return run(fleet, allotment, control, watch)

    def sync(self, pattern: str | None, pull: str | None, dry_run: bool) -> list[Told]:
        """To the nodes that match; with `pull`, that path back from the one that is named."""
        with self.fleet() as fleet:
            if pull is None:
                return sync(fleet, pattern, dry=dry_run)
            if pattern is None or dry_run:
                raise Failure("pull needs the node to pull from, and has no dry run", "sync(on=NODE, pull=PATH)")
            return [fetch(fleet, pattern, pull)]

    def find(self, given: str) -> Job:
        with self.fleet() as fleet:
            return use.find(fleet, given)

    def listed(self) -> list[Job]:
        with self.fleet() as fleet:
            return use.listed(fleet)

    def signal(self, given: str, name: str) -> Job:
        with self.fleet() as fleet:
            job = use.find(fleet, given)
            use.signal(fleet, job, name)
            return job

    def output(self, given: str, stream: Literal["stdout", "stderr"], offset: int, length: int) -> tuple[Job, Stretch]:
        """`offset` below 0 counts from the end of what is there."""
        with self.fleet() as fleet:
            job = use.find(fleet, given)
            size = job.stdout_bytes if stream == "stdout" else job.stderr_bytes
            return job, stretch(fleet, job, stream, max(0, size + offset) if offset < 0 else offset, length)

    def _nodes(self, fleet: Fleet, wanted: Wanted) -> list[Node] | None:
        """The nodes that have the system and architecture asked for; None when any will do."""
        if wanted.os is None and wanted.arch is None:
            return None
        found = [node for node in status(fleet, [wanted.on or "all"]).nodes if _fits(node, wanted)]
        if not found:
            raise Failure(f"no node has {_asked(wanted)}", "cluster_status says what there is", exit_code=125)
        return found


def here() -> Desk:
    return Desk(dict(os.environ), Path.cwd())


def _line(command: str) -> Words:
    return Words((command,), "shell")


def _on(wanted: Wanted, nodes: list[Node] | None) -> str | None:
    return wanted.on if nodes is None else ":".join(node.name for node in nodes)


ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "x64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
"""macOS and Linux call the same thing by two names."""


def _fits(node: Node, wanted: Wanted) -> bool:
    system, arch = node.known("os"), str(node.known("arch"))
    same = ARCHITECTURES.get(arch, arch) == ARCHITECTURES.get(wanted.arch or "", wanted.arch)
    named = wanted.node in (None, node.name)
    return named and wanted.os in (None, system) and (wanted.arch is None or same)


def _asked(wanted: Wanted) -> str:
    parts = [f"os {wanted.os}" if wanted.os else "", f"arch {wanted.arch}" if wanted.arch else ""]
    return " and ".join(part for part in parts if part) + (f" and is {wanted.node}" if wanted.node else "")


def _told(followed: Followed, running: Running) -> Followed:
    if text := ending(followed.job):
        running.notes.append(text)
    return followed
