"""What a person, or a pipe, sees of a `parallel` while it runs.

Off a terminal each line of a command comes as it is written, marked with the command's number and node. On a
terminal each command has a line that changes in place, and its whole output stands above when it has ended.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Protocol

from toft.cli.session import Session
from toft.cli.terminal import clean, cut, duration, width
from toft.engine.streams import write_all
from toft.fleet.fleet import Fleet
from toft.fleet.progress import Progress, told_by
from toft.fleet.rows import Row

LONGEST = 1 << 16
"""Bytes of a line that are kept back until it ends."""
IN_MEMORY = 1 << 20
MARKS = {"waiting": "·", "starting": "…", "running": "▶", "skipped": "-"}


class View(Protocol):
    def __enter__(self) -> View: ...
    def __exit__(self, *_: object) -> None: ...
    def changed(self, row: Row) -> None: ...
    def wrote(self, number: int, node: str, stream: str, data: bytes) -> None: ...
    def tick(self) -> None: ...
    def say(self, text: str) -> None: ...


class Lines:
    """Whole lines with their mark, stdout to the one descriptor and stderr to the other."""

    def __init__(self, say: Callable[[str], None], to: tuple[int, int] = (1, 2)) -> None:
        self._say, self._to = say, {"stdout": to[0], "stderr": to[1]}
        self._lock = threading.Lock()
        self._rest: dict[tuple[int, str], tuple[str, bytes]] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        for number, _stream in list(self._rest):
            self._flush(number)

    def changed(self, row: Row) -> None:
        if row.final:
            self._flush(row.number)

    def wrote(self, number: int, node: str, stream: str, data: bytes) -> None:
        with self._lock:
            _, rest = self._rest.get((number, stream), (node, b""))
            lines = (rest + data).split(b"\n")
            self._rest[number, stream] = (node, lines.pop())
            self._put(number, node, stream, lines)
            if len(self._rest[number, stream][1]) > LONGEST:
                self._put(number, node, stream, [self._rest.pop((number, stream))[1]])

    def tick(self) -> None:
        pass

    def say(self, text: str) -> None:
        with self._lock:
            self._say(text)

    def _flush(self, number: int) -> None:
        """A last line without an end gets one."""
        with self._lock:
            for stream in ("stdout", "stderr"):
                node, rest = self._rest.pop((number, stream), ("", b""))
                if rest:
                    self._put(number, node, stream, [rest])

    def _put(self, number: int, node: str, stream: str, lines: list[bytes]) -> None:
        mark = f"[{number} {node}] ".encode(errors="surrogateescape")
        if lines:
            write_all(self._to[stream], b"".join(mark + line + b"\n" for line in lines))


class Live:
    """A block of lines at the bottom of the screen, one a command, drawn again now and then. `since` is the
    time.monotonic() from which rows count."""

    def __init__(self, session: Session, total: int, since: float, progress: Progress) -> None:
        self._session, self._total, self._begun = session, total, since
        self._progress = progress
        self._lock = threading.Lock()
        self._rows: dict[int, Row] = {}
        self._last: dict[int, bytes] = {}
        self._output: dict[int, IO[bytes]] = {}
        self._drawn = 0

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._erase()
            for file in self._output.values():
                file.close()

    def changed(self, row: Row) -> None:
        with self._lock:
            self._rows[row.number] = row
            if row.phase == "ended":
                self._erase()
                self._show(row)
            self._draw()

    def wrote(self, number: int, node: str, stream: str, data: bytes) -> None:
        with self._lock:
            if number not in self._output:
                self._output[number] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
            self._output[number].write(data)
            lines = [line for line in data[-4096:].split(b"\n") if line.strip()]
            if lines:
                self._last[number] = lines[-1]

    def tick(self) -> None:
        with self._lock:
            self._draw()

    def say(self, text: str) -> None:
        with self._lock:
            self._erase()
            self._session.say(text)
            self._draw()

    # -- drawing; the lock is held --

    def _show(self, row: Row) -> None:
        """A command that has ended: a head, and all it said."""
        good = row.code == 0
        style = ("bold", "green" if good else "red")
        code = "" if good else f" exit {row.code}"
        head = f"{row.number} {row.job.node} {duration(row.job.duration_s)}{code}  {_one_line(row.command)}"
        sys.stdout.write(self._session.out.style(head, *style) + "\n")
        sys.stdout.flush()
        file = self._output.pop(row.number, None)
        if file is not None:
            _copy(file)

    def _draw(self) -> None:
        self._erase()
        self._progress.look(time.monotonic())
        size = shutil.get_terminal_size()
        rows = [row for row in self._rows.values() if not row.final]
        rows.sort(key=lambda row: (row.phase == "waiting", row.number))
        room = max(1, size.lines - 3)
        lines = [self._line(row, size.columns - 1) for row in rows[:room]]
        if len(rows) > room:
            lines.append(f"and {len(rows) - room} more")
        lines.append(self._foot())
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)

    def _foot(self) -> str:
        final = [row for row in self._rows.values() if row.final]
        failed = sum(1 for row in final if row.code)
        told = f", {failed} failed" if failed else ""
        return f"{len(final)} of {self._total} done{told}, {duration(time.monotonic() - self._begun)}"

    def _line(self, row: Row, columns: int) -> str:
        node = row.job.node or "-"
        since = "" if row.begun is None else duration(max(0.0, time.monotonic() - self._begun - row.begun))
        mark = "?" if row.silent else MARKS.get(row.phase, " ")
        last = self._last.get(row.number, b"").decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        if row.phase == "starting":
            last = self._progress.of(node)
        numbers, nodes = len(str(self._total)), max(len(each.job.node or "-") for each in self._rows.values())
        head = f"{mark} {row.number:>{numbers}} {node:<{nodes}} {since:>5} "
        return head + shared(_one_line(row.command), _one_line(last), columns - len(head))

    def _erase(self) -> None:
        if self._drawn:
            sys.stderr.write(f"\x1b[{self._drawn}A\x1b[J")
            sys.stderr.flush()
            self._drawn = 0


@contextlib.contextmanager
def viewing(session: Session, total: int, since: float) -> Iterator[tuple[Fleet, View]]:
    """Live lines if both streams are a person's terminal; else what the commands say, each line marked. And the
    fleet to run with."""
    if session.options.json:
        yield session.fleet, Lines(session.say, to=(2, 2))
    elif session.out.live and session.err.live and not session.options.quiet:
        with told_by(session.fleet) as (fleet, progress):
            yield fleet, Live(session, total, since, progress)
    else:
        yield session.fleet, Lines(session.say)


def shared(command: str, last: str, columns: int) -> str:
    """A command and what it said last, side by side: a long command leaves half of the line to it."""
    if not last:
        return cut(command, max(1, columns))
    return cut(f"{cut(command, max(columns // 2, columns - width(last) - 2))}  {last}", max(1, columns))


def _one_line(text: str) -> str:
    return clean(text).replace("\n", " ").replace("\t", " ")


def _copy(file: IO[bytes]) -> None:
    file.seek(0)
    last = b"\n"
    while chunk := file.read(1 << 20):
        write_all(1, chunk)
        last = chunk[-1:]
    if last != b"\n":
        write_all(1, b"\n")
    file.close()
