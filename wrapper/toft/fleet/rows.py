"""The commands of a `parallel` as values: each as it stands, and what came of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.toft.fleet.plugins.plugin_utils.dependencies import Edge

from toft.fleet.failures import NOT_STARTED
from toft.fleet.follow import UNKNOWN
from toft.store.records import Job

Phase = Literal["waiting", "starting", "running", "ended", "skipped"]


@dataclass(frozen=True)
class Row:
    """A command as it stands. `begun` and `ended` in seconds since the beginning of it all."""

    number: int
    command: str
    job: Job
    phase: Phase = "waiting"
    begun: float | None = None
    ended: float | None = None
    code: int | None = None
    silent: bool = False
    detached: bool = False

    @property
    def final(self) -> bool:
        return self.phase in ("ended", "skipped")

    def to_dict(self) -> dict[str, Any]:
        """A job of the contract, with its number, and with `origin` and code as `offload` has them."""
        code = self.job.exit_code if self.job.state != "unknown" else None
        return {**self.job.to_dict(), "number": self.number, "exit_code": code}


@dataclass(frozen=True)
class Outcome:
    """`sequential_s` is the sum of what the commands took, `wall_s` what it took together."""

    rows: tuple[Row, ...]
    edges: tuple[Edge, ...]
    wall_s: float
    planned_s: float

    @property
    def sequential_s(self) -> float:
        return round(sum(row.job.duration_s or 0.0 for row in self.rows), 3)

    @property
    def speedup(self) -> float | None:
        return round(self.sequential_s / self.wall_s, 2) if self.wall_s and self.sequential_s else None

    @property
    def code(self) -> int:
        """0 if all ended with 0, 1 if any failed, 125 if nothing started, 255 if any is unknown."""
        if self.rows and all(row.job.state == "not_started" for row in self.rows):
            return NOT_STARTED
        if any(row.job.state in ("unknown", "running") for row in self.rows):
            return UNKNOWN
        return int(any(row.code for row in self.rows))

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "jobs": [row.to_dict() for row in self.rows],
            "edges": [edge.to_dict() for edge in self.edges],
            "wall_s": round(self.wall_s, 3),
            "sequential_s": self.sequential_s,
            "speedup": self.speedup,
        }
