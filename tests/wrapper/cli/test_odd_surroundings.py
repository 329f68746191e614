"""The command line where not everything is as usual: closed and full streams, odd directories, a broken state."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.command import Toft, until


def in_shell(toft: Toft, script: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """`script` with "$@" as the command toft."""
    argv = ["bash", "-c", script, "bash", *toft.argv()]
    return subprocess.run(argv, capture_output=True, env=toft.environment, timeout=60, cwd=cwd, check=False)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-"])
def test_closed_streams(toft: Toft, closed: str) -> None:
    done = in_shell(toft, f'"$@" offload sh -c "exit 3" {closed}')
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")


@pytest.mark.parametrize("words", ["jobs --json", "status"])
def test_a_full_stdout_is_said_in_a_line(toft: Toft, words: str) -> None:
    done = in_shell(toft, f'"$@" {words} > /dev/full')
    assert done.returncode == 125
    assert done.stderr.startswith(b"toft: No space left on device\n")
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes(lab_toft: Toft) -> None:
    done = in_shell(lab_toft, '"$@" exec all "yes | head -c 3000000" | true; echo ${PIPESTATUS[0]}')
    assert done.stdout == b"141\n"
    assert b"Traceback" not in done.stderr


def test_a_directory_that_is_not_utf8(toft: Toft, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))
    odd.mkdir()
    done = in_shell(toft, 'cd "$PWD"; "$@" offload pwd', cwd=odd)
    assert (done.returncode, done.stdout) == (0, os.fsencode(odd) + b"\n")


def test_a_state_directory_that_is_none(toft: Toft) -> None:
    (toft.home / "state").mkdir(parents=True)
    (toft.home / "state/toft").write_text("a file")
    for words in (["offload", "true"], ["jobs"]):
        done = toft(*words)
        assert done.returncode == 125
        assert done.stderr.startswith(b"toft: ")
        assert b"Traceback" not in done.stderr


def test_damaged_records_are_said(toft: Toft) -> None:
    (toft.home / "state/toft").mkdir(parents=True)
    (toft.home / "state/toft/toft.db").write_text("garbage" * 500)
    assert b"is set aside" in toft("jobs").stderr


def test_attach_with_json_is_one_document(toft: Toft) -> None:
    job = toft("offload", "--detach", "echo", "hi").stdout.decode().strip()
    assert toft.json("attach", job)["id"] == job


def test_nohup_is_respected(toft: Toft, tmp_path: Path) -> None:
    go = tmp_path / "go"
    deaf = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = toft.begin("offload", "sh", "-c", f"echo up; while [ ! -e {go} ]; do sleep .1; done", **deaf)
    until(lambda: os.read(process.stdout.fileno(), 9), what="its first word")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    go.touch()
    assert process.wait(20) == 0


def test_a_node_outside_the_pattern_is_no_command(toft: Toft, tmp_path: Path) -> None:
    toft.inventory = tmp_path / "hosts.yml"
    toft.inventory.write_text("all: {vars: {ansible_connection: local}, hosts: {a: {}, b: {}}}")
    done = toft("offload", "--on", "a", "b", "true")
    assert done.returncode == 2
    assert b"b is a node" in done.stderr
    assert toft("offload", "--on", "a", "--", "true").returncode == 0
