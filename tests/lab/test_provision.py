"""Hosts of the lab set up by `toft provision`, as a person types it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Toft, until


@pytest.fixture
def storage_toft(toft: Toft, lab, tmp_path: Path) -> Iterator[Toft]:
    """The lab's inventory, n1 and n2 in the group storage, n3 there with a port that refuses connections."""
    group = {"n1": {"storage_hot_free_gb": 0.1}, "n2": {"storage_owner": "nobody-knows"}, "n3": {"ansible_port": 1}}
    directory = tmp_path / "inventory"
    directory.mkdir()
    (directory / "lab.yml").symlink_to(lab.inventory)
    (directory / "storage.yml").write_text(json.dumps({"storage": {"hosts": group}}))
    toft.inventory = directory
    yield toft
    lab.hosts["n1"].run("rm -rf /home/fleet/agentic-system /etc/toft /usr/local/bin/toft-storage")


def test_one_set_up_one_failed_one_unreachable(storage_toft: Toft, lab) -> None:
    told = storage_toft.json("provision", "storage", "--check", "--diff")
    verdicts = {node["name"]: node["roles"][0] for node in told["nodes"]}
    assert verdicts["n1"]["changed"] > 0
    assert (verdicts["n1"]["failed"], verdicts["n2"]["failed"], verdicts["n3"]["unreachable"]) == (0, 1, 1)
    assert {failure["node"]: failure["fix"] for failure in told["failures"]}["n3"] == "toft status n3"
    assert told["changed"] == verdicts["n1"]["changed"]
    assert {diff["node"] for diff in told["diffs"]} == {"n1"}
    assert lab.hosts["n1"].run("ls /home/fleet/agentic-system").returncode != 0, "--check changes nothing"


def test_ctrl_c_ends_ansible_and_says_who_was_in_the_middle(storage_toft: Toft, lab) -> None:
    """n1 is frozen: when n2 has ended the first task that asks a host, n1 is in the middle of it."""
    with lab.hosts["n1"].freeze():
        process = storage_toft.begin("provision", "storage", "--check", "--limit", "n1,n2", stderr=subprocess.PIPE)
        assert process.stderr is not None
        assert any(line.startswith(b"toft: n2 storage: Bring Python") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        *_, end, advice = process.stderr.read().decode().splitlines()
        assert process.wait(timeout=60) == 130
    assert end.startswith("toft: interrupted; in the middle: "), end
    assert "n1 (storage: Bring Python" in end
    assert advice.startswith("toft: try: "), advice
    mine = f"XDG_STATE_HOME={storage_toft.home}/state".encode()
    until(lambda: not _with_environment(mine), what="the end of all that was started")
    assert list((storage_toft.home / "state/toft/runs").iterdir()) == []


def _with_environment(entry: bytes) -> list[int]:
    """ssh's master is no process of the run's: it stays for the next one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            there = entry in (place / "environ").read_bytes().split(b"\0")
            if there and b"ssh:" not in (place / "cmdline").read_bytes()[:4]:
                found.append(int(place.name))
        except OSError:
            continue
    return found
