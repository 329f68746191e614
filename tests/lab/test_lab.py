"""The lab is true: its hosts are what they say, faults do what they say, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.claim import Claim, read_claims
from tests.lab.fixtures import demand_machine
from tests.lab.host import Host, build_fault
from tests.lab.laboratory import Lab, light_names, sweep, system_names
from tests.lab.network import IP_FORWARD
from tests.lab.traces import namespaces, traces

COMMAND_LINE = Path(__file__).with_name("lab.py")
PATIENCE = 0.5


def knock(address: str, port: int = 22) -> str:
    """What a client meets that connects: a banner, refused, reset, mute (connected, but no word), silent."""
    try:
        with socket.create_connection((address, port), PATIENCE) as connection:
            return _first_words(connection)
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"


def _first_words(connection: socket.socket) -> str:
    connection.settimeout(PATIENCE)
    try:
        return "banner" if connection.recv(64).startswith(b"SSH-2.0") else "closed"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "mute"


def connect_time(address: str) -> float:
    began = time.monotonic()
    socket.create_connection((address, 22), 5).close()
    return time.monotonic() - began


def boot_id(host: Host) -> str:
    return host.do("cat /proc/sys/kernel/random/boot_id")


@pytest.fixture
def n1(lab: Lab) -> Host:
    return lab.hosts["n1"]


@pytest.fixture
def n2(lab: Lab) -> Host:
    return lab.hosts["n2"]


# what the hosts are


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


# power


def test_frozen_host_is_mute_until_thawed(n1: Host, n2: Host) -> None:
    n1.freeze()
    assert (knock(n1.address), knock(n2.address)) == ("mute", "banner")
    assert n1.run("hostname").stdout == "n1\n"  # the way in from outside stays open
    n1.thaw()
    assert knock(n1.address) == "banner"


def test_power_cut_says_no_goodbye_and_loses_what_ran(n1: Host) -> None:
    before = boot_id(n1)
    n1.do("echo kept > /var/tmp/kept; echo gone > /run/gone")
    with socket.create_connection((n1.address, 22), 2) as open_connection:
        assert _first_words(open_connection) == "banner"
        n1.power_cut()
        assert not n1.is_on()
        assert _first_words(open_connection) == "mute"  # neither an end nor a reset arrives
        n1.boot()
    assert boot_id(n1) != before
    assert n1.do("cat /var/tmp/kept; ls /run/gone 2>&- || echo lost") == "kept\nlost\n"
    assert float(n1.do("cut -d' ' -f1 /proc/uptime")) < 30


def test_faults_outside_the_host_outlive_its_restart(n1: Host) -> None:
    n1.cut("in")
    n1.without_sshd()
    n1.reboot()
    assert [fault.name for fault in n1.faults()] == ["cut"]
    assert knock(n1.address) == "silent"


def test_hosts_that_went_down_by_themselves_are_healed(lab: Lab, n1: Host, n2: Host) -> None:
    before = boot_id(n1)
    n1.run("systemctl reboot")
    n2.run("systemctl poweroff")
    lab.heal()
    assert boot_id(n1) != before
    assert (knock(n1.address), knock(n2.address)) == ("banner", "banner")


def test_slow_host_takes_its_time(n1: Host) -> None:
    count = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"
    with n1.slow(0.1):
        slow = _seconds(n1, count)
    assert slow > 3 * _seconds(n1, count)


def _seconds(host: Host, command: str) -> float:
    began = time.monotonic()
    assert host.run(command, native=True).returncode == 0
    return time.monotonic() - began


def test_small_memory_kills_what_is_too_large(n1: Host) -> None:
    eat = "python3 -c 'x = b\"x\" * 300_000_000'"
    with n1.small_memory(100_000_000):
        assert n1.run(eat, native=True).returncode == 137
    assert n1.run(eat, native=True).returncode == 0


# the network


@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_cut_host_is_silent_until_healed(n1: Host, direction: str) -> None:
    with n1.begin(build_fault("cut", {"direction": direction})):
        assert knock(n1.address) == "silent"
    assert knock(n1.address) == "banner"


def test_cut_between_two_hosts_concerns_them_alone(n1: Host, n2: Host) -> None:
    n1.cut(peer=n2)
    reach = "timeout 0.5 bash -c '</dev/tcp/n1/22'"
    assert n2.run(reach).returncode == 124
    assert knock(n1.address) == "banner"


def test_host_only_reached_by_way_of_another(lab: Lab) -> None:
    lab.hosts["n3"].only_via(lab.hosts["n1"])
    assert knock(lab.hosts["n3"].address) == "silent"
    jump = ["ssh", "-F", str(lab.ssh_config), "-o", "BatchMode=yes", "-J", "n1", "n3", "hostname"]
    assert subprocess.run(jump, capture_output=True, text=True).stdout == "n3\n"


def test_reset_ends_open_connections(n1: Host) -> None:
    with socket.create_connection((n1.address, 22), 2) as open_connection:
        assert _first_words(open_connection) == "banner"
        n1.reset()
        open_connection.sendall(b"SSH-2.0-test\r\n")
        assert _first_words(open_connection) == "reset"


def test_closed_port_refuses_new_connections_alone(n1: Host) -> None:
    with socket.create_connection((n1.address, 22), 2) as open_connection:
        n1.close_port()
        assert knock(n1.address) == "refused"
        assert _first_words(open_connection) == "banner"


def test_loss_is_what_it_says(n1: Host, n2: Host) -> None:
    n1.lose(70)
    silent = sum(knock(n1.address) != "banner" for _ in range(6))
    assert silent > 0
    assert knock(n2.address) == "banner"


def test_delay_adds_to_every_round_trip(n1: Host) -> None:
    assert connect_time(n1.address) < 0.1
    with n1.delay(200):
        assert 0.2 <= connect_time(n1.address) < 0.4
    assert connect_time(n1.address) < 0.1


def test_delay_takes_effect_on_open_connections(n1: Host) -> None:
    with socket.create_connection((n1.address, 22), 2) as open_connection:
        _first_words(open_connection)
        n1.delay(200)
        open_connection.settimeout(2)
        began = time.monotonic()
        open_connection.sendall(b"nonsense\r\n")
        open_connection.recv(64)
        assert time.monotonic() - began >= 0.2


def test_rate_bounds_the_throughput(n1: Host) -> None:
    n1.rate(4)
    began = time.monotonic()
    assert len(n1.ssh("head -c 500000 /dev/zero").stdout) == 500_000
    assert time.monotonic() - began > 500_000 * 8 / 4e6 * 0.8


def test_swapped_addresses_show_the_wrong_key(lab: Lab, n1: Host) -> None:
    lab.swap_addresses("n1", "n2")
    done = n1.ssh("hostname")
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    as_other = ["ssh", "-F", str(lab.ssh_config), "-o", "HostKeyAlias=n2", "n1", "hostname"]
    assert subprocess.run(as_other, capture_output=True, text=True).stdout == "n2\n"
    lab.heal()
    assert n1.ssh("hostname").stdout == "n1\n"


# the system


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
    assert n1.run("timeout 0.5 getent hosts some.name.test").returncode == 2


@pytest.mark.parametrize(
    ("shell", "say"), [("fish", "$FISH_VERSION"), ("tcsh", "$tcsh"), ("zsh", "$ZSH_VERSION")]
)
def test_login_shells(n1: Host, shell: str, say: str) -> None:
    with n1.login_shell(f"/usr/bin/{shell}"):
        assert n1.ssh(f"echo {say}").stdout.strip()
    assert not n1.ssh(f"echo {say}").stdout.strip()


# the light form


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
    assert knock(first.address) == "mute"
    second.power_cut()
    assert knock(second.address) == "silent"
    ten.heal()
    assert (knock(first.address), knock(second.address)) == ("banner", "banner")


# the end


def test_teardown_leaves_nothing(lab_machine: None) -> None:
    forwarding = IP_FORWARD.read_text()
    short = Lab.up(["a1"], ["b1"], nat=True)
    short.hosts["a1"].delay(10)
    short.hosts["a1"].slow(0.5)
    short.hosts["b1"].cut()
    inside = namespaces(short.claim)
    kinds = {line.split()[0] for line in traces(short.claim, inside)}
    assert kinds == {"mount", "control", "link", "rule", "directory", "file", "process"}
    short.down()
    assert traces(short.claim, inside) == set()
    assert IP_FORWARD.read_text() == forwarding


def test_failed_bring_up_leaves_nothing(lab_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Host) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(Host, "await_up", fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        Lab.up(light=["c1"], lab_id="failing")
    assert not [claim for claim in read_claims() if claim.id == "failing"]


@pytest.mark.parametrize("complete", [True, False], ids=["when up", "while coming up"])
def test_sweep_after_a_killed_owner_leaves_nothing(lab_machine: None, complete: bool) -> None:
    lab_id = f"kill{int(complete)}"
    command = [sys.executable, str(COMMAND_LINE), "up", "--hosts", "1", "--light", "2", "--name", lab_id]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert owner.stdout is not None
    claim = _await_claim(lab_id)
    if complete:
        assert any("Ctrl-C" in line for line in owner.stdout)
    inside = namespaces(claim) if complete else frozenset[str]()
    os.kill(owner.pid, signal.SIGKILL)
    owner.stdout.read()  # until the tools that it had started have ended as well
    owner.stdout.close()
    owner.wait()
    assert traces(claim, inside)
    assert lab_id in sweep()
    assert traces(claim, inside) == set()


def _await_claim(lab_id: str) -> Claim:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for claim in read_claims():
            if claim.id == lab_id:
                return claim
        time.sleep(0.01)
    raise TimeoutError(lab_id)


def test_sweep_spares_what_is_owned_or_kept(lab: Lab) -> None:
    command = [sys.executable, str(COMMAND_LINE)]
    subprocess.run(
        [*command, "up", "--light", "1", "--name", "kept", "--keep"], check=True, capture_output=True
    )
    try:
        assert not {"kept", lab.id} & set(sweep())
        assert knock(Lab.attach("kept").hosts["h1"].address) == "banner"
    finally:
        done = subprocess.run([*command, "down", "kept"], capture_output=True, text=True)
    assert done.stdout == "taken down: kept\n"


def test_command_line_begins_and_ends_faults(lab: Lab, n1: Host) -> None:
    def command(verb: str, *words: str) -> str:
        line = [sys.executable, str(COMMAND_LINE), verb, "--name", lab.id, "n1", *words]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    command("fault", "cut", "direction=in")
    assert knock(n1.address) == "silent"
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
