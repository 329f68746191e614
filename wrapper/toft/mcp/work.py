"""Blocking work beside the protocol: a use case in a thread, its progress told, its cancellation passed on.

A use case blocks, and its records and connections belong to the thread that made them; so each call assembles
its own Fleet in a thread of its own. Cancelling a call ends what it does: before a job runs nothing is started,
afterwards the job gets TERM, then KILL, and at last it is let go, so that no call hangs on a dead node. When the
client just goes away (its terminal was closed) the job is let go at once: it runs on, as after a hang-up.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.abc
import anyio.to_thread

from toft.engine.control import Control, Detach, Order, Signal

T = TypeVar("T")

TICK_S = 1.0
KILL_AFTER_S = 3.0
LET_GO_AFTER_S = 8.0
AT_ONCE = 64
"""Calls that may run at the same time; more wait."""


class Steering:
    """What the protocol's side can do to work in a thread. `stopped` is asked before anything is started."""

    def __init__(self) -> None:
        self.control = Control()
        self.stopped = threading.Event()
        self.let_go = threading.Event()
        self._timers: list[threading.Timer] = []

    def stop(self) -> None:
        """End the job: TERM now, KILL if it does not listen, and in the end leave it."""
        self.stopped.set()
        self.control.give(Signal("TERM"))
        self._later(KILL_AFTER_S, Signal("KILL"))
        self._later(LET_GO_AFTER_S, Detach())

    def leave(self) -> None:
        """Let the job run on. What has not been started will not be."""
        self.let_go.set()
        self.stopped.set()
        self.control.give(Detach())

    def leave_after(self, seconds: float) -> None:
        self._later(seconds, Detach())

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self.control.close()

    def _later(self, seconds: float, order: Order) -> None:
        timer = threading.Timer(seconds, self.control.give, (order,))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


@dataclass
class _Outcome(Generic[T]):
    """What came of a function in a thread."""

    value: list[T] = field(default_factory=list)
    error: BaseException | None = None


@dataclass(frozen=True)
class Threads:
    """Where use cases run. `cancelled` tells whether the client took the call back, or merely went away."""

    limiter: anyio.CapacityLimiter

    async def run(
        self,
        work: Callable[[], T],
        steering: Steering,
        tick: Callable[[], Awaitable[None]],
        cancelled: Callable[[], bool] = lambda: True,
    ) -> T:
        """Raises what `work` raised. Cancelled, it still waits until `work` has ended."""
        outcome: _Outcome[T] = _Outcome()
        done = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._in_thread, work, outcome, done)
            try:
                await _until(done, tick)
            except anyio.get_cancelled_exc_class():
                (steering.stop if cancelled() else steering.leave)()
                raise
        if outcome.error is not None:
            raise outcome.error
        return outcome.value[0]

    async def _in_thread(self, work: Callable[[], T], outcome: _Outcome[T], done: anyio.Event) -> None:
        def guarded() -> None:
            try:
                outcome.value.append(work())
            except BaseException as error:
                outcome.error = error

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(guarded, limiter=self.limiter)
            done.set()


async def _until(done: anyio.Event, tick: Callable[[], Awaitable[None]]) -> None:
    while not done.is_set():
        with anyio.move_on_after(TICK_S):
            await done.wait()
        if not done.is_set():
            await tick()
