"""`toft provision` as a person types it, where no node has to be changed for it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Toft

USAGE = [
    (["nonsense"], "there is no role 'nonsense' to provision"),
    (["delegate"], "there is no role 'delegate'"),
    (["storage", "--limit", "{{ x }}"], "looks like a template"),
    (["storage", "--limit", "-x"], "looks like an option"),
    (["storage", "-e", "no-variable"], "-e no-variable: VAR=VALUE"),
    (["storage", "-e", "@/no/such/file"], "there is no such file"),
    (["storage", "--ask-become-pass"], "no sudo password on stdin"),
]


@pytest.mark.parametrize(("words", "says"), USAGE, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_usage(toft: Toft, words: list[str], says: str) -> None:
    done = toft("provision", *words)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr.decode()
    assert done.stdout == b""


def test_an_unknown_role_is_told_which_there_are(toft: Toft) -> None:
    said = toft("provision", "nonsense").stderr.decode()
    assert "try: one of: " in said
    assert {"base", "tailscale", "storage", "verify"} <= set(said.partition("one of: ")[2].strip().split(", "))


def test_no_such_inventory(toft: Toft) -> None:
    toft.inventory = Path("/no/such/inventory")
    done = toft("provision", "storage")
    assert done.returncode == 125
    assert "no such inventory" in done.stderr.decode()


def test_an_inventory_that_is_bad(toft: Toft, tmp_path: Path) -> None:
    toft.inventory = tmp_path / "hosts.yml"
    toft.inventory.write_text("all:\n  hosts: [1\n")
    done = toft("provision", "storage")
    assert done.returncode == 2
    assert "hosts.yml:" in done.stderr.decode()


@pytest.mark.parametrize("words", [[], ["--limit", "nobody"]], ids=["group", "limit"])
def test_no_node_matches(toft: Toft, words: list[str]) -> None:
    """This machine is the fleet, and in no group `storage`."""
    done = toft("provision", "storage", *words)
    assert done.returncode == 125, done.stdout
    assert "no node of the embedded default (this machine) matches 'storage'" in done.stderr.decode()
    told = toft.json("provision", "storage", *words)
    assert told["exit_code"] == 125


@pytest.fixture
def here(toft: Toft, tmp_path: Path) -> Toft:
    """This machine, in the group `storage`; nothing on it is asked for with sudo."""
    toft.inventory = tmp_path / "hosts.yml"
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "storage_owner": "nobody-knows",
    }
    toft.inventory.write_text(json.dumps({"storage": {"hosts": {"here": variables}}}))
    return toft


def test_a_failing_preflight_shows_its_fix(here: Toft) -> None:
    done = here("provision", "storage", "--check")
    assert done.returncode == 1, done.stderr
    out, err = done.stdout.decode(), done.stderr.decode()
    head, row = out.splitlines()[:2]
    assert head.split() == ["NODE", "STORAGE"]
    assert row.split()[:3] == ["here", "✗", "failed"]
    assert "here storage: The owner is there\n  here has no user nobody-knows.\n  try: add it to base_users" in out
    assert out.splitlines()[-1].startswith("1 node, 0 would change, 1 failed, in ")
    lines = err.splitlines()
    assert "toft: here storage: See what system this is" in lines
    assert "toft: here storage: The owner is there (failed)" in lines
    assert not [line for line in lines if not line.startswith("toft: here storage: ")]


def test_its_json_and_quiet(here: Toft) -> None:
    done = here("--json", "-q", "provision", "storage", "--check", "-e", 'storage_owner={{ lookup("pipe", "id") }}')
    assert done.returncode == 1
    assert done.stderr == b""
    told = json.loads(done.stdout)
    assert (told["roles"], told["check"], told["changed"]) == (["storage"], True, 0)
    (node,) = told["nodes"]
    assert node["name"] == "here"
    (counted,) = node["roles"]
    assert (counted["role"], counted["failed"], counted["unreachable"]) == ("storage", 1, 0)
    assert counted["ok"] > 0
    (failure,) = told["failures"]
    assert failure["task"] == "The owner is there"
    assert failure["fix"].startswith("add it to base_users")


def test_a_password_is_nowhere_to_be_seen(here: Toft) -> None:
    """It reaches Ansible over its terminal: no process has it in its argv or environment, no file holds it."""
    canary = b"CANARY-4711"
    process = here.begin("provision", "storage", "--check", "--ask-become-pass", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(canary + b"\n")
    process.stdin.close()
    looked = 0
    while process.poll() is None:
        for file in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ"), *files(here.home)]:
            assert canary not in content(file), file
        looked += 1
    assert looked > 3
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 1, err
    assert b"here has no user nobody-knows" in out, "Ansible went on after it had its password"
    assert canary not in out + err
    assert list((here.home / "state/toft/runs").iterdir()) == []


def files(directory: Path) -> list[Path]:
    return [Path(root) / name for root, _, names in os.walk(directory) for name in names]


def content(file: Path) -> bytes:
    try:
        return b"" if not stat.S_ISREG(file.stat().st_mode) else file.read_bytes()
    except OSError:
        return b""


def test_roles_are_completed(toft: Toft) -> None:
    toft.env |= {"_TOFT_COMPLETE": "complete_bash", "COMP_WORDS": "toft provision s", "COMP_CWORD": "2"}
    assert toft().stdout.decode().split() == ["storage"]


def test_help_names_what_it_takes(toft: Toft) -> None:
    told = toft("provision", "--help").stdout.decode()
    for word in ("[ROLE]...", "--check", "--diff", "--limit", "-e, --extra-vars", "--ask-become-pass", "--json"):
        assert word in told
