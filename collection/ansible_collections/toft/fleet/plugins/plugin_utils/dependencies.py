# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of several commands must wait for which, from what each reads and writes.

Commands are numbered from 1 in the order given, and that order is the truth that edges keep: if two of them
touch the same resource and one of them changes it, the later waits for the earlier. Otherwise they are
independent. An edge is of one of two kinds:

- `flow`: the later needs what the earlier makes. If the earlier fails, the later has nothing to work on; and
  what was made is on the earlier's node, so the later runs there too.
- `order`: they only must not be at it at once (two appends to a log, two `apt-get install`). Whether the
  earlier succeeded is nothing to the later.

A server that stays in the foreground never ends: what asks it waits until it has been started, no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ansible_collections.toft.fleet.plugins.plugin_utils.effects import effects
from ansible_collections.toft.fleet.plugins.plugin_utils.resources import Access, Resource, overlap
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import CommandLine

ELSEWHERE = frozenset({"k8s", "remote"})
"""Kinds that are on no node: whoever shares them may run anywhere."""
INDEPENDENT = "no dependency, no shared file written, different target directories"
"""What can be said of commands without an edge."""
ADDITIVE = frozenset({"services", "program", "login", "members", "pieces", "port"})
"""Kinds to which several may add."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`after` waits for `before`, until it has `ended` or only `started`. `local`: on the same node,
    because what the earlier leaves behind is there.

    `implied`: other edges say it too; it is not shown to people.
    """

    before: int
    after: int
    because: str
    kind: Literal["flow", "order"] = "flow"
    until: Literal["ended", "started"] = "ended"
    local: bool = True
    given: bool = False
    implied: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON, and more."""
        return {
            "before": self.before,
            "after": self.after,
            "because": self.because,
            "kind": self.kind,
            "until": self.until,
            "implied": self.implied,
        }


class Circle(Exception):
    """Commands that would wait for each other; `numbers` in the order of waiting."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = tuple(numbers)
        super().__init__(f"these commands would wait for each other: {' > '.join(map(str, self.numbers))}")


def edges(
    lines: Sequence[CommandLine], after: Iterable[tuple[int, int]] = (), *, independent: bool = False
) -> tuple[Edge, ...]:
    """All true edges, sorted. `after` has pairs (later, earlier) that somebody asked for: they win over what
    was found between the same two. With `independent` nothing is looked for. Raises Circle."""
    given = {(earlier, later) for later, earlier in after}
    asked = [Edge(b, a, "asked for with --after", local=False, given=True) for b, a in sorted(given)]
    pairs = given | {(b, a) for a, b in given}
    found = () if independent else _found(lines)
    joined = [*asked, *(edge for edge in found if (edge.before, edge.after) not in pairs)]
    _refuse_circles(joined)
    return _with_implied(sorted(joined, key=lambda edge: (edge.after, edge.before)))


def _found(lines: Sequence[CommandLine]) -> Iterator[Edge]:
    touched = [effects(line) for line in lines]
    for j, later in enumerate(touched, 1):
        for i, earlier in enumerate(touched[: j - 1], 1):
            edge = between(i, earlier, j, later)
            if edge is not None:
                yield edge


# ---- one pair ----------------------------------------------------------------


def between(i: int, earlier: Sequence[Access], j: int, later: Sequence[Access]) -> Edge | None:
    """The strongest reason for which command j waits for command i; None if there is none."""
    conflicts = [
        (first, second)
        for first in earlier
        for second in later
        if _excludes(first, second) and overlap(first.resource, second.resource)
    ]
    if not conflicts:
        return None
    flows = [(first, second) for first, second in conflicts if first.write and not second.write]
    first, second = (flows or conflicts)[0]
    serves = [pair for pair in flows if pair[0].serves]
    rest = [pair for pair in conflicts if not (pair[0].serves or pair[1].serves)]
    return Edge(
        i,
        j,
        _because(i, first, j, second),
        "flow" if flows else "order",
        "started" if serves and not rest else "ended",
        any(first.write and first.resource.kind not in ELSEWHERE for first, _second in conflicts),
    )


def _excludes(first: Access, second: Access) -> bool:
    """Whether their order matters. Of two servers it does not: they only add to what is there."""
    if first.write and second.write:
        return first.resource.kind not in ADDITIVE
    return first.write or second.write


def _because(i: int, first: Access, j: int, second: Access) -> str:
    thing = _shown(first.resource, second.resource)
    if first.write and not second.write:
        return f"{j} needs {thing}, which {i} {'serves' if first.serves else 'makes or changes'}"
    if first.write:
        return f"both {i} and {j} change {thing}"
    return f"{j} changes {thing}, which {i} needs as it is"


def _shown(one: Resource, other: Resource) -> str:
    """The more exact of the two names."""
    plain = [each for each in (one, other) if each.kind == "path" and each.name != "."]
    return str(max(plain, key=lambda each: len(each.name)) if plain else one if one.name != "*" else other)


# ---- all of them -------------------------------------------------------------


def _refuse_circles(found: Sequence[Edge]) -> None:
    waits: dict[int, list[int]] = {}
    for edge in found:
        waits.setdefault(edge.before, []).append(edge.after)
    done: set[int] = set()
    for start in sorted(waits):
        _visit(start, waits, done, [])


def _visit(number: int, waits: dict[int, list[int]], done: set[int], way: list[int]) -> None:
    if number in way:
        raise Circle([*way[way.index(number) :], number])
    if number in done:
        return
    for following in waits.get(number, ()):
        _visit(following, waits, done, [*way, number])
    done.add(number)


def _with_implied(found: Sequence[Edge]) -> tuple[Edge, ...]:
    """Marks the edges that a way over others says too (transitive reduction)."""
    next_ones: dict[int, set[int]] = {}
    for edge in found:
        next_ones.setdefault(edge.before, set()).add(edge.after)
    reach: dict[int, set[int]] = {}

    def reached(number: int) -> set[int]:
        if number not in reach:
            reach[number] = set()
            for each in next_ones.get(number, ()):
                reach[number] |= {each} | reached(each)
        return reach[number]

    def implied(edge: Edge) -> bool:
        return any(edge.after in reached(each) for each in next_ones[edge.before] - {edge.after})

    return tuple(replace(edge, implied=implied(edge)) for edge in found)
