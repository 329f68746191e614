"""A whole talk with a program: bytes both ways, its end, the deadline and the bounds."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import exchange
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.exchange import Completed
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

pytestmark = pytest.mark.usefixtures("no_new_descriptors")

LOCAL = Transport(node="here", kind="local", destination="here")
NOISE = bytes(range(256)) * 4096


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def done(result: Completed | Cause) -> Completed:
    assert isinstance(result, Completed), result
    return result


def failed(result: Completed | Cause) -> Cause:
    assert isinstance(result, Cause), result
    return result


def test_bytes_both_ways_here() -> None:
    result = done(exchange.run(LOCAL, "cat; echo done >&2; exit 7", NOISE, deadline=soon()))
    assert result.stdout == NOISE
    assert (result.stderr, result.exit_code) == (b"done\n", 7)


def test_a_program_that_does_not_read_its_input() -> None:
    result = done(exchange.run(LOCAL, "echo early; exit 3", NOISE, deadline=soon()))
    assert (result.stdout, result.exit_code) == (b"early\n", 3)


def test_a_program_that_closes_its_input() -> None:
    result = done(exchange.run(LOCAL, "exec <&-; sleep 0.2; echo late", NOISE, deadline=soon()))
    assert result.stdout == b"late\n"


def test_a_signal_here() -> None:
    assert done(exchange.run(LOCAL, "kill -TERM $$", deadline=soon())).exit_code == 143


def test_the_deadline_is_hard_and_the_group_dies(tmp_path: Path, eventually: Callable[..., None]) -> None:
    begun = time.monotonic()
    command = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    assert failed(exchange.run(LOCAL, command, deadline=soon(3))).code == "timeout"
    assert time.monotonic() - begun < 20
    child = int((tmp_path / "pid").read_text())
    eventually(lambda: not lives(child), "the program's child is gone too")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_is_bounded() -> None:
    begun = time.monotonic()
    cause = failed(exchange.run(LOCAL, "exec yes", deadline=soon(), max_output=100_000))
    assert cause.code == "protocol"
    assert "100000" in cause.message
    assert time.monotonic() - begun < 5


def test_noise_on_stderr_is_cut_and_does_no_harm() -> None:
    command = "yes | head -c 3000000 >&2; echo fine"
    result = done(exchange.run(LOCAL, command, deadline=soon(), max_output=100_000))
    assert result.stdout == b"fine\n"
    assert 100_000 <= len(result.stderr) < 200_000


def test_a_child_that_keeps_the_output_open_does_not_hold_us() -> None:
    begun = time.monotonic()
    result = done(exchange.run(LOCAL, "sleep 30 & echo $!", deadline=soon()))
    os.kill(int(result.stdout), signal.SIGKILL)
    assert result.exit_code == 0
    assert time.monotonic() - begun < 5


def test_output_of_every_length_is_exact() -> None:
    rng = random.Random(1)
    for size in (0, 1, 65535, 65536, 65537):
        data = rng.randbytes(size)
        result = done(exchange.run(LOCAL, "cat", data, deadline=soon()))
        assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()
