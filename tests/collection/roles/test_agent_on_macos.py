"""The role agent's files for macOS, where it has never run: rendered by Ansible as the role would, and then read as
launchd and sh would read them. What launchd wants is in launchd.plist(5)."""

from __future__ import annotations

import json
import os
import plistlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/agent"
TEMPLATES = ["agent.plist", "firewall.plist", "firewall.pf", "launcher.sh", "agent.json"]
TOKEN = "sk-ant-oat01-canary"
COMMAND = ["claude", "a $HOME 'q' \"100%\" \\ é"]

# stands where AgentAPI would, and shows what it was given
SHOW = """#!/usr/bin/env python3
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ.get("CLAUDE_CODE_OAUTH_TOKEN"), sys.stdin.read()]))
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of a Mac called imac."""
    place = tmp_path_factory.mktemp("macos")
    agentapi, token = place / "agentapi", place / "token"
    agentapi.write_text(SHOW)
    agentapi.chmod(0o700)
    token.write_text(f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n")
    variables: dict[str, Any] = {
        "agent_agentapi": str(agentapi),
        "agent_token": str(token),
        "agent_command": COMMAND,
        "agent_help": {"rc": 0, "stdout": "      --state-file string"},
        "agent_workdir": "/Users/Shared/<work> & more",
        "toft_agent_service": "com.claude.agentapi",
        "toft_budget_usd": 10,
    }
    facts = {"system": "Darwin", "architecture": "x86_64", "cacheable": True}
    each = [
        {"ansible.builtin.template": {"src": f"{ROLE}/templates/{name}.j2", "dest": str(place / name)}}
        for name in TEMPLATES
    ]
    given = place / "given.json"
    given.write_text(json.dumps(variables))
    files = [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml"), str(given)]
    play = {"hosts": "imac", "gather_facts": False, "vars_files": files}
    playbook = place / "play.json"
    playbook.write_text(json.dumps([play | {"tasks": [{"ansible.builtin.set_fact": facts}, *each]}]))
    _run_playbook(playbook)
    return place


def _run_playbook(playbook: Path) -> None:
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "imac,", "-c", "local", str(playbook)]
    home = {"PATH": os.environ["PATH"], "HOME": str(playbook.parent), "LC_ALL": "C.UTF-8"}
    python = {"ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    done = subprocess.run(argv, env=home | python, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_daemon_is_loaded_when_what_was_unloaded_has_ended(tmp_path: Path) -> None:
    """launchctl refuses with 5 or 37 as long as the process of before is still ending; its stand-in does so twice."""
    launchctl = tmp_path / "launchctl"
    script = f"""#!/bin/sh
echo "$*" >>"{tmp_path}/calls"
[ $(wc -l <"{tmp_path}/calls") -gt 2 ] || exit 5
"""
    launchctl.write_text(script)
    launchctl.chmod(0o700)
    tasks = yaml.safe_load((ROLE / "tasks/daemon.yml").read_text())
    load = next(task for task in tasks if task["name"].startswith("Load it"))
    variables = {"agent_daemon": {"label": "fleet.toft.agent"}, "agent_loaded": {"rc": 1}}
    surroundings = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    play = {"hosts": "imac", "gather_facts": False, "vars": variables, "environment": surroundings}
    playbook = tmp_path / "play.json"
    playbook.write_text(json.dumps([play | {"tasks": [load | {"delay": 0}]}]))
    _run_playbook(playbook)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == 3 * ["bootstrap system /Library/LaunchDaemons/fleet.toft.agent.plist"]


def _plist(file: Path) -> dict[str, Any]:
    return dict(plistlib.loads(file.read_bytes()))


def test_the_agent_is_a_daemon_of_its_own_user(rendered: Path) -> None:
    daemon = _plist(rendered / "agent.plist")
    assert daemon["Label"] == "com.claude.agentapi"
    assert daemon["UserName"] == "toft-agent"
    assert daemon["ProgramArguments"] == ["/usr/local/libexec/toft-agent"]
    assert daemon["WorkingDirectory"] == "/Users/Shared/<work> & more"
    assert daemon["EnvironmentVariables"]["HOME"] == "/Users/toft-agent"
    assert daemon["Umask"] == 0o077


def test_the_agent_waits_for_the_firewall(rendered: Path) -> None:
    agent, firewall = _plist(rendered / "agent.plist"), _plist(rendered / "firewall.plist")
    program, flag, script, _, rules, mark = firewall["ProgramArguments"]
    assert (program, flag, firewall["RunAtLoad"]) == ("/bin/sh", "-c", True)
    assert "UserName" not in firewall  # pf is root's
    assert agent["KeepAlive"] == {"PathState": {mark: True}}
    assert agent["RunAtLoad"] is False
    assert script.endswith('-f "$1" && touch "$2"')
    assert rules == "/etc/pf.anchors/fleet.toft.agent"


def test_the_firewall_lets_in_the_loopback_alone(rendered: Path) -> None:
    lines = (rendered / "firewall.pf").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules == ["block return in quick on ! lo0 proto tcp from any to any port 3284"]


def test_the_launcher_gives_the_command_and_the_token_as_they_are(rendered: Path) -> None:
    words = ["sh", str(rendered / "launcher.sh")]
    done = subprocess.run(words, input="not for the agent", capture_output=True, text=True, timeout=30)
    argv, token, read = json.loads(done.stdout)
    state = "/Users/toft-agent/agentapi.json"
    assert argv == ["server", "--type", "claude", "--port", "3284", "--state-file", state, "--", *COMMAND]
    assert (token, read) == (TOKEN, "")


def test_no_token_is_in_what_others_can_read(rendered: Path) -> None:
    assert [name for name in TEMPLATES if TOKEN in (rendered / name).read_text()] == []


def test_the_meter_reads_the_caps(rendered: Path) -> None:
    record = json.loads((rendered / "agent.json").read_text())
    assert record["budget"] == {"session_usd": 10, "day_usd": None, "session_tokens": None, "day_tokens": None}
    assert (record["name"], record["service"], record["port"]) == ("imac", "com.claude.agentapi", 3284)
