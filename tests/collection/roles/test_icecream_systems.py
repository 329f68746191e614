"""What the role icecream decides for systems that the lab does not have: Arch Linux, a Mac, a Raspberry Pi.

The facts are as `ansible.builtin.setup` gives them there, less what the role does not read.
"""

from __future__ import annotations

import json
import os
import plistlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROLE = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/icecream"
WIRE = {"active": True, "device": "utun4", "type": "unknown", "ipv4": [{"address": "100.101.102.103"}]}
FACTS: dict[str, dict[str, Any]] = {
    "mac": {
        "system": "Darwin",
        "os_family": "Darwin",
        "machine": "arm64",
        "kernel": "24.6.0",
        "interfaces": ["lo0", "en0", "utun4", "gif0"],
        "lo0": {"device": "lo0", "ipv4": [{"address": "127.0.0.1"}]},
        "en0": {"device": "en0", "ipv4": [{"address": "192.168.1.9"}]},
        "gif0": {"device": "gif0"},
        "utun4": WIRE,
    },
    "arch": {"system": "Linux", "os_family": "Archlinux", "machine": "x86_64", "kernel": "6.17.1", "interfaces": []},
    "pi": {"system": "Linux", "os_family": "Debian", "machine": "aarch64", "kernel": "6.12.1", "interfaces": []},
}
INVENTORY = {"icecream": {"hosts": {"arch": {}, "mac": {}, "pi": {"toft_slots": 3, "icecream_remote": False}}}}
GIVEN = """#!/usr/bin/python
# WANT_JSON
import json, sys
with open(sys.argv[1]) as arguments, open(json.load(arguments)["path"]) as facts:
    print(json.dumps({"changed": False, "ansible_facts": json.load(facts)}))
"""
PLAY = """
- hosts: icecream
  connection: local
  gather_facts: false
  roles: [decided]
"""
TASKS = """
- given:
    path: "{room}/facts/{{{{ inventory_hostname }}}}"
- copy:
    content: "{{{{ [icecream_daemon_words, icecream_programs, icecream_platform, icecream_schedules] | to_json }}}}"
    dest: "{room}/{{{{ inventory_hostname }}}}.json"
    mode: "0644"
- template:
    src: "{{{{ item }}}}.j2"
    dest: "{room}/{{{{ inventory_hostname }}}}.{{{{ item }}}}"
    mode: "0644"
  loop: [iceccd.plist, iceccd.service, icecc-scheduler.service, toft-farm-guard.service]
"""
"""The role's own defaults, variables and templates, with tasks that touch nothing but the test's directory."""


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("icecream")
    (room / "facts").mkdir()
    for host, facts in FACTS.items():
        named = {f"ansible_{name}": value for name, value in facts.items()}
        (room / "facts" / host).write_text(json.dumps(named))
    (room / "library").mkdir()
    (room / "library/given.py").write_text(GIVEN)
    (room / "hosts.json").write_text(json.dumps(INVENTORY))
    (room / "play.yml").write_text(PLAY)
    (room / "roles/decided/tasks").mkdir(parents=True)
    (room / "roles/decided/tasks/main.yml").write_text(TASKS.format(room=room))
    for part in ("defaults", "vars", "templates"):
        (room / "roles/decided" / part).symlink_to(ROLE / part)
    settings = {
        "ANSIBLE_HOME": str(room / "home"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    mine = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    program = Path(sys.executable).parent / "ansible-playbook"
    argv = [str(program), "-i", str(room / "hosts.json"), str(room / "play.yml")]
    done = subprocess.run(argv, env=mine | settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return room


def words(room: Path, host: str) -> tuple[list[str], dict[str, Any], str, bool]:
    daemon, programs, platform, schedules = json.loads((room / f"{host}.json").read_text())
    return daemon, programs, platform, schedules


def test_a_mac_listens_on_its_tailnet_alone(decided: Path) -> None:
    daemon, programs, platform, schedules = words(decided, "mac")
    assert daemon[daemon.index("-i") + 1] == "utun4"
    assert daemon[daemon.index("-u") + 1] == "nobody"
    assert (platform, schedules) == ("Darwin24_arm64", False)
    plist = plistlib.loads((decided / "mac.iceccd.plist").read_bytes())
    assert plist["Label"] == "org.icecc.iceccd"
    assert plist["ProgramArguments"] == ["/opt/homebrew/opt/icecream/sbin/iceccd", *daemon]
    assert plist["KeepAlive"] is True
    assert programs["bin"] == "/opt/homebrew/opt/icecream/bin"


def test_arch_schedules_as_the_first_of_the_group(decided: Path) -> None:
    daemon, _, platform, schedules = words(decided, "arch")
    assert (platform, schedules) == ("x86_64", True)
    assert daemon[:4] == ["-s", "arch", "-n", "toft"]
    service = (decided / "arch.icecc-scheduler.service").read_text()
    assert "\nExecStart=/usr/lib/icecream/sbin/icecc-scheduler -n toft -i tailscale0 -p 8765 -vvv\n" in service
    assert "\nUser=icecc\n" in service


def test_a_pi_that_submits_only(decided: Path) -> None:
    daemon, programs, platform, _ = words(decided, "pi")
    assert platform == "aarch64"
    assert daemon[-3:] == ["-m", "3", "--no-remote"]
    service = (decided / "pi.iceccd.service").read_text()
    assert f"\nExecStart=/usr/sbin/iceccd {' '.join(daemon)}\n" in service
    assert "icecc" in programs["packages"]
    assert (
        "\nExecStart=/usr/bin/python3 /usr/local/lib/toft_farm_guard.py arch 8765\n"
        in (decided / "pi.toft-farm-guard.service").read_text()
    )
