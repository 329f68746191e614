"""Bytes to a program and back: on this machine, over plain ssh, over a kept-open master."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import channel
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.channel import Channel, Completed
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
    result = done(channel.run(LOCAL, "cat; echo done >&2; exit 7", NOISE, deadline=soon()))
    assert result.stdout == NOISE
    assert (result.stderr, result.exit_code) == (b"done\n", 7)


def test_a_program_that_does_not_read_its_input() -> None:
    result = done(channel.run(LOCAL, "echo early; exit 3", NOISE, deadline=soon()))
    assert (result.stdout, result.exit_code) == (b"early\n", 3)


def test_a_program_that_closes_its_input() -> None:
    result = done(channel.run(LOCAL, "exec <&-; sleep 0.2; echo late", NOISE, deadline=soon()))
    assert result.stdout == b"late\n"


def test_a_signal_here() -> None:
    assert done(channel.run(LOCAL, "kill -TERM $$", deadline=soon())).exit_code == 143


def test_the_deadline_is_hard_and_the_group_dies(tmp_path: Path, eventually: Callable[..., None]) -> None:
    begun = time.monotonic()
    command = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    assert failed(channel.run(LOCAL, command, deadline=soon(0.4))).code == "timeout"
    assert time.monotonic() - begun < 2
    child = int((tmp_path / "pid").read_text())
    eventually(lambda: not lives(child), "the program's child is gone too")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_is_bounded() -> None:
    begun = time.monotonic()
    cause = failed(channel.run(LOCAL, "exec yes", deadline=soon(), max_output=100_000))
    assert cause.code == "protocol"
    assert "100000" in cause.message
    assert time.monotonic() - begun < 5


def test_noise_on_stderr_is_cut_and_does_no_harm() -> None:
    command = "yes | head -c 3000000 >&2; echo fine"
    result = done(channel.run(LOCAL, command, deadline=soon(), max_output=100_000))
    assert result.stdout == b"fine\n"
    assert 100_000 <= len(result.stderr) < 200_000


def test_a_child_that_keeps_the_output_open_does_not_hold_us() -> None:
    begun = time.monotonic()
    result = done(channel.run(LOCAL, "sleep 30 & echo $!", deadline=soon()))
    os.kill(int(result.stdout), signal.SIGKILL)
    assert result.exit_code == 0
    assert time.monotonic() - begun < 5


def test_a_channel_in_pieces() -> None:
    with opened(channel.open(LOCAL, "read x; echo got $x; cat", deadline=soon())) as pieces:
        assert pieces.kind == "local"
        assert not any(os.get_inheritable(fd) for fd in (pieces.stdin, pieces.stdout, pieces.stderr))
        assert pieces.wait(time.monotonic()) is None
        os.write(pieces.stdin, b"one\n")
        assert os.read(pieces.stdout, 100) == b"got one\n"
        os.write(pieces.stdin, b"two")
        pieces.close_stdin()
        assert os.read(pieces.stdout, 100) == b"two"
        assert os.read(pieces.stdout, 100) == b""
        assert pieces.wait(soon()) == 0
        assert pieces.failure(0, b"") is None


def test_no_descriptors_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> tuple[int, int]:
        made.append(made[0])
        if len(made) > 3:
            raise OSError(24, "Too many open files")
        return real()

    real, made = os.pipe, [0]
    monkeypatch.setattr(os, "pipe", full)
    cause = failed(channel.run(LOCAL, "true", deadline=soon()))
    assert "Too many open files" in cause.message


def test_ssh_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    plain = Transport(node="pi", kind="ssh", destination="127.0.0.1")
    result = channel.open_plain(plain, "true", deadline=soon())
    assert isinstance(result, Cause)
    assert "ssh cannot be started" in result.message


def test_what_only_ansible_reaches_is_refused_with_its_reason() -> None:
    other = Transport(node="pi", kind="other", destination="pi", reason="it is reached with a password")
    assert "a password" in failed(channel.run(other, "true", deadline=soon())).message


def opened(result: Channel | Cause) -> Channel:
    assert isinstance(result, Channel), result
    return result


def plain(sshd: Any, command: str, data: bytes = b"", **more: Any) -> Completed | Cause:
    """A run over an ssh of its own."""
    transport = sshd.transport(**more)
    opening = opened(channel.open_plain(transport, command, deadline=soon()))
    with opening:
        return channel.exchange(transport, opening, data, deadline=soon())


def test_plain_ssh(shared_sshd: Any) -> None:
    result = done(plain(shared_sshd, "cat; echo done >&2; exit 7", NOISE))
    assert result.stdout == NOISE
    assert (result.stderr, result.exit_code) == (b"done\n", 7)


def test_plain_ssh_names_its_failure(shared_sshd: Any, start_sshd: Callable[..., Any]) -> None:
    auth = failed(
        plain(
            shared_sshd,
            "true",
            ansible_ssh_private_key_file=f"{shared_sshd.keys.home}/stranger",
            args="-o IdentityFile=none -o IdentityAgent=none -F /dev/null"
            f" -o UserKnownHostsFile={shared_sshd.keys.home}/known",
        )
    )
    assert auth.code == "auth"
    assert failed(plain(start_sshd(host_key="changed"), "true")).code == "host_key_changed"


def test_output_of_every_length_is_exact(shared_sshd: Any) -> None:
    rng = random.Random(1)
    for size in (0, 1, 65535, 65536, 65537):
        data = rng.randbytes(size)
        result = done(channel.run(LOCAL, "cat", data, deadline=soon()))
        assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()
