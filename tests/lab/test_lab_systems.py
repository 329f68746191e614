"""Faults of the system on a host do what they say, and end."""

from __future__ import annotations

import pytest

from tests.lab.host import Host
from tests.lab.knock import knock


def test_full_disk_and_full_inodes(n1: Host) -> None:
    n1.do("install -d -o fleet -g fleet /home/fleet/small")
    for begin in (n1.fill_disk, n1.fill_inodes):
        with begin("/home/fleet/small"):
            done = n1.ssh("echo something > small/file")
            assert "No space left on device" in done.stderr
        assert n1.ssh("echo something > small/file").returncode == 0


def test_read_only_directory(n1: Host) -> None:
    with n1.read_only("/home"):
        assert "Read-only file system" in n1.ssh("touch file").stderr
    assert n1.ssh("touch file").returncode == 0


def test_stopped_sshd_refuses_and_comes_back(n1: Host) -> None:
    with n1.without_sshd():
        assert knock(n1.address) == "refused"
    assert knock(n1.address) == "banner"


def test_host_without_python(n1: Host) -> None:
    with n1.without_python():
        assert n1.run("command -v python3").returncode != 0
    assert n1.run("python3 -c 'print(1)'").stdout == "1\n"


def test_refused_authentication(n1: Host) -> None:
    with n1.refuse_auth():
        assert "Permission denied" in n1.ssh("true").stderr
    assert n1.ssh("true").returncode == 0


def test_changed_host_key_is_noticed(n1: Host) -> None:
    with n1.change_host_key():
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in n1.ssh("true").stderr
    assert n1.ssh("true").returncode == 0


def test_other_port(n1: Host) -> None:
    n1.ssh_port(2222)
    assert (knock(n1.address), knock(n1.address, 2222)) == ("refused", "banner")


def test_dead_name_service(n1: Host) -> None:
    with n1.without_dns():
        assert n1.run("timeout 0.5 getent hosts some.name.test").returncode == 124
    assert n1.run("timeout 10 getent hosts some.name.test").returncode == 2


@pytest.mark.parametrize(("shell", "say"), [("fish", "$FISH_VERSION"), ("tcsh", "$tcsh"), ("zsh", "$ZSH_VERSION")])
def test_login_shells(n1: Host, shell: str, say: str) -> None:
    with n1.login_shell(f"/usr/bin/{shell}"):
        assert n1.ssh(f"echo {say}").stdout.strip()
    assert not n1.ssh(f"echo {say}").stdout.strip()
