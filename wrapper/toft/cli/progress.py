"""A line on the terminal that says how far a sync is, while somebody waits for it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from toft.cli.session import Session
from toft.cli.terminal import clean, cut
from toft.fleet.fleet import Fleet
from toft.fleet.progress import Progress, told_by

FIRST_S, EVERY_S = 1.0, 0.2


@dataclass
class Line:
    """At the place of the cursor, drawn again and again until `ended`; `say` is for lines in between."""

    session: Session
    progress: Progress
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    drawn: bool = False

    def run(self) -> None:
        wait = FIRST_S
        while not self.ended.wait(wait):
            wait = EVERY_S
            with self.lock:
                self._draw()
        with self.lock:
            self._erase()

    def say(self, text: str) -> None:
        with self.lock:
            self._erase()
            self.session.say(text)

    def _draw(self) -> None:
        self.progress.look(time.monotonic())
        self._erase()
        line = self.progress.line()
        if line:
            columns = shutil.get_terminal_size().columns - 1
            sys.stderr.write(cut(f"toft: {clean(line)}", columns))
            sys.stderr.flush()
            self.drawn = True

    def _erase(self) -> None:
        if self.drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.drawn = False


@contextlib.contextmanager
def shown(session: Session, fleet: Fleet) -> Iterator[tuple[Fleet, Line | Session]]:
    """The fleet to sync with, and who says lines meanwhile. Off a terminal, or with -q, nothing is drawn."""
    dumb = session.env.get("TERM", "dumb") == "dumb"
    if not session.err.live or session.options.quiet or dumb:
        yield fleet, session
        return
    with told_by(fleet) as (telling, progress):
        line = Line(session, progress)
        thread = threading.Thread(target=line.run, daemon=True, name="toft-progress")
        thread.start()
        try:
            yield telling, line
        finally:
            line.ended.set()
            thread.join()
