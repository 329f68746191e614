"""The network between here and a node: cut, never healed, reset, an identity that is not the right one."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.command import Toft, until
from tests.faults.report import figure

TALKER = """
import sys, time
end = time.monotonic() + {seconds}
n = 0
while time.monotonic() < end:
    sys.stdout.buffer.write(b"out %09d \\xff\\x00\\r\\n" % n)
    sys.stderr.buffer.write(b"err %09d\\n" % n)
    sys.stdout.flush()
    n += 1
    time.sleep(0.01)
open("/tmp/talked-{tag}", "w").write(str(n))
"""


class Reader(threading.Thread):
    """Collects a stream and remembers when bytes came."""

    def __init__(self, stream: Any) -> None:
        super().__init__(daemon=True)
        self.stream, self.data, self.times = stream, bytearray(), []
        self.start()

    def run(self) -> None:
        while chunk := self.stream.read1(65536):
            self.data += chunk
            self.times.append(time.monotonic())


def expected(lines: int) -> tuple[str, str]:
    out = b"".join(b"out %09d \xff\x00\r\n" % n for n in range(lines))
    err = b"".join(b"err %09d\n" % n for n in range(lines))
    return hashlib.sha256(out).hexdigest(), hashlib.sha256(err).hexdigest()


def test_a_cut_in_the_middle_of_a_stream_costs_only_time(lab_toft: Toft, lab) -> None:
    """Promise 1: the link is cut for 10 s and for 60 s; not a byte is lost, and it goes on soon after the heal."""
    cuts = {"n1": 10, "n2": 60}
    lab_toft("status")
    running = {}
    for name, seconds in cuts.items():
        script = TALKER.format(seconds=seconds + 10, tag=name)
        process = lab_toft.begin("-q", "offload", name, "python3", "-c", script)
        running[name] = (process, Reader(process.stdout), Reader(process.stderr))
    for _, out, _ in running.values():
        until(lambda out=out: len(out.data) > 1000, what="the first output")
    healed = {}
    begun = {name: lab.hosts[name].cut() for name in cuts}
    start = time.monotonic()
    for name, seconds in sorted(cuts.items(), key=lambda item: item[1]):
        time.sleep(max(0.0, start + seconds - time.monotonic()))
        begun[name].end()
        healed[name] = time.monotonic()
    for name, (process, out, err) in running.items():
        assert process.wait(60) == 0
        out.join(10)
        err.join(10)
        lines = int(lab.hosts[name].run(f"cat /tmp/talked-{name}").stdout)
        wanted = expected(lines)
        got = hashlib.sha256(out.data).hexdigest(), hashlib.sha256(err.data).hexdigest()
        resumed = next(t for t in out.times if t > healed[name]) - healed[name]
        figure(
            1, f"cut {cuts[name]} s: {len(out.data)} + {len(err.data)} bytes, resumed {resumed:.1f} s after the heal"
        )
        assert got == wanted
        assert resumed <= 5


def test_a_cut_that_never_heals_ends_in_unknown_and_the_job_lives(lab_toft: Toft, lab) -> None:
    """Promise 2: 255 with the job's id, soon after the limit that was set."""
    limit = 10
    lab_toft.env["TOFT_RECONNECT_TIMEOUT"] = str(limit)
    process = lab_toft.begin("offload", "n1", "--", "sh", "-c", "echo started; sleep 45; echo ended > /tmp/lived")
    out = Reader(process.stdout)
    err = Reader(process.stderr)
    until(lambda: b"started" in out.data)
    with lab.hosts["n1"].cut():
        cut_at = time.monotonic()
        assert process.wait(limit + 40) == 255
        verdict = time.monotonic() - cut_at
        err.join(5)
        said = err.data.decode()
        figure(2, f"limit {limit} s: verdict after {verdict:.1f} s")
        assert verdict <= limit + 15
        job_id = re.search(r"\bj[a-z0-9]{10}\b", said)
        assert job_id, said
        assert lab.hosts["n1"].run("pgrep -fc '[s]leep 45'").stdout.strip() != "0", "the job lives"
    (job,) = [job for job in lab_toft.jobs() if job["id"] == job_id[0]]
    assert job["state"] == "running"
    assert lab_toft("kill", job["id"]).returncode == 0


def test_a_reset_is_reattached(lab_toft: Toft, lab) -> None:
    """Promise 5: TCP resets in the middle of a stream."""
    resets = 3
    process = lab_toft.begin("offload", "n1", "python3", "-c", TALKER.format(seconds=20, tag="reset"))
    out, err = Reader(process.stdout), Reader(process.stderr)
    until(lambda: len(out.data) > 1000)
    for _ in range(resets):
        with lab.hosts["n1"].reset():
            time.sleep(2)
        seen = len(out.data)
        until(lambda seen=seen: len(out.data) > seen + 1000, within=15, what="output after the reset")
    assert process.wait(60) == 0
    out.join(10)
    err.join(10)
    lines = int(lab.hosts["n1"].run("cat /tmp/talked-reset").stdout)
    own = b"".join(line for line in bytes(err.data).splitlines(True) if not line.startswith(b"toft: "))
    got = hashlib.sha256(out.data).hexdigest(), hashlib.sha256(own).hexdigest()
    reattached = bytes(err.data).count(b" is back")
    figure(5, f"{resets} resets: reattached {reattached} times, {len(out.data)} bytes equal")
    assert got == expected(lines)
    assert reattached == resets


def test_a_changed_host_key_and_a_reused_address_are_refused(lab_toft: Toft, lab) -> None:
    """Promise 8: nothing runs on a host that is not the one it is taken for."""
    misroutes = 0
    with lab.hosts["n1"].change_host_key():
        done = lab_toft("offload", "n1", "touch", "/tmp/misrouted")
        assert done.returncode == 125
        assert "host key" in done.stderr.decode()
        misroutes += lab.hosts["n1"].run("test -e /tmp/misrouted").returncode == 0
        (node,) = lab_toft.json("status", "n1")["nodes"]
        assert node["cause"]["code"] == "host_key_changed"
        assert "ssh-keygen -R" in node["cause"]["fix"]
    lab.heal()
    assert lab_toft("offload", "n1", "true").returncode == 0, "with an open master"
    lab.swap_addresses("n1", "n2")
    done = lab_toft("offload", "n1", "touch", "/tmp/misrouted", timeout=60)
    assert done.returncode in (125, 255), done.stderr
    for name in ("n1", "n2"):
        misroutes += lab.hosts[name].run("test -e /tmp/misrouted").returncode == 0
    figure(8, f"misroutes {misroutes}")
    assert misroutes == 0


def test_a_master_that_outlived_its_node_is_replaced(lab_toft: Toft, lab) -> None:
    """Promise 7: the node was restarted under an open connection."""
    assert lab_toft("offload", "n1", "true").returncode == 0
    lab.hosts["n1"].power_cut()
    lab.hosts["n1"].boot()
    begun = time.monotonic()
    done = lab_toft("offload", "n1", "echo", "again")
    took = time.monotonic() - begun
    assert (done.returncode, done.stdout) == (0, b"again\n"), done.stderr
    figure(7, f"the first command after a node's power cut and start: {took:.1f} s")
    assert took <= 10


CAUSES = {
    "sshd down": ("without_sshd", {}, "refused"),
    "port closed": ("close_port", {}, "refused"),
    "auth refused": ("refuse_auth", {}, "auth"),
    # The last, since it leaves an open connection, which none of the others would touch.
    "no python": ("without_python", {}, "no_python"),
}


def test_each_cause_is_named_with_its_fix(lab_toft: Toft, lab) -> None:
    """Promise 12: sshd down, port closed, no python, dead name, authentication refused, frozen, cut."""
    right = 0
    for what, (fault, settings, code) in CAUSES.items():
        with getattr(lab.hosts["n1"], fault)(**settings):
            right += _told(lab_toft, "n1", code, what)
    whole, lab_toft.inventory = (
        lab_toft.inventory,
        lab.write_inventory("dead.yml", {"n1": {"ansible_host": "no.such.name.invalid"}}),
    )
    right += _told(lab_toft, "n1", "dns", "dead name")
    lab_toft.inventory = whole
    with lab.hosts["n2"].freeze():
        right += _told(lab_toft, "n2", "timeout", "frozen")
    with lab.hosts["n3"].cut():
        right += _told(lab_toft, "n3", "timeout", "cut")
    total = len(CAUSES) + 3
    figure(12, f"causes named with a fix: {right}/{total}")
    assert right == total


def _told(toft: Toft, node: str, code: str, what: str) -> bool:
    """An offload there ends with 125, names the cause and says what to type."""
    done = toft("--debug", "offload", node, "true", timeout=60)
    said = done.stderr.decode()
    named = done.returncode == 125 and "try: " in said
    if code != "no_python":
        (told,) = toft.json("status", node)["nodes"]
        named = named and told["cause"] is not None and told["cause"]["code"] == code and bool(told["cause"]["fix"])
    if not named:
        print(f"{what}: exit {done.returncode}, {said}")
    return named


@pytest.mark.parametrize("name", ["-oProxyCommand=touch${IFS}/tmp/toft-owned", "`id`", "../x", "a b"])
def test_a_name_that_is_none_is_refused_at_entry(toft: Toft, tmp_path: Path, name: str) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(f"all:\n  hosts:\n    {name!r}: {{}}\n")
    toft.inventory = inventory
    for words in (["status"], ["route", "make"], ["offload", "true"], ["exec", "all", "true"]):
        done = toft(*words)
        assert done.returncode == 2, done.stderr
        assert "hosts.yml:3" in done.stderr.decode()
    assert not Path("/tmp/toft-owned").exists()
