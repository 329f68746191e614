"""Power and the machine under a host: frozen, cut off, restarted, slow, short of memory."""

from __future__ import annotations

import resource
import socket
import time

from tests.lab.host import Host
from tests.lab.knock import PATIENCE, SILENCE, first_words, knock
from tests.lab.laboratory import Lab


def boot_id(host: Host) -> str:
    return host.do("cat /proc/sys/kernel/random/boot_id")


def test_frozen_host_is_mute_until_thawed(n1: Host, n2: Host) -> None:
    n1.freeze()
    assert (knock(n1.address, patience=SILENCE), knock(n2.address)) == ("mute", "banner")
    assert n1.run("hostname").stdout == "n1\n"  # the way in from outside stays open
    n1.thaw()
    assert knock(n1.address) == "banner"


def test_power_cut_says_no_goodbye_and_loses_what_ran(n1: Host) -> None:
    before = boot_id(n1)
    n1.do("echo kept > /var/tmp/kept; echo gone > /run/gone")
    with socket.create_connection((n1.address, 22), PATIENCE) as open_connection:
        assert first_words(open_connection) == "banner"
        cut_at = time.monotonic()
        n1.power_cut()
        assert not n1.is_on()
        assert first_words(open_connection, SILENCE) == "mute"  # neither an end nor a reset arrives
        n1.boot()
    assert boot_id(n1) != before
    assert n1.do("cat /var/tmp/kept; ls /run/gone 2>&- || echo lost") == "kept\nlost\n"
    # The clock of a host begins at the fraction of a second that this machine's is at.
    assert float(n1.do("cut -d' ' -f1 /proc/uptime")) <= time.monotonic() - cut_at + 1


def test_faults_outside_the_host_outlive_its_restart(n1: Host) -> None:
    n1.cut("in")
    n1.without_sshd()
    n1.reboot()
    assert [fault.name for fault in n1.faults()] == ["cut"]
    assert knock(n1.address, patience=SILENCE) == "silent"


def test_hosts_that_went_down_by_themselves_are_healed(lab: Lab, n1: Host, n2: Host) -> None:
    before = boot_id(n1)
    n1.run("systemctl reboot")
    n2.run("systemctl poweroff")
    lab.heal()
    assert boot_id(n1) != before
    assert (knock(n1.address), knock(n2.address)) == ("banner", "banner")


def test_slow_host_takes_its_time(n1: Host) -> None:
    count = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    with n1.slow(0.1):
        seconds, used = _seconds(n1, count)
    assert used < 0.3 * seconds, "a tenth, and what was used on the way into the host"


def _seconds(host: Host, command: str) -> tuple[float, float]:
    """What it took, and what it used of a CPU meanwhile: a busy machine makes only the first longer."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    assert host.run(command, native=True).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, used


def test_small_memory_kills_what_is_too_large(n1: Host) -> None:
    eat = "python3 -c 'x = b\"x\" * 300_000_000'"
    with n1.small_memory(100_000_000):
        assert n1.run(eat, native=True).returncode == 137
    assert n1.run(eat, native=True).returncode == 0
