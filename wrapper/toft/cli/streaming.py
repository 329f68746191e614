"""A terminal while a job's bytes go through it: Ctrl-C as a ladder, raw mode, its size."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from toft.engine.control import Control, Detach, Resize, Signal

_STEPS = (Signal("INT"), Signal("KILL"), Detach())


class Ladder:
    """Signals to us become orders to the job: INT, then KILL, then let go; TERM is passed on; QUIT and HUP let go.

    Before `begin` nothing runs yet, and an interrupt only sets `interrupted`.
    """

    def __init__(self) -> None:
        self.control = Control()
        self.interrupted = False
        self._running = False
        self._tty = False
        self._steps = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Ladder:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup, or a shell that put us in the background
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.control.close()

    def begin(self, *, tty: bool = False) -> None:
        """The job is there: from now on signals are for it. One that came too early is passed on now."""
        self._running, self._tty = True, tty
        if tty:
            self._before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        if self.interrupted:
            self._climb()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGHUP, signal.SIGQUIT):
            self.interrupted = not self._running or self.interrupted
            self.control.give(Detach())
        elif not self._running:
            self.interrupted = True
        elif number == signal.SIGTERM:
            self.control.give(Signal("TERM"))
        else:
            self._climb()

    def _climb(self) -> None:
        self.control.give(_STEPS[min(self._steps, len(_STEPS) - 1)])
        self._steps += 1

    def _resized(self, number: int, frame: FrameType | None) -> None:
        size = os.get_terminal_size(0) if os.isatty(0) else shutil.get_terminal_size()
        self.control.give(Resize(size.lines, size.columns))


@contextlib.contextmanager
def raw_terminal(wanted: bool) -> Iterator[None]:
    """Keys go through as they are; whatever happens, the terminal is put back."""
    if not wanted or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def window(env: Mapping[str, str]) -> dict[str, Any]:
    """The terminal that the command is to get: like this one."""
    size = os.get_terminal_size(0) if os.isatty(0) else os.terminal_size((80, 24))
    return {"term": env.get("TERM", "xterm"), "rows": size.lines, "cols": size.columns}
