"""`toft farm` as a person types it, before a stand-in for the scheduler that says what a real one said."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Toft

RECORDED = """\
200-ICECC 1.4.0: 777s uptime, 3 hosts, 8 jobs in queue (97 total).
200 Use 'help' for help and 'quit' to quit.
 n1 (10.213.4.11:0) [x86_64] speed=13.81 jobs=3/2 load=107
   87 COMP sub:n1 on:n1 fleet/p/part14.c
 n2 (10.213.4.12:10245) [x86_64] speed=13.64 jobs=3/2 load=1000
   90 COMP sub:n1 on:n2 fleet/p/part15.c
200 done
 87 COMP sub:n1 on:n1 fleet/p/part14.c
 90 COMP sub:n1 on:n2 fleet/p/part15.c
200 done
200 Good Bye!
"""


@contextlib.contextmanager
def answering(text: bytes) -> Iterator[int]:
    """The scheduler's own port; on the next one somebody says this to whoever asks."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(60)

        def serve() -> None:
            with contextlib.suppress(OSError):
                wire, _ = server.accept()
                with wire:
                    heard = b""
                    while b"quit" not in heard and (data := wire.recv(4096)):
                        heard += data
                    wire.sendall(text)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1] - 1
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_status(toft: Toft) -> None:
    with answering(RECORDED.encode()) as port:
        done = toft("farm", "status", "--scheduler", f"127.0.0.1:{port}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "scheduler 127.0.0.1, icecream 1.4.0, up 12m57s: 8 jobs in the queue, 97 since its start",
        "NODE  PLATFORM         SLOTS  LOAD  SPEED  FOR  ADDRESS",
        "n1    x86_64    submits only   11%   13.8  n1   10.213.4.11",
        "n2    x86_64             3/2  100%   13.6  n1   10.213.4.12",
    ]


def test_status_as_json(toft: Toft) -> None:
    with answering(RECORDED.encode()) as port:
        told = toft.json("farm", "status", "--scheduler", f"127.0.0.1:{port}")
    assert (told["scheduler"]["version"], told["scheduler"]["port"]) == ("1.4.0", port)
    assert [(n["name"], n["remote"], n["slots"], n["running"]) for n in told["nodes"]] == [
        ("n1", False, 2, 3),
        ("n2", True, 2, 3),
    ]
    assert [job["id"] for job in told["jobs"]] == [87, 90]


@pytest.mark.parametrize(
    ("answer", "says"),
    [(b"SSH-2.0-OpenSSH_9.2\r\n", "not the control port"), (b"200-ICECC 1.4: 1s uptime, 0 hosts", "not the control")],
)
def test_somebody_else_at_that_port(toft: Toft, answer: bytes, says: str) -> None:
    with answering(answer) as port:
        done = toft("farm", "status", "--scheduler", f"127.0.0.1:{port}")
    assert done.returncode == 125
    assert says in done.stderr.decode()


def test_nobody_at_that_port(toft: Toft) -> None:
    with answering(b"") as port:
        pass
    done = toft("farm", "status", "--scheduler", f"127.0.0.1:{port}")
    assert done.returncode == 125
    assert "cannot be reached: Connection refused" in done.stderr.decode()
    assert "try: toft provision icecream" in done.stderr.decode()
    told = toft.json("farm", "doctor", "--scheduler", f"127.0.0.1:{port}")["checks"]
    assert (told[0]["subject"], told[0]["verdict"]) == ("scheduler", "fail")


def test_an_inventory_without_a_farm(toft: Toft) -> None:
    done = toft("farm", "status")
    assert done.returncode == 125
    assert "names no scheduler" in done.stderr.decode()
    assert "farm_scheduler" in done.stderr.decode()


def test_env_is_for_a_shell(toft: Toft, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "icecream: {hosts: {here: {ansible_connection: local}}, "
        f"vars: {{toft_farm_scheduler: build, toft_farm_envs: {tmp_path}/none}}}}\n"
    )
    toft.inventory = inventory
    done = toft("farm", "env")
    assert (done.returncode, done.stdout) == (0, b"export ICECC_SCHEDULER=build\n"), done.stderr
    assert b"toft provision icecream" in done.stderr
    assert json.loads(toft("--json", "farm", "env").stdout)["ICECC_VERSION"] == ""
