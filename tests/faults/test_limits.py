"""A node that is full, arguments and output that are too much."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from tests.command import Toft
from tests.faults.report import figure
from tests.faults.test_bytes import _idle_rss, _rss

STATE = "/home/fleet/.local/state/toft"


@pytest.mark.parametrize("what", ["disk", "inodes"])
def test_a_full_node_starts_nothing_and_is_named(lab_toft: Toft, lab, what: str) -> None:
    """Promise 21, before a start."""
    host = lab.hosts["n1"]
    assert lab_toft("offload", "n1", "true").returncode == 0
    host.run("rm -f /tmp/ran")
    fault = host.fill_disk(STATE) if what == "disk" else host.fill_inodes(STATE)
    with fault:
        done = lab_toft("offload", "n1", "touch", "/tmp/ran")
        said = done.stderr.decode()
        assert (done.returncode, done.stdout) == (125, b""), said
        assert "disk full" in said
        assert "n1" in said
        assert "try: " in said
    assert host.run("test -e /tmp/ran").returncode == 1
    assert lab_toft("offload", "n1", "touch", "/tmp/ran").returncode == 0
    figure(21, f"no {'room' if what == 'disk' else 'inodes'} on the node: 125, named, nothing ran; then it ran")


def test_a_disk_that_fills_during_a_run_is_the_commands_own_affair(lab_toft: Toft, lab) -> None:
    """Promise 21, during a run: the command's own exit code and words, not ours."""
    host = lab.hosts["n1"]
    host.run("mkdir -p /home/fleet/small && mount -t tmpfs -o size=1m,uid=$(id -u fleet) small /home/fleet/small")
    try:
        done = lab_toft("-q", "offload", "n1", "dd", "if=/dev/zero", "of=/home/fleet/small/x", "bs=64k", "count=99")
    finally:
        host.run("umount -l /home/fleet/small")
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"toft:" not in done.stderr
    figure(21, "a command whose own disk fills: its exit code 1 and its own words")


def test_long_arguments_and_many_variables(lab_toft: Toft, tmp_path: Path) -> None:
    """Promise 26: it works, or 125 before anything starts."""
    script = "import os, sys; print(len(sys.argv) - 1, sum(map(len, sys.argv[1:])), "
    script += "sum(name.startswith('MANY_') and value == 'v' * 100 for name, value in os.environ.items()))"
    argv = ["y" * 1000] * 1000
    file = tmp_path / "many.env"
    file.write_text("".join(f"MANY_{n}={'v' * 100}\n" for n in range(1000)))
    done = lab_toft("-q", "offload", "--env-file", str(file), "n1", "python3", "-c", script, *argv)
    assert done.returncode == 0, done.stderr[-300:]
    assert done.stdout.split() == [b"1000", b"1000000", b"1000"]
    whole = lab_toft("offload", "n1", "echo", "x" * ((128 << 10) - 100))
    assert (whole.returncode, len(whole.stdout)) == (0, (128 << 10) - 100 + 1)
    figure(26, "1,000 arguments of 1,000 bytes with 1,000 variables, and one of nearly 128 KiB: intact")


@pytest.mark.timeout(600)
def test_a_gigabyte_arrives_equal_in_bounded_memory(cold_lab_toft: Toft, lab) -> None:
    """Promise 22, with what plain ssh takes for the same."""
    blocks = 1 << 10
    line = f"import sys\nb = bytes(range(256)) * 4096\nfor _ in range({blocks}): sys.stdout.buffer.write(b)"
    digest = hashlib.sha256()
    for _ in range(blocks):
        digest.update(bytes(range(256)) * 4096)
    assert cold_lab_toft("-q", "offload", "n1", "true").returncode == 0
    begun = time.monotonic()
    got, peak = _taken(cold_lab_toft.begin("-q", "offload", "n1", "python3", "-c", line))
    ours = time.monotonic() - begun
    assert got == digest.hexdigest()
    begun = time.monotonic()
    argv = lab.hosts["n1"].ssh_argv(f"python3 -c {shlex.quote(line)}")
    theirs, _ = _taken(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
    plain = time.monotonic() - begun
    assert theirs == got
    idle = _idle_rss()
    figure(22, f"1 GB equal in {ours:.1f} s, ssh {plain:.1f} s; {(peak - idle) >> 20} MiB above an idle toft")
    assert idle // 2 < peak <= idle + (64 << 20)


def _taken(process: subprocess.Popen[bytes]) -> tuple[str, int]:
    """The digest of all that it says; the most memory that its session held, looked at five times a second."""
    got, peak, look = hashlib.sha256(), 0, 0.0
    with process:
        assert process.stdout
        while data := process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            got.update(data)
            if time.monotonic() > look:
                peak, look = max(peak, _rss(process.pid)), time.monotonic() + 0.2
    assert process.returncode == 0
    return got.hexdigest(), peak


def test_a_slow_reader_holds_the_command_back(cold_lab_toft: Toft, lab) -> None:
    """Promise 22: neither we nor the node keep much of what nobody reads yet. The node believes for ten seconds
    that somebody is there who says nothing."""
    process = cold_lab_toft.begin("-q", "offload", "n1", "sh", "-c", "echo $$; exec head -c 300000000 /dev/zero")
    assert process.stdout
    first = os.read(process.stdout.fileno(), 1 << 16)
    time.sleep(14)
    peak = _rss(process.pid)
    (job,) = [job for job in cold_lab_toft.jobs() if job["state"] == "running"]
    held = int(lab.hosts["n1"].run(f"du -sb {STATE}/jobs/{job['id']} | cut -f1").stdout)
    total = len(first)
    while data := process.stdout.read1(1 << 20):
        total += len(data)
    assert process.wait(60) == 0
    idle = _idle_rss()
    figure(
        22,
        f"a reader that stops: {(peak - idle) >> 20} MiB above an idle toft, {held >> 20} MiB held on the node",
    )
    assert total == 300_000_000 + len(first.partition(b"\n")[0]) + 1
    assert idle // 2 < peak <= idle + (64 << 20)
    assert held < 100 << 20
