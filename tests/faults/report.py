"""Figures of fault tests: printed where they are measured, and listed at the end of the run."""

from __future__ import annotations

FIGURES: list[str] = []


def figure(row: int, text: str) -> None:
    """Row of the promises, and what was measured."""
    FIGURES.append(f"promise {row:2d}  {text}")
    print(FIGURES[-1])
