"""Faults of the network do what they say, to the host that they are meant for, and end."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from tests.lab.host import Host, build_fault
from tests.lab.knock import PATIENCE, SILENCE, connect_time, first_words, knock
from tests.lab.laboratory import Lab


@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_cut_host_is_silent_until_healed(n1: Host, direction: str) -> None:
    with n1.begin(build_fault("cut", {"direction": direction})):
        assert knock(n1.address, patience=SILENCE) == "silent"
    assert knock(n1.address) == "banner"


def test_cut_between_two_hosts_concerns_them_alone(n1: Host, n2: Host) -> None:
    n1.cut(peer=n2)
    reach = "timeout 0.5 bash -c '</dev/tcp/n1/22'"
    assert n2.run(reach).returncode == 124
    assert knock(n1.address) == "banner"


def test_host_only_reached_by_way_of_another(lab: Lab) -> None:
    lab.hosts["n3"].only_via(lab.hosts["n1"])
    assert knock(lab.hosts["n3"].address, patience=SILENCE) == "silent"
    jump = ["ssh", "-F", str(lab.ssh_config), "-o", "BatchMode=yes", "-J", "n1", "n3", "hostname"]
    assert subprocess.run(jump, capture_output=True, text=True).stdout == "n3\n"


def test_reset_ends_open_connections(n1: Host) -> None:
    with socket.create_connection((n1.address, 22), PATIENCE) as open_connection:
        assert first_words(open_connection) == "banner"
        n1.reset()
        open_connection.sendall(b"SSH-2.0-test\r\n")
        assert first_words(open_connection) == "reset"


def test_closed_port_refuses_new_connections_alone(n1: Host) -> None:
    with socket.create_connection((n1.address, 22), PATIENCE) as open_connection:
        n1.close_port()
        assert knock(n1.address) == "refused"
        assert first_words(open_connection) == "banner"


def test_loss_is_what_it_says(n1: Host, n2: Host) -> None:
    n1.lose(70)
    silent = sum(knock(n1.address, patience=SILENCE) != "banner" for _ in range(6))
    assert silent > 0
    assert knock(n2.address) == "banner"


def test_delay_adds_to_every_round_trip(n1: Host) -> None:
    assert quickest(n1.address) < 0.1
    with n1.delay(200):
        assert 0.2 <= quickest(n1.address) < 1  # two round trips if the neighbour must be found first
    assert quickest(n1.address) < 0.1


def quickest(address: str) -> float:
    """Of five connections: a busy machine keeps some waiting."""
    return min(connect_time(address) for _ in range(5))


def test_delay_takes_effect_on_open_connections(n1: Host) -> None:
    with socket.create_connection((n1.address, 22), PATIENCE) as open_connection:
        first_words(open_connection)
        n1.delay(200)
        open_connection.settimeout(PATIENCE)
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
