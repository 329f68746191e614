"""Clients of a job: by offset, with input, slow, silent, killed, several at once."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import attach, control, frames, streams

from tests.collection.node_sessions import Node, Session, eventually


def started(node: Node, *argv: str, **more: Any) -> dict[str, Any]:
    job = node.job(*argv, **more)
    answer = node.start(job)
    assert answer["ok"], answer
    return job


def end(node: Node, job: dict[str, Any]) -> None:
    node.ask(verb="signal", id=job["id"], signal="KILL")
    eventually(lambda: node.record(job["id"])["state"] != "running", "it has ended")


def waiting_job(node: Node, text: str) -> dict[str, Any]:
    """A job of bash that can wait for `go(node)` by `read x < fifo`."""
    os.mkfifo(node.home / "fifo")
    return started(node, "bash", "-c", text, cwd=str(node.home))


def go(node: Node) -> None:
    (node.home / "fifo").write_bytes(b"go\n")


# Output by offset.


def test_from_any_offset(node: Node) -> None:
    job = started(node, "bash", "-c", "echo 0123456789; echo abcdef >&2; exit 2")
    for out, err in ((0, 0), (4, 0), (10, 3), (11, 7), (50, 90)):
        outcome = node.follow(job["id"], stdout=out, stderr=err).outcome()
        assert outcome.stdout == b"0123456789\n"[out:]
        assert outcome.stderr == b"abcdef\n"[err:]
        assert outcome.record["exit_code"] == 2
        assert outcome.kinds[-1] == frames.FINAL


def test_frames_are_small(node: Node) -> None:
    job = started(node, "head", "-c", "3000000", "/dev/zero")
    session = node.follow(job["id"])
    sizes = []
    while (found := session.until(frames.STDOUT, frames.FINAL))[0] == frames.STDOUT:
        sizes.append(len(found[1]))
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 256 << 10


def test_without_waiting_it_gives_what_is_there(node: Node) -> None:
    job = waiting_job(node, "echo early; read x < fifo; echo late")
    eventually(lambda: node.record(job["id"])["stdout_bytes"] == 6, "the first line is there")
    outcome = node.follow(job["id"], wait=False).outcome()
    assert (outcome.stdout, outcome.record["state"]) == (b"early\n", "running")
    go(node)
    assert node.follow(job["id"], stdout=6).outcome().stdout == b"late\n"


def test_resuming_a_killed_follower_loses_nothing(node: Node) -> None:
    size = 20_000_000
    (node.home / "data").write_bytes(random.Random(1).randbytes(size))
    job = started(node, "cat", "data", cwd=str(node.home))
    received = bytearray()
    for _ in range(5):
        session = node.follow(job["id"], stdout=len(received))
        for _ in range(3):
            received += session.until(frames.STDOUT)[1]
        session.kill()
    received += node.follow(job["id"], stdout=len(received)).outcome().stdout
    assert hashlib.sha256(received).digest() == hashlib.sha256((node.home / "data").read_bytes()).digest()


def test_a_byte_is_there_at_once(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import os,time\nwhile not os.path.exists('stop'): os.write(1, b'%.6f\\n' % time.time()); time.sleep(.02)"
    job = node.job("python3", "-I", "-S", "-c", code, cwd=str(node.home))
    session = node.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"]})
    session.answer(), session.answer()
    late = []
    while len(late) < 40:
        said = session.until(frames.STDOUT)[1]
        late.append(time.time() - float(said.split()[0]))
    (node.home / "stop").touch()
    session.outcome()
    quick, typical = sorted(late)[2], sorted(late)[len(late) // 2]
    with capsys.disabled():
        print(f"\nfrom the command's write to the client: median {typical * 1e3:.2f} ms")
    assert quick < 0.005  # a busy machine may keep the rest waiting


def test_a_quiet_job_has_a_heartbeat(node: Node) -> None:
    job = started(node, "sleep", "60")
    begun = time.monotonic()
    session = node.follow(job["id"])
    for _ in range(2):
        session.until(frames.HEARTBEAT, patience=10)
    assert time.monotonic() - begun > 3.5, "one in two seconds"
    end(node, job)


def test_a_vanished_client_does_not_disturb_the_job(node: Node) -> None:
    job = waiting_job(node, "echo early; read x < fifo; echo late")
    session = node.follow(job["id"])
    session.until(frames.STDOUT)
    assert session.close() == 0
    assert node.record(job["id"])["state"] == "running"
    go(node)
    assert node.follow(job["id"]).outcome().stdout == b"early\nlate\n"


def test_several_clients_see_the_same(node: Node) -> None:
    job = waiting_job(node, "echo early; read x < fifo; echo late; exit 5")
    sessions = [node.follow(job["id"]) for _ in range(4)]
    go(node)
    for session in sessions:
        outcome = session.outcome()
        assert (outcome.stdout, outcome.record["exit_code"]) == (b"early\nlate\n", 5)


def test_a_job_that_ended_before_anybody_came(node: Node) -> None:
    job = node.job("sh", "-c", "echo said; exit 7")
    node.run_job(job)
    outcome = node.follow(job["id"]).outcome()
    assert (outcome.stdout, outcome.record["exit_code"]) == (b"said\n", 7)


def test_a_start_and_its_follow_can_share_a_session(node: Node) -> None:
    first, second = node.job("echo", "one"), node.job("echo", "two")
    session = node.session(
        {"verb": "start", "job": first},
        {"verb": "follow", "id": first["id"]},
        {"verb": "start", "job": second},
        {"verb": "follow", "id": second["id"]},
    )
    for expected in (b"one\n", b"two\n"):
        assert session.answer()["ok"]
        assert session.answer()["ok"]
        assert session.outcome().stdout == expected
    assert session.close() == 0


def test_without_its_socket_a_job_is_followed_all_the_same(node: Node) -> None:
    job = waiting_job(node, "echo early; read x < fifo; echo late; exit 5")
    (node.root / job["id"] / "ctl").unlink()
    session = node.follow(job["id"])
    assert session.until(frames.STDOUT)[1] == b"early\n"
    go(node)
    outcome = session.outcome()
    assert (outcome.stdout, outcome.record["exit_code"]) == (b"late\n", 5)


# Input.


class Sender:
    """Sends data from an offset on, as a well-behaved client does: never beyond the limit it was told."""

    def __init__(self, session: Session, data: bytes) -> None:
        self.session = session
        self.data = data
        self.accepted, self.closed = self._told()

    def _told(self) -> tuple[int, bool]:
        value = frames.loads(self.session.until(frames.ACCEPTED)[1])
        self.limit = value["limit"]
        return value["offset"], value["closed"]

    def send(self, until: int, stop: Callable[[], bool] = lambda: False) -> None:
        sent = self.accepted
        while self.accepted < until and not self.closed and not stop():
            while sent < min(until, self.limit):
                piece = self.data[sent : min(sent + 200_000, until, self.limit)]
                self.session.send(frames.frame(frames.STDIN, frames.at(sent, piece)))
                sent += len(piece)
            self.accepted, self.closed = self._told()

    def finish(self) -> None:
        self.session.send(frames.frame(frames.STDIN_END, frames.at(len(self.data))))


def test_a_hundred_megabytes_of_input_with_a_killed_follower(node: Node) -> None:
    block = random.Random(2).randbytes(1 << 20)
    data = block * 100
    job = started(node, "sha256sum", stdin="pipe")
    session = node.follow(job["id"], stdin=True)
    Sender(session, data).send(30 << 20)
    session.kill()
    session = node.follow(job["id"], stdin=True)
    sender = Sender(session, data)
    assert 29 << 20 <= sender.accepted <= 31 << 20
    sender.send(len(data))
    sender.finish()
    assert session.outcome().stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_input_that_comes_twice_or_from_beyond_counts_once(node: Node) -> None:
    job = started(node, "cat", stdin="pipe")
    session = node.follow(job["id"], stdin=True)
    for offset, data in (
        (0, b"abc"),
        (0, b"abcdef"),
        (2, b"cd"),
        (9, b"lost"),
        (6, b"ghi"),
        (3, b"defghijk"),
    ):
        session.send(frames.frame(frames.STDIN, frames.at(offset, data)))
    session.send(frames.frame(frames.STDIN_END, frames.at(11)))
    assert session.outcome().stdout == b"abcdefghijk"


def test_input_from_two_clients_is_one_stream(node: Node) -> None:
    job = started(node, "cat", stdin="pipe")
    one, two = node.follow(job["id"], stdin=True), node.follow(job["id"], stdin=True)
    one.send(frames.frame(frames.STDIN, frames.at(0, b"one ")))
    assert one.until(frames.STDOUT)[1] == b"one "
    two.send(frames.frame(frames.STDIN, frames.at(4, b"two")))
    assert one.until(frames.STDOUT)[1] == b"two"
    one.send(frames.frame(frames.STDIN_END, frames.at(7)))
    assert two.outcome().stdout == b"one two"
    assert one.outcome().record["exit_code"] == 0


def test_who_stops_reading_does_not_hang_the_client(node: Node) -> None:
    job = started(node, "bash", "-c", "head -c 5; exec <&-; sleep .2; exit 3", stdin="pipe")
    session = node.follow(job["id"], stdin=True)
    sender = Sender(session, b"x" * (20 << 20))
    sender.send(20 << 20)
    assert sender.closed
    assert session.outcome().record["exit_code"] == 3


def test_without_input_the_client_is_told(node: Node) -> None:
    job = started(node, "sleep", "60")
    session = node.follow(job["id"], stdin=True)
    assert frames.loads(session.until(frames.ACCEPTED)[1])["closed"] is True
    end(node, job)


def test_a_signal_overtakes_input_that_nobody_reads(node: Node) -> None:
    job = started(node, "sleep", "60", stdin="pipe")
    session = node.follow(job["id"], stdin=True)
    limit = Sender(session, b"").limit
    for offset in range(0, limit, 1 << 18):
        session.send(frames.frame(frames.STDIN, frames.at(offset, b"x" * (1 << 18))))
    session.send(frames.frame(frames.SIGNAL, b"INT"))
    record = session.outcome(patience=5).record
    assert (record["state"], record["signal"]) == ("signaled", signal.SIGINT)


def test_input_goes_on_while_output_floods(node: Node) -> None:
    data = random.Random(3).randbytes(30 << 20)
    job = started(node, "cat", stdin="pipe")
    session = node.follow(job["id"], stdin=True)
    received = bytearray()
    done = threading.Event()
    sent = accepted = 0
    limit = 0
    while not done.is_set():
        kind, payload = session.until(frames.STDOUT, frames.ACCEPTED, frames.FINAL)
        if kind == frames.STDOUT:
            received += payload
        elif kind == frames.FINAL:
            done.set()
        else:
            told = frames.loads(payload)
            accepted, limit = told["offset"], told["limit"]
            piece = data[sent : min(limit, len(data))]
            session.send(frames.frame(frames.STDIN, frames.at(sent, piece)))
            sent += len(piece)
            if accepted == len(data):
                session.send(frames.frame(frames.STDIN_END, frames.at(accepted)))
    assert received == data


# Slow clients.


def test_a_living_slow_client_slows_the_command_down_and_a_gone_one_does_not(node: Node) -> None:
    size = 200 << 20
    job = started(node, "head", "-c", str(size), "/dev/zero", awaited=True)
    session = node.follow(job["id"])
    session.send(frames.message(frames.CREDIT, {"stdout": 0, "stderr": 0}))
    stdout = node.root / job["id"] / "stdout"
    eventually(lambda: stdout.stat().st_size >= 64 << 20, "what a client may be behind is written", 20)
    assert steady(lambda: stdout.stat().st_size) < size
    assert node.record(job["id"])["state"] == "running"
    session.kill()
    eventually(lambda: node.record(job["id"])["state"] == "exited", "nobody holds it back any more", 20)
    assert node.record(job["id"])["stdout_bytes"] == size


def steady(value: Callable[[], int]) -> int:
    """The value once it has stayed the same for half a second."""
    last, since = value(), time.monotonic()
    until = since + 20
    while time.monotonic() - since < 0.5:
        assert time.monotonic() < until
        time.sleep(0.05)
        if value() != last:
            last, since = value(), time.monotonic()
    return last


def test_a_blocked_follower_still_hears_its_client(node: Node) -> None:
    job = started(node, "bash", "-c", "head -c 3000000 /dev/zero; sleep 60")
    session = node.follow(job["id"])
    # Nothing is read here, so its pipe is full.
    session.send(frames.frame(frames.SIGNAL, b"TERM"))
    eventually(lambda: node.record(job["id"])["state"] == "signaled", "the signal came through")
    assert len(session.outcome().stdout) == 3_000_000


def test_a_client_that_never_reads_is_left_when_it_goes(node: Node) -> None:
    job = started(node, "bash", "-c", "head -c 3000000 /dev/zero; sleep 60")
    session = node.follow(job["id"])
    eventually(lambda: node.record(job["id"])["stdout_bytes"] == 3_000_000, "all is written")
    assert session.close() == 0
    end(node, job)


def test_a_client_that_talks_while_it_is_talked_to(node: Node) -> None:
    """One that writes all it has before it reads: neither side may wait for the other for ever."""
    job = node.job("bash", "-c", "head -c 3000000 /dev/zero", stdin="pipe")
    node.run_job(job)
    session = node.follow(job["id"], stdin=True)
    for offset in range(0, 5 << 20, 1 << 18):
        session.send(frames.frame(frames.STDIN, frames.at(offset, b"x" * (1 << 18))))
    assert len(session.outcome().stdout) == 3_000_000


# The parts by themselves.


@pytest.fixture
def pipe() -> Any:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_input_is_bounded_by_its_limit(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    stdin = streams.Stdin(writer, tty=False)
    stdin.offer(0, b"x" * (1 << 20))
    in_the_pipe = 1 << 16
    assert (stdin.accepted, stdin.limit) == (1 << 20, in_the_pipe + (1 << 20))
    assert stdin.waiting
    stdin.finish(1 << 20)
    received = 0
    while not stdin.closed:
        received += len(os.read(reader, 1 << 20))
        stdin.flush()
    received += len(os.read(reader, 1 << 20))
    assert received == 1 << 20
    assert os.read(reader, 1) == b""


def test_input_for_nobody_is_accepted_and_dropped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    stdin = streams.Stdin(writer, tty=False)
    stdin.offer(0, b"x" * 100)
    assert stdin.closed
    stdin.offer(100, b"y" * (5 << 20))
    assert (stdin.accepted, stdin.waiting) == (100 + (5 << 20), False)
    assert control.accepted_state(stdin.state()) == (100 + (5 << 20), 1 << 62, True, 0)


def test_what_was_read_is_told_from_what_was_written(pipe: tuple[int, int]) -> None:
    """The end of input waits until the pipe is empty: so it can be said what the command did not want."""
    reader, writer = pipe
    stdin = streams.Stdin(writer, tty=False)
    stdin.offer(0, b"one\ntwo\n")
    stdin.finish(8)
    stdin.look()
    assert (stdin.consumed, stdin.closed) == (0, False)
    assert stdin.look_again is not None
    assert os.read(reader, 4) == b"one\n"
    stdin.look()
    assert (stdin.consumed, stdin.closed) == (4, False)
    assert os.read(reader, 4) == b"two\n"
    stdin.look()
    assert (stdin.consumed, stdin.closed) == (8, True)
    assert stdin.look_again is None
    assert os.read(reader, 1) == b""


def test_a_command_that_reads_nothing_is_looked_at_less_and_less(pipe: tuple[int, int]) -> None:
    stdin = streams.Stdin(pipe[1], tty=False)
    assert stdin.look_again is None, "nothing was written"
    stdin.offer(0, b"x")
    pauses: list[Any] = []
    for _ in range(8):
        pauses.append(stdin.look_again)
        stdin.look()
    assert pauses == sorted(pauses)
    assert pauses[-1] == streams.LONGEST_LOOK_S
    stdin.close()
    assert stdin.consumed == 0


def test_ticks_are_not_repeated() -> None:
    import socket

    ours, theirs = socket.socketpair()
    client = control.Client(ours.detach())
    client.tick((10, 0))
    client.seen(frames.at(0, frames.at(0)), (10, 0))
    client.tick((20, 0))
    client.tick((20, 5))
    assert theirs.recv(100) == frames.frame(control.TICK)
    client.seen(frames.at(20, frames.at(5)), (20, 5))
    client.tick((20, 6))
    assert theirs.recv(100) == frames.frame(control.TICK)
    client.close()
    theirs.close()


def test_the_limits_agree() -> None:
    assert attach.WINDOW_BYTES <= attach.INPUT_HELD
    assert streams.STDIN_ROOM <= attach.WINDOW_BYTES


def test_a_supervisors_memory_stays_small(node: Node) -> None:
    job = started(node, "bash", "-c", "head -c 50000000 /dev/zero; cat", stdin="pipe")
    session = node.follow(job["id"], stdin=True)
    Sender(session, b"x" * (5 << 20)).send(5 << 20)
    status = Path(f"/proc/{node.supervisor(job['id'])}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 20_000
    end(node, job)
