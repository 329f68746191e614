"""A job as it is recorded here: the contract's fields, and how to find the job on its node again."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

FINAL = frozenset({"exited", "signaled", "timed_out", "lost", "not_started"})
"""States that never change any more. `unknown` may still be cleared up by asking the node."""

HIDDEN = ("transport", "run_dir", "owner")


@dataclass(frozen=True)
class Job:
    """`command` is the argv, or a single shell command line when `shell` was asked for.

    Times are RFC 3339 UTC, durations seconds, sizes bytes; `origin` says who speaks through
    exit_code: the command (`remote`) or toft itself (`toft`).
    """

    id: str
    command: tuple[str, ...]
    created_at: str
    node: str | None = None
    reason: str | None = None
    state: str = "queued"
    exit_code: int | None = None
    signal: int | None = None
    origin: str | None = None
    cwd: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_s: float | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    error: str | None = None
    survivors: tuple[int, ...] = ()
    transport: dict[str, Any] | None = None
    run_dir: str | None = None
    owner: str | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON of a job."""
        shown = {k: v for k, v in vars(self).items() if k not in HIDDEN}
        return shown | {"command": list(self.command), "survivors": list(self.survivors)}

    def with_node_record(self, record: dict[str, Any]) -> Job:
        """What the node says of its job, taken over field by field."""
        error = record.get("error") or {}
        told = {k: record[k] for k in _FROM_NODE if record.get(k) is not None}
        state = record["state"]
        return replace(
            self,
            **told,
            state=state,
            survivors=tuple(record.get("survivors") or ()),
            error=error.get("message", self.error),
            origin="remote" if state in ("exited", "signaled") else "toft" if state != "running" else None,
        )


_FROM_NODE = (
    "exit_code",
    "signal",
    "cwd",
    "started_at",
    "ended_at",
    "duration_s",
    "stdout_bytes",
    "stderr_bytes",
    "cpu_s",
    "max_rss_bytes",
)

COLUMNS = tuple(f.name for f in fields(Job))
_JSON = frozenset({"command", "survivors", "transport"})


def to_row(job: Job) -> tuple[Any, ...]:
    values = {c: getattr(job, c) for c in COLUMNS}
    return tuple(json.dumps(v) if c in _JSON and v is not None else _storable(v) for c, v in values.items())


def _storable(value: Any) -> Any:
    """SQLite keeps UTF-8 only; a directory whose name is none is kept as it is shown."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def from_row(row: tuple[Any, ...]) -> Job:
    values = dict(zip(COLUMNS, row, strict=True))
    for column in _JSON:
        if values[column] is not None:
            values[column] = json.loads(values[column])
    return Job(**values | {k: tuple(values[k]) for k in ("command", "survivors")})
