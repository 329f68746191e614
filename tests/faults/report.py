"""Figures of fault tests: printed where they are measured, and listed at the end of the run."""

from __future__ import annotations


def figure(row: int, text: str) -> None:
    """Row of the promises, and what was measured. What a test prints comes along with its report, also from another
    process; the summary looks for these lines."""
    print(f"promise {row:2d}  {text}")
