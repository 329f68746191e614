"""What a fleet answers when a part of it does not."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.command import Toft
from tests.faults.report import figure

CONNECT_S = 5.0


@pytest.mark.alone
def test_frozen_and_off_are_named_and_work_goes_elsewhere(lab_toft: Toft, lab) -> None:
    """Three nodes, one frozen and one powered off."""
    lab_toft("status")
    begun = time.monotonic()
    lab_toft("status")
    usual = time.monotonic() - begun
    lab.hosts["n2"].power_off()
    with lab.hosts["n1"].freeze():
        begun = time.monotonic()
        nodes = {node["name"]: node for node in lab_toft.json("status")["nodes"]}
        took = time.monotonic() - begun
        assert {name: node["state"] for name, node in nodes.items()} == {
            "n1": "offline",
            "n2": "offline",
            "n3": "online",
        }
        assert "timeout" in nodes["n1"]["cause"]["code"]
        assert nodes["n2"]["cause"]["code"] in ("timeout", "no_route")
        done = lab_toft("-v", "offload", "make", "--version")
        assert done.returncode == 0, done.stderr
        assert b"GNU Make" in done.stdout
        assert b" on n3: " in done.stderr
        decision = lab_toft.json("route", "make", "-j8")
        lacks = {c["node"]: c["rejected"] for c in decision["candidates"]}
        assert decision["node"] == "n3"
        assert lacks["n1"]
        assert lacks["n2"]
        figure(
            32,
            f"3 nodes, one frozen, one off: status in {took:.1f} s (connect limit {CONNECT_S:g} s), else {usual:.1f} s",
        )
        assert took <= usual + CONNECT_S + 2, "the connect limit counts from the moment of asking"


def test_no_eligible_node_ends_with_125(lab_toft: Toft) -> None:
    done = lab_toft("offload", "xcodebuild", "-version")
    assert done.returncode == 125
    assert done.stdout == b""
    assert b"macos" in done.stderr.lower()


@pytest.mark.alone
def test_the_dead_do_not_delay_the_living(light_lab, toft: Toft) -> None:
    """Promise 32: 100 nodes, 10 of them dead."""
    toft.inventory = light_lab.inventory
    first = [node["state"] for node in toft.json("status")["nodes"]]
    assert first == ["online"] * 100, "however long a hundred key exchanges take this machine"

    def timed() -> float:
        begun = time.monotonic()
        toft.json("status")
        return time.monotonic() - begun

    alive = statistics.median(timed() for _ in range(3))
    dead = sorted(light_lab.hosts)[::10]
    for name in dead:
        light_lab.hosts[name].cut()
    begun = time.monotonic()
    nodes = toft.json("status")["nodes"]
    took = time.monotonic() - begun
    states = [node["state"] for node in nodes]
    latencies = [node["latency_ms"] for node in nodes if node["state"] == "online"]
    figure(
        32,
        f"100 nodes: {alive:.2f} s; 10 dead: {took:.2f} s, ratio {took / alive:.1f}; "
        f"the living answered in {max(latencies):.0f} ms at the most",
    )
    assert (states.count("online"), states.count("offline")) == (90, 10)
    assert max(latencies) < CONNECT_S * 1000
    assert took <= alive + CONNECT_S + 3
