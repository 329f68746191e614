"""Nothing of a lab stays behind, however it ended; and no lab is swept away that is still wanted."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.claim import Claim, read_claims
from tests.lab.host import Host
from tests.lab.knock import knock
from tests.lab.laboratory import Lab, sweep
from tests.lab.machine import cache_directory
from tests.lab.network import IP_FORWARD
from tests.lab.rootfs import locked
from tests.lab.traces import namespaces, traces

COMMAND_LINE = Path(__file__).with_name("lab.py")


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
    lab_id = _fresh_id()
    with pytest.raises(RuntimeError, match="on purpose"):
        Lab.up(light=["c1"], lab_id=lab_id)
    assert not [claim for claim in read_claims() if claim.id == lab_id]


@pytest.mark.parametrize("complete", [True, False], ids=["when up", "while coming up"])
def test_sweep_after_a_killed_owner_leaves_nothing(lab_machine: None, complete: bool) -> None:
    lab_id = _fresh_id()
    command = [sys.executable, str(COMMAND_LINE), "up", "--hosts", "1", "--light", "2", "--name", lab_id]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert owner.stdout is not None
    claim = _await_claim(lab_id)
    if complete:
        assert any("Ctrl-C" in line for line in owner.stdout)
    inside = namespaces(claim) if complete else frozenset[str]()
    with locked(cache_directory() / "claims.lock"):  # so that no other `up` sweeps meanwhile
        os.kill(owner.pid, signal.SIGKILL)
        owner.stdout.close()
        owner.wait()
        _await_end_of_session(owner.pid)  # the tools that it had started end by themselves
        assert claim.abandoned()
        assert traces(claim, inside)
    sweep()  # or another `up` was quicker
    assert traces(claim, inside) == set()


def _fresh_id() -> str:
    """One that a run of another checkout on this machine does not use."""
    return f"t{secrets.token_hex(3)}"


def _await_claim(lab_id: str) -> Claim:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for claim in read_claims():
            if claim.id == lab_id:
                return claim
        time.sleep(0.01)
    raise TimeoutError(lab_id)


def _await_end_of_session(leader: int) -> None:
    deadline = time.monotonic() + 20
    while any(_session(entry) == leader for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _session(process: Path) -> int | None:
    try:
        return os.getsid(int(process.name))
    except ProcessLookupError:
        return None


def test_sweep_spares_what_is_owned_or_kept(lab: Lab) -> None:
    command, kept = [sys.executable, str(COMMAND_LINE)], _fresh_id()
    try:
        subprocess.run([*command, "up", "--light", "1", "--name", kept, "--keep"], check=True, capture_output=True)
        assert not {kept, lab.id} & set(sweep())
        assert knock(Lab.attach(kept).hosts["h1"].address) == "banner"
    finally:
        done = subprocess.run([*command, "down", kept], capture_output=True, text=True)
    assert done.stdout.startswith("taken down: ")
    assert done.stdout.split()[-1] == kept, "after those that it swept away"
