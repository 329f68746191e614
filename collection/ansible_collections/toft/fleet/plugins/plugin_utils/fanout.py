# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One function over many nodes, in threads, with results as values.

The work waits on descriptors nearly all its time, so a thread for each node is cheap and a hundred go at
once. Each item has a deadline of its own. Work that keeps it returns by itself; work that does not is
reported as timed out and left behind (its thread is a daemon), so no node can delay another or the whole.

Callbacks run in the caller's thread, so they need no locks.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 128
GRACE = 0.5
"""Seconds past the deadline in which work that noticed it may still say why."""


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What became of one item: a value, or the cause of its failure, or the exception that is a bug in the
    work.
    """

    item: T
    value: R | None
    cause: Cause | None
    error: Exception | None
    seconds: float

    @property
    def ok(self) -> bool:
        return self.cause is None and self.error is None


def run_all(
    items: Iterable[T],
    work: Callable[[T, float], R | Cause],
    *,
    deadline_each: float,
    limit: int = AT_ONCE,
    on_result: Callable[[Outcome[T, R]], None] | None = None,
) -> list[Outcome[T, R]]:
    """`work(item, deadline)` for each item, at most `limit` at once; the outcomes in the order of the items.

    `deadline_each` is in seconds and counts from the moment an item's work starts; `deadline` is a value of
    time.monotonic(). KeyboardInterrupt passes through at once.
    """
    waiting = deque(enumerate(items))
    done: queue.SimpleQueue[tuple[int, Outcome[T, R]]] = queue.SimpleQueue()
    running: dict[int, tuple[T, float]] = {}
    outcomes: dict[int, Outcome[T, R]] = {}
    while waiting or running:
        while waiting and len(running) < limit:
            index, item = waiting.popleft()
            deadline = time.monotonic() + deadline_each
            running[index] = (item, deadline)
            if not _start(index, item, deadline, work, done):
                # The system has no thread left: fewer at once then, or this one here and now.
                limit = max(1, len(running) - 1)
                done.put((index, _one(item, deadline, work)))
        for index, outcome in _next(done, running, deadline_each):
            # An answer after the verdict is nobody's any more.
            if running.pop(index, None) is not None:
                outcomes[index] = outcome
                if on_result is not None:
                    on_result(outcome)
    return [outcomes[index] for index in sorted(outcomes)]


def _start(
    index: int,
    item: T,
    deadline: float,
    work: Callable[[T, float], R | Cause],
    done: queue.SimpleQueue[tuple[int, Outcome[T, R]]],
) -> bool:
    def body() -> None:
        done.put((index, _one(item, deadline, work)))

    try:
        threading.Thread(target=body, daemon=True, name=f"toft-{index}").start()
    except RuntimeError:
        return False
    return True


def _one(item: T, deadline: float, work: Callable[[T, float], R | Cause]) -> Outcome[T, R]:
    begun = time.monotonic()
    try:
        value = work(item, deadline)
    except Exception as error:
        return Outcome(item, None, None, error, time.monotonic() - begun)
    seconds = time.monotonic() - begun
    if isinstance(value, Cause):
        return Outcome(item, None, value, None, seconds)
    return Outcome(item, value, None, None, seconds)


def _next(
    done: queue.SimpleQueue[tuple[int, Outcome[T, R]]],
    running: dict[int, tuple[T, float]],
    deadline_each: float,
) -> list[tuple[int, Outcome[T, R]]]:
    """The next outcome, or a verdict on those whose time is up."""
    first = min(deadline for _item, deadline in running.values()) + GRACE
    try:
        return [done.get(timeout=max(0.0, first - time.monotonic()))]
    except queue.Empty:
        now = time.monotonic()
        late = [(i, item) for i, (item, deadline) in running.items() if deadline + GRACE <= now]
        return [(i, Outcome(item, None, _late(item, deadline_each), None, deadline_each)) for i, item in late]


def _late(item: object, deadline_each: float) -> Cause:
    node = str(getattr(item, "node", item))
    return Cause("timeout", f"{node} did not answer in {deadline_each:g} s.", "toft doctor")
