"""How far a sync is, from what its nodes' visits write into a file meanwhile (see the collection's meter)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils.meter import Travelled

from toft.fleet.fleet import Fleet
from toft.fleet.sync import size

RATE_S = 5.0
"""What is sent a second is that of the last few seconds."""


@dataclass
class Progress:
    """What was told so far. `nodes` has the last word of each."""

    path: Path
    nodes: dict[str, Travelled] = field(default_factory=dict)
    _read: int = 0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, now: float) -> None:
        """Read what is new. `now` in seconds, of any clock that does not go back."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole + newline)
        for line in whole.splitlines():
            told = Travelled(**json.loads(line))
            self.nodes[told.node] = told
        self._seen.append((now, sum(told.bytes for told in self.nodes.values())))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_S:
            self._seen.popleft()

    @property
    def under_way(self) -> tuple[Travelled, ...]:
        return tuple(told for told in self.nodes.values() if told.phase != "done")

    def line(self) -> str:
        """`sync to n1: 120 of 5300 files, 48 of 310 MB, 21 MB/s`; empty if nothing is under way."""
        if not self.under_way:
            return ""
        told = [one for one in self.nodes.values() if one.of_files]
        where = next(iter(self.nodes)) if len(self.nodes) == 1 else f"{len(self.nodes)} nodes"
        if all(one.phase == "reading" for one in self.under_way):
            return f"sync to {where}: reading the tree"
        sent, whole = sum(one.bytes for one in told), sum(one.of_bytes for one in told)
        text = f"sync to {where}: {amounts(told)}"
        return f"{text}, {size(int(self.rate))}/s" if sent < whole else f"{text}, putting them in place"

    def of(self, node: str) -> str:
        """The same of one node, short; empty if nothing is sent to it."""
        told = self.nodes.get(node)
        return f"sync: {amounts([told])}" if told in self.under_way and told and told.of_files else ""

    @property
    def rate(self) -> float:
        """Bytes a second."""
        (begun, before), (ended, after) = self._seen[0], self._seen[-1]
        return (after - before) / (ended - begun) if ended > begun else 0.0


def amounts(told: Sequence[Travelled]) -> str:
    """`120 of 5300 files, 48 MB of 310 MB`."""
    files, of_files = sum(one.files for one in told), sum(one.of_files for one in told)
    sent, whole = sum(one.bytes for one in told), sum(one.of_bytes for one in told)
    return f"{files} of {of_files} files, {size(sent)} of {size(whole)}"


@contextlib.contextmanager
def told_by(fleet: Fleet) -> Iterator[tuple[Fleet, Progress]]:
    """The same fleet, whose syncs tell how far they are."""
    descriptor, name = tempfile.mkstemp(prefix="toft-progress-")
    os.close(descriptor)
    try:
        yield replace(fleet, progress=name), Progress(Path(name))
    finally:
        os.unlink(name)
