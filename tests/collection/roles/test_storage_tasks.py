"""The role storage's tasks where the lab has no hosts for them: a check of a host whose owner is only to come, and
launchd, with a `launchctl` that answers as a Mac's would.

Each scene is a play with a host of its own name; all are played by one run of Ansible, those of check mode by another.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collection.roles.scenes import ROLES, Scene, Told, hosts_of, perform, play, read, stand_in

LINUX = {"system": "Linux", "os_family": "Debian", "service_mgr": "systemd"}
MAC = {"system": "Darwin", "os_family": "Darwin", "service_mgr": "launchd"}
COMING = {"storage_owner": "toft-to-come", "base_users": [{"name": "someone"}, {"name": "toft-to-come"}]}
LAUNCHCTL = """
case "$1 $SCENE" in
'print mac_off') echo 'Could not find service' >&2; exit 113 ;;
'print mac_running') printf 'system/%s = {\\n\\tstate = running\\n}\\n' "$2" ;;
print*) printf 'system/%s = {\\n\\tstate = not running\\n}\\n' "$2" ;;
bootstrap*)
    echo "$*" >>"$ROOM/asked"
    case $(wc -l <"$ROOM/asked" | tr -d ' ') in
    1) echo 'Bootstrap failed: 37: Operation already in progress' >&2; exit 37 ;;
    2) echo 'Bootstrap failed: 5: Input/output error' >&2; exit 5 ;;
    esac ;;
*) echo "what is $1?" >&2; exit 64 ;;
esac
"""
PROGRAM = """
case $SCENE in
mac_new) echo "$(date -u +%Y-%m-%dT%H%M%SZ): whole" ;;
mac_none) echo 'toft-storage: there is no backup latest; type: toft-storage list' >&2; exit 1 ;;
*) echo '2001-01-01T000000Z: whole' ;;
esac
"""


def scene(name: str, tasks: str, facts: Mapping[str, Any], **variables: Any) -> Scene:
    return Scene(name, "", [("storage", tasks)], facts, variables)


CHECKED = [
    scene("coming", "main", LINUX, **COMING),
    scene("unknown", "main", LINUX, **COMING | {"base_users": []}),
    scene("not_verified", "verify", LINUX, **COMING),
]
PLAYED = [
    scene("not_there", "main", LINUX, **COMING),
    *(scene(name, "verify_backup", MAC) for name in ("mac_new", "mac_none", "mac_old", "mac_running", "mac_off")),
]


def plays(scenes: Sequence[Scene], place: Path) -> list[dict[str, Any]]:
    mine = {
        "storage_account": getpass.getuser(),
        "storage_paths": {"hot": "/nowhere/hot", "cold": "/nowhere/cold"},
        "storage_program": str(place / "bin/toft-storage"),
    }
    after = {"ansible.builtin.debug": {"msg": "what comes after the role"}}
    made = [play(replace(one, variables=mine | dict(one.variables)), place) for one in scenes]
    return [one | {"tasks": [*one["tasks"], after]} for one in made] + [load(place)]


def load(place: Path) -> dict[str, Any]:
    """A play of the one task of launchd.yml that loads the daemon; the others need a Mac's directories."""
    tasks = yaml.safe_load((ROLES / "storage/tasks/launchd.yml").read_text())
    before = {"storage_scheduled": True, "storage_loaded": {"rc": 0}, "storage_plist": {"changed": True}}
    return {
        "name": "mac_loads",
        "hosts": "mac_loads",
        "gather_facts": False,
        "environment": {"PATH": f"{place}/bin:{os.environ['PATH']}", "ROOM": str(place), "SCENE": "mac_loads"},
        "vars": before | {"storage_label": "fleet.toft.storage-backup"},
        "tasks": [task for task in tasks if task["name"] == "Load the daemon"],
    }


def run(place: Path, scenes: Sequence[Scene], *options: str) -> Told:
    made = plays(scenes, place)
    return read(perform(place, made, hosts_of(made), *options))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("storage")
    stand_in(place, launchctl=LAUNCHCTL, **{"toft-storage": PROGRAM})
    return place


@pytest.fixture(scope="module")
def checked(place: Path) -> Told:
    told = run(place, CHECKED, "--check")
    assert not (place / "asked").exists(), "--check changes nothing"
    return told


@pytest.fixture(scope="module")
def told(place: Path, checked: Told) -> Told:
    return run(place, PLAYED)


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
