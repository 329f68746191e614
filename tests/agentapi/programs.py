"""Real AgentAPI for hosts of the lab: built from a pinned Go module, kept in the cache.

`python -m tests.agentapi.programs` builds what is missing (a minute, once) and prints the directory: agentapi and
agentapi.sha256. The module holds no chat page, which its maker adds when he builds; the interface is whole.
"""

from __future__ import annotations

from pathlib import Path

from tests.go_module import GoModule, write_checksum


def programs() -> Path:
    return GoModule("agentapi", Path(__file__).parent, {"agentapi": "github.com/coder/agentapi"}, _finish).built()


def _finish(place: Path) -> None:
    write_checksum(place / "agentapi")


if __name__ == "__main__":
    print(programs())
