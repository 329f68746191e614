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
import yaml

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
    "arch": {
        "system": "Linux",
        "os_family": "Archlinux",
        "machine": "x86_64",
        "kernel": "6.17.1",
        "service_mgr": "systemd",
        "interfaces": ["lo", "tailscale0"],
        "tailscale0": {"device": "tailscale0", "ipv4": {"address": "100.64.0.7"}},
    },
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


PATIENCE_S = 120


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("icecream")
    done = play(room, TASKS.format(room=room))
    assert done.returncode == 0, done.stdout + done.stderr
    return room


def play(room: Path, tasks: str, *words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """Tasks with the role's own defaults, variables and templates, on hosts of the inventory."""
    (room / "facts").mkdir()
    for host, facts in FACTS.items():
        named = {f"ansible_{name}": value for name, value in facts.items()}
        (room / "facts" / host).write_text(json.dumps(named))
    (room / "library").mkdir()
    (room / "library/given.py").write_text(GIVEN)
    (room / "hosts.json").write_text(json.dumps(INVENTORY))
    (room / "play.yml").write_text(PLAY)
    (room / "roles/decided/tasks").mkdir(parents=True)
    (room / "roles/decided/tasks/main.yml").write_text(tasks)
    for part in ("defaults", "vars", "templates"):
        (room / "roles/decided" / part).symlink_to(ROLE / part)
    settings = {"ANSIBLE_HOME": str(room / "home"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "PATH": path}
    mine = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    ansible = Path(sys.executable).parent / "ansible-playbook"
    argv = [str(ansible), "-i", str(room / "hosts.json"), str(room / "play.yml"), *words]
    return subprocess.run(argv, env=mine | settings, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def own(file: str, *names: str) -> list[dict[str, Any]]:
    """Those tasks of the role."""
    tasks = {task["name"]: task for task in yaml.safe_load((ROLE / "tasks" / file).read_text())}
    return [tasks[name] for name in names]


def program(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def words(room: Path, host: str) -> tuple[list[str], dict[str, Any], str, bool]:
    daemon, programs, platform, schedules = json.loads((room / f"{host}.json").read_text())
    return daemon, programs, platform, schedules


def test_a_mac_listens_on_its_tailnet_alone(decided: Path) -> None:
    daemon, programs, platform, schedules = words(decided, "mac")
    assert daemon[daemon.index("-u") + 1] == "nobody"
    assert (platform, schedules) == ("Darwin24_arm64", False)
    plist = plistlib.loads((decided / "mac.iceccd.plist").read_bytes())
    assert plist["Label"] == "org.icecc.iceccd"
    launcher, wire, *rest = plist["ProgramArguments"]
    assert (launcher, wire) == ("/usr/local/sbin/toft-farm-daemon", ""), "the number of a utun does not last"
    assert rest == ["/opt/homebrew/opt/icecream/sbin/iceccd", *daemon]
    assert plist["KeepAlive"] is True
    assert programs["bin"] == "/opt/homebrew/opt/icecream/bin"


def test_arch_schedules_as_the_first_of_the_group(decided: Path) -> None:
    daemon, _, platform, schedules = words(decided, "arch")
    assert (platform, schedules) == ("x86_64", True)
    assert daemon[:4] == ["-s", "100.64.0.7", "-n", "toft"], "where it listens, whatever its name is to itself"
    guard = (decided / "arch.toft-farm-guard.service").read_text()
    assert "\nExecStart=/usr/bin/python3 /usr/local/lib/toft_farm_guard.py 100.64.0.7 8765\n" in guard
    service = (decided / "arch.icecc-scheduler.service").read_text()
    assert "\nExecStart=/usr/lib/icecream/sbin/icecc-scheduler -n toft -i tailscale0 -p 8765 -vvv\n" in service
    assert "\nUser=icecc\n" in service


def test_a_pi_that_submits_only(decided: Path) -> None:
    daemon, programs, platform, _ = words(decided, "pi")
    assert platform == "aarch64"
    assert daemon[-3:] == ["-m", "3", "--no-remote"]
    service = (decided / "pi.iceccd.service").read_text()
    assert f"\nExecStart=/usr/sbin/iceccd -i tailscale0 {' '.join(daemon)}\n" in service
    assert daemon[:2] == ["-s", "arch"]
    assert "icecc" in programs["packages"]
    assert (
        "\nExecStart=/usr/bin/python3 /usr/local/lib/toft_farm_guard.py arch 8765\n"
        in (decided / "pi.toft-farm-guard.service").read_text()
    )


IFCONFIG = """#!/bin/sh
cat <<'END'
lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384
\tinet 127.0.0.1 netmask 0xff000000
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tether 00:11:22:33:44:55
\tinet6 fe80::1%en0 prefixlen 64 secured scopeid 0xe
\tinet 100.20.0.9 netmask 0xffffff00 broadcast 100.20.0.255
utun4: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1380
\tinet6 fe80::2%utun4 prefixlen 64 scopeid 0x10
utun7: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1280
\tinet ADDRESS --> ADDRESS netmask 0xffffffff
END
"""
"""In the form that macOS prints, with a tailnet whose utun is another than when the role ran."""


@pytest.mark.parametrize(
    ("wire", "address", "started"),
    [
        ("", "100.101.102.103", "-s|arch|-i|utun7\n"),
        ("", "100.127.255.254", "-s|arch|-i|utun7\n"),
        ("", "100.128.0.1", None),
        ("en0", "100.101.102.103", "-s|arch|-i|en0\n"),
    ],
)
def test_a_mac_looks_for_its_tailnet_at_each_start(
    tmp_path: Path, wire: str, address: str, started: str | None
) -> None:
    program(tmp_path / "bin/ifconfig", IFCONFIG.replace("ADDRESS", address))
    program(tmp_path / "bin/iceccd", "#!/bin/sh\nIFS='|'\necho \"$*\"\n")
    argv = ["sh", str(ROLE / "files/toft-farm-daemon"), wire, str(tmp_path / "bin/iceccd"), "-s", "arch"]
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = subprocess.run(argv, env=path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if started is None:
        assert (done.returncode, done.stdout) == (1, "")
        assert "no interface has an address of a tailnet" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, started), done.stderr


LAUNCHCTL = """#!/bin/sh
echo "$@" >>{room}/calls
[ "$(wc -l <{room}/calls)" -gt 2 ] || {{ echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; }}
"""


def test_a_mac_whose_daemon_is_still_ending_is_tried_again(tmp_path: Path) -> None:
    program(tmp_path / "bin/launchctl", LAUNCHCTL.format(room=tmp_path))
    told = {"icecream_plist": {"changed": True}, "icecream_launching": {"changed": False}, "icecream_loaded": {"rc": 0}}
    tasks = json.dumps(own("launchd.yml", "Load the daemon"))
    words = ["--limit", "mac", "-e", json.dumps(told)]
    done = play(tmp_path, tasks, *words, path=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["bootstrap system /Library/LaunchDaemons/org.icecc.iceccd.plist"] * 3


PREFLIGHT = f"""
- given:
    path: "{{{{ playbook_dir }}}}/facts/{{{{ inventory_hostname }}}}"
- include_tasks: {ROLE}/tasks/preflight.yml
"""


@pytest.mark.parametrize(("state", "there"), [("present", False), ("present", True), ("absent", False)])
def test_arch_wants_icecream_from_the_aur(tmp_path: Path, state: str, there: bool) -> None:
    daemon = tmp_path / "bin/iceccd"
    given: dict[str, Any] = {"icecream_programs": {"daemon": str(daemon)}, "icecream_state": state}
    given["icecream_interface"] = "lo"
    if there:
        program(daemon, "")
    done = play(tmp_path, PREFLIGHT, "--limit", "arch", "-e", json.dumps(given))
    said = done.stdout + done.stderr
    if state == "present" and not there:
        assert done.returncode != 0
        assert "Fix: install icecream there with your AUR helper, then again" in " ".join(said.split())
    else:
        assert done.returncode == 0, said


def test_no_package_of_arch_is_asked_for_that_no_repository_has(decided: Path) -> None:
    _, programs, _, _ = words(decided, "arch")
    assert "icecream" not in programs["packages"]


FILES = {name: f"{number:032x}.tar.gz" for number, name in enumerate(["new", "off", "other", "gone", "old"])}


def toolchain(host: str, file: str) -> dict[str, str]:
    return {"host": host, "file": file}


def test_a_node_that_is_off_keeps_its_toolchains(tmp_path: Path) -> None:
    """The one of a node that has a new one goes, and that of a node that is in the farm no more."""
    envs = tmp_path / "envs"
    envs.mkdir()
    for file in (*FILES.values(), "mine.tar.gz"):
        (envs / file).write_text("")
    where = {name: f"{envs}/{file}" for name, file in FILES.items()}
    known = [("arch", "old"), ("pi", "off"), ("mac", "other"), ("nobody", "gone")]
    here = {
        "icecream_made": [toolchain("arch", where["new"])],
        "icecream_index": {"stdout": json.dumps([toolchain(host, where[name]) for host, name in known])},
    }
    off = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    begun = [
        {"ping": None, "vars": off, "when": "inventory_hostname == 'pi'"},
        {"set_fact": here},
        {"copy": {"content": "{{ icecream_all | to_json }}", "dest": f"{tmp_path}/all.json", "mode": "0644"}},
    ]
    tasks = begun + own("share.yml", "See which toolchains are here", "Remove those that no node has any more")
    # Beside the one that is off there is one that is not in this run.
    words = ["--limit", "arch,pi", "-e", json.dumps({"icecream_envs": str(envs)})]
    done = play(tmp_path, json.dumps(tasks), *words)
    assert "unreachable=1" in done.stdout, done.stdout + done.stderr
    kept = [toolchain("arch", where["new"]), toolchain("mac", where["other"]), toolchain("pi", where["off"])]
    assert json.loads((tmp_path / "all.json").read_text()) == kept
    assert {file.name for file in envs.iterdir()} == {FILES["new"], FILES["off"], FILES["other"], "mine.tar.gz"}
