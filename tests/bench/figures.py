"""Several measurements of one thing: the median, and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Spread:
    """Of `runs` measurements, in whatever unit they are."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def to_dict(self) -> dict[str, float]:
        return {key: round(value, 5) for key, value in asdict(self).items()}


def seconds(value: float) -> str:
    """Two digits that mean something: 12, 1.2, .12; below that in milliseconds."""
    if value < 0.0995:
        return f"{value * 1000:.1f} ms" if value < 0.00995 else f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.2f} s"
    return f"{value:.0f} s"


def told(spread: Spread) -> str:
    """For people: median (least-most)."""
    return f"{seconds(spread.median)} ({seconds(spread.least)} to {seconds(spread.most)})"
