"""Figures of fault tests: printed where they are measured, and listed at the end of the run."""

from __future__ import annotations

from typing import Any


def figure(row: int, text: str) -> None:
    """Row of the promises, and what was measured. What a test prints comes along with its report, also from another
    process; the summary looks for these lines."""
    print(f"promise {row:2d}  {text}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    lines = [line for report in reports for line in report.capstdout.splitlines() if line.startswith("promise ")]
    if lines:
        terminalreporter.section("figures of the promises")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
