# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a schedule would do if everything took as long as it is thought to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from ansible_collections.toft.fleet.plugins.plugin_utils.dependencies import Edge
from ansible_collections.toft.fleet.plugins.plugin_utils.schedule import Ended, Place, Schedule, Skip, Started, Task


@dataclass(frozen=True, slots=True)
class Span:
    """One command in a plan; seconds from the beginning."""

    number: int
    node: str
    begin: float
    end: float


def simulate(
    tasks: Sequence[Task],
    places: Sequence[Place],
    edges: Iterable[Edge] = (),
    truth: Mapping[int, Mapping[str, float]] | None = None,
) -> tuple[list[Span], list[Skip]]:
    """What would happen if each command took as long as it is thought to, or as long as `truth` says.

    What never ends (a server in the foreground) takes its time like the others here.
    """
    schedule = Schedule(tasks, [replace(place, most=0) for place in places], edges)
    spans: list[Span] = []
    skipped: list[Skip] = []
    ends: list[tuple[float, int]] = []
    now, decisions = 0.0, schedule.decide(0.0)
    while True:
        for decision in decisions:
            if isinstance(decision, Skip):
                skipped.append(decision)
                continue
            number, node = decision.number, decision.node
            seconds = (truth or {}).get(number, {}).get(node, schedule.tasks[number].on(node))
            spans.append(Span(number, node, now, now + seconds))
            heappush(ends, (now + seconds, number))
            decisions.extend(schedule.decide(now, Started(number)))
        if not ends:
            return spans, skipped
        now, number = heappop(ends)
        decisions = schedule.decide(now, Ended(number, True))
