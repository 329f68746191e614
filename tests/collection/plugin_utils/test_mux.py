"""The multiplexing protocol: against real masters, and against a socket that says what no master would."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import masters, mux
from ansible_collections.toft.fleet.plugins.plugin_utils.mux import Failure, Session

pytestmark = pytest.mark.usefixtures("no_new_descriptors")


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def control(runtime: Path, shared_sshd: Any) -> Path:
    path = masters.ensure(shared_sshd.transport(args="-o SendEnv=TOFT_X"), soon())
    assert isinstance(path, Path), path
    return path


class Run:
    """A session over pipes of its own."""

    def __init__(self, path: Path, command: str, **more: Any) -> None:
        pipes = [os.pipe() for _ in range(3)]
        self.stdin, self.stdout, self.stderr = pipes[0][1], pipes[1][0], pipes[2][0]
        far = (pipes[0][0], pipes[1][1], pipes[2][1])
        opened = mux.open_session(path, command, far, soon(), **more)
        for fd in far:
            os.close(fd)
        assert isinstance(opened, Session), opened
        self.session = opened

    def everything(self, fd: int) -> bytes:
        data = b""
        while chunk := os.read(fd, 65536):
            data += chunk
        return data

    def close(self) -> None:
        for fd in (self.stdin, self.stdout, self.stderr):
            os.close(fd)
        self.session.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refused(path: Path, command: str = "true", deadline: float = 10.0) -> Failure:
    with open(os.devnull, "r+b") as nothing:
        fds = (nothing.fileno(),) * 3
        opened = mux.open_session(path, command, fds, soon(deadline))
    assert isinstance(opened, Failure), opened
    return opened


def test_alive(control: Path) -> None:
    pid = mux.check(control, soon())
    assert isinstance(pid, int)
    assert b"ssh" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_bytes_both_ways_with_stderr_apart(control: Path) -> None:
    data = bytes(range(256)) * 4096
    with Run(control, "echo apart >&2; cat; exit 9") as run:
        writer = threading.Thread(target=write_all, args=(run, data))
        writer.start()
        assert run.everything(run.stdout) == data
        writer.join()
        assert run.everything(run.stderr) == b"apart\n"
        assert run.session.wait(soon()) == 9
        assert not run.session.lost
        assert select.select([run.session], [], [], 5)[0]


def write_all(run: Run, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(run.stdin, view) :]
    os.dup2(run.stdout, run.stdin)


def test_exit_codes(control: Path) -> None:
    for code in (0, 1, 126, 127, 128, 254, 255):
        with Run(control, f"exit {code}") as run:
            assert run.session.wait(soon()) == code
            assert not run.session.lost


def test_eight_sessions_at_once(control: Path) -> None:
    runs = [Run(control, f"read x; echo {i} $x; exit {i}") for i in range(8)]
    for run in reversed(runs):
        os.write(run.stdin, b"go\n")
    assert [run.everything(run.stdout) for run in runs] == [b"%d go\n" % i for i in range(8)]
    assert [run.session.wait(soon()) for run in runs] == list(range(8))
    for run in runs:
        run.close()


def test_still_running_at_the_deadline(control: Path) -> None:
    with Run(control, "read x; exit 4") as run:
        assert run.session.wait(soon(0.1)) is None
        os.write(run.stdin, b"\n")
        assert run.session.wait(soon()) == 4


def test_a_command_ended_by_a_signal_has_no_code(control: Path) -> None:
    with Run(control, "kill -9 $$") as run:
        assert run.session.wait(soon()) == mux.LOST
        assert run.session.lost


def test_a_terminal_when_asked(control: Path) -> None:
    with Run(control, "test -t 1 && echo $TERM", term="toft-term") as run:
        assert run.everything(run.stdout).strip() == b"toft-term"
        assert run.session.wait(soon()) == 0
        assert not run.session.tty_failed
    with Run(control, "test -t 1") as run:
        assert run.session.wait(soon()) == 1


def test_no_terminal_to_be_had(runtime: Path, start_sshd: Callable[..., Any]) -> None:
    path = masters.ensure(start_sshd("PermitTTY no").transport(), soon())
    assert isinstance(path, Path)
    with Run(path, "exit 3", term="xterm") as run:
        assert run.session.wait(soon()) == 3
        assert run.session.tty_failed


def test_environment(runtime: Path, start_sshd: Callable[..., Any]) -> None:
    sshd = start_sshd("AcceptEnv TOFT_X")
    path = masters.ensure(sshd.transport(args="-o SendEnv=TOFT_X"), soon())
    assert isinstance(path, Path)
    with Run(path, "echo $TOFT_X $TOFT_Y", environment=["TOFT_X=één", "TOFT_Y=no"]) as run:
        assert run.everything(run.stdout) == "één\n".encode()


def test_more_sessions_than_the_node_allows(runtime: Path, start_sshd: Callable[..., Any]) -> None:
    path = masters.ensure(start_sshd("MaxSessions 2").transport(), soon())
    assert isinstance(path, Path)
    with Run(path, "cat") as one, Run(path, "cat") as two:
        assert refused(path).kind == "refused"
        assert one.session.wait(soon(0)) is None
        assert two.session.wait(soon(0)) is None
    # Refusal did the connection no harm.
    assert isinstance(mux.check(path, soon()), int)


def test_stop_listening_leaves_sessions_alone(control: Path, eventually: Callable[..., None]) -> None:
    pid = mux.check(control, soon())
    assert isinstance(pid, int)
    with Run(control, "cat") as run:
        assert mux.stop_listening(control, soon()) is None
        assert refused(control).kind == "gone"
        os.write(run.stdin, b"still here")
        assert os.read(run.stdout, 100) == b"still here"
    os.kill(pid, 15)


def test_terminate(control: Path) -> None:
    with Run(control, "cat") as run:
        assert mux.terminate(control, soon()) is None
        assert not control.exists()
        assert run.session.wait(soon()) == mux.LOST
        assert run.session.lost
    assert isinstance(failure := mux.terminate(control, soon()), Failure)
    assert failure.kind == "gone"


def test_master_killed_under_a_session(control: Path) -> None:
    pid = mux.check(control, soon())
    assert isinstance(pid, int)
    with Run(control, "echo begun; cat") as run:
        assert os.read(run.stdout, 100) == b"begun\n"
        os.kill(pid, 9)
        assert run.session.wait(soon()) == mux.LOST
        assert run.everything(run.stdout) == b""
    assert control.exists()
    assert refused(control).kind == "gone"


def test_a_command_that_is_too_long(control: Path) -> None:
    assert refused(control, "x" * mux.MAX_PACKET).kind == "protocol"
    assert isinstance(mux.check(control, soon()), int)


def test_no_socket(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").kind == "gone"
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file").kind == "gone"


def test_out_of_descriptors(monkeypatch: pytest.MonkeyPatch, control: Path) -> None:
    def none_left(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", none_left)
        assert refused(control) == Failure("scarce", "Too many open files")


def packet(*words: int, rest: bytes = b"") -> bytes:
    body = struct.pack(f">{len(words)}I", *words) + rest
    return struct.pack(">I", len(body)) + body


HELLO = packet(mux.HELLO, 4, rest=b"\0\0\0\4info\0\0\0\1" + b"0")
OPENED = packet(mux.S_SESSION_OPENED, mux.REQUEST, 5)


@pytest.fixture
def pretend(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A socket that sends these pieces, with a pause after each, and then closes (or stays silent)."""
    threads: list[threading.Thread] = []
    end = threading.Event()

    def begin(*pieces: bytes, silent: bool = False) -> Path:
        path = tmp_path / f"s{len(threads)}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)

        def serve() -> None:
            with listener:
                connection, _ = listener.accept()
            with connection:
                for piece in pieces:
                    connection.sendall(piece)
                    end.wait(0.002)
                if silent:
                    end.wait(10)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return path

    yield begin
    end.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([], "gone"),
        ([HELLO], "gone"),
        ([HELLO[:6]], "gone"),
        ([HELLO, OPENED[:9]], "gone"),
        ([packet(mux.HELLO, 5)], "protocol"),
        ([packet(mux.S_OK, 4)], "protocol"),
        ([packet(mux.HELLO)], "protocol"),
        ([b"\xff\xff\xff\xff"], "protocol"),
        ([b"\0\0\0\0"], "protocol"),
        ([b"SSH-2.0-something\r\n"], "protocol"),
        ([HELLO, packet(mux.S_SESSION_OPENED)], "protocol"),
        ([HELLO, packet(mux.S_SESSION_OPENED, mux.REQUEST)], "protocol"),
        ([HELLO, packet(mux.S_SESSION_OPENED, 99, 5)], "protocol"),
        ([HELLO, packet(mux.S_ALIVE, mux.REQUEST, 5)], "protocol"),
        ([HELLO, packet(mux.S_FAILURE, mux.REQUEST, 2, rest=b"no")], "refused"),
        ([HELLO, packet(mux.S_FAILURE, mux.REQUEST, 9999, rest=b"no")], "refused"),
        ([HELLO, packet(mux.S_PERMISSION_DENIED, mux.REQUEST, 2, rest=b"no")], "denied"),
    ],
)
def test_what_no_master_says(pretend: Callable[..., Path], pieces: list[bytes], kind: str) -> None:
    failure = refused(pretend(*pieces))
    assert failure.kind == kind
    assert failure.detail


@pytest.mark.parametrize("pieces", [[], [HELLO], [HELLO, OPENED[:7]]])
def test_silence_ends_at_the_deadline(pretend: Callable[..., Path], pieces: list[bytes]) -> None:
    begun = time.monotonic()
    assert refused(pretend(*pieces, silent=True), deadline=0.2).kind == "timeout"
    assert time.monotonic() - begun < 10


def test_packets_in_single_bytes_and_all_at_once(pretend: Callable[..., Path]) -> None:
    talk = (
        HELLO
        + OPENED
        + packet(mux.S_OK, 1)
        + packet(mux.S_EXIT_MESSAGE, 6, 1)
        + packet(mux.S_TTY_ALLOC_FAIL, 5)
        + packet(mux.S_EXIT_MESSAGE, 5, 42)
    )
    for pieces in ([talk], [talk[i : i + 1] for i in range(len(talk))]):
        with Run(pretend(*pieces), "true") as run:
            while (code := run.session.wait(soon(0))) is None:
                time.sleep(0.001)
            assert code == 42
            assert run.session.tty_failed
            assert run.session.wait(soon(0)) == 42


def test_a_socket_whose_queue_is_full(tmp_path: Path) -> None:
    path = tmp_path / "full"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            assert refused(path, deadline=0.2).kind == "timeout"
