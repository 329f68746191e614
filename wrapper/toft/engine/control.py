"""What a person does to a running job from here: signals, a window's size, letting go.

A signal handler may only append and write one byte; the stream loop polls `fd` and asks `take`.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Signal:
    """To the job's process group; `name` without SIG."""

    name: str


@dataclass(frozen=True)
class Resize:
    rows: int
    cols: int


@dataclass(frozen=True)
class Detach:
    """Leave the job running and go."""


Order = Signal | Resize | Detach


class Control:
    """A queue of orders that a signal handler may fill and a poll loop can wait for."""

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()
        self.fd, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def give(self, order: Order) -> None:
        self._orders.append(order)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b".")

    def take(self) -> list[Order]:
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)
        taken = []
        while self._orders:
            taken.append(self._orders.popleft())
        return taken

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._wake)
