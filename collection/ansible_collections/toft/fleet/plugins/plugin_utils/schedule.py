# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many commands over nodes and slots: events in, decisions out.

A :class:`Schedule` is told what happened (a command started, ended, was refused, a node is gone) and says what
to start where now, and what never will be. It reaches nothing and has no clock: times come with the events, in
seconds. So the same object that runs a fleet is simulated to show a plan (see plan) and to test it.

How it chooses:

1. Of the commands that wait for nothing any more, the one with the longest way to the end (its own time and
   that of what waits for it) comes first; equal ones in the order given.
2. It goes where it would end first. Nodes on which it would end nearly as early (within TOLERANCE) are equal;
   of them the emptiest is taken, then the one that routing likes best.
3. If that is a node whose slots are all taken, it waits for it, but only if both times are known by
   experience; a guess never keeps a free slot idle.

A node's slots are everybody's, and it has the last word: what it refuses for want of one (:class:`Full`) waits
again (see rooms). A server of ours takes none from the moment when what asks it may start, or one slot would hold
both up for ever.

What an earlier command makes is on that command's node. So commands joined by such edges form a group, and a
group stays on the node on which its first command was started. If no node can run all of a group, it is not
one, and `unpinned` says so. If the node goes, what the group has left behind is gone with it, and the rest of
the group is not started; a group that had not begun goes elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.toft.fleet.plugins.plugin_utils.dependencies import Edge
from ansible_collections.toft.fleet.plugins.plugin_utils.rooms import Room, Rooms

TOLERANCE = 1.25


# ---- values ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """A command. `eligible`: nodes that can run it, the best first. `seconds` by node: how long it will take;
    `known`: the nodes of which that is known by experience. `at`: a node that what it needs is on already."""

    number: int
    eligible: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    at: str | None = None

    def on(self, node: str) -> float:
        return self.seconds.get(node, 1.0)

    @property
    def best(self) -> float:
        return min((self.on(node) for node in self.eligible), default=0.0)


@dataclass(frozen=True, slots=True)
class Place:
    """`slots`: how many of ours run there at once, at least one. `busy`: how many others do already. `most`: how many
    of ours there may be when the others have ended."""

    node: str
    slots: int
    busy: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """Its node has taken it (or may have)."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """`ok`: it did what it should. `sure`: it is over; otherwise nobody knows, and it may still run."""

    number: int
    ok: bool
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """It was provably not started there."""

    number: int
    node: str


@dataclass(frozen=True, slots=True)
class Full:
    """It was provably not started there, because all slots of the node are taken."""

    number: int
    node: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A node that nothing more can be started on."""

    node: str


@dataclass(frozen=True, slots=True)
class Silent:
    """A node with which contact is lost: nothing is started on it meanwhile. What is bound to it waits."""

    node: str


@dataclass(frozen=True, slots=True)
class Back:
    """A silent node answers again."""

    node: str


Event = Started | Ended | Refused | Full | Gone | Silent | Back


@dataclass(frozen=True, slots=True)
class Start:
    number: int
    node: str


@dataclass(frozen=True, slots=True)
class Skip:
    """It will not be started; `why` says it to a person."""

    number: int
    why: str


Decision = Start | Skip


# ---- the schedule ------------------------------------------------------------


class Schedule:
    """`waiting`: not started yet; `running`: number to (node, since)."""

    def __init__(self, tasks: Sequence[Task], places: Sequence[Place], edges: Iterable[Edge] = ()) -> None:
        self.tasks = {task.number: task for task in tasks}
        self.places = {place.node: place for place in places}
        self.edges = [edge for edge in edges if {edge.before, edge.after} <= self.tasks.keys()]
        self.waiting = dict.fromkeys(sorted(self.tasks))
        self.running: dict[int, tuple[str, float]] = {}
        self.silent: set[str] = set()
        self.unpinned: list[frozenset[int]] = []
        self._blocked = {number: {e.before for e in self.edges if e.after == number} for number in self.tasks}
        self._refused: set[tuple[int, str]] = set()
        self._stopped = ""
        self._serving: set[int] = set()
        rooms = {place.node: Room(place.slots, place.most) for place in places}
        self._rooms = Rooms(rooms, self.taken)
        self._rank = ranks(self.tasks, self.edges)
        self._groups = self._grouped()
        self._pinned: dict[frozenset[int], str] = {}
        for task in tasks:
            if task.at is not None:
                self._pinned[self._groups[task.number]] = task.at

    def decide(self, now: float, *events: Event) -> list[Decision]:
        """What follows from what happened; ask once without events to begin."""
        skipped: list[Decision] = []
        for event in events:
            skipped += self._take(event, now)
        if self._stopped:
            return [*skipped, *self._skip(list(self.waiting), self._stopped)]
        skipped += self._hopeless()
        self._rooms.wait(now)
        return [*skipped, *self._starts(now)]

    def stop(self, why: str) -> list[Decision]:
        """Nothing more is started."""
        self._stopped = why
        return self._skip(list(self.waiting), why)

    @property
    def over(self) -> bool:
        return not self.waiting and not self.running

    # -- events --

    def _take(self, event: Event, now: float) -> list[Decision]:
        match event:
            case Started(number):
                self._started(number)
            case Ended(number, ok, sure):
                return self._ended(number, ok, sure)
            case Refused(number, node):
                self.running.pop(number, None)
                self.waiting[number] = None
                self._refused.add((number, node))
                self._unpin(self._groups[number], node)
            case Full(number, node):
                self.running.pop(number, None)
                self.waiting[number] = None
                self._rooms.full(node, now)
                self._unpin(self._groups[number], node)
            case Silent(node):
                self.silent.add(node)
            case Back(node):
                self.silent.discard(node)
            case Gone(node):
                self.places.pop(node, None)
                for group in set(self._groups.values()):
                    self._unpin(group, node)
        return []

    def _started(self, number: int) -> None:
        if any(edge.before == number and edge.until == "started" for edge in self.edges):
            self._serving.add(number)
        if number in self.running:
            self._rooms.let_in(self.running[number][0])
        self._release(number, {"started"})

    def _ended(self, number: int, ok: bool, sure: bool) -> list[Decision]:
        self.running.pop(number, None)
        self.waiting.pop(number, None)
        skipped: list[Decision] = []
        if not ok:
            needing = [e for e in self.edges if e.before == number and (e.kind == "flow" or not sure)]
            told = "failed" if sure else "may still be running"
            for edge in needing:
                skipped += self._skip([edge.after], f"{number} {told}, and {edge.because}")
        self._release(number, {"started", "ended"})
        return skipped

    def _release(self, number: int, reached: set[str]) -> None:
        for edge in self.edges:
            if edge.before == number and edge.until in reached:
                self._blocked[edge.after].discard(number)

    def _skip(self, numbers: Iterable[int], why: str) -> list[Decision]:
        """These and what needs them."""
        skipped: list[Decision] = []
        for number in numbers:
            if number not in self.waiting:
                continue
            del self.waiting[number]
            skipped.append(Skip(number, why))
            self._release(number, {"started", "ended"})
            needing = [e.after for e in self.edges if e.before == number and e.kind == "flow"]
            skipped += self._skip(needing, f"{number} was not started, and it comes first")
        return skipped

    def _unpin(self, group: frozenset[int], node: str) -> None:
        """A group of which nothing has been started on the node is free again."""
        if self._pinned.get(group) == node and group <= self.waiting.keys():
            at = {self.tasks[number].at for number in group} - {None}
            if not at:
                del self._pinned[group]

    def _hopeless(self) -> list[Decision]:
        skipped: list[Decision] = []
        for number in list(self.waiting):
            if number in self.waiting and not self.candidates(number):
                pinned = self._pinned.get(self._groups[number])
                why = f"what it needs is on {pinned}, which is gone" if pinned else "no node is left that can run it"
                skipped += self._skip([number], why)
        return skipped

    # -- groups --

    def _grouped(self) -> dict[int, frozenset[int]]:
        groups = {number: frozenset({number}) for number in self.tasks}
        for edge in self.edges:
            if edge.local and groups[edge.before] is not groups[edge.after]:
                joined = groups[edge.before] | groups[edge.after]
                if not self._common(joined):
                    self.unpinned.append(joined)
                    continue
                groups |= dict.fromkeys(joined, joined)
        return groups

    def _common(self, numbers: Iterable[int]) -> set[str]:
        return set.intersection(*(set(self.tasks[number].eligible) for number in numbers))

    def candidates(self, number: int) -> list[str]:
        """Nodes on which it can be started, now or later, the best first."""
        group = self._groups[number]
        common = self._common(group)
        pinned = self._pinned.get(group)
        return [
            node
            for node in self.tasks[number].eligible
            if node in self.places
            and (number, node) not in self._refused
            and (node == pinned if pinned else node in common)
        ]

    # -- choice --

    def _starts(self, now: float) -> list[Decision]:
        ready = [number for number in self.waiting if not self._blocked[number]]
        started: list[Decision] = []
        for number in sorted(ready, key=lambda each: (-self._rank[each], each)):
            node = self._choose(self.tasks[number], now)
            if node is not None:
                del self.waiting[number]
                self.running[number] = (node, now)
                self._pinned.setdefault(self._groups[number], node)
                started.append(Start(number, node))
        return started

    def _choose(self, task: Task, now: float) -> str | None:
        """The node to start it on now, or None to wait for one."""
        open_ = [node for node in self.candidates(task.number) if node not in self.silent]
        nodes = [node for node in open_ if not self._rooms.crowded(node)]
        free = [node for node in nodes if self._rooms.free(node)]
        if not free:
            return None
        guessed = any(node not in task.known for node in nodes)
        ends = {node: self._end(task, node, now) for node in (free if guessed else nodes)}
        limit = min(ends.values())
        near = [node for node, end in ends.items() if end - now <= (limit - now) * TOLERANCE]
        near_free = [node for node in near if node in free]
        if not near_free:
            return None
        return min(near_free, key=lambda node: (self._full(node), nodes.index(node)))

    def _full(self, node: str) -> float:
        place = self.places[node]
        return (self.taken(node) + place.busy) / (place.slots + place.busy)

    def taken(self, node: str) -> int:
        """Slots of a node that commands of ours take."""
        return sum(1 for number in self._on(node) if number not in self._serving)

    def serving(self, node: str) -> int:
        """Servers of ours that run there and are asked by others of ours."""
        return sum(1 for number in self._on(node) if number in self._serving)

    def _on(self, node: str) -> list[int]:
        return [number for number, (where, _since) in self.running.items() if where == node]

    def _end(self, task: Task, node: str, now: float) -> float:
        """When it would end there; what runs longer than was thought is thought to run as long again."""
        ends = []
        for number in self._on(node):
            if number not in self._serving:
                since = self.running[number][1]
                end = since + self.tasks[number].on(node)
                ends.append(end if end > now else now + (now - since))
        free = self._rooms.limit(node) - len(ends)
        begin = now if free > 0 else sorted(ends)[-free]
        return begin + task.on(node)


def ranks(tasks: Mapping[int, Task], edges: Sequence[Edge]) -> dict[int, float]:
    """Seconds from the start of each command to the end of all that waits for it."""
    found: dict[int, float] = {}

    def rank(number: int) -> float:
        if number not in found:
            later = [rank(edge.after) for edge in edges if edge.before == number]
            found[number] = tasks[number].best + max(later, default=0.0)
        return found[number]

    for number in tasks:
        rank(number)
    return found
