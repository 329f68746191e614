"""Whom the role base may shut out of a machine that it is run on itself, where no new connection tells: by the keys of
who runs it. /etc/ssh, /run and sshd, which tells settings if it has any, are the test's own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collection.roles.scenes import ROLES, perform, stand_in

FACTS = {
    "system": "Linux",
    "os_family": "Debian",
    "kernel": "6.1.0-30-amd64",
    "python_version": "3.11.2",
    "virtualization_tech_guest": [],
}
TELLS = """
if [ ! -e "$ROOM/settings" ]; then echo "sshd: no hostkeys available -- exiting." >&2; exit 1; fi
printf 'pubkeyauthentication yes\\nauthorizedkeysfile %s/keys-%%u\\n' "$ROOM"
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA somebody\n"
OURS = """
mount --bind "$PLACE/bin/sshd" /usr/sbin/sshd && mount --bind "$PLACE/ssh" /etc/ssh &&
mount --bind "$PLACE/run" /run && exec "$@"
"""
APART = ["unshare", "--mount", "--map-root-user"]


@dataclass(frozen=True)
class Case:
    who: str
    keys: str
    """Whose there are."""
    variables: Mapping[str, Any]
    writes: list[str] | None
    says: str


NO_ROOT = {"base_sshd_permit_root_login": "no"}
ROOT, GO = "PermitRootLogin prohibit-password", "PasswordAuthentication no"
CASES = {
    "no_key": Case("root", "marc", {}, [], "Passwords stay on for no_key: root has no key that sshd would take"),
    "a_key": Case("root", "root", {}, [ROOT, GO], ""),
    "a_password": Case("root", "root", {"ansible_password": "by word"}, [], "root connects with one"),
    "user_no_key": Case("marc", "root", {}, [ROOT], "marc has no key that sshd would take"),
    "user_a_key": Case("marc", "marc", NO_ROOT, ["PermitRootLogin no", GO], ""),
    "no_root": Case("root", "root", NO_ROOT, None, "PermitRootLogin no would shut it out"),
}
BASE = {"name": "toft.fleet.base"}
PREFLIGHT = BASE | {"tasks_from": "sshd_preflight", "public": True}
PLAYS: list[dict[str, Any]] = [
    {
        "name": "local",
        "hosts": "all",
        "gather_facts": False,
        "environment": {"PATH": "{{ place }}/bin:/usr/bin:/bin", "ROOM": "{{ place }}/{{ inventory_hostname }}"},
        "tasks": [
            {"ansible.builtin.set_fact": FACTS | {"cacheable": True}},
            {"ansible.builtin.include_role": PREFLIGHT, "when": "not whole"},
            {"ansible.builtin.include_role": BASE | {"tasks_from": "verify"}, "when": "whole"},
            {"ansible.builtin.include_role": BASE | {"tasks_from": "configure"}, "when": "whole"},
            {
                "ansible.builtin.template": {
                    "src": str(ROLES / "base/templates/sshd.conf.j2"),
                    "dest": "{{ place }}/{{ inventory_hostname }}.conf",
                    "mode": "0600",
                },
                "when": "not whole",
            },
        ],
    }
]


def namespace() -> bool:
    try:
        return subprocess.run([*APART, "test", "-e", "/usr/sbin/sshd"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sshd")
    stand_in(place, sshd=TELLS, systemctl='[ -e "$ROOM/runs" ]')
    (place / "run/systemd/system").mkdir(parents=True)
    (place / "ssh").mkdir()
    (place / "ssh/sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\n")
    return place


@pytest.fixture(scope="module")
def told(place: Path) -> str:
    if not namespace():
        pytest.skip("no mount namespace of its own is to be had here (unshare), or there is no sshd")
    hosts: dict[str, dict[str, Any]] = {}
    for name, case in CASES.items():
        (place / name).mkdir()
        (place / name / "settings").touch()
        (place / name / f"keys-{case.keys}").write_text(KEY)
        hosts[name] = {"base_connected": {"stdout": case.who}, **case.variables}
    (place / "broken").mkdir()
    (place / "broken/runs").touch()
    for name in ("stopped", "broken"):
        hosts[name] = {"whole": True, "base_time": False}
    hosts = {name: {"place": str(place), "whole": False, **variables} for name, variables in hosts.items()}
    inside = ["env", f"PLACE={place}", *APART, "sh", "-c", OURS, "sh"]
    return perform(place, PLAYS, hosts, inside=inside)


def said(told: str, host: str) -> str:
    parts = rf"^(?:ok|fatal): \[{host}\](.*?)(?=^(?:ok|changed|fatal|skipping|included): |^TASK|^PLAY|^\[ERROR)"
    return " ".join(re.findall(parts, told, re.M | re.S))


def recap(told: str, host: str) -> tuple[int, int]:
    """How much changed, and failed."""
    changed, failed = re.findall(rf"^{host} .*changed=(\d+) .*failed=(\d+)", told, re.M)[0]
    return int(changed), int(failed)


@pytest.mark.parametrize("name", CASES)
def test_passwords_go_where_a_key_is(place: Path, told: str, name: str) -> None:
    case, file = CASES[name], place / f"{name}.conf"
    assert recap(told, name)[1] == (case.writes is None), told
    lines = file.read_text().splitlines() if file.exists() else None
    kept = lines and [line for line in lines if line.startswith(("PasswordAuthentication", "PermitRootLogin"))]
    assert kept == case.writes
    assert case.says in said(told, name)
    assert case.says or "Passwords stay" not in said(told, name)


def test_an_sshd_that_never_ran_is_left_as_it_is(place: Path, told: str) -> None:
    assert recap(told, "stopped") == (0, 0), told
    says = said(told, "stopped")
    assert "does not run and cannot be asked (sshd: no hostkeys available -- exiting.)" in says
    assert "sudo systemctl enable --now ssh, and then ansible-playbook toft.fleet.base" in says
    assert [file.name for file in (place / "ssh").iterdir()] == ["sshd_config"]


def test_one_that_runs_and_does_not_tell_is_an_error(told: str) -> None:
    assert recap(told, "broken")[1] == 1
    assert "sshd of broken runs, and does not tell its settings" in said(told, "broken")


@pytest.mark.skipif(subprocess.run(["id", "-u"], capture_output=True).stdout != b"0\n", reason="only root may be both")
@pytest.mark.parametrize(("given", "who"), [("nobody", "nobody"), ("$(no such)", "root"), ("", "root"), (None, "root")])
def test_under_sudo_it_is_who_called_it_that_logs_in(given: str | None, who: str) -> None:
    tasks = yaml.safe_load((ROLES / "base/tasks/preflight.yml").read_text())
    argv = next(task for task in tasks if task.get("register") == "base_connected")["ansible.builtin.command"]["argv"]
    env = {"PATH": "/usr/bin:/bin"} | ({} if given is None else {"SUDO_USER": given})
    assert subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout == f"{who}\n"
