"""Whom the role base may shut out of a machine that it is run on itself, where no new connection tells: by the keys of
who runs it. /etc/ssh, /run and sshd, which tells settings if it has any, are the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.collection.roles.scenes import ROLES, Scene, Told, run, stand_in

SSHD = Path("/usr/sbin/sshd")
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
SUDO = {"SUDO_USER": "nobody"}
NO_ROOT = {"base_sshd_permit_root_login": "no"}
# Whose keys there are, what else is so, and the variables.
SCENES: dict[str, tuple[list[str], dict[str, str], dict[str, Any]]] = {
    "no_key": ([], {}, {}),
    "a_key": (["root"], {}, {}),
    "a_password": (["root"], {}, {"ansible_password": "by word"}),
    "by_sudo_no_key": (["root"], SUDO, {}),
    "by_sudo_a_key": (["nobody"], SUDO, {}),
    "by_sudo_of_none": (["root"], {"SUDO_USER": "$(no such)"}, {}),
    "no_root": (["root"], {}, NO_ROOT),
    "by_sudo_no_root": (["nobody"], SUDO, NO_ROOT),
}
WRITE = [
    {
        "ansible.builtin.template": {
            "src": str(ROLES / "base/templates/sshd.conf.j2"),
            "dest": "{{ lookup('ansible.builtin.env', 'PLACE') }}/{{ scene }}.conf",
            "mode": "0600",
        }
    }
]
OURS = """
mount --bind "$PLACE/bin/sshd" /usr/sbin/sshd && mount --bind "$PLACE/ssh" /etc/ssh &&
mount --bind "$PLACE/run" /run && exec "$@"
"""


def namespace() -> bool:
    try:
        done = subprocess.run(["unshare", "--mount", "--map-root-user", "test", "-e", SSHD], capture_output=True)
    except FileNotFoundError:
        return False
    return done.returncode == 0


pytestmark = pytest.mark.skipif(not namespace(), reason="no mount namespace of its own (unshare), or no sshd")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sshd")
    stand_in(place, sshd=TELLS, systemctl='[ -e "$ROOM/runs" ]')
    (place / "run/systemd/system").mkdir(parents=True)
    (place / "ssh").mkdir()
    (place / "ssh/sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\n")
    return place


@pytest.fixture(scope="module")
def told(place: Path) -> Told:
    scenes = []
    for name, (keys, environment, variables) in SCENES.items():
        (place / name).mkdir()
        (place / name / "settings").touch()
        for user in keys:
            (place / name / f"keys-{user}").write_text(KEY)
        scenes.append(Scene(name, name, [("base", "preflight")], FACTS, variables, environment, WRITE))
    all_of_it = [("base", name) for name in ("preflight", "configure", "verify")]
    off = {"base_time": False}
    scenes += [Scene(name, name, all_of_it, FACTS, off) for name in ("stopped", "broken")]
    (place / "broken").mkdir()
    (place / "broken/runs").touch()
    inside = ["env", f"PLACE={place}", "unshare", "--mount", "--map-root-user", "sh", "-c", OURS, "sh"]
    return run(place, scenes, inside=inside)


def written(place: Path, name: str) -> list[str]:
    lines = (place / f"{name}.conf").read_text().splitlines()
    return [line for line in lines if line.startswith(("PasswordAuthentication", "PermitRootLogin"))]


ROOT, GO = "PermitRootLogin prohibit-password", "PasswordAuthentication no"


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        ("no_key", [], "Passwords stay on for no_key: root has no key that sshd would take"),
        ("a_key", [ROOT, GO], None),
        ("a_password", [], "Passwords stay on for a_password: root connects with one"),
        ("by_sudo_no_key", [ROOT], "Passwords stay on for by_sudo_no_key: nobody has no key that sshd would take"),
        ("by_sudo_a_key", [ROOT, GO], None),
        ("by_sudo_of_none", [ROOT, GO], None),
        ("by_sudo_no_root", ["PermitRootLogin no", GO], None),
    ],
)
def test_passwords_go_where_a_key_is(place: Path, told: Told, name: str, lines: list[str], says: str | None) -> None:
    assert not told.failed[name], told.said[name]
    assert written(place, name) == lines
    if says:
        assert says in told.said[name]
    else:
        assert "Passwords stay" not in told.said[name]


def test_root_does_not_shut_itself_out(place: Path, told: Told) -> None:
    assert told.failed["no_root"]
    assert "PermitRootLogin no would shut it out" in told.said["no_root"]
    assert not (place / "no_root.conf").exists()


def test_an_sshd_that_never_ran_is_left_as_it_is(place: Path, told: Told) -> None:
    assert (told.failed["stopped"], told.changed["stopped"]) == (False, 0), told.said["stopped"]
    assert "does not run and cannot be asked (sshd: no hostkeys available -- exiting.)" in told.said["stopped"]
    assert "sudo systemctl enable --now ssh, and then ansible-playbook toft.fleet.base" in told.said["stopped"]
    assert [file.name for file in (place / "ssh").iterdir()] == ["sshd_config"]


def test_one_that_runs_and_does_not_tell_is_an_error(told: Told) -> None:
    assert told.failed["broken"]
    assert "sshd of broken runs, and does not tell its settings: sshd: no hostkeys" in told.said["broken"]
