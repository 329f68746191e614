"""The warm engine: the same answers, nothing stale, nothing lost when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Toft, until


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Toft]:
    """A command line with an engine of this test's own."""
    command = Toft(tmp_path / "home")
    command.warm = command.runtime
    yield command
    until(lambda: command("engine", "stop").returncode == 0 and state(command) is None, what="the engine's end")
    command.end()


def state(toft: Toft) -> Any:
    return toft.json("engine", "status")["engine"]


def started(toft: Toft) -> Any:
    toft("route", "--declared", "true")
    return until(lambda: state(toft), what="an engine")


def sockets(toft: Toft) -> list[Path]:
    return [path for path in (toft.runtime / "toft").glob("e-*") if path.suffix != ".lock"]


def test_it_can_be_switched_off(toft: Toft) -> None:
    toft("route", "--declared", "true")
    assert not list(toft.runtime.glob("toft/e-*"))


def test_the_first_command_starts_it_and_the_next_goes_through_it(warm: Toft) -> None:
    before = started(warm)
    assert warm("route", "--declared", "make").returncode == 0
    after = state(warm)
    assert after["pid"] == before["pid"]
    assert after["served"] >= before["served"] + 3, "the command, and the playbook that it starts"


def test_it_is_private(warm: Toft) -> None:
    started(warm)
    (socket,) = sockets(warm)
    assert socket.stat().st_mode & 0o777 == 0o600
    assert socket.parent.stat().st_mode & 0o777 == 0o700


def test_cold_does_without(warm: Toft) -> None:
    before = started(warm)["served"]
    assert warm("--cold", "route", "--declared", "make").returncode == 0
    assert state(warm)["served"] == before + 1, "the question itself"


def test_one_that_is_getting_ready_can_be_stopped(warm: Toft) -> None:
    warm("route", "--declared", "true")
    stopped = until(lambda: warm.json("engine", "stop")["engine"], what="one that can be stopped")
    until(lambda: not Path(f"/proc/{stopped['pid']}").exists(), what="its end")
    assert not sockets(warm)


def test_a_playbook_with_other_settings_begins_afresh(warm: Toft, tmp_path: Path) -> None:
    """Through the engine's own door, as ansible_runner starts it, with a setting that was read at the import."""
    started(warm)
    (socket,) = sockets(warm)
    play = tmp_path / "play.yml"
    task = {"debug": {"msg": "{{ lookup('config', 'DEFAULT_FORKS') }}"}}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    code = f"import sys; sys.argv[1:] = [{str(play)!r}]; from toft.resident.client import main; "
    code += f"sys.exit(main('ansible-playbook', {str(socket)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=warm.environment | {"ANSIBLE_FORKS": "77"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"msg": 77' in done.stdout.replace('"77"', "77")


def test_a_server_of_its_own_is_no_worker(warm: Toft) -> None:
    before = started(warm)["served"]
    warm("-q", "mcp", given=b"")
    assert state(warm)["served"] == before + 1, "the question itself"


def test_other_surroundings_are_not_served(warm: Toft) -> None:
    before = started(warm)
    warm.env["ANSIBLE_FORKS"] = "7"
    assert warm("route", "--declared", "make").returncode == 0
    other = until(lambda: state(warm), what="an engine of their own")
    assert other["pid"] != before["pid"]
    warm("engine", "stop")
    del warm.env["ANSIBLE_FORKS"]


def test_a_changed_file_is_noticed(warm: Toft, tmp_path: Path) -> None:
    """As an upgrade does it: what was loaded is no longer what is installed."""
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "sitecustomize.py").write_text("")
    warm.env["PYTHONPATH"] = str(extra)
    pid = started(warm)["pid"]
    (extra / "sitecustomize.py").write_text("# another\n")
    assert str(extra) in state(warm)["changed"]
    assert warm("route", "--declared", "make").returncode == 0
    until(lambda: not Path(f"/proc/{pid}").exists(), what="the old engine's end")
    assert started(warm)["pid"] != pid


def test_what_lies_beside_the_modules_and_was_read_is_watched_too() -> None:
    script = (
        "from toft.resident import preload; print(preload.everything().files.names.decode().replace(chr(0), chr(10)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = {Path(line).name for line in done.stdout.splitlines()}
    assert {"rules.yml", "effects.yml", "probe.sh", "routing.py", "supervisor.py"} <= names


def test_a_changed_inventory_is_seen_at_once(warm: Toft, tmp_path: Path) -> None:
    warm.inventory = tmp_path / "hosts.yml"
    for name in ("one", "two"):
        warm.inventory.write_text(f"all: {{hosts: {{{name}: {{ansible_connection: local}}}}}}\n")
        started(warm)
        assert [node["name"] for node in warm.json("status")["nodes"]] == [name]


def test_environment_directory_umask_and_streams_are_the_clients(warm: Toft, tmp_path: Path) -> None:
    started(warm)
    here = tmp_path / "here"
    here.mkdir()
    before = os.umask(0o027)
    try:
        done = warm(
            "-q", "offload", "--", "sh", "-c", "umask; pwd; cat; echo to-err >&2; exit 7", given=b"in", cwd=here
        )
    finally:
        os.umask(before)
    assert done.returncode == 7
    assert done.stdout.splitlines()[1:] == [os.fsencode(here), b"in"]
    assert done.stderr == b"to-err\n"


def test_ctrl_c_reaches_the_job(warm: Toft) -> None:
    started(warm)
    process = warm.begin("-q", "offload", "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo up; sleep 60 & wait")
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 9
    assert process.stdout.read() == b"caught\n"


def test_a_client_that_is_killed_takes_its_worker_along(warm: Toft, tmp_path: Path) -> None:
    started(warm)
    go = tmp_path / "go"
    waiting = f"echo up; while [ ! -e {go} ]; do sleep .1; done; echo done"
    process = warm.begin("-q", "offload", "--", "sh", "-c", waiting)
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    assert state(warm)["running"] == 1
    process.kill()
    process.wait()
    until(lambda: state(warm)["running"] == 0, what="the worker's end")
    go.touch()
    until(lambda: warm.jobs()[0]["state"] == "exited", what="the job's end")


@pytest.mark.timeout(600)
def test_killed_at_any_moment_nothing_is_lost(warm: Toft) -> None:
    """Promise 17: kill -9 of the engine, again and again, while commands go through it."""
    rounds, wrong = 12, []
    started(warm)
    for n in range(rounds):
        found = state(warm)
        process = warm.begin("-q", "offload", "--", "sh", "-c", f"echo {n}; exit {n % 7}")
        time.sleep(n * 0.05)
        if found:
            os.kill(found["pid"], signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        if (out, process.returncode) != (f"{n}\n".encode(), n % 7):
            wrong.append((n, out, process.returncode))
    ran = [job for job in warm.jobs() if job["state"] == "exited"]
    print(f"promise 17  engine killed {rounds} times: {len(ran)} jobs known with their end, {len(wrong)} wrong answers")
    assert wrong == []
    assert len(ran) == rounds


def test_it_ends_when_idle(warm: Toft) -> None:
    warm.env["TOFT_ENGINE_IDLE"] = "2"
    warm("route", "--declared", "true")
    until(lambda: sockets(warm), what="an engine")
    until(lambda: not sockets(warm), within=30, what="its end")


def test_a_socket_that_is_another_users_is_refused(warm: Toft) -> None:
    (warm.runtime / "toft").mkdir(mode=0o777)
    (warm.runtime / "toft").chmod(0o777)
    done = warm("route", "--declared", "make")
    assert done.returncode == 0, "without an engine"
    (warm.runtime / "toft").chmod(0o700)


def test_doctor_tells_of_it(warm: Toft) -> None:
    def told() -> Any:
        checks = json.loads(warm("--json", "doctor").stdout)["checks"]
        return next((each["verdict"], each["found"]) for each in checks if each["subject"] == "engine")

    warm.env["TOFT_WARM"] = "0"
    assert told() == ("ok", "none runs; the next command starts one")
    del warm.env["TOFT_WARM"]
    pid = started(warm)["pid"]
    verdict, found = told()
    assert verdict == "ok"
    assert found.startswith(f"process {pid}, ")
    (warm.runtime / "toft").chmod(0o777)
    assert told()[0] == "warn"
    (warm.runtime / "toft").chmod(0o700)


def test_the_client_imports_next_to_nothing() -> None:
    script = "import sys; before = set(sys.modules); import toft.resident.client, toft.warm.door; "
    script += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {
        "typer",
        "socket",
        "signal",
        "json",
        "subprocess",
        "pathlib",
        "re",
        "hashlib",
        "ansible",
        "array",
        "collections",
    }
    assert not heavy & set(done.stdout.split())
