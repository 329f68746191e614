"""Where commands go on the four fleets, by what their inventories declare; nothing is reached for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import Toft

INVENTORIES = Path(__file__).parents[1] / "inventories"
CASES = [
    ("two-acre", ["docker", "build", "-t", "myapp", "."], "macpro51", "linux_required"),
    ("two-acre", ["pytest"], "macpro51", "heavy_computation"),
    ("two-acre", ["xcodebuild", "-version"], "mac-studio", "macos_required"),
    ("two-acre", ["cd api && cargo build --release"], "macpro51", "heavy_computation"),
    ("two-acre", ["macbook-air", "python", "analyze.py"], "macbook-air", "explicit"),
    ("gummy", ["psql", "-c", "select 1"], "node-1", "preference"),
    ("gummy", ["npm", "run", "dev"], "node-2", "preference"),
    ("tool-library", ["IRONWOOD", "nvidia-smi"], "IRONWOOD", "explicit"),
    ("tool-library", ["pytest"], "ACACIA", "specialization"),
    ("agent-mesh", ["rpi2", "uptime"], "rpi2", "explicit"),
    ("agent-mesh", ["systemctl", "status", "iceccd"], None, "linux_required"),
    ("agent-mesh", ["brew", "upgrade"], None, "macos_required"),
]


@pytest.fixture
def reached(toft: Toft, tmp_path: Path) -> Path:
    """A file that comes into being if anything at all calls ssh."""
    mark = tmp_path / "reached"
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\ntouch {mark}\nexit 255\n")
    ssh.chmod(0o755)
    toft.env["PATH"] = f"{ssh.parent}:{toft.environment['PATH']}"
    return mark


@pytest.mark.parametrize(("fleet", "words", "node", "reason"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_route_declared(toft: Toft, reached: Path, fleet: str, words: list[str], node: str | None, reason: str) -> None:
    toft.inventory = INVENTORIES / fleet
    if fleet == "gummy":
        toft.env["XDG_CONFIG_HOME"] = str(INVENTORIES / "gummy/.config")
    decision = toft.json("route", "--declared", *words)
    assert decision["reason"] == reason, decision["why"]
    assert decision["node"] == (node or decision["node"])
    assert decision["node"] is not None
    assert not reached.exists()


def test_the_local_fleet_answers_for_real(toft: Toft) -> None:
    toft.inventory = INVENTORIES / "local"
    (node,) = toft.json("status")["nodes"]
    assert (node["state"], node["local"]) == ("online", True)
