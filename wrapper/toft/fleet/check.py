"""One thing that was looked at, and what came of it. `fail` keeps something from working, `warn` will bite one day."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """`subject` is what was looked at, `found` what was found there, `fix` what to type."""

    subject: str
    verdict: Verdict
    found: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
