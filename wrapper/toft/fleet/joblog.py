"""The log that GNU parallel writes with --joblog, so that what reads its logs reads ours.

Columns, parted by tabs: Seq, Host, Starttime (seconds since the epoch), JobRuntime (seconds), Send, Receive
(bytes), Exitval, Signal, Command. A command that was never started has no line. One of which nobody knows what
became of it has Exitval -1: it is neither done nor failed, and a resumed run leaves it alone. When a number
stands there twice, the last line counts. In a command a tab and a line's end are
written as `\\t` and `\\n`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from toft.fleet.failures import Failure
from toft.store.records import Job

HEAD = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
UNKNOWN = -1


@dataclass(frozen=True)
class Line:
    """One command's last run. `start` in seconds since the epoch."""

    number: int
    node: str
    start: float
    runtime_s: float
    received: int
    code: int
    signal: int
    command: str  # escaped

    @property
    def fate(self) -> Literal["done", "failed", "unknown"]:
        return "unknown" if self.code == UNKNOWN else "failed" if self.code or self.signal else "done"

    def __str__(self) -> str:
        numbers = f"{self.start:.3f}\t{self.runtime_s:10.3f}\t0\t{self.received}\t{self.code}\t{self.signal}"
        return f"{self.number}\t{self.node}\t{numbers}\t{self.command}"


def of_job(number: int, command: str, job: Job, code: int) -> Line | None:
    """None for one that was never started."""
    if job.state in ("not_started", "queued") or job.node is None:
        return None
    open_end = job.state in ("unknown", "running")
    start = datetime.fromisoformat(job.started_at or job.created_at).timestamp()
    received = job.stdout_bytes + job.stderr_bytes
    return Line(
        number, job.node, start, job.duration_s or 0.0, received,
        UNKNOWN if open_end else code, job.signal or 0, _escaped(command),
    )  # fmt: skip


class JobLog:
    """A log that is added to, a line as each command ends; with its head when it is new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("a", encoding="utf-8", errors="surrogateescape") as file:
                if file.tell() == 0:
                    file.write(HEAD + "\n")
        except OSError as error:
            raise Failure(f"the job log {path} cannot be written: {error.strerror}") from error

    def add(self, line: Line) -> None:
        with self._path.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{line}\n")


def read(path: Path, commands: Sequence[str]) -> dict[int, Line]:
    """What the log says of each number; empty if there is no such file yet. Raises Failure if it is no log, or
    if it is one of other commands."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failure(f"the job log {path} cannot be read: {error.strerror}") from error
    found: dict[int, Line] = {}
    for row, one in enumerate(text.split("\n"), 1):
        if one and not one.startswith("Seq\t"):
            line = _line(f"{path}:{row}", one)
            found[line.number] = line
    _must_be_of(path, found, commands)
    return found


def _line(where: str, text: str) -> Line:
    parts = text.split("\t", 8)
    try:
        number, node, start, runtime, _, received, code, signal, command = parts
        return Line(int(number), node, float(start), float(runtime), int(received), int(code), int(signal), command)
    except ValueError as error:
        raise Failure(f"{where}: not a line of a job log") from error


def _must_be_of(path: Path, found: dict[int, Line], commands: Sequence[str]) -> None:
    for number, line in found.items():
        if not 1 <= number <= len(commands) or _escaped(commands[number - 1]) != line.command:
            told = f"{path} is the log of other commands (its {number} is {line.command!r})"
            raise Failure(told, "give the same commands in the same order, or another --resume FILE")


def _escaped(text: str) -> str:
    return text.replace("\t", "\\t").replace("\n", "\\n")
