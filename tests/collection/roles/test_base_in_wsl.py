"""The role base's tasks for WSL, where they have never run: played against facts as WSL gives them, in directories that
stand for a root, with a `systemctl` that records what it was asked and does what the unit would to the interface. That
the unit itself does it with a real systemd, the scenario base shows.

Each scene is a play with a host of its own name; all are played by one run of Ansible, those of check mode by
another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.collection.roles.scenes import ROLES, Told, asked, hosts_of, perform, read, stand_in

ROLE = ROLES / "base"
# As ansible.builtin.setup tells them in WSL 2 with systemd, less what the role does not read.
FACTS: dict[str, Any] = {
    "system": "Linux",
    "os_family": "Debian",
    "kernel": "5.15.167.4-microsoft-standard-WSL2",
    "service_mgr": "systemd",
    "virtualization_type": "wsl",
    "virtualization_tech_guest": ["wsl", "container"],
}
OFF = {"service_mgr": "init"}
OWNERS = "[automount]\r\noptions = metadata\r\n\r\n[boot]\r\ncommand = /usr/local/bin/mine\r\n"
SYSTEMCTL = """
cd "$ROOM" || exit
[ -e enabled ] && enabled=enabled || enabled=disabled
[ -e active ] && active=active || active=inactive
case $1 in
show)
    [ -e toft-mtu.service ] && loaded=loaded || loaded=not-found
    printf 'LoadState=%s\\nActiveState=%s\\nUnitFileState=%s\\n' $loaded $active $enabled; exit ;;
is-enabled) echo $enabled; [ $enabled = enabled ]; exit ;;
is-active) echo $active; [ $active = active ]; exit ;;
esac
echo "$SCENE $*" >>asked
case $1 in
enable) touch enabled ;;
disable) rm -f enabled ;;
start | restart) touch active; sed -n 's/^MTU=//p' toft-mtu >net/eth0/mtu ;;
stop) rm -f active ;;
daemon-reload) ;;
*) echo "what is $1?" >&2; exit 1 ;;
esac
"""


@dataclass(frozen=True)
class Scene:
    name: str
    room: str
    tasks: str = "wsl"
    facts: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    disturbed: bool = False
    """Windows has set the MTU anew before."""


LOOKED = [Scene("look", "kept"), Scene("look_off", "off", facts=OFF)]
PLAYED = [
    Scene("first", "kept"),
    Scene("again", "kept"),
    Scene("verified", "kept", "wsl_verify"),
    Scene("found", "kept", "wsl_verify", disturbed=True),
    Scene("repaired", "kept"),
    Scene("gone", "kept", "wsl_mtu_absent"),
    Scene("gone_again", "kept", "wsl_mtu_absent"),
    Scene("off", "off", facts=OFF),
    Scene("off_verified", "off", "wsl_verify", facts=OFF),
    Scene("wsl_1", "wsl_1", facts={"kernel": "4.4.0-19041-Microsoft"}),
    Scene("no_eth7", "no_eth7", variables={"base_wsl_interface": "eth7"}),
]
KERNELS: dict[str, tuple[dict[str, Any], bool]] = {
    "with_systemd": ({}, True),
    "without_systemd": ({"virtualization_tech_guest": []}, True),
    "debian": ({"kernel": "6.1.0-30-amd64", "virtualization_tech_guest": ["kvm"]}, False),
    # Its containers run on the kernel of WSL.
    "docker_desktop": ({"virtualization_tech_guest": ["docker", "container"]}, False),
}


def play(scene: Scene, place: Path) -> dict[str, Any]:
    room = place / scene.room
    paths = {
        "base_wsl_conf": str(room / "wsl.conf"),
        "base_wsl_net": str(room / "net"),
        "base_mtu_file": str(room / "toft-mtu"),
        "base_mtu_unit": str(room / "toft-mtu.service"),
    }
    shrink = {"ansible.builtin.copy": {"content": "1280\n", "dest": str(room / "net/eth0/mtu"), "mode": "0644"}}
    role = {"ansible.builtin.include_role": {"name": str(ROLE), "tasks_from": "{{ item }}"}}
    return {
        "name": scene.name,
        # Where all hosts of a play fail, no other play follows.
        "hosts": f"{scene.name}:rest",
        "gather_facts": False,
        "environment": {"PATH": f"{place}/bin:{os.environ['PATH']}", "ROOM": str(room), "SCENE": scene.name},
        "tasks": [
            {"ansible.builtin.meta": "end_host", "when": "inventory_hostname == 'rest'"},
            {"ansible.builtin.set_fact": FACTS | dict(scene.facts) | {"cacheable": True}},
            {"ansible.builtin.set_fact": paths | dict(scene.variables)},
            *([shrink] if scene.disturbed else []),
            role | {"loop": ["wsl_preflight", scene.tasks]},
        ],
    }


def kernels(place: Path) -> dict[str, Any]:
    """A play that writes down what the role's own variables make of the facts of each host."""
    answer = {"content": "{{ base_is_wsl | to_json }}", "dest": f"{place}/{{{{ inventory_hostname }}}}", "mode": "0644"}
    each = [
        {"ansible.builtin.set_fact": FACTS | facts | {"cacheable": True}, "when": f"inventory_hostname == '{name}'"}
        for name, (facts, _) in KERNELS.items()
    ]
    return {
        "name": "kernels",
        "hosts": ":".join(KERNELS),
        "gather_facts": False,
        "vars_files": [str(ROLE / "vars/main.yml")],
        "tasks": [*each, {"ansible.builtin.copy": answer}],
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wsl")
    for scene in PLAYED:
        mtu = place / scene.room / "net/eth0/mtu"
        mtu.parent.mkdir(parents=True, exist_ok=True)
        mtu.write_text("1280\n")
    (place / "kept/wsl.conf").write_bytes(OWNERS.encode())
    stand_in(place, systemctl=SYSTEMCTL)
    return place


@pytest.fixture(scope="module")
def looked(place: Path) -> Told:
    plays = [play(scene, place) for scene in LOOKED]
    told = read(perform(place, plays, hosts_of(plays), "--check"))
    assert (place / "kept/wsl.conf").read_bytes() == OWNERS.encode()
    assert (place / "kept/net/eth0/mtu").read_text() == "1280\n"
    assert not (place / "off/wsl.conf").exists()
    return told


@pytest.fixture(scope="module")
def told(place: Path, looked: Told) -> Told:
    plays = [*(play(scene, place) for scene in PLAYED), kernels(place)]
    return read(perform(place, plays, hosts_of(plays)))


def test_check_mode_says_what_would_be_and_does_nothing(place: Path, looked: Told) -> None:
    assert looked.failed == {"look": False, "look_off": False}
    # wsl.conf, how wide, what sets it
    assert (looked.changed["look"], asked(place, "look")) == (3, [])


def test_it_comes_and_leaves_the_owners_settings(place: Path, told: Told) -> None:
    assert not told.failed["first"], told.said["first"]
    wanted = OWNERS.replace("[boot]\r\n", "[boot]\r\nsystemd=true\r\n")
    assert (place / "kept/wsl.conf").read_bytes() == wanted.encode()
    assert asked(place, "first") == ["daemon-reload", "enable toft-mtu.service", "start toft-mtu.service"]


def test_the_second_time_changes_nothing(place: Path, told: Told) -> None:
    assert (told.failed["again"], told.changed["again"], asked(place, "again")) == (False, 0, ["daemon-reload"])
    assert not told.failed["verified"], told.said["verified"]


def test_what_windows_set_anew_is_found_and_put_right(place: Path, told: Told) -> None:
    assert told.failed["found"]
    assert "has not the MTU 1500" in told.said["found"]
    assert (told.failed["repaired"], told.changed["repaired"]) == (False, 1)
    assert asked(place, "repaired") == ["daemon-reload", "restart toft-mtu.service"]
    assert (place / "kept/net/eth0/mtu").read_text() == "1500\n"


def test_it_goes_and_systemd_stays(place: Path, told: Told) -> None:
    assert set(asked(place, "gone")) == {"disable toft-mtu.service", "stop toft-mtu.service"}
    assert not list((place / "kept").glob("toft-mtu*"))
    assert b"systemd=true" in (place / "kept/wsl.conf").read_bytes()
    assert (told.failed["gone_again"], told.changed["gone_again"]) == (False, 0)


def test_without_systemd_it_is_turned_on_and_said(place: Path, told: Told) -> None:
    for scene in ("off", "off_verified"):
        assert told.failed[scene], scene
        assert f"Systemd is off in {scene}" in told.said[scene]
        assert "wsl --shutdown" in told.said[scene]
    assert (place / "off/wsl.conf").read_text() == "[boot]\nsystemd=true\n"
    assert asked(place, "off") == []


def test_the_first_wsl_is_refused(place: Path, told: Told) -> None:
    assert told.failed["wsl_1"]
    assert "wsl --set-version NAME 2" in told.said["wsl_1"]
    assert not (place / "wsl_1/wsl.conf").exists()


def test_an_interface_that_is_not_there_is_named(told: Told) -> None:
    assert told.failed["no_eth7"]
    assert "has no interface eth7" in told.said["no_eth7"]


@pytest.mark.parametrize("name", KERNELS)
def test_wsl_is_told_by_its_kernel(place: Path, told: Told, name: str) -> None:
    assert json.loads((place / name).read_text()) == KERNELS[name][1]
