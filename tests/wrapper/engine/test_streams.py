"""A job's streams followed on this machine: the same code as over ssh, without the network."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport
from toft.engine.control import Control, Detach, Signal
from toft.engine.nodes import ask_all
from toft.engine.stdin import source
from toft.engine.streams import Detached, Ended, LostContact, ReaderGone, Rejected, Streams

HERE = Transport("here", "local", "here")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def started(argv: list[str], stdin: str = "none") -> str:
    job_id = "t" + secrets.token_hex(6)
    job = {"id": job_id, "argv": argv, "shell": None, "cwd": None, "workdir": None, "env": {}, "timeout_s": None}
    (answer,) = ask_all([(HERE, {"verb": "start", "job": job | {"stdin": stdin, "tty": None}})], 20)
    assert isinstance(answer, dict)
    assert answer["ok"]
    return job_id


class Sink:
    def __init__(self, stop_after: int | None = None) -> None:
        self.data = {"stdout": b"", "stderr": b""}
        self.stop_after = stop_after

    def __call__(self, stream: str, data: bytes) -> None:
        if self.stop_after is not None and len(self.data[stream]) >= self.stop_after:
            raise ReaderGone
        self.data[stream] += data


def follow(job_id: str, sink: Callable[[str, bytes], None], **more: Any) -> tuple[Any, Streams]:
    control = more.pop("control", None) or Control()
    streams = Streams(job_id, HERE, write=sink, control=control, **more)
    try:
        return streams.follow(), streams
    finally:
        control.close()


def test_what_came_in_one_piece_is_not_waited_for() -> None:
    """The answer, the bytes and the end may arrive together; then nothing more ever comes."""
    job_id = started(["sh", "-c", "echo out; echo err >&2; exit 3"])
    for _ in range(20):
        sink = Sink()
        ended, streams = follow(job_id, sink)
        assert isinstance(ended, Ended)
        assert (ended.record["exit_code"], streams.reconnects) == (3, 0)
        assert sink.data == {"stdout": b"out\n", "stderr": b"err\n"}


def test_the_umask_is_the_sessions_own() -> None:
    """Ours, which keeps others out of our files, is nothing that a command should see."""
    before = os.umask(0o027)
    try:
        sink = Sink()
        follow(started(["sh", "-c", "umask"]), sink)
    finally:
        os.umask(before)
    assert sink.data["stdout"] == b"0027\n"


def test_from_an_offset() -> None:
    sink = Sink()
    follow(started(["printf", "0123456789"]), sink, delivered={"stdout": 4, "stderr": 0})
    assert sink.data["stdout"] == b"456789"


def test_input_goes_there() -> None:
    reader, writer = os.pipe()
    data = os.urandom(3 << 20)
    thread = threading.Thread(target=lambda: (os.write(writer, data[: 1 << 15]), _write(writer, data[1 << 15 :])))
    thread.start()
    sink = Sink()
    ended, _ = follow(started(["cat"], "pipe"), sink, stdin=source(reader), with_stdin=True)
    thread.join()
    os.close(reader)
    assert isinstance(ended, Ended)
    assert sink.data["stdout"] == data


def _write(fd: int, data: bytes) -> None:
    with open(fd, "wb") as file:
        file.write(data)


def test_a_reader_that_goes_ends_the_command_as_here() -> None:
    ended, _ = follow(started(["yes"]), Sink(stop_after=1000))
    assert isinstance(ended, Ended)
    assert ended.record["exit_code"] == 128 + 13


def test_signals_and_letting_go() -> None:
    control = Control()
    job_id = started(["sleep", "60"])
    control.give(Detach())
    let_go, _ = follow(job_id, Sink(), control=control)
    assert isinstance(let_go, Detached)
    control = Control()
    control.give(Signal("TERM"))
    ended, _ = follow(job_id, Sink(), control=control)
    assert isinstance(ended, Ended)
    assert ended.record["exit_code"] == 143


def test_a_job_that_the_node_does_not_have() -> None:
    outcome, _ = follow("tnever", Sink())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "never_seen"


def test_what_is_there_without_waiting() -> None:
    job_id = started(["sh", "-c", "echo now; sleep 60"])
    sink = Sink()
    while not sink.data["stdout"]:
        outcome, _ = follow(job_id, sink, wait=False)
    assert isinstance(outcome, Ended)
    assert outcome.record["state"] == "running"
    ask_all([(HERE, {"verb": "signal", "id": job_id, "signal": "KILL"})], 10)


def test_what_waiting_does_not_mend_is_not_waited_for() -> None:
    nowhere = Transport("here", "local", "here", python="/no/such/python")
    control = Control()
    outcome = Streams("tjob", nowhere, write=Sink(), control=control, patience_s=300).follow()
    control.close()
    assert isinstance(outcome, LostContact)
    assert outcome.cause.code == "no_python"
