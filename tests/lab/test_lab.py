"""The lab's hosts are what they say they are, in both forms, and the command line reaches them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fixtures import demand_machine
from tests.lab.host import Host
from tests.lab.knock import SILENCE, knock
from tests.lab.laboratory import Lab, light_names, system_names

COMMAND_LINE = Path(__file__).with_name("lab.py")


def boot_id(host: Host) -> str:
    return host.do("cat /proc/sys/kernel/random/boot_id")


def test_hosts_are_whole_systems(lab: Lab) -> None:
    for host in lab.hosts.values():
        assert host.do("systemctl is-system-running").strip() == "running"
        assert host.do("cat /etc/hostname").strip() == host.name
    assert len({host.do("cat /etc/machine-id") for host in lab.hosts.values()}) == 3
    assert len({boot_id(host) for host in lab.hosts.values()}) == 3


def test_ssh_with_key_checking_reaches_each_host(lab: Lab) -> None:
    for host in lab.hosts.values():
        done = host.ssh("hostname; id -un; sudo -n id -un")
        assert (done.returncode, done.stdout) == (0, f"{host.name}\nfleet\nroot\n")
        assert host.ssh("id -un", user="root").stdout == "root\n"


def test_inventory_serves_ansible(lab: Lab) -> None:
    ansible = Path(sys.executable).with_name("ansible")
    command = [str(ansible), "-i", str(lab.inventory), "builders:workers", "-m", "raw", "-a", "true"]
    strict = {**os.environ, "ANSIBLE_HOST_KEY_CHECKING": "True", "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    done = subprocess.run(command, capture_output=True, text=True, env=strict)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| CHANGED |") == 3


def test_hosts_reach_each_other_by_name(n1: Host, n2: Host) -> None:
    assert n1.run("exec 3<>/dev/tcp/n2/22; head -c 7 <&3".join(["bash -c '", "'"])).stdout == "SSH-2.0"


@pytest.fixture(scope="module")
def ten(lab_machine: None) -> Iterator[Lab]:
    ten = Lab.up(light=light_names(10), sshd_defaults=False)
    yield ten
    ten.down()


def test_light_hosts_are_hosts_of_their_own(ten: Lab) -> None:
    answers: set[str] = set()
    ten.each(lambda host: answers.add(host.ssh("hostname; id -un; sudo -n id -un").stdout))
    assert answers == {f"h{number}\nfleet\nroot\n" for number in range(1, 11)}
    assert len({boot_id(host) for host in ten.hosts.values()}) == 10
    assert ten.hosts["h1"].do("cd /proc; echo [0-9]*").count(" ") < 6  # its processes alone


def test_light_hosts_take_faults(ten: Lab) -> None:
    first, second = ten.hosts["h1"], ten.hosts["h2"]
    with first.without_sshd():
        assert knock(first.address) == "refused"
    first.freeze()  # also the sshd that was started anew
    assert knock(first.address, patience=SILENCE) == "mute"
    second.power_cut()
    assert knock(second.address, patience=SILENCE) == "silent"
    ten.heal()
    assert (knock(first.address), knock(second.address)) == ("banner", "banner")


def test_command_line_begins_and_ends_faults(lab: Lab, n1: Host) -> None:
    def command(verb: str, *words: str) -> str:
        line = [sys.executable, str(COMMAND_LINE), verb, "--name", lab.id, "n1", *words]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    command("fault", "cut", "direction=in")
    assert knock(n1.address, patience=SILENCE) == "silent"
    assert command("run", "hostname") == "n1\n"
    command("heal")
    assert command("ssh", "hostname") == "n1\n"


def test_machine_that_cannot_hold_a_lab_is_skipped_but_fails_in_ci() -> None:
    demand_machine(None, in_ci=True)
    with pytest.raises(pytest.skip.Exception, match="no root"):
        demand_machine("no root", in_ci=False)
    with pytest.raises(pytest.fail.Exception, match="no root"):
        demand_machine("no root", in_ci=True)


def test_names_of_hosts() -> None:
    assert (system_names(2), light_names(1)) == (["n1", "n2"], ["h1"])
