"""Bytes to a program and back: on this machine, over plain ssh, over a kept-open master."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import channel, exchange
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.channel import Channel
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
    cause = failed(exchange.run(LOCAL, "true", deadline=soon()))
    assert "Too many open files" in cause.message


def test_ssh_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    plain = Transport(node="pi", kind="ssh", destination="127.0.0.1")
    result = channel.open_plain(plain, "true", deadline=soon())
    assert isinstance(result, Cause)
    assert "ssh cannot be started" in result.message


def test_what_only_ansible_reaches_is_refused_with_its_reason() -> None:
    other = Transport(node="pi", kind="other", destination="pi", reason="it is reached with a password")
    assert "a password" in failed(exchange.run(other, "true", deadline=soon())).message


def opened(result: Channel | Cause) -> Channel:
    assert isinstance(result, Channel), result
    return result


def plain(sshd: Any, command: str, data: bytes = b"", **more: Any) -> Completed | Cause:
    """A run over an ssh of its own."""
    transport = sshd.transport(**more)
    opening = opened(channel.open_plain(transport, command, deadline=soon()))
    with opening:
        return exchange.exchange(transport, opening, data, deadline=soon())


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
