"""Who measures time has the machine for itself, while other tests run in another process.

Every test holds a lock that any number may share; a test marked `alone` holds it for itself. A turnstile before
it keeps those who come later from overtaking one who waits to be alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who wants to be alone comes first, when nobody else is in the middle of something long; then what is long, so
    that no process is left with it at the end."""

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("alone"):
            return 0
        return 1 if "faults" in item.path.parts else 2

    items.sort(key=place)


@pytest.fixture(autouse=True)
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    worker = getattr(request.config, "workerinput", None)
    if worker is None:
        yield
        return
    shared: Path = tmp_path_factory.getbasetemp().parent
    alone = request.node.get_closest_marker("alone") is not None
    with (shared / "turnstile").open("w") as turnstile, (shared / "room").open("w") as inside:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield
