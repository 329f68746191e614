"""The role storage's tasks where the lab has no hosts for them: a check of a host whose owner is only to come, and
launchd, with a `launchctl` that answers as a Mac's would.

Each scene is a play with a host of its own name; all are played by one run of Ansible, those of check mode by another.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/storage"
LINUX = {"system": "Linux", "os_family": "Debian", "service_mgr": "systemd"}
MAC = {"system": "Darwin", "os_family": "Darwin", "service_mgr": "launchd"}
COMING = {"storage_owner": "toft-to-come", "base_users": [{"name": "someone"}, {"name": "toft-to-come"}]}
LAUNCHCTL = """#!/bin/sh
case "$1 $SCENE" in
'print mac_off') echo 'Could not find service' >&2; exit 113 ;;
'print mac_running') printf 'system/%s = {\\n\\tstate = running\\n}\\n' "$2" ;;
print*) printf 'system/%s = {\\n\\tstate = not running\\n}\\n' "$2" ;;
bootstrap*)
    echo "$*" >>"$PLACE/asked"
    case $(wc -l <"$PLACE/asked" | tr -d ' ') in
    1) echo 'Bootstrap failed: 37: Operation already in progress' >&2; exit 37 ;;
    2) echo 'Bootstrap failed: 5: Input/output error' >&2; exit 5 ;;
    esac ;;
*) echo "what is $1?" >&2; exit 64 ;;
esac
"""
PROGRAM = """#!/bin/sh
case $SCENE in
mac_new) echo "$(date -u +%Y-%m-%dT%H%M%SZ): whole" ;;
mac_none) echo 'toft-storage: there is no backup latest; type: toft-storage list' >&2; exit 1 ;;
*) echo '2001-01-01T000000Z: whole' ;;
esac
"""


@dataclass(frozen=True)
class Scene:
    name: str
    tasks: str
    facts: Mapping[str, Any]
    variables: Mapping[str, Any] = field(default_factory=dict)


CHECKED = [
    Scene("coming", "main", LINUX, COMING),
    Scene("unknown", "main", LINUX, COMING | {"base_users": []}),
    Scene("not_verified", "verify", LINUX, COMING),
]
PLAYED = [
    Scene("not_there", "main", LINUX, COMING),
    *(Scene(name, "verify_backup", MAC) for name in ("mac_new", "mac_none", "mac_old", "mac_running", "mac_off")),
]


@dataclass(frozen=True)
class Told:
    failed: Mapping[str, bool]
    said: Mapping[str, str]
    """What Ansible printed for the scene."""


def play(scene: Scene, place: Path) -> dict[str, Any]:
    mine = {
        "storage_account": getpass.getuser(),
        "storage_paths": {"hot": "/nowhere/hot", "cold": "/nowhere/cold"},
        "storage_program": str(place / "bin/toft-storage"),
    }
    return {
        "name": scene.name,
        # Where all hosts of a play fail, no other play follows.
        "hosts": f"{scene.name}:rest",
        "gather_facts": False,
        "environment": {"PATH": f"{place}/bin:{os.environ['PATH']}", "PLACE": str(place), "SCENE": scene.name},
        "tasks": [
            {"ansible.builtin.meta": "end_host", "when": "inventory_hostname == 'rest'"},
            {"ansible.builtin.set_fact": dict(scene.facts) | {"cacheable": True}},
            {"ansible.builtin.set_fact": mine | dict(scene.variables)},
            {"ansible.builtin.include_role": {"name": str(ROLE), "tasks_from": scene.tasks}},
            {"ansible.builtin.debug": {"msg": "what comes after the role"}},
        ],
    }


def load(place: Path) -> dict[str, Any]:
    """A play of the one task of launchd.yml that loads the daemon; the others need a Mac's directories."""
    tasks = yaml.safe_load((ROLE / "tasks/launchd.yml").read_text())
    before = {"storage_scheduled": True, "storage_loaded": {"rc": 0}, "storage_plist": {"changed": True}}
    return {
        "name": "mac_loads",
        "hosts": "mac_loads",
        "gather_facts": False,
        "environment": {"PATH": f"{place}/bin:{os.environ['PATH']}", "PLACE": str(place), "SCENE": "mac_loads"},
        "vars": before | {"storage_label": "fleet.toft.storage-backup"},
        "tasks": [task for task in tasks if task["name"] == "Load the daemon"],
    }


def run(place: Path, plays: list[dict[str, Any]], *options: str) -> Told:
    (place / "play.json").write_text(json.dumps(plays))
    hosts = [str(each["name"]) for each in plays]
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", ",".join([*hosts, "rest"]), "-c", "local"]
    mine = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    settings = {
        "ANSIBLE_HOME": str(place / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    argv += [*options, str(place / "play.json")]
    done = subprocess.run(argv, env=mine | settings, capture_output=True, text=True, timeout=180)
    text = done.stdout + done.stderr
    assert "PLAY RECAP" in text, text
    recap = re.findall(r"^(\w+) .*failed=(\d+)", text, re.M)
    # Long lines of what it says are folded.
    parts = re.findall(r"^PLAY \[(\w+)\] (.*?)(?=^PLAY )", text, re.M | re.S)
    return Told({host: failed != "0" for host, failed in recap}, {name: " ".join(part.split()) for name, part in parts})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("storage")
    (place / "bin").mkdir()
    for name, text in {"launchctl": LAUNCHCTL, "toft-storage": PROGRAM}.items():
        (place / "bin" / name).write_text(text)
        (place / "bin" / name).chmod(0o755)
    return place


@pytest.fixture(scope="module")
def checked(place: Path) -> Told:
    told = run(place, [play(scene, place) for scene in CHECKED] + [load(place)], "--check")
    assert not (place / "asked").exists(), "--check changes nothing"
    return told


@pytest.fixture(scope="module")
def told(place: Path, checked: Told) -> Told:
    return run(place, [play(scene, place) for scene in PLAYED] + [load(place)])


def test_a_check_says_that_the_owner_would_come_first(checked: Told) -> None:
    assert not checked.failed["coming"], checked.said["coming"]
    assert "coming has no user toft-to-come: toft.fleet.base would add it first" in checked.said["coming"]
    assert "what comes after the role" in checked.said["coming"]
    assert "Look for room" not in checked.said["coming"]


def test_a_check_refuses_an_owner_whom_nobody_adds(checked: Told) -> None:
    assert checked.failed["unknown"]
    assert "has no user toft-to-come. Fix: add it to base_users" in checked.said["unknown"]


def test_an_owner_who_is_to_come_is_no_owner_yet(checked: Told, told: Told) -> None:
    for run_of, scene in ((checked, "not_verified"), (told, "not_there")):
        assert run_of.failed[scene]
        assert "has no user toft-to-come. Fix: add it to base_users" in run_of.said[scene]


def test_launchd_is_asked_again_while_the_old_daemon_ends(place: Path, checked: Told, told: Told) -> None:
    assert (checked.failed["mac_loads"], told.failed["mac_loads"]) == (False, False), told.said["mac_loads"]
    plist = "/Library/LaunchDaemons/fleet.toft.storage-backup.plist"
    assert (place / "asked").read_text() == f"bootstrap system {plist}\n" * 3


@pytest.mark.parametrize("scene", ["mac_new", "mac_none", "mac_running"])
def test_a_mac_that_backs_up(told: Told, scene: str) -> None:
    assert not told.failed[scene], told.said[scene]


def test_a_mac_whose_daemon_is_not_loaded(told: Told) -> None:
    assert told.failed["mac_off"]
    assert "mac_off makes no backups by itself: fleet.toft.storage-backup is off. Fix: " in told.said["mac_off"]


def test_a_mac_whose_last_backup_is_old(told: Told) -> None:
    assert told.failed["mac_old"]
    assert "on mac_old is 2001-01-01T000000Z, more than 2 days old." in told.said["mac_old"]
