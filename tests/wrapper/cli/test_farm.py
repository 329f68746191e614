"""`toft farm` as a person types it, before a stand-in for the scheduler that says what a real one said."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
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
def answering(text: bytes, often: int = 1) -> Iterator[int]:
    """The scheduler's own port; on the next one somebody says this to so many that ask."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(60)

        def serve() -> None:
            with contextlib.suppress(OSError):
                for _ in range(often):
                    wire, _address = server.accept()
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


def test_a_scheduler_that_does_not_listen_where_ansible_connects(farm_toft: Toft) -> None:
    """As with a farm on the tailnet whose hosts Ansible reaches on the local network."""
    assert farm_toft.inventory is not None
    with answering(RECORDED.encode(), often=2) as port:
        farm_toft.inventory.write_text(
            "icecream: {hosts: {localhost: {ansible_host: 127.0.0.2}}, "
            f"vars: {{icecream_port: {port}, toft_farm_envs: {farm_toft.home}/none}}}}\n"
        )
        told = farm_toft.json("farm", "status")
        checks = farm_toft.json("farm", "doctor")["checks"]
    assert (told["scheduler"]["node"], told["scheduler"]["host"]) == ("localhost", "localhost")
    assert (checks[0]["verdict"], checks[0]["found"].split(", ")[0]) == ("ok", f"icecream 1.4.0 at localhost:{port}")
    done = farm_toft("farm", "status")
    assert done.returncode == 125
    said = done.stderr.decode()
    assert f"127.0.0.2:{port + 1} cannot be reached: Connection refused" in said
    assert f"localhost:{port + 1} cannot be reached: Connection refused" in said


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


@pytest.fixture
def farm_toft(toft: Toft, tmp_path: Path) -> Toft:
    """This machine is the node n2 of a farm, whose scheduler is to be given its port by `port_of`."""
    toft.inventory = tmp_path / "hosts.yml"
    return toft


def port_of(toft: Toft, port: int) -> None:
    assert toft.inventory is not None
    toft.inventory.write_text(
        "icecream: {hosts: {n2: {ansible_connection: local, ansible_host: 127.0.0.1}}, "
        f"vars: {{icecream_port: {port}, toft_farm_envs: {toft.home}/none}}}}\n"
    )


def test_doctor_of_the_fleet_asks_the_scheduler_once(farm_toft: Toft) -> None:
    with answering(RECORDED.encode()) as port:
        port_of(farm_toft, port)
        told = farm_toft.json("doctor")["checks"]
    found = {check["subject"]: check for check in told}
    assert (found["farm scheduler"]["verdict"], found["n2 job"]["verdict"]) == ("ok", "ok")
    assert f"at 127.0.0.1:{port}, 2 nodes" in found["farm scheduler"]["found"]
    assert (found["farm n2"]["verdict"], found["farm n1"]["verdict"]) == ("warn", "warn"), "full; a stranger"


def test_doctor_of_a_scheduler_that_no_name_can_be(farm_toft: Toft) -> None:
    assert farm_toft.inventory is not None
    farm_toft.inventory.write_text(
        "icecream: {hosts: {n2: {ansible_connection: local}}, vars: {toft_farm_scheduler: '-oProxyCommand=x'}}\n"
    )
    found = {check["subject"]: check["verdict"] for check in farm_toft.json("doctor")["checks"]}
    assert (found["farm scheduler"], found["n2 job"]) == ("fail", "ok")


ICECC = """#!/bin/sh
# A stand-in for icecc: says what icecc 1.4 said, and makes no object for n2 if it is told so.
if [ "$1" = --version ]; then echo "ICECC 1.4.0"; exit; fi
echo "ICECC[1] 2026-11-22 03:01:24: Have to use host 10.213.4.12:10245 - Job ID: 7 - env: x86_64" >&2
if [ -n "$ALONE" ]; then echo "ICECC[1] 2026-11-22 03:01:24: <building_local>" >&2; fi
echo "$ICECC_PREFERRED_HOST" "$@" >"$CALLS"
for word; do last=$word; done
: >"$last"
"""


@pytest.mark.parametrize(("alone", "verdict"), [("", "ok"), ("1", "fail")])
def test_a_test_compile_through_a_stand_in(farm_toft: Toft, tmp_path: Path, alone: str, verdict: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("icecc", ICECC), ("gcc", "#!/bin/sh\necho 12.2.0\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    farm_toft.env |= {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": f"{tmp_path}/calls", "ALONE": alone}
    with answering(RECORDED.encode(), often=100) as port:
        port_of(farm_toft, port)
        done = farm_toft("--json", "farm", "doctor", "--compile")
    (check,) = [check for check in json.loads(done.stdout)["checks"] if check["subject"].startswith("compile")]
    assert (check["subject"], check["verdict"]) == ("compile on n2", verdict)
    assert done.returncode == int(verdict == "fail")
    words = (tmp_path / "calls").read_text().split()
    assert words[:4] == ["n2", "gcc", "-O2", "-c"]
    assert not Path(words[4]).parent.exists(), "nothing of it is left"


def test_a_test_compile_that_cannot_be(farm_toft: Toft, tmp_path: Path) -> None:
    farm_toft.env["PATH"] = f"{Path(sys.executable).parent}:/bin-of-nothing"
    with answering(RECORDED.encode()) as port:
        port_of(farm_toft, port)
        told = farm_toft.json("farm", "doctor", "--compile", "--scheduler", f"127.0.0.1:{port}")["checks"]
    assert [check["found"] for check in told if check["subject"] == "compile"] == [
        "not looked at: there is no icecc here"
    ]
