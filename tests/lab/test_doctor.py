"""`toft doctor` of a fleet on two hosts of the lab: what is well on one and broken on the other.

What stands in for AgentAPI is a small HTTP server with its /status alone, for `tailscale` a script that says what a
real one said. The agent's role is tested with a real AgentAPI, the tailnet's with a real tailscaled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Toft, until
from tests.lab.host import Host
from tests.lab.laboratory import Lab

AGENT = """\
import http.server, socketserver, sys, threading
socketserver.ThreadingTCPServer.allow_reuse_address = True
class Agent(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if sys.argv[2] == "hangs":
            threading.Event().wait()
        if sys.argv[2] == "rubbish":
            self.wfile.write(b"\\x1b[31m{{ 7*7 }} no HTTP")
            return
        kind = b"\\u001b[31mred" if sys.argv[2] == "paints" else b"custom"
        body = b'{"status": "stable", "agent_type": "%s"}' % kind if self.path == "/status" else b"{}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Agent).serve_forever()
"""
TAILSCALE = """#!/bin/sh
echo '{"BackendState": "%s", "Self": {"DNSName": "h2.x.ts.net.", "TailscaleIPs": ["100.64.0.9"]}}'
"""


@pytest.fixture(scope="module")
def pair(lab_machine: None) -> Iterator[Lab]:
    """h1, whose agent answers for the whole module, and h2, to which each test does something."""
    standing = Lab.up(light=["h1", "h2"])
    agent(standing.hosts["h1"], 3284, "answers")
    yield standing
    standing.down()


def agent(host: Host, port: int, manner: str) -> None:
    """A stand-in for AgentAPI there; it goes with the lab."""
    (host.root / "opt/agent.py").write_text(AGENT)
    script = f"setsid python3 /opt/agent.py {port} {manner} </dev/null >/dev/null 2>&1 &"
    host.run(["sh", "-c", script], check=True)
    until(lambda: port in host.listening_ports(), what="the agent's port")


@pytest.fixture
def fleet(request: pytest.FixtureRequest, pair: Lab, tmp_path: Path) -> Iterator[Toft]:
    """Its inventory is a directory: `say` adds to it."""
    directory = tmp_path / "inventory"
    directory.mkdir()
    (directory / "lab.yml").symlink_to(pair.inventory)
    command = Toft(tmp_path / "home", directory)
    if os.environ.get("TOFT_TESTS") != "cold":
        command.warm = request.getfixturevalue("engine")
    yield command
    command.end()
    pair.heal()


def say(toft: Toft, **groups: Any) -> None:
    assert toft.inventory is not None
    (toft.inventory / "more.yml").write_text(json.dumps({name: {"hosts": hosts} for name, hosts in groups.items()}))


def told(toft: Toft, *options: str) -> dict[str, dict[str, str]]:
    checks: list[dict[str, str]] = toft.json("doctor", *options)["checks"]
    assert all(list(check) == ["subject", "verdict", "found", "fix"] for check in checks)
    return {check["subject"]: check for check in checks}


def test_a_job_runs_on_each_and_nothing_is_left(fleet: Toft, pair: Lab) -> None:
    checks = told(fleet)
    assert {name: checks[name]["verdict"] for name in ("h1", "h1 job", "h2", "h2 job")} == dict.fromkeys(
        ("h1", "h1 job", "h2", "h2 job"), "ok"
    )
    assert not [name for name in checks if name.startswith("farm") or name.endswith(("agent", "tailnet"))]
    assert fleet.jobs() == []
    for host in pair.hosts.values():
        assert host.run("ls -A /home/fleet/.local/state/toft/jobs", check=True).stdout == ""
    assert list((fleet.home / "state/toft/runs").iterdir()) == []


def test_a_port_that_is_closed(fleet: Toft, pair: Lab) -> None:
    record = pair.hosts["h2"].root / "etc/toft/agent.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text('{"port": 4001, "service": "claude-agentapi"}')
    say(fleet, agents={"h1": {}, "h2": {}})
    done = fleet("doctor")
    record.unlink()
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert "ok    h1 agent: stable (custom), by /status at its port 3284" in lines
    at = lines.index("FAIL  h2 agent: /status at its port 4001 does not answer: nobody listens")
    assert lines[at + 1] == "      try: ssh h2 systemctl status claude-agentapi"


def test_what_is_no_agent_is_shown_as_text(fleet: Toft, pair: Lab) -> None:
    agent(pair.hosts["h2"], 4002, "rubbish")
    say(fleet, agents={"h1": {}, "h2": {"toft_agent_port": 4002}})
    done = fleet("doctor")
    (line,) = [line for line in done.stdout.decode().splitlines() if "h2 agent" in line]
    assert line.startswith("FAIL  h2 agent: /status at its port 4002 is somebody else's: no HTTP: ")
    assert "{{ 7*7 }}" in line
    assert b"\x1b" not in done.stdout


def test_escapes_in_an_answer_reach_no_terminal(fleet: Toft, pair: Lab) -> None:
    agent(pair.hosts["h2"], 4004, "paints")
    say(fleet, agents={"h2": {"toft_agent_port": 4004}})
    assert "\x1b[31mred" in told(fleet)["h2 agent"]["found"]
    done = fleet("doctor")
    assert b"red)" in done.stdout
    assert b"\x1b" not in done.stdout


def test_an_agent_that_hangs_holds_nobody_up(fleet: Toft, pair: Lab) -> None:
    agent(pair.hosts["h2"], 4003, "hangs")
    say(fleet, agents={"h1": {}, "h2": {"toft_agent_port": 4003}})
    began = time.monotonic()
    checks = told(fleet)
    print(f"doctor with an agent that hangs: {time.monotonic() - began:.1f} s")
    assert (checks["h1 agent"]["verdict"], checks["h2 job"]["verdict"]) == ("ok", "ok")
    assert checks["h2 agent"]["verdict"] == "warn"
    assert "has not answered" in checks["h2 agent"]["found"]
    assert fleet("doctor", "--strict").returncode == 1


def test_a_node_without_python_is_there_and_of_no_use(fleet: Toft, pair: Lab) -> None:
    say(fleet, agents={"h1": {}, "h2": {}})
    with pair.hosts["h2"].without_python():
        checks = told(fleet)
    assert (checks["h1 job"]["verdict"], checks["h1 agent"]["verdict"], checks["h2"]["verdict"]) == ("ok", "ok", "ok")
    assert checks["h2 job"]["verdict"] == "fail"
    assert "`status` works, jobs do not" in checks["h2 job"]["found"]
    assert "apt-get install -y python3" in checks["h2 job"]["fix"]
    assert (checks["h2 agent"]["verdict"], checks["h2 agent"]["fix"]) == ("fail", "toft exec h2 true")


def test_a_node_whose_disk_is_full(fleet: Toft, pair: Lab) -> None:
    with pair.hosts["h2"].fill_disk("/home/fleet/.local/state/toft"):
        checks = told(fleet)
    assert (checks["h1 job"]["verdict"], checks["h2 job"]["verdict"]) == ("ok", "fail")
    assert "`true` was not started: disk full" in checks["h2 job"]["found"]
    assert checks["h2 job"]["fix"] == "ssh h2 df -h"


def test_of_a_node_that_is_not_there_only_that_is_said(fleet: Toft, pair: Lab) -> None:
    say(fleet, agents={"h1": {}, "h2": {}}, tailnet={"h2": {}})
    with pair.hosts["h2"].without_sshd():
        checks = told(fleet)
    assert (checks["h2"]["verdict"], checks["h1 agent"]["verdict"]) == ("fail", "ok")
    assert [name for name in checks if name.startswith("h2 ")] == []


def test_a_scheduler_that_is_not_there(fleet: Toft) -> None:
    say(fleet, icecream={"h2": {}, "h1": {}})
    checks = told(fleet)
    assert checks["farm scheduler"]["verdict"] == "fail"
    assert "10.213." in checks["farm scheduler"]["found"]
    assert checks["farm scheduler"]["fix"] == "toft provision icecream --limit h2", "the first of its group"
    assert "toft farm doctor --compile" in checks["farm"]["found"]
    assert (checks["h1 job"]["verdict"], checks["h2 job"]["verdict"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("state", "says", "fix"),
    [
        ("Running", "which is no address of the tailnet", "ansible_host: 100.64.0.9"),
        ("NeedsLogin", "not running (NeedsLogin)", "ssh -t h2 sudo tailscale up"),
    ],
)
def test_a_node_of_the_tailnet(fleet: Toft, pair: Lab, state: str, says: str, fix: str) -> None:
    program = pair.hosts["h2"].root / "usr/local/bin/tailscale"
    program.write_text(TAILSCALE % state)
    program.chmod(0o755)
    say(fleet, tailnet={"h1": {}, "h2": {}})
    checks = told(fleet)
    program.unlink()
    assert (checks["h2 tailnet"]["verdict"], checks["h2 tailnet"]["fix"]) == ("warn", fix)
    assert says in checks["h2 tailnet"]["found"]
    assert "without Tailscale" in checks["h1 tailnet"]["found"]
