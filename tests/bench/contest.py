"""Ways run in turn, so that whatever else the machine does in these minutes befalls all of them alike.

A round runs each way once, in an order that moves on by one each time. There are as many rounds as a budget of
seconds allows, and at least LEAST; a slow way (one that takes part of the budget that is out of all proportion) runs
in the first two and then in every third.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.figures import Spread
from tests.bench.meter import Cost

LEAST = 3
MOST = 15


@dataclass
class Entry:
    """One way in a contest, with what each counted run has cost."""

    name: str
    run: Callable[[], Cost]
    slow: bool = False
    costs: list[Cost] = field(default_factory=list)

    def spread(self, what: str) -> Spread:
        return Spread.of([getattr(cost, what) for cost in self.costs])

    def figures(self) -> dict[str, Any]:
        """As JSON."""
        spreads = {what: self.spread(what).to_dict() for what in ("wall", "controller", "hosts")}
        return {"way": self.name, "runs": len(self.costs), **spreads}


def hold(entries: Sequence[Entry], budget: float, *, first_counts: bool, least: int = LEAST, most: int = MOST) -> None:
    """Runs the rounds. Without `first_counts` all that is not slow runs once before, so that it is warm."""
    end = time.monotonic() + budget
    if not first_counts:
        for entry in entries:
            if not entry.slow:
                entry.run()
    for number in range(most):
        begun = time.monotonic()
        for entry in _turned([e for e in entries if not e.slow or _takes_part(number)], number):
            _run(entry)
        took = time.monotonic() - begun
        if number + 1 >= least and time.monotonic() + took > end:
            return


def _takes_part(number: int) -> bool:
    return number < 2 or number % 3 == 0


def _turned(entries: Sequence[Entry], number: int) -> Iterator[Entry]:
    for place in range(len(entries)):
        yield entries[(place + number) % len(entries)]


def _run(entry: Entry) -> None:
    cost = entry.run()
    entry.costs.append(cost)
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{entry.name} {cost.wall:.3f} s")
        sys.stderr.flush()
