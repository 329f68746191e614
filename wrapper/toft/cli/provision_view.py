"""What is seen of a provisioning run: while it runs on stderr, and what came of it on stdout."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from toft.cli.session import Session
from toft.cli.terminal import Cell, Palette, clean, cut, duration, table
from toft.fleet.provision_report import At, Count, Report, Told

EVERY_S = 0.25
BAD = ("failed", "unreachable")
STYLES = {"ok": ("green",), "changed": ("yellow",), "failed": ("red",), "unreachable": ("red",), "skipped": ("dim",)}
MARKS = {"ok": "✓", "changed": "✓", "failed": "✗", "unreachable": "✗", "skipped": " "}


class Watch(Protocol):
    def tell(self, told: Told) -> None: ...


@dataclass(frozen=True)
class Lines:
    """A line for each task that did something, as it ends."""

    session: Session

    def tell(self, told: Told) -> None:
        if told.what not in ("began", "skipped", "differs"):
            outcome = "" if told.what == "ok" else f" ({told.what})"
            self.session.say(f"{_on_one_line(told.at)}{outcome}")


@dataclass
class Row:
    """A node: the task that it is at, or the last one that ended; since when (time.monotonic())."""

    at: At
    since: float
    running: bool = True
    worst: str = "ok"


@dataclass
class Live:
    """A line for each node at the bottom of the screen, drawn again and again until `ended`."""

    rows: dict[str, Row] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    drawn: int = 0

    def tell(self, told: Told) -> None:
        if told.what == "differs":
            return
        with self.lock:
            before = self.rows.get(told.at.node)
            worst = before.worst if before else "ok"
            if told.what in BAD:
                worst = told.what
            self.rows[told.at.node] = Row(told.at, time.monotonic(), told.what == "began", worst)

    def run(self) -> None:
        while not self.ended.wait(EVERY_S):
            with self.lock:
                self._draw()
        with self.lock:
            self._put("")

    def _draw(self) -> None:
        size = shutil.get_terminal_size()
        drawn = lines(list(self.rows.values()), time.monotonic(), size.lines - 2, size.columns - 1)
        self._put("".join(f"{line}\n" for line in drawn), len(drawn))

    def _put(self, text: str, count: int = 0) -> None:
        back = f"\x1b[{self.drawn}A\x1b[J" if self.drawn else ""
        sys.stderr.write(back + text)
        sys.stderr.flush()
        self.drawn = count


def lines(rows: Sequence[Row], now: float, room: int, columns: int) -> list[str]:
    """One line a node, those that are at work first if there is no room for all."""
    room = max(1, room)
    shown = list(rows)
    if len(shown) > room:
        shown = sorted(shown, key=lambda row: not row.running)[: room - 1]
    nodes = max((len(row.at.node) for row in shown), default=0)
    roles = max((len(row.at.role) for row in shown), default=0)
    drawn = []
    for row in shown:
        mark = "✗" if row.worst in BAD else "▸" if row.running else " "
        since = duration(now - row.since) if row.running else ""
        text = f"{mark} {row.at.node:<{nodes}}  {row.at.role:<{roles}} {since:>6}  {row.at.task}"
        drawn.append(cut(_one_line(text), max(1, columns)))
    if len(shown) < len(rows):
        drawn.append(f"and {len(rows) - len(shown)} more")
    return drawn


@contextlib.contextmanager
def watching(session: Session) -> Iterator[Watch]:
    """Lines that are drawn again on a terminal; else plain ones, which -q silences."""
    dumb = session.env.get("TERM", "dumb") == "dumb"
    if not session.err.live or session.options.quiet or dumb:
        yield Lines(session)
        return
    live = Live()
    thread = threading.Thread(target=live.run, daemon=True, name="toft-provision")
    thread.start()
    try:
        yield live
    finally:
        live.ended.set()
        thread.join()


def text(palette: Palette, report: Report) -> str:
    """The differences if they were asked for, the table, and below it each failure with what to type."""
    parts = [_difference(palette, at, diff) for at, diff in report.diffs]
    parts.append(table(palette, ("NODE", *(role.upper() for role in report.roles)), _rows(report)))
    for broken in report.failures:
        head = palette.style(clean(_on_one_line(broken.at)), "red")
        parts.append(f"\n{head}\n{_indented(broken.message)}  try: {clean(broken.fix)}\n")
    return "".join(parts) + f"\n{summary(report)}\n"


def summary(report: Report) -> str:
    bad = {broken.at.node for broken in report.failures}
    count = len(report.counts)
    changed = f"{report.changed} {'would change' if report.check else 'changed'}"
    told = [f"{count} node{'' if count == 1 else 's'}", changed]
    told += [f"{len(bad)} failed"] if bad else []
    return f"{', '.join(told)}, in {duration(report.wall_s)}"


def _rows(report: Report) -> list[list[Cell]]:
    return [
        [Cell(node, ("bold",)), *(_cell(counts.get(role)) for role in report.roles)]
        for node, counts in report.counts.items()
    ]


def _cell(count: Count | None) -> Cell:
    """Without a count the node was not asked: it is not in the role's group, or an earlier role failed on it."""
    if count is None:
        return Cell("-", ("dim",))
    verdict = count.verdict
    many = f" {count.changed}" if verdict == "changed" else ""
    return Cell(f"{MARKS[verdict]} {verdict}{many} {duration(count.seconds)}".strip(), STYLES[verdict])


def _difference(palette: Palette, at: At, diff: str) -> str:
    shown = []
    for line in clean(diff).split("\n"):
        colour = {"+": ("green",), "-": ("red",)}.get(line[:1], ())
        shown.append(palette.style(line, *colour) + "\n")
    return f"{palette.style(clean(_on_one_line(at)), 'bold')}\n{''.join(shown)}\n"


def _on_one_line(at: At) -> str:
    return _one_line(f"{at.node} {at.role}: {at.task}")


def _one_line(words: str) -> str:
    return clean(words).replace("\n", " ").replace("\t", " ")


def _indented(words: str) -> str:
    return "".join(f"  {line}\n" for line in clean(words).splitlines())
