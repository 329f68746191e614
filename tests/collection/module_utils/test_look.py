"""What a node sees of its own services: its agent by a real socket, its Tailscale by a stand-in for the program."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import look

ANSWER = b'HTTP/1.0 200 OK\r\nContent-Length: 19\r\n\r\n{"status":"stable"}'


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """Takes one connection, hears the question, says this; with None it says nothing and keeps the connection."""
    heard: list[bytes] = []
    over = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(30)

        def serve() -> None:
            with contextlib.suppress(OSError):
                wire, _ = server.accept()
                with wire:
                    heard.append(wire.recv(4096))
                    if answer is None:
                        over.wait(30)
                    else:
                        wire.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        over.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_agent_that_answers() -> None:
    with listening(ANSWER) as (port, heard):
        found = look.agent({"port": port, "patience_s": 10}, "/none")
    assert found == {"port": port, "service": "", "answer": ANSWER.decode(), "error": None}
    assert heard == [look.ASK]


def test_the_port_and_the_service_are_those_that_the_role_wrote_down(tmp_path: Path) -> None:
    record = tmp_path / "agent.json"
    with listening(b"\xff\x00rubbish") as (port, _heard):
        record.write_text(json.dumps({"port": port, "service": "claude-agentapi"}))
        found = look.agent({"port": None, "patience_s": 10}, str(record))
    assert found == {"port": port, "service": "claude-agentapi", "answer": "\ufffd\x00rubbish", "error": None}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"port": "22"}', '{"port": true}', '{"port": 0}', '{"port": 70000}'])
def test_a_record_that_says_no_port(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(None) as (port, _heard):
        free = port
    monkeypatch.setattr(look, "PORT", free)
    (tmp_path / "agent.json").write_text(text)
    found = look.agent({"port": None, "patience_s": 10}, str(tmp_path / "agent.json"))
    assert (found["port"], found["error"], found["answer"]) == (free, "refused", "")


def test_an_agent_that_hangs_is_waited_for_so_long_and_no_longer() -> None:
    with listening(None) as (port, heard):
        began = time.monotonic()
        found = look.agent({"port": port, "patience_s": 0.3}, "/none")
        assert 0.3 <= time.monotonic() - began < 25
    assert (found["error"], found["answer"], heard) == ("timeout", "", [look.ASK])


def test_of_one_that_talks_without_end_so_much_is_taken() -> None:
    with listening(b"x" * (4 << 20)) as (port, _heard):
        found = look.agent({"port": port, "patience_s": 20}, "/none")
    assert look.MOST <= len(found["answer"]) <= look.MOST + 4096


def program(tmp_path: Path, script: str) -> dict[bytes, bytes]:
    """An environment in which this is `tailscale`."""
    (tmp_path / "tailscale").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "tailscale").chmod(0o755)
    return {b"PATH": os.fsencode(f"relative:{tmp_path}:/usr/bin:/bin")}


ASKED = {"programs": ["tailscale"], "patience_s": 10}


def test_tailscale_is_asked_for_this_node_alone(tmp_path: Path) -> None:
    env = program(tmp_path, 'echo "$TAILSCALE_BE_CLI $*"; echo trouble >&2')
    env[b"SSH_CONNECTION"] = b"100.64.0.1 50000 100.64.0.7 22"
    found = look.look({"tailnet": ASKED}, env)
    assert found == {
        "tailnet": {
            "address": "100.64.0.7",
            "there": True,
            "status": "1 status --json --peers=false\n",
            "said": "trouble",
        }
    }


@pytest.mark.parametrize(
    ("script", "patience_s", "says"),
    [("echo down >&2; exit 1", 10, "down"), ("exec sleep 60", 0.2, "no answer within 0.2 s"), ("\x00", 10, "")],
)
def test_a_tailscale_that_says_no_status(tmp_path: Path, script: str, patience_s: float, says: str) -> None:
    found = look.tailnet({"programs": ["tailscale"], "patience_s": patience_s}, program(tmp_path, script))
    assert (found["address"], found["there"], found["status"]) == (None, True, None)
    assert says in found["said"]


def test_without_tailscale() -> None:
    asked = {"programs": ["no-such-tailscale", "/no/such/tailscale"], "patience_s": 10}
    assert look.tailnet(asked, {})["there"] is False


def test_only_what_was_asked_for_is_looked_at() -> None:
    assert look.look({"agent": None}, {}) == {}
