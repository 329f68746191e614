"""Where benchmarks run and where their figures go."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.command import Toft
from tests.lab.laboratory import Lab, system_names


class Report:
    """Called with what was measured and the figure; says it at once, and keeps it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, what: str, figure: str) -> None:
        self.lines.append((what, figure))
        sys.stdout.write(f"{what:32}  {figure}\n")
        sys.stdout.flush()

    @contextlib.contextmanager
    def lab(self, nodes: int) -> Iterator[tuple[Lab, Toft]]:
        """Hosts under systemd, masters open and login environments known."""
        standing = Lab.up(system_names(nodes), sshd_defaults=False)
        try:
            with tempfile.TemporaryDirectory() as home:
                toft = Toft(Path(home), standing.inventory)
                toft.warm = toft.runtime
                try:
                    toft("exec", "all", "true")
                    yield standing, toft
                finally:
                    toft("engine", "stop")
                    toft.end()
        finally:
            standing.down()


def timed(toft: Toft, *words: str) -> tuple[float, Any]:
    """Seconds from typing to the prompt, and the answer."""
    begun = time.monotonic()
    told = toft.json(*words)
    return time.monotonic() - begun, told


def burn(seconds: float) -> str:
    """A command that uses so much CPU time, however long that takes."""
    return f"python3 -c 'import time\nend = {seconds}\nwhile time.process_time() < end: pass'"
