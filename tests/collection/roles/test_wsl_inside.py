"""What bootstrap.ps1 has done inside a distribution of WSL: the scripts that it runs there, run here. Stand-ins, which
record what they were asked, are what only WSL has (`wslpath`, `wslinfo`, `netsh.exe`) and what would change the machine
(`apt-get`, `systemctl`). `wsl.sh` runs where /etc, /usr/local and what tells whether sshd and systemd are there are
directories of the test."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/base/files"
INI: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases/ini_set.json").read_text())
APART = ["unshare", "--mount", "--map-root-user"]
HIDDEN = {"etc": "/etc", "local": "/usr/local", "sbin": "/usr/sbin", "systemd": "/usr/lib/systemd"}
SAYS = '#!/bin/sh\n{ printf "%s" "${0##*/}"; printf " [%s]" "$@"; echo; } >>"$ROOM/asked"\n'
STANDS_IN = {
    "apt-get": """for word; do case $word in
        openssh-server) printf '#!/bin/sh\\n' >/usr/sbin/sshd; chmod +x /usr/sbin/sshd
            mkdir /usr/lib/systemd/system; touch /usr/lib/systemd/system/ssh.service
            echo ssh.service >>"$ROOM/enabled" ;;
        systemd-sysv) printf '#!/bin/sh\\n' >/usr/lib/systemd/systemd; chmod +x /usr/lib/systemd/systemd ;;
    esac; done""",
    "systemctl": """case $1 in
        is-enabled) grep -qx "$3" "$ROOM/enabled" ;;
        --quiet) echo "$3" >>"$ROOM/enabled" ;;
    esac""",
    "wslpath": 'echo "$ROOM/home/${2##*/}"',
    "wslinfo": 'cat "$ROOM/mode" 2>/dev/null',
    "uname": 'cat "$ROOM/kernel"',
    "ip": "echo '2: eth0    inet 172.29.16.5/20 brd 172.29.31.255 scope global eth0\\       valid_lft forever'",
    "netsh.exe": 'exit "$(cat "$ROOM/netsh" 2>/dev/null || echo 0)"',
    "sleep": "",
}


def apart() -> bool:
    program = shutil.which("unshare")
    return program is not None and subprocess.run([*APART, "true"], capture_output=True).returncode == 0


class Inside:
    """A distribution of WSL, as far as the scripts see one."""

    def __init__(self, room: Path) -> None:
        self.room = room
        for name in ("bin", "home", *HIDDEN):
            (room / name).mkdir()
        (room / "enabled").touch()
        (room / "kernel").write_text("5.15.167.4-microsoft-standard-WSL2\n")
        # Debian's is a link by way of /etc.
        (room / "bin/awk").symlink_to(Path(shutil.which("awk") or "/usr/bin/awk").resolve())
        for name, does in STANDS_IN.items():
            program = room / "bin" / name
            program.write_text(SAYS + does + "\n")
            program.chmod(0o755)

    def run(self, *argv: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.room}/bin:{path}", "ROOM": str(self.room), "LC_ALL": "C.UTF-8"}
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    def bring(self, mode: str, port: str = "22", mtu: str = "1500", settings: str = "-") -> list[str]:
        """What wsl.sh says that it brings."""
        binds = "; ".join(f'mount --bind "$ROOM/{name}" {place}' for name, place in HIDDEN.items())
        script = f'set -e; {binds}; exec sh "$@"'
        words = [str(FILES / "wsl.sh"), mode, port, mtu, settings]
        done = self.run(*APART, "sh", "-c", script, "sh", *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return [line.removeprefix("bring: ") for line in done.stdout.splitlines()]

    def asked(self, program: str) -> list[str]:
        record = self.room / "asked"
        lines = record.read_text().splitlines() if record.exists() else []
        return [line.removeprefix(f"{program} ") for line in lines if line.startswith(f"{program} ")]

    def tree(self) -> dict[str, str]:
        files = (file for name in ("home", *HIDDEN) for file in (self.room / name).rglob("*") if file.is_file())
        return {str(file.relative_to(self.room)): file.read_bytes().decode() for file in files}


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return Inside(tmp_path)


@pytest.mark.parametrize("case", INI, ids=lambda case: case["name"])
def test_a_setting_is_set_and_all_else_stays(inside: Inside, case: dict[str, Any]) -> None:
    file = inside.room / "file"
    for before in (case["before"], case["after"]):
        if before is not None:
            file.write_bytes(before.encode())
        argv = ["sh", str(FILES / "ini_set.sh"), str(file), *case["set"]]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=True)
        assert done.stdout.decode() == case["after"]


def test_what_cannot_be_set_is_not_printed(inside: Inside) -> None:
    (inside.room / "bin/awk").unlink()
    (inside.room / "file").write_text("[boot]\n")
    sh = shutil.which("sh") or "/bin/sh"
    argv = [sh, str(FILES / "ini_set.sh"), str(inside.room / "file"), "boot", "systemd", "true"]
    done = subprocess.run(argv, env={"PATH": f"{inside.room}/bin"}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_first_wsl_is_refused(inside: Inside) -> None:
    (inside.room / "kernel").write_text("4.4.0-19041-Microsoft\n")
    done = inside.run("sh", str(FILES / "wsl.sh"), "look", "22", "1500", "-")
    assert done.returncode == 1
    assert "wsl --set-version NAME 2" in done.stderr


@pytest.mark.skipif(not apart(), reason="no mount namespace of its own is to be had here (unshare)")
class TestWhatIsBrought:
    def test_a_fresh_distribution_and_again(self, inside: Inside) -> None:
        before = inside.tree()
        wanted = [
            "systemd",
            "sshd",
            "systemd in wsl.conf",
            "an MTU of 1500",
            "what sets it at each start",
            "what keeps WSL running",
            "the start of sshd",
            "the start of what sets the MTU",
        ]
        assert inside.bring("look") == wanted
        assert (inside.tree(), inside.asked("apt-get")) == (before, [])
        # Debian's sshd starts without being told to.
        assert inside.bring("do") == [what for what in wanted if what != "the start of sshd"]
        tree = inside.tree()
        assert tree["etc/wsl.conf"] == "[boot]\nsystemd=true\n"
        assert tree["etc/default/toft-mtu"] == "INTERFACE=eth0\nMTU=1500\n"
        assert tree["etc/systemd/system/toft-mtu.service"] == (FILES / "toft-mtu.service").read_text()
        assert (inside.room / "local/libexec/toft-hold").stat().st_mode & 0o777 == 0o755
        assert "etc/ssh/sshd_config.d/01-toft-wsl.conf" not in tree
        installed = [line for line in inside.asked("apt-get") if "[install]" in line]
        assert [line.rpartition("[")[2] for line in installed] == ["systemd-sysv]", "openssh-server]"]
        assert inside.bring("do") == []
        assert inside.tree() == tree

    def test_another_port_and_back(self, inside: Inside) -> None:
        assert "port 2222 of sshd" in inside.bring("do", port="2222")
        conf = "etc/ssh/sshd_config.d/01-toft-wsl.conf"
        assert inside.tree()[conf] == "Port 2222\n"
        assert inside.bring("do", port="2222") == []
        assert inside.bring("do") == ["port 22 of sshd"]
        assert inside.tree()[conf] == ""

    def test_the_interface_is_left_alone(self, inside: Inside) -> None:
        assert not any("MTU" in line for line in inside.bring("do", mtu="0"))
        assert not any("mtu" in name for name in inside.tree())

    def test_a_mirrored_network_leaves_the_owners_settings(self, inside: Inside) -> None:
        (inside.room / "home/.wslconfig").write_bytes(b"[wsl2]\r\nmemory=8GB\r\n")
        settings = "C:/Users/Marc A/.wslconfig"
        assert "a mirrored network in .wslconfig" in inside.bring("do", settings=settings)
        assert inside.asked("wslpath") == ["[-u] [C:/Users/Marc A/.wslconfig]"]
        assert inside.tree()["home/.wslconfig"] == "[wsl2]\r\nnetworkingMode=mirrored\r\nmemory=8GB\r\n"
        assert inside.bring("do", settings=settings) == []


class TestWhatHolds:
    def hold(self, inside: Inside) -> subprocess.CompletedProcess[str]:
        (inside.room / "home/netsh.exe").symlink_to(inside.room / "bin/netsh.exe")
        done = inside.run("sh", str(FILES / "wsl_hold.sh"), "2222")
        assert (done.returncode, inside.asked("sleep")) == (0, ["[infinity]"])
        return done

    def test_windows_passes_the_port_on_to_todays_address(self, inside: Inside) -> None:
        self.hold(inside)
        rule = "interface portproxy add v4tov4 listenaddress=0.0.0.0 listenport=2222"
        to = "connectaddress=172.29.16.5 connectport=2222"
        assert inside.asked("netsh.exe") == [" ".join(f"[{word}]" for word in f"{rule} {to}".split())]
        assert inside.asked("wslpath") == ["[-u] [C:/Windows/System32/netsh.exe]"]

    def test_a_mirrored_network_needs_nothing_passed_on(self, inside: Inside) -> None:
        (inside.room / "mode").write_text("mirrored\n")
        self.hold(inside)
        assert inside.asked("netsh.exe") == []

    def test_it_holds_also_where_windows_refuses(self, inside: Inside) -> None:
        (inside.room / "netsh").write_text("1")
        assert "Fix: run bootstrap.ps1 again in an elevated PowerShell" in self.hold(inside).stderr
