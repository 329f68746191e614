"""What an examination of nodes is judged as."""

from __future__ import annotations

from typing import Any

import pytest
from toft.fleet.check import Check
from toft.fleet.examine import Examined
from toft.fleet.node_checks import checks
from toft.fleet.nodes import Node

LOAD = {"os": "linux", "arch": "x86_64", "capabilities": ["git"], "disk_percent": 10.0, "machine_id": "m1"}
RAN = {"record": {"id": "doctor-1", "state": "exited", "exit_code": 0}, "login": "cached", "error": None, "cause": None}
TRIAL: dict[str, Any] = {**RAN, "removed": True, "seconds": 0.2}
STABLE = 'HTTP/1.0 200 OK\r\n\r\n{"status":"stable","agent_type":"claude"}'
RUNNING = '{"BackendState": "Running", "Self": {"DNSName": "n1.x.ts.net.", "TailscaleIPs": ["100.64.0.7"]}}'


def node(*groups: str, local: bool = False, **load: Any) -> Node:
    return Node("n1", groups, {}, LOAD | load, None, 12.0, local, 0.1)


def found(node: Node, trial: dict[str, Any] | None = TRIAL, **look: Any) -> dict[str, Check]:
    told = {check.subject: check for check in checks([Examined(node, trial, look)])}
    assert all((check.verdict == "ok") == (check.fix == "") for check in told.values())
    return told


def test_a_node_that_is_well_is_told_of_by_what_the_inventory_wants_of_it() -> None:
    assert list(found(node())) == ["n1", "n1 job"]
    agent = {"port": 3284, "service": "", "answer": STABLE, "error": None}
    tailnet = {"address": "100.64.0.7", "there": True, "status": RUNNING, "said": ""}
    told = found(node("agents", "tailnet"), agent=agent, tailnet=tailnet)
    assert {check.verdict for check in told.values()} == {"ok"}
    assert told["n1 agent"].found == "stable (claude), by /status at its port 3284"
    assert told["n1 tailnet"].found == "reached at 100.64.0.7"


def test_of_a_node_that_is_not_there_that_is_all() -> None:
    cause = {"code": "timeout", "message": "n1 did not answer", "fix": "ping n1"}
    away = Node("n1", ("agents", "tailnet"), {}, None, cause, None, False, None)
    assert list(checks([Examined(away, None, {})])) == [Check("n1", "fail", "n1 did not answer", "ping n1")]


NO_PYTHON = {"code": "no_python", "message": "n1 has no Python 3", "fix": "ssh n1 sudo apt-get install -y python3"}
TRIALS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"record": None, "cause": NO_PYTHON}, "fail", "jobs do not: n1 has no Python 3", str(NO_PYTHON["fix"])),
    (
        {"record": None, "error": {"code": "disk_full", "message": "disk full on /h"}},
        "fail",
        "disk full",
        "ssh n1 df -h",
    ),
    ({"record": None, "error": {"code": "no_process", "message": "no more"}}, "fail", "no more", "toft exec n1 true"),
    ({"record": None}, "fail", "it did not say why", "toft exec n1 true"),
    (
        {"record": {"state": "exited", "exit_code": 127, "error": {"message": "true: not found"}}},
        *("fail", "exited, true: not found", "toft exec n1 true"),
    ),
    ({"record": {"state": "timed_out", "exit_code": 124}}, "fail", "timed_out, exit code 124", "toft exec n1 true"),
    ({"login": "fallback: it hangs"}, "warn", "without what a login gives (PATH and the like): it hangs", "ssh n1"),
    ({"removed": False}, "warn", "could not be removed: doctor-1", "ssh n1 df -h"),
]


@pytest.mark.parametrize(("change", "verdict", "says", "fix"), TRIALS)
def test_jobs(change: dict[str, Any], verdict: str, says: str, fix: str) -> None:
    check = found(node(), TRIAL | change)["n1 job"]
    assert (check.verdict, check.fix) == (verdict, fix)
    assert says in check.found


@pytest.mark.parametrize(("version", "warned"), [("3.7.3", True), ("3.8.0", False), ("3.11.2", False), (None, False)])
def test_a_python_that_is_too_old_for_jobs(version: str | None, warned: bool) -> None:
    told = [check for check in checks([Examined(node(python=version), TRIAL, {})]) if check.verdict == "warn"]
    expected = [Check("n1", "warn", f"python3 is {version}; jobs need 3.8", "ssh n1 python3 -V")]
    assert told == (expected if warned else [])


SHOW = "ssh n1 systemctl status toft-agent"
AGENTS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"error": "refused"}, "fail", "does not answer: nobody listens", SHOW),
    ({"error": "Network is unreachable"}, "fail", "does not answer: Network is unreachable", SHOW),
    ({}, "fail", "does not answer: nothing at all", SHOW),
    ({"error": "timeout"}, "warn", "it may be busy with a message (up to 17 s), or hang", SHOW),
    ({"answer": "SSH-2.0-x\r\n"}, "fail", "is somebody else's: no HTTP", SHOW),
    ({"answer": STABLE.replace("stable", "odd")}, "warn", "'odd', which is neither running nor stable", SHOW),
    ({"error": "refused", "service": "claude-agentapi"}, "fail", "", "ssh n1 systemctl status claude-agentapi"),
    ({"error": "refused", "service": "x; rm -rf ~"}, "fail", "", SHOW),
    ({"error": "refused", "service": "-H evil"}, "fail", "", SHOW),
]


@pytest.mark.parametrize(("change", "verdict", "says", "fix"), AGENTS)
def test_agents(change: dict[str, Any], verdict: str, says: str, fix: str) -> None:
    told = {"port": 3284, "service": "", "answer": "", "error": None} | change
    check = found(node("agents"), agent=told)["n1 agent"]
    assert (check.verdict, check.fix) == (verdict, fix)
    assert says in check.found


def test_an_agent_on_a_mac_has_a_daemon() -> None:
    told = {"port": 3284, "service": "", "answer": "", "error": "refused"}
    check = found(node("agents", os="macos"), agent=told)["n1 agent"]
    assert check.fix == "ssh n1 sudo launchctl print system/fleet.toft.agent"


def test_an_agent_that_could_not_be_asked() -> None:
    told = found(node("agents"), TRIAL | {"record": None, "cause": NO_PYTHON})
    assert (told["n1 job"].verdict, told["n1 agent"].verdict) == ("fail", "fail")


PROVISION = "toft provision tailscale --limit n1"
STOPPED = '{"BackendState": "Stopped"}'
TAILNETS: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {"address": "10.0.0.7"},
        "warn",
        "reached at 10.0.0.7, which is no address of the tailnet",
        "ansible_host: 100.64.0.7",
    ),
    ({"address": "fd7a:115c:a1e0::7"}, "ok", "reached at fd7a:115c:a1e0::7", ""),
    ({"address": "fe80::1%eth0"}, "warn", "reached at fe80::1, which is no", "ansible_host: 100.64.0.7"),
    ({"address": "127.0.0.1"}, "ok", "Tailscale runs, 100.64.0.7", ""),
    ({"address": None}, "ok", "Tailscale runs, 100.64.0.7", ""),
    ({"address": "{{ x }}"}, "ok", "Tailscale runs, 100.64.0.7", ""),
    ({"status": STOPPED}, "warn", "not running (Stopped)", "ssh -t n1 sudo tailscale up"),
    ({"status": STOPPED.replace("Stopped", "NoState")}, "warn", "not running (NoState)", PROVISION),
    (
        {"status": STOPPED.replace("Stopped", "$(id)")},
        "warn",
        "not running (in an unknown state)",
        "ssh -t n1 sudo tailscale up",
    ),
    ({"status": "<html>"}, "warn", "gives no status: this is not the JSON", PROVISION),
    ({"status": None, "said": "no tailscaled\nelse"}, "warn", "its Tailscale says: no tailscaled", PROVISION),
    ({"there": False}, "warn", "without Tailscale", PROVISION),
]


@pytest.mark.parametrize(("change", "verdict", "says", "fix"), TAILNETS)
def test_tailnets(change: dict[str, Any], verdict: str, says: str, fix: str) -> None:
    told = {"address": "100.64.0.7", "there": True, "status": RUNNING, "said": ""} | change
    check = found(node("tailnet"), tailnet=told)["n1 tailnet"]
    assert (check.verdict, check.fix) == (verdict, fix)
    assert says in check.found


def test_this_machine_was_not_reached_by_its_address() -> None:
    told = {"address": "192.0.2.7", "there": True, "status": RUNNING, "said": ""}
    assert found(node("tailnet", local=True), tailnet=told)["n1 tailnet"].verdict == "ok"
